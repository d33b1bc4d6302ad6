"""A server on a free port, in a thread of this process, with tiny runs of every kind."""

import http.client
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

import thence
from thence.serve import Limits, create_app, open_runs
from thence.serve.loaded_runs import LoadedRun
from thence.serve.server import Server, _listen

LINES = ["the war, and (old) trade", "the trade", "a song", "a long war and a song", "über 5 € 😀"]
SMALL = {"embedding_size": 8, "batch_size": 4, "steps": 40, "threads": 1, "lr": 0.05}
SIZES: dict[str, dict[str, Any]] = {
    "mlp": {**SMALL, "hidden_size": 8},
    "bigram": {"batch_size": 4, "steps": 40, "threads": 1},
    "rnn": {**SMALL, "hidden_size": 8},
    "lstm": {**SMALL, "hidden_size": 8, "layers": 2},
    "gru": {**SMALL, "hidden_size": 8},
    "transformer": {**SMALL, "layers": 2, "heads": 2, "context": 12},
    "ngram": {"order": 3},
}


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON in the strict sense."""
        return json.loads(self.body, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))

    def problem(self) -> dict[str, Any]:
        """Return what an error says, which has the shape of OpenAI's errors."""
        content = self.json()
        assert set(content) == {"error"}
        assert set(content["error"]) == {"message", "type", "param", "code"}
        assert isinstance(content["error"]["message"], str)
        assert "Traceback" not in content["error"]["message"]
        return dict(content["error"])

    def events(self) -> list[Any]:
        """Return what a stream sent; the mark of its end is the last."""
        found = []
        for event in self.body.decode("utf-8").split("\n\n"):
            if event:
                assert event.startswith("data: ")
                found.append(event.removeprefix("data: "))
        return [item if item == "[DONE]" else json.loads(item) for item in found]


@dataclass(frozen=True)
class Client:
    """Asks a server, each time over a connection of its own."""

    port: int
    models: dict[str, LoadedRun] = field(default_factory=dict)
    token: str | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask; a body that is not bytes is sent as JSON."""
        given = {"Content-Type": "application/json"} if method == "POST" else {}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        given |= headers or {}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: Any) -> Answer:
        return self.ask("POST", path, body)

    def complete(self, model: str | None = None, **fields: Any) -> Any:
        """Return completions; they must succeed."""
        answer = self.post("/v1/completions", {"model": model, **fields})
        assert answer.status == 200, answer.body
        return answer.json()

    def text(self, model: str, **fields: Any) -> str:
        """Return the text of one completion."""
        return str(self.complete(model, **fields)["choices"][0]["text"])

    def stream(self, model: str, **fields: Any) -> list[Any]:
        """Return the events of a stream, without the mark of its end."""
        answer = self.post("/v1/completions", {"model": model, **fields, "stream": True})
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"].startswith("text/event-stream")
        *events, done = answer.events()
        assert done == "[DONE]"
        return events

    def refused(self, path: str, body: Any) -> dict[str, Any]:
        """Return what is said of a request that must be refused as wrong."""
        answer = self.post(path, body)
        assert answer.status == 400, answer.body
        return answer.problem()


@contextmanager
def serving(
    models: dict[str, LoadedRun], limits: Limits = Limits(), **settings: Any
) -> Iterator[Client]:
    app = create_app(models, limits, **settings)
    with _listen("127.0.0.1", 0) as listening:
        server = Server(app, limits, models, log_config=None, timeout_graceful_shutdown=5)
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield Client(listening.getsockname()[1], models, settings.get("token"))
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture(scope="session", name="serving")
def serving_() -> Callable[..., Any]:
    """Serve models while a block runs, and yield a client."""
    return serving


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_mistakes(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where the server, or what it runs on, logs an error."""
    caplog.set_level(logging.WARNING)
    yield
    wrong = [
        record
        for record in [*caplog.get_records("setup"), *caplog.get_records("call")]
        if record.levelno >= logging.ERROR
    ]
    assert not wrong, "\n".join(f"{r.name}: {r.getMessage()} {r.exc_text or ''}" for r in wrong)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., thence.Run]:
    """Train a tiny run once for all tests, or find it again."""
    folder = tmp_path_factory.mktemp("served")
    runs: dict[str, thence.Run] = {}

    def make(
        name: str,
        family: str = "bigram-counts",
        lines: Iterable[str] = LINES,
        suffix: str = ".txt",
        **settings: Any,
    ) -> thence.Run:
        if name not in runs:
            text = folder / f"{name}{suffix}"
            text.write_text("\n".join(lines) * 6 + "\n", encoding="utf-8")
            given = {"split": "80/20/0", **SIZES.get(family, {}), **settings}
            runs[name] = thence.train(text, family, output=folder / name, **given)
        return runs[name]

    return make


@pytest.fixture(scope="session")
def mixed(
    made: Callable[..., thence.Run], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., thence.Run]:
    """Mix runs once for all tests."""
    folder = tmp_path_factory.mktemp("mixed")
    runs: dict[str, thence.Run] = {}

    def mix(name: str, members: Iterable[thence.Run], **settings: Any) -> thence.Run:
        if name not in runs:
            runs[name] = thence.mix([*members], output=folder / name, **settings)
        return runs[name]

    return mix


@pytest.fixture(scope="session")
def core(made: Callable[..., thence.Run], mixed: Callable[..., thence.Run]) -> dict[str, LoadedRun]:
    """The models that most tests ask."""
    lstm, ngram = made("lstm", "lstm"), made("ngram", "ngram")
    runs = [
        lstm,
        ngram,
        mixed("mixture", [lstm, ngram]),
        made("mlp", "mlp"),
        made("transformer", "transformer"),
        made("words", "ngram", tokens="words"),
        made("bytes", "ngram", tokens="bytes"),
        made("running", "lstm", tokens="words", carry_context=True),
        made("closed", "ngram", unknown="refuse"),
    ]
    return open_runs(runs)


@pytest.fixture(scope="session")
def client(core: dict[str, LoadedRun]) -> Iterator[Client]:
    """A client of a server without a token, with ``core``."""
    with serving(core) as made_client:
        yield made_client


@pytest.fixture(scope="session")
def at_once() -> Callable[..., list[Any]]:
    """Call functions at the same time, and return what they gave in their order."""

    def call(functions: Iterable[Callable[[], Any]]) -> list[Any]:
        functions = list(functions)
        with ThreadPoolExecutor(len(functions)) as pool:
            return [task.result() for task in [pool.submit(function) for function in functions]]

    return call


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds, however slow the machine is."""

    def wait(holds: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)

    return wait


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
