"""The command ``thence serve``: it says where it is, stops when told, and refuses with reasons."""

import http.client
import json
import re
import shutil
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import thence
from thence.cli.main import main

from ..processes import Process

Made = Callable[..., thence.Run]


@pytest.fixture
def run(made: Made) -> thence.Run:
    return made("lasting", "lstm", tokens="words", carry_context=True)


@contextmanager
def started(*arguments: object, **variables: str) -> Iterator[tuple[Any, int]]:
    """Start the command; yield its process and its port when it says that it listens."""
    words = ["-m", "thence", "serve", *arguments, "--port", "0"]
    with Process(*words, environment=variables) as process:
        try:
            line = process.stderr.readline()
            found = re.search(r"Serving .* at http://\S*:(\d+) ", line)
            assert found, line + process.communicate(timeout=60)[1]
            yield process, int(found[1])
        finally:
            process.kill()


@contextmanager
def asked(port: int, **fields: Any) -> Iterator[http.client.HTTPResponse]:
    """Ask for a completion."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(fields), headers)
        with connection.getresponse() as answer:
            yield answer


def status_of_completion(port: int, **fields: Any) -> int:
    with asked(port, **fields) as answer:
        return answer.status


def status_of(port: int, **headers: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/v1/models", headers=headers)
        with connection.getresponse() as answer:
            return answer.status


def rows_per_turn(port: int) -> float:
    """Return how many texts were read at once, on average of a moment."""

    def counts() -> list[float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            said = answer.read().decode()
        return [float(one) for one in re.findall(r"^thence_model_\w+_total.* (\S+)$", said, re.M)]

    turns, rows = counts()
    time.sleep(0.1)
    more_turns, more_rows = counts()
    return (more_rows - rows) / max(1.0, more_turns - turns)


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return what the command says that must refuse to start."""
    with pytest.raises(SystemExit) as stop:
        main(["serve", *map(str, arguments)])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("thence: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_it_after_what_it_is_at(run: thence.Run, sign: signal.Signals) -> None:
    with started(run.folder) as (process, port):
        with asked(port, prompt="the", max_tokens=400, stream=True, n=4) as answer:
            begun = answer.read(50)
            process.send_signal(sign)
            whole = (begun + answer.read()).decode()
        assert whole.endswith("data: [DONE]\n\n")
        assert whole.count('"finish_reason": "length"') == 4
        assert process.wait(60) == 0
        assert process.communicate() == ("", "")


@pytest.mark.slow
def test_it_stops_in_time_whatever_it_is_at(run: thence.Run) -> None:
    with started(run.folder, "--max-tokens", 10**8) as (process, port):
        with (
            asked(port, max_tokens=10**8, stream=True) as answer,
            ThreadPoolExecutor() as pool,
        ):
            answer.read(50)
            plain = pool.submit(status_of_completion, port, max_tokens=10**8)
            while rows_per_turn(port) < 1.5:  # Until both are read together.
                pass
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
            assert plain.result() == 503
        assert process.wait(60) == 0
        assert time.monotonic() - begun > 5  # What is under way is given time, bounded above.
        assert "Traceback" not in process.communicate()[1]


@pytest.mark.slow
def test_the_token_may_be_a_variable(run: thence.Run) -> None:
    with started(run.folder, THENCE_TOKEN="secret\n") as (_, port):
        for token, status in [("secret", 200), ("wrong", 401)]:
            assert status_of(port, Authorization=f"Bearer {token}") == status


@pytest.mark.slow
def test_an_address_of_ipv6(run: thence.Run) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with (
        started(run.folder, "--host", "::1") as (_, port),
        closing(http.client.HTTPConnection("::1", port, timeout=60)) as connection,
    ):
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200


@pytest.mark.slow
def test_it_answers_only_to_its_own_address(run: thence.Run) -> None:
    with started(run.folder) as (_, port):
        for host, status in [("localhost", 200), ("127.0.0.1", 200), ("elsewhere.example", 421)]:
            assert status_of(port, Host=f"{host}:{port}") == status


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_others_are_let_in_only_with_a_token(
    run: thence.Run, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    said = failure(capsys, run.folder, "--host", host)
    assert "--token" in said
    assert "--no-auth" in said


def test_a_port_in_use(run: thence.Run, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = failure(capsys, run.folder, "--port", taken.getsockname()[1])
    assert "Address already in use" in said
    assert "Choose another --port" in said


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_cannot_be(
    run: thence.Run, capsys: pytest.CaptureFixture[str], port: int
) -> None:
    assert "from 0 to 65,535" in failure(capsys, run.folder, f"--port={port}")


def test_a_host_that_cannot_be(run: thence.Run, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("no such host", "256.256.256.256", "a" * 300):
        assert "Cannot listen on" in failure(capsys, run.folder, "--host", host, "--no-auth")


def test_limits_that_cannot_be(run: thence.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--timeout" in failure(capsys, run.folder, "--timeout", 0)
    assert "--max-body" in failure(capsys, run.folder, "--max-body", 10**12)


def test_a_run_that_is_none(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert "nothing" in failure(capsys, here / "nothing")
    assert "Say which run" in failure(capsys)


def test_two_runs_of_one_name(
    run: thence.Run, capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    shutil.copytree(run.folder, here / run.name)
    said = failure(capsys, run.folder, here / run.name)
    assert f"Two runs are called {run.name}" in said


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_named(
    run: thence.Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    monkeypatch.delitem(sys.modules, "thence.serve")
    monkeypatch.setitem(sys.modules, module, None)
    assert "thence[serve]" in failure(capsys, run.folder)


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    main(["serve", "--help"])
    said = capsys.readouterr().out
    for flag in ("host", "port", "token", "no-auth", "max-tokens", "max-prompt", "max-body"):
        assert f"--{flag}" in said
