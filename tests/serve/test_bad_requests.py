"""Whatever is sent, the answer is an error in our shape, never a mistake of the server."""

import json
import socket
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

POSTS = ["/v1/completions", "/v1/classify", "/tokenize", "/detokenize"]
DEEP = 100_000
NAMES = b",".join(b'"%d": 1' % i for i in range(300_000))
BODIES = {
    "nothing": b"",
    "white space": b" \n",
    "not JSON": b"{prompt: 1}",
    "cut off": b'{"prompt": "a',
    "two values": b"{} {}",
    "NaN": b'{"temperature": NaN}',
    "Infinity": b'{"temperature": Infinity}',
    "minus Infinity": b'{"seed": -Infinity}',
    "1e400": b'{"temperature": 1e400}',
    "-1e400": b'{"top_p": -1e400}',
    "a number of 5000 digits": b'{"seed": 1' + b"0" * 5000 + b"}",
    "a number of 400 digits": b'{"seed": 1' + b"0" * 400 + b"}",
    "a negative number": b'{"max_tokens": -5}',
    "huge ids": b'{"prompt": [1' + b"0" * 300 + b"]}",
    "a bare number": b"5",
    "a bare string": b'"prompt"',
    "a bare null": b"null",
    "an array": b"[]",
    "an array of requests": b'[{"prompt": "a"}]',
    "not UTF-8": b'{"prompt": "\xff\xfe"}',
    "UTF-16": '{"prompt": "a", "n": 0}'.encode("utf-16"),
    "half a surrogate pair": b'{"prompt": "\\ud800"}',
    "half a pair in a name": b'{"\\ud800": 1}',
    "half a pair in a model": b'{"model": "\\udfff", "prompt": "a"}',
    "deep arrays": b'{"prompt": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep arrays alone": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "not deep enough to fail": b'{"prompt": ' + b"[" * 300 + b"]" * 300 + b"}",
    "a long string": b'{"stop": "' + b"a" * 4_000_000 + b'"}',
    "a long name": b'{"' + b"a" * 1_000_000 + b'": 1}',
    "a long model": b'{"model": "' + b"a" * 1_000_000 + b'"}',
    "many items": b'{"prompt": [' + b"{}," * 1_000_000 + b"{}]}",
    "many texts": b'{"prompt": [' + b'"",' * 1_000_000 + b'""]}',
    "many names": b"{" + NAMES + b"}",
    "many names in an object": b'{"logit_bias": {' + NAMES + b"}}",
    "NUL in a name": b'{"\\u0000": 1}',
    "NUL in a model": b'{"model": "a\\u0000", "prompt": "a"}',
    "a NUL byte": b'{"prompt": "\x00"}',
    "a byte order mark": b'\xef\xbb\xbf{"n": 0}',
}


@pytest.fixture(scope="session")
def unit() -> float:
    """Processor time of a million additions: what is slow is so on any machine."""
    begun = time.process_time()
    sum(map(int.__add__, range(1_000_000), range(1_000_000)))
    return time.process_time() - begun


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param(path, name, marks=[pytest.mark.slow] if path != POSTS[0] else [])
        for path in POSTS
        for name in BODIES
    ],
)
def test_a_bad_body_is_refused(client: Any, path: str, name: str, unit: float) -> None:
    begun = time.process_time()
    answer = client.post(path, BODIES[name])
    assert 400 <= answer.status < 500, answer.body[:300]
    assert len(answer.body) < 2000
    assert answer.problem()["message"]
    assert time.process_time() - begun < 40 * unit  # Nobody else is answered meanwhile.


@pytest.mark.parametrize("path", POSTS)
def test_values_of_other_kinds_are_refused(client: Any, path: str) -> None:
    schema = client.get("/openapi.json").json()
    reference = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    fields = schema["components"]["schemas"][reference["schema"]["$ref"].rpartition("/")[2]]
    for field in fields["properties"]:
        for value in ({"a": 1}, [{"a": 1}], [[["a"]]], object_of(300)):
            answer = client.post(path, {"model": "lstm", "prompt": "a", field: value})
            assert 400 <= answer.status < 500, (field, value)
            assert answer.problem()["type"] in ("invalid_request_error", "not_found_error")


