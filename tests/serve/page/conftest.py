"""A server with runs of every kind, and some that nobody would wish for, and a browser to look."""

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import pytest
import uvicorn

import thence
from thence.serve import create_app, open_runs
from thence.serve.loaded_runs import LoadedRun
from thence.serve.server import _listen

HOSTILE_NAME = "<img src=x onerror=alert(1)>"
HOSTILE_SYMBOL = "<script>alert(2)</script>"
NAMES = ("Anna", "Annabel", "Arno", "Maria", "Marta", "Martin", "Oda", "Otto", "Nora") * 8
SENTENCES = ("the dog sat", "the cat sat down", "a dog ran home", "the bird flew home") * 8
REVIEWS = ("a good film,pos", "a bad film,neg", "good and long,pos", "bad and long,neg") * 10
SMALL = {"embedding_size": 4, "hidden_size": 16, "threads": 1}
PATIENCE = 60
"""Seconds for which something is waited for: whether it comes is tested, and not how soon."""


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        address: Where.
        models: What it serves.
        folder: Its runs, and others.
    """

    address: str
    models: dict[str, LoadedRun]
    folder: Path

    def ask(self, path: str, content: Any = None, status: int = 200) -> Any:
        """Return the JSON of an answer, which has a status."""
        data = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                found, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                found, body = error.code, error.read()
        assert found == status, body
        return json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))

    def refusal(self, path: str, content: Any = None, status: int = 400) -> str:
        """Return the sentence with which a request is refused."""
        return str(self.ask(path, content, status)["error"]["message"])

    def turns(self) -> float:
        """Return how often all models were called."""
        with urllib.request.urlopen(self.address + "/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if "model_turns_total{" in line)


@contextmanager
def running(models: dict[str, LoadedRun], folder: Path, **settings: Any) -> Iterator[Server]:
    app = create_app(models, **{"folders": [folder], **settings})
    config = uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    with _listen("127.0.0.1", 0) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Server(f"http://127.0.0.1:{listening.getsockname()[1]}", models, folder)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            for loaded in models.values():
                loaded.worker.close()


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    texts = folder / "texts"
    texts.mkdir()

    def text(name: str, lines: tuple[str, ...]) -> Path:
        path = texts / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    names, sentences = text("names.txt", NAMES), text("sentences.txt", SENTENCES)
    runs = folder / "runs"

    def train(source: Path, model: str, name: str, **settings: Any) -> None:
        thence.train(source, model, output=runs / name, **settings)

    train(names, "mlp", "names", steps=120, lr=0.05, batch_size=16, snapshots=6, **SMALL)
    train(names, "bigram-counts", "counts")
    train(names, "bigram-counts", "closed", unknown="refuse", add_k=0.0)
    train(sentences, "lstm", "sentences", tokens="words", steps=40, lr=0.05, **SMALL)
    train(sentences, "mlp", "running", carry_context=True, steps=20, lr=0.05, **SMALL)
    train(sentences, "mlp", "bytes", tokens="bytes", steps=20, lr=0.05, **SMALL)
    train(sentences, "mlp", "subwords", tokens="subwords", max_size=300, steps=20, lr=0.05, **SMALL)
    hostile = (f"a {HOSTILE_SYMBOL} here", "a dog here", "& <b>bold</b> 'quoted'") * 8
    words = {"tokens": "words", "word_split": "whitespace"}
    train(text("hostile.txt", hostile), "mlp", HOSTILE_NAME, steps=20, lr=0.05, **words, **SMALL)
    table = text("reviews.csv", ("text,label", *REVIEWS))
    settings = {"buckets": 256, "embedding_size": 4, "threads": 1, "split": "80/20/0"}
    train(table, "averaging", "opinions", label="label", epochs=8, batch_size=4, **settings)
    (runs / "damaged").mkdir()
    (runs / "damaged" / "config.toml").write_text("[[[", encoding="utf-8")
    (runs / "no run").mkdir()
    (runs / ".hidden").mkdir()
    (runs / ".hidden" / "config.toml").write_text("", encoding="utf-8")
    return runs


SERVED = ("names", "counts", "closed", "sentences", "running", "bytes", "subwords", "opinions")


@pytest.fixture(scope="session")
def server(runs_folder: Path) -> Iterator[Server]:
    models = open_runs(runs_folder / name for name in (*SERVED, HOSTILE_NAME))
    with running(models, runs_folder) as started:
        yield started


@pytest.fixture
def start_server(
    runs_folder: Path,
) -> Callable[..., AbstractContextManager[Server]]:
    """Start another server, of one model, or of those that were loaded."""

    def start(given: str | dict[str, LoadedRun], **settings: Any) -> AbstractContextManager[Server]:
        models = open_runs([runs_folder / given]) if isinstance(given, str) else given
        return running(models, runs_folder, **settings)

    return start


@dataclass
class Watched:
    """A page, and whatever happened there that should not."""

    page: Any
    address: str
    wrongs: list[str] = field(default_factory=list)
    refusals: int = 0

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.wrongs.append(str(error)))
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        if message.text.startswith("Failed to load resource"):  # A refusal, or a server gone.
            self.refusals += 1
        elif message.type in ("error", "warning"):
            self.wrongs.append(message.text)

    def _on_dialog(self, dialog: Any) -> None:
        self.wrongs.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Any) -> None:
        if not request.url.startswith((self.address + "/", "data:")):
            self.wrongs.append(f"request to {request.url}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One window for all tests, so that the files of the page are read and compiled once."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        settings = ["--no-sandbox", "--renderer-process-limit=1"]
        started = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=settings
        )
        sync_api.expect.set_options(timeout=1000 * PATIENCE)
        yield started.new_context()
        started.close()


def wait_for(page: Any, condition: Callable[[], bool]) -> None:
    """Wait in Python, as the page allows no script but its own."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "this never came true"
        page.wait_for_timeout(20)


@pytest.fixture
def visit(browser, server) -> Iterator[Callable[..., Any]]:
    """Open a tab of the page; whatever goes wrong there fails the test."""
    watched: list[Watched] = []

    def open_it(
        tab: str = "look", path: str = "/", address: str = "", size: Any = None, **state: Any
    ) -> Any:
        address = address or server.address
        page = browser.new_page()
        page.set_viewport_size(size or {"width": 1200, "height": 900})
        page.emulate_media(color_scheme=state.pop("scheme", None))
        page.set_default_timeout(1000 * PATIENCE)
        watched.append(Watched(page, address))
        page.goto(f"{address}{path}#{urlencode({'tab': tab, **state}, doseq=True)}")
        return page

    yield open_it
    for one in watched:
        one.page.close()
    assert [wrong for one in watched for wrong in one.wrongs] == []
