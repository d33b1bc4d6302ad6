"""Connections on which little or nothing comes: they are bounded, closed in time, and quiet."""

import json
import logging
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

import thence
from thence.serve import Limits, connections, open_runs, server
from thence.serve.server import OTHER_FILES, max_connections

from ..processes import Process

Made = Callable[..., thence.Run]
HOST = "127.0.0.1"
POST = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HALF = f"{POST}Content-Length: 99\r\n\r\n{{"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"


@pytest.fixture(scope="module")
def small(made: Made) -> Any:
    """A model that answers at once."""
    return open_runs([made("ngram", "ngram")])


@pytest.fixture(scope="module")
def lasting(made: Made) -> Any:
    """A model whose texts go on as long as asked."""
    return open_runs([made("lasting", "lstm", tokens="words", carry_context=True)])


IMPATIENT = Limits(idle_timeout=0.3)


@contextmanager
def connected(port: int, count: int, sent: str = "") -> Iterator[list[socket.socket]]:
    """Open connections, and send the beginning of a request on each."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection((HOST, port), timeout=60))
            one.sendall(sent.encode())
            found.append(one)
        yield found


def rest_of(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    found = b""
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionResetError:
        pass
    return found


def answers(connection: socket.socket, request: str) -> str:
    """Return the answer to a request without a body, on a connection that stays open."""
    connection.sendall(request.encode())
    found = b""
    while not found.endswith(b"}"):
        part = connection.recv(1 << 16)
        assert part, "closed without an answer"
        found += part
    return found.decode()


@pytest.mark.parametrize("sent", ["", "GET /heal", f"{POST}X-Long: a", HALF, CHUNKED])
def test_who_sends_too_little_keeps_nobody_out(
    small: Any, serving: Any, caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    limits = Limits(max_connections=20, max_requests=2)
    with serving(small, limits) as client, connected(client.port, 60, sent) as waiting:
        for _ in range(3):
            assert client.get("/health").status == 200
            assert client.complete(prompt="a", max_tokens=1)
        assert rest_of(waiting[0]) == b""  # The first is closed for the last.
        waiting[-1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            waiting[-1].recv(1)
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


def test_what_is_being_worked_on_keeps_its_connection(lasting: Any, serving: Any) -> None:
    with serving(lasting, Limits(max_connections=5)) as client:
        body = json.dumps({"max_tokens": 300, "stream": True})
        with connected(client.port, 1, f"{POST}Content-Length: {len(body)}\r\n\r\n{body}") as (
            busy,
        ):
            found = busy.recv(1)
            with connected(client.port, 20):
                while not found.endswith(b"\r\n0\r\n\r\n"):
                    part = busy.recv(1 << 16)
                    assert part
                    found += part
    assert b"[DONE]" in found


def test_who_was_answered_before_is_kept_before_those_who_never_asked(
    small: Any, serving: Any
) -> None:
    asked = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(small, Limits(max_connections=10)) as client, connected(client.port, 1) as (one,):
        for _ in range(3):
            assert "200 OK" in answers(one, asked)
            with connected(client.port, 30):
                assert client.get("/health").status == 200


@pytest.mark.parametrize("sent", ["", "GET /heal", f"{POST}X-Long: a"])
def test_a_head_that_does_not_come_is_not_waited_for(small: Any, serving: Any, sent: str) -> None:
    with serving(small, IMPATIENT) as client, connected(client.port, 1, sent) as (one,):
        assert rest_of(one) == b""


def test_a_head_that_comes_by_the_byte_is_not_waited_for(small: Any, serving: Any) -> None:
    with (
        serving(small, IMPATIENT) as client,
        connected(client.port, 1, "GET /health HTTP/1.1\r\nA: ") as (one,),
    ):
        one.settimeout(0.02)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                one.sendall(b"a")
                assert one.recv(1) == b""
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            pytest.fail("it was waited for")


@pytest.mark.slow
def test_a_connection_may_be_used_again_and_then_is_closed(small: Any, serving: Any) -> None:
    asked = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    limits = Limits(idle_timeout=2.0)
    with serving(small, limits) as client, connected(client.port, 1) as (one,):
        for _ in range(5):  # For longer than that in all.
            assert answers(one, asked).startswith("HTTP/1.1 200")
            time.sleep(0.5)
        assert rest_of(one) == b""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [HALF, CHUNKED])
def test_a_body_that_does_not_come_takes_no_place(small: Any, serving: Any, sent: str) -> None:
    limits = Limits(max_requests=1, idle_timeout=2.0)
    with serving(small, limits) as client, connected(client.port, 3, sent) as some:
        assert client.complete(prompt="a", max_tokens=1)
        for one in some:
            answer = rest_of(one).decode()  # And the connection is closed after it.
            assert answer.startswith("HTTP/1.1 408")
            assert "Nothing more of the request came" in answer
        assert client.complete(prompt="a", max_tokens=1)


def test_a_body_without_end_is_ended_by_the_time_of_a_request(small: Any, serving: Any) -> None:
    with (
        serving(small, Limits(timeout=0.5)) as client,
        connected(client.port, 1, CHUNKED) as (one,),
    ):
        one.settimeout(0.02)
        found = b""
        while not found:
            one.sendall(b"1\r\n \r\n")
            try:
                found = one.recv(1 << 16)
            except TimeoutError:
                continue
        assert found.startswith(b"HTTP/1.1 504")


def test_large_bodies_that_are_not_whole_leave_room_for_small_ones(
    small: Any, serving: Any
) -> None:
    limits = Limits(max_requests=2, max_body=200_000)
    part = f"{POST}Content-Length: 190000\r\n\r\n" + " " * 180_000
    with serving(small, limits) as client, connected(client.port, 4, part) as some:
        assert client.complete(prompt="a", max_tokens=1)
        large = b'{"prompt": "a", "max_tokens": 1}'.ljust(150_000)
        refused = client.ask("POST", "/v1/completions", large)
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        for one in some:
            one.close()
        assert client.ask("POST", "/v1/completions", large).status == 200


@pytest.mark.slow
def test_who_reads_nothing_of_a_large_answer_is_let_go(
    lasting: Any, serving: Any, wait_until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = connections.connection_class(10, 2.0)
    monkeypatch.setattr(server, "connection_class", lambda *_: kind)
    with serving(lasting, IMPATIENT) as client, socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        one.connect((HOST, client.port))
        body = json.dumps({"prompt": ["a"] * 16, "max_tokens": 700, "logprobs": 20})
        one.sendall(f"{POST}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        one.recv(100)  # Of megabytes; when it has come, all was handed over to be sent.
        assert len(kind.all) == 1
        wait_until(lambda: len(kind.all) == 0)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/health", "/", "/v1/models", "/metrics", "/page/main.js"])
def test_programs_that_watch_are_answered(
    small: Any, serving: Any, path: str, version: str, method: str
) -> None:
    host = "Host: localhost\r\n" if version == "1.1" else ""  # HTTP/1.0 needs none.
    hosts = frozenset({"localhost"})
    with serving(small, hosts=hosts) as client, connected(client.port, 1) as (one,):
        one.sendall(f"{method} {path} HTTP/{version}\r\n{host}Connection: close\r\n\r\n".encode())
        one.shutdown(socket.SHUT_WR)  # As some do that send nothing more.
        head, _, body = rest_of(one).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        assert length > 0
        assert len(body) == (0 if method == "HEAD" else length)


def test_http_1_0_gets_a_stream_to_its_end(small: Any, serving: Any) -> None:
    body = json.dumps({"prompt": "a", "max_tokens": 3, "stream": True})
    head = "POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
    with serving(small, hosts=frozenset()) as client, connected(client.port, 1) as (one,):
        one.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = rest_of(one)
    assert b"chunked" not in answer.lower()
    assert answer.endswith(b"data: [DONE]\n\n")


def test_head_is_for_what_can_be_got(small: Any, serving: Any) -> None:
    with serving(small, Limits(), token="secret") as client:
        assert client.ask("HEAD", "/health").status == 200
        assert client.ask("HEAD", "/v1/completions").status == 405
        assert client.ask("HEAD", "/no/such").status == 404
        without = type(client)(client.port, client.models)
        assert without.ask("HEAD", "/v1/models").status == 401
        assert 'route="/health",status="200"' in client.get("/metrics").body.decode()


@pytest.mark.parametrize("path", ["/health", "/v1/completions", "/nothing"])
def test_what_is_no_http_within_a_request_is_no_mistake_of_the_server(
    small: Any, serving: Any, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(small) as client:
        for wait in (0, 0.05):
            with connected(client.port, 1, head) as (one,):
                time.sleep(wait)
                one.sendall(b"no size\r\n")
                assert int(rest_of(one).split()[1]) in (400, 404, 405, 415)
        with connected(client.port, 1, head + "no size\r\n") as (one,):
            assert rest_of(one).startswith(b"HTTP/1.1 400")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


BODY = '{"prompt": "a", "max_tokens": 3, "stream": true}'
WHOLE = [
    f"{POST}Content-Length: {len(BODY)}\r\n\r\n{BODY}",
    f"{POST}Transfer-Encoding: chunked\r\n\r\n{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n",
    f"{POST}Expect: 100-continue\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
    "GET /health HTTP/1.0\r\n\r\n",
    "HEAD /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "PUT /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n",
    "GET /page/../../x HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.slow
def test_nothing_that_is_sent_is_a_mistake_of_the_server(
    small: Any, serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    draw = random.Random(0)
    inserted = [b"\r\n", b"\n", b"\0", b"\xff\xfe", b"A" * 40_000, b": ", b"\r\n\r\n"]
    with serving(small, Limits(max_requests=2, max_body=2000)) as client:
        for _ in range(150):
            sent = bytearray("".join(draw.choices(WHOLE, k=draw.choice([1, 1, 2, 5]))).encode())
            for _ in range(draw.choice([0, 1, 2, 8])):
                place = draw.randrange(len(sent))
                if draw.random() < 0.5:
                    sent[place] = draw.randrange(256)
                else:
                    sent[place:place] = draw.choice(inserted)
            with connected(client.port, 1) as (one,):
                with suppress(OSError):  # It may be closed already.
                    cut = draw.randrange(len(sent))
                    one.sendall(sent[:cut])
                    one.sendall(sent[cut:])
                    one.shutdown(socket.SHUT_WR)
                if draw.random() < 0.8:
                    with suppress(ConnectionError):
                        rest_of(one)
        assert client.get("/health").status == 200
        with connected(client.port, 2, WHOLE[0]) as some:  # No place was lost.
            assert [one.recv(12) for one in some] == [b"HTTP/1.1 200"] * 2
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("files", "most"), [(1024, 1024 - OTHER_FILES), (10**6, 1000), (64, 1), (-1, 1000)]
)
def test_connections_leave_files_for_others(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert max_connections(1000) == most


SERVED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
from thence.cli.main import main
main(["serve", sys.argv[2], "--port", "0"])
"""


@pytest.mark.slow
def test_more_idle_connections_than_open_files(made: Made) -> None:
    run, files = made("ngram", "ngram"), 256
    with Process("-c", SERVED, files, run.folder) as process:
        line = process.stderr.readline()
        port = int(line.rpartition(":")[2].split()[0])
        try:
            with connected(port, files + 76), connected(port, 1) as (one,):
                asked = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
                assert answers(one, asked).startswith("HTTP/1.1 200")
        finally:
            process.terminate()
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