def object_of(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_of_a_name_given_twice_the_last_counts(client: Any) -> None:
    body = b'{"model": "nothing", "model": "lstm", "prompt": "a", "max_tokens": 1}'
    assert client.post("/v1/completions", body).status == 200


def test_a_nul_character_is_a_character(client: Any) -> None:
    answer = client.complete("lstm", prompt="a\0b", echo=True, max_tokens=0)
    assert answer["choices"][0]["text"] == "a\0b"
    assert client.complete("bytes", prompt="a\0b", max_tokens=2)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/completions", 405),
        ("PUT", "/v1/completions", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/models", 405),
        ("PATCH", "/tokenize", 405),
        ("OPTIONS", "/v1/completions", 405),
        ("BREW", "/v1/completions", 405),
        ("GET", "/nothing", 404),
        ("POST", "/v1/chat/completions", 404),
        ("GET", "/v1/models/%00", 404),
        ("GET", "/v1/models/%ff", 404),
        ("GET", "/v1/models/../../etc/passwd", 404),
        ("GET", "/page/%00", 404),
        ("GET", "/page/../../../pyproject.toml", 404),
        ("GET", "/page/%2e%2e/%2e%2e/app.py", 404),
        ("GET", "/page/" + "a" * 5000, 404),
        ("GET", "/page/", 404),
        ("GET", "/tokenizer_info?model=%00", 404),
        ("GET", "/tokenizer_info?model=" + "a" * 5000, 404),
    ],
)
def test_wrong_methods_and_paths(client: Any, method: str, path: str, status: int) -> None:
    body = {} if method == "POST" else None
    answer = client.ask(method, path, body)
    assert answer.status == status
    assert answer.problem()["message"]
    if status == 405:
        assert answer.headers["allow"]


GARBAGE = [
    b"\x00\x01\x02\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"POST /tokenize HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/json\r\n\r\nzz\r\n",
    b"GET /health HTTP/1.1\r\n\r\n",
]


@pytest.mark.parametrize("sent", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_http_is_refused_by_what_the_server_runs_on(client: Any, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(100).startswith(b"HTTP/1.1 4")
    assert client.get("/health").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "\xff\xfe"},
        {"Accept": "nothing/at-all"},
        {"Accept-Encoding": "\xe9"},
        {"Cookie": "a" * 5000},
        {"Content-Type": "application/json; charset=nothing"},
        {"Host": "\xff"},
        {"X-Forwarded-For": "' OR 1=1"},
        {"Expect": "100-continue"},
    ],
)
def test_odd_headers_do_no_harm(client: Any, headers: dict[str, str]) -> None:
    body = {"model": "lstm", "prompt": "a", "max_tokens": 1}
    assert client.ask("POST", "/v1/completions", body, headers).status == 200


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["lstm", "ngram", "words", "bytes", "closed", "a", "\n"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FIELDS = [
    *("model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "n", "best_of", "echo"),
    *("logprobs", "stop", "stream", "stream_options", "seed", "user", "suffix", "logit_bias"),
    *("presence_penalty", "frequency_penalty", "input", "top", "threshold", "explain", "tokens"),
    "add_special_tokens",
]
SENSIBLE = {
    "model": st.sampled_from(["lstm", "ngram", "words", "bytes", "closed", "running", "none"]),
    "prompt": st.text(max_size=30) | st.lists(st.integers(0, 20), max_size=20),
    "max_tokens": st.integers(-1, 8),
    "temperature": st.floats(0, 3) | st.sampled_from([0, 1e-300, 5e-324, 100]),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 50),
    "n": st.integers(0, 4),
    "logprobs": st.integers(0, 25),
    "echo": st.booleans(),
    "stop": st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=3),
    "seed": st.integers(-(2**65), 2**65),
    "stream": st.booleans(),
}
LIKELY = st.fixed_dictionaries({}, optional=SENSIBLE)


def check_any(client: Any, path: str, body: Any) -> None:
    answer = client.post(path, json.dumps(body).encode())
    assert answer.status < 500, (body, answer.body)
    if answer.status >= 400:
        assert len(answer.problem()["message"]) < 1000
    elif answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.events()[-1] == "[DONE]"
    else:
        assert answer.json()


FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MANY = settings(FEW, max_examples=5 * settings.default.max_examples)


@pytest.mark.slow
@FEW
@given(st.sampled_from(POSTS), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_any_json(client: Any, path: str, body: Any) -> None:
    check_any(client, path, body)


@pytest.mark.slow
@FEW
@given(LIKELY)
def test_any_completion(client: Any, body: Any) -> None:
    check_any(client, "/v1/completions", body)


@pytest.mark.slow
@MANY
@given(st.sampled_from(POSTS), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_much_json(client: Any, path: str, body: Any) -> None:
    check_any(client, path, body)


@pytest.mark.slow
@MANY
@given(LIKELY)
def test_many_completions(client: Any, body: Any) -> None:
    check_any(client, "/v1/completions", body)


@pytest.mark.slow
@MANY
@given(st.sampled_from(POSTS), st.binary(max_size=200))
def test_any_bytes(client: Any, path: str, body: bytes) -> None:
    assert 400 <= client.post(path, body).status < 500
