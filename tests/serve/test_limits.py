"""Who may ask, how much, how many at once, and for how long."""

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import thence
from thence.errors import SettingError
from thence.serve import Limits, open_runs

Made = Callable[..., thence.Run]
JSON = "Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def lasting(made: Made) -> Any:
    """A model whose texts go on as long as asked."""
    return open_runs([made("lasting", "lstm", tokens="words", carry_context=True)])


@pytest.fixture(scope="module")
def small(lasting: Any, serving: Any) -> Iterator[Any]:
    """A server with small limits."""
    limits = Limits(max_tokens=30, max_prompt=20, max_body=2000, max_requests=2)
    with serving(lasting, limits) as client:
        yield client


@pytest.fixture(scope="module")
def protected(lasting: Any, serving: Any) -> Iterator[Any]:
    """A server that asks for a token."""
    with serving(lasting, token="sésame à") as client:
        yield client


def raw(client: Any, text: str | bytes) -> tuple[int, bytes]:
    """Send bytes as they are; return the status and the whole answer."""
    data = text.encode("latin-1") if isinstance(text, str) else text
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(data)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
            head, _, body = found.partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if b"content-length" in line]
            if length and len(body) >= int(length[0].split(b":")[1]):
                break
    return int(found.split(b" ")[1]), found


def test_a_large_request_is_refused_before_it_is_read(small: Any) -> None:
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 99999\r\n\r\n"
    status, answer = raw(small, head)
    assert status == 413
    assert b"--max-body" in answer
    assert small.post("/v1/completions", {"prompt": "a" * 3000}).status == 413
    assert small.post("/v1/completions", {"prompt": "a" * 3000}).problem()["type"] == (
        "request_too_large"
    )


def test_a_large_request_in_chunks_is_refused(small: Any) -> None:
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n"
    status, answer = raw(small, head + "400\r\n" + "a" * 1024 + "\r\n400\r\n" + "a" * 1024 + "\r\n")
    assert status == 413
    assert b"--max-body" in answer
    body = json.dumps({"prompt": "the", "max_tokens": 2})
    whole = "".join(f"1\r\n{letter}\r\n" for letter in body) + "0\r\n\r\n"
    status, answer = raw(small, head + whole)
    assert status == 200
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"]["completion_tokens"] == 2


def test_a_request_of_just_the_size_is_let_through(lasting: Any, serving: Any) -> None:
    body = json.dumps({"prompt": "the", "max_tokens": 1}).encode()
    for room, status in [(0, 200), (-1, 413)]:
        with serving(lasting, Limits(max_body=len(body) + room)) as client:
            assert client.ask("POST", "/v1/completions", body).status == status


def test_a_long_prompt_is_refused(small: Any) -> None:
    said = small.refused("/v1/completions", {"prompt": "the " * 21})
    assert said["code"] == "context_length_exceeded"
    assert "21 tokens" in said["message"]
    assert small.complete(prompt="the " * 20)
    assert small.refused("/v1/completions", {"prompt": [[0] * 20] * 17})["code"]
    assert small.refused("/v1/completions", {"prompt": [0] * 21})["code"]


def test_many_tokens_are_refused(small: Any) -> None:
    assert small.complete(prompt="the", max_tokens=30)
    assert "--max-tokens" in small.refused("/v1/completions", {"max_tokens": 31})["message"]


def test_more_requests_than_allowed_are_sent_away(
    lasting: Any, serving: Any, at_once: Any, wait_until: Any
) -> None:
    with serving(lasting, Limits(max_requests=2, max_tokens=10**6)) as client:
        busy = [client.connect() for _ in range(2)]
        for connection in busy:
            body = '{"max_tokens": 1000000, "stream": true}'
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/completions", body, headers)
            assert connection.getresponse().read(10)
        answer = client.post("/v1/completions", {"prompt": "the"})
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.problem()["type"] == "overloaded_error"
        assert client.get("/health").status == 200
        for connection in busy:
            connection.close()
        wait_until(lambda: client.post("/v1/completions", {"prompt": "the"}).status == 200)


@pytest.mark.slow
def test_a_request_that_takes_too_long_is_ended(lasting: Any, serving: Any) -> None:
    with serving(lasting, Limits(timeout=2.0, max_tokens=10**6)) as client:
        answer = client.post("/v1/completions", {"max_tokens": 10**6})
        assert answer.status == 504
        assert answer.problem()["type"] == "timeout_error"
        assert "--timeout" in answer.problem()["message"]
        answer = client.post("/v1/completions", {"max_tokens": 10**6, "stream": True})
        assert answer.status == 200
        *events, last = answer.events()
        assert len(events) > 2
        assert last["error"]["type"] == "timeout_error"
        worker = lasting["lasting"].worker
        turns = worker.batches_read
        assert client.get("/health").status == 200
        assert worker.batches_read <= turns + 2


def test_a_body_that_does_not_come_is_not_waited_for(lasting: Any, serving: Any) -> None:
    with serving(lasting, Limits(timeout=0.3)) as client:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{JSON}Content-Length: 99\r\n\r\n{{"
        assert raw(client, head)[0] == 504


@pytest.mark.slow
def test_a_client_that_reads_no_more_is_let_go(
    lasting: Any, serving: Any, wait_until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(timeout=0.5, max_tokens=10**6)
    with serving(lasting, limits) as client, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.connect(("127.0.0.1", client.port))
        body = json.dumps({"max_tokens": 10**6, "stream": True, "n": 8, "logprobs": 20})
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{JSON}"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        counted = 'thence_requests_total{route="/v1/completions"'
        wait_until(lambda: counted in client.get("/metrics").body.decode())
        turns = lasting["lasting"].worker.batches_read
        client.get("/health")
        assert lasting["lasting"].worker.batches_read <= turns + 2
    assert {record.name for record in caplog.records} <= {"uvicorn.error"}
    caplog.clear()  # That an answer was not completed is said by what the server runs on.


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic sésame à"]
)
def test_without_the_token_nothing_is_answered(protected: Any, header: str | None) -> None:
    given = {} if header is None else {"Authorization": header.encode("utf-8").decode("latin-1")}
    without = type(protected)(protected.port, protected.models)
    for method, path in [("GET", "/v1/models"), ("POST", "/v1/completions"), ("GET", "/metrics")]:
        answer = without.ask(method, path, headers=given)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.problem()["type"] == "authentication_error"
    assert without.get("/health").status == 200


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER "])
def test_the_token_opens(protected: Any, kind: str) -> None:
    header = f"{kind} sésame à".encode().decode("latin-1")
    without = type(protected)(protected.port, protected.models)
    assert without.ask("GET", "/v1/models", headers={"Authorization": header}).status == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("models.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ],
)
def test_a_name_that_was_pointed_here_is_not_answered(
    lasting: Any, serving: Any, host: str, status: int
) -> None:
    with serving(lasting, hosts=frozenset({"localhost", "models.example"})) as client:
        answer = client.get("/v1/models", Host=host)
        assert answer.status == status
        if status != 200:
            assert answer.problem()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
def test_a_request_must_say_that_it_is_json(small: Any, kind: str, status: int) -> None:
    body = b'{"prompt": "a"}'
    answer = small.ask("POST", "/v1/completions", body, {"Content-Type": kind})
    assert answer.status == status
    if status == 415:
        assert "application/json" in answer.problem()["message"]


def test_every_answer_keeps_pages_to_this_server(protected: Any) -> None:
    for path in ("/health", "/v1/models", "/nothing", "/"):
        headers = protected.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "name", ["max_tokens", "max_prompt", "max_body", "max_requests", "timeout"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_limits_have_limits(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"`{name}` is"):
        Limits(**{name: value})


def test_two_runs_of_one_name(made: Made, here: Any) -> None:
    run = made("lasting", "lstm", tokens="words", carry_context=True)
    other = here / "lasting"
    shutil.copytree(run.folder, other)
    with pytest.raises(SettingError, match="Two runs are called lasting"):
        open_runs([run, other])
    with pytest.raises(SettingError, match="is given twice"):
        open_runs([run, run.folder])


def test_health_and_metrics(small: Any) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    assert small.get("/health").json() == {"status": "ok", "models": 1}
    small.complete(prompt="the")
    small.get("/v1/models/nothing")
    small.get("/no/such/path")
    small.ask("PUT", "/v1/completions")
    answer = small.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {
        family.name: family for family in text_string_to_metric_families(answer.body.decode())
    }
    requests = {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for sample in families["thence_requests"].samples
        if sample.name.endswith("_total")
    }
    assert requests["/v1/completions", "200"] >= 1
    assert requests["/v1/models/{name:path}", "404"] == 1
    assert requests["none", "404"] == 1
    assert not any("no/such" in route for route, _ in requests)
    turns = families["thence_model_turns"].samples[0]
    assert turns.labels == {"model": "lasting"}
    assert turns.value == small.models["lasting"].worker.batches_read
    assert "thence_request_seconds" in families
