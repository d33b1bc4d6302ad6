"""What several tests share: small texts, and a cache of their own.

With THENCE_CHECK_SHAPES=1 in the environment shapes and types are checked at run time. Not by
default, since then settings of a wrong type never reach the code that refuses them.
"""

import asyncio
import gc
import os
import shutil
import signal
import sys
from collections import Counter, defaultdict
from hashlib import sha256

from jaxtyping import install_import_hook

# Tests run side by side, also in processes of their own: with a thread for each processor all of
# them would wait for one another most of the time. Read when PyTorch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Compiled once: hundreds of tests start Python, which would compile all modules anew.
os.environ["PYTHONDONTWRITEBYTECODE"] = ""
# A shell ignores Ctrl-C in what it starts in the background; tests send it to themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.get("THENCE_CHECK_SHAPES"):
    CHECKED = ("tokens", "batches", "models", "classifiers", "evaluation", "generation")
    install_import_hook([f"thence.{package}" for package in CHECKED], "beartype.beartype")

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import pytest
from _pytest.doctest import DoctestModule

import thence
from thence.corpus import Documents
from thence.tokens import TokenOptions, TokenStore, make_tokenizer

from .processes import ADDRESS
from .processor_time import ProcessorTime

sys.dont_write_bytecode = False
# Nothing of the many things that imports and the collection of tests make is ever garbage.
gc.disable()
# No example has a time limit, since machines differ. Where a test names no number of its own, so
# many examples are tried; THENCE_TEST_EXAMPLES=1000 looks harder.
hypothesis.settings.register_profile(
    "thence", deadline=None, max_examples=int(os.environ.get("THENCE_TEST_EXAMPLES", "40"))
)
hypothesis.settings.load_profile("thence")

MEMORY_DISK = Path("/dev/shm")
"""Where Linux keeps files in memory. What is written to a run is flushed, and to wait for a disk at
each of the many small runs takes longer than the tests themselves."""
ROOM = 4e9
"""Bytes that must be free there: what all tests leave, and as much again for everybody else."""

BROWSERS = {"browser", "chromium"}
"""Fixtures that are a browser."""
FIVE_NAMES = ("emma", "olivia", "ava", "isabella", "sophia")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shows which tests are expensive."""
    words = "show the N files, functions and tests that take the most processor time"
    parser.addoption("--processor-time", type=int, default=0, metavar="N", help=words)


def pytest_configure(config: pytest.Config) -> None:
    """Choose where files are, and make the place where workers find the process that forks."""
    if MEMORY_DISK.is_dir() and shutil.disk_usage(MEMORY_DISK).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY_DISK))
    if shown := config.getoption("processor_time"):
        config.pluginmanager.register(ProcessorTime(shown))
    if ADDRESS not in os.environ:
        folder = TemporaryDirectory(prefix="thence-fork-server-")
        os.environ[ADDRESS] = folder.name
        config.add_cleanup(folder.cleanup)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Look for doctests in the library only."""
    found = yield
    return [one for one in found if not isinstance(one, DoctestModule)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of each function marked ``sampled`` mark what is outside the sample ``exhaustive``.

    The sample has each value of each parameter at least once. The order in which cases are
    considered is that of a hash of their names, so that every worker finds the same sample.
    """
    cases = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            cases[item.nodeid.partition("[")[0]].append(item)
    for several in cases.values():
        seen: set[tuple[str, int]] = set()
        for item in sorted(several, key=lambda item: sha256(item.nodeid.encode()).digest()):
            values = {(name, id(value)) for name, value in item.callspec.params.items()}
            if values <= seen:
                item.add_marker("exhaustive")
            seen |= values
    if "exhaustive" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("exhaustive")]
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish() -> None:
    """Look for garbage from now on, but only among what tests make."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and why, right above the closing line."""
    why = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    if why:
        terminalreporter.section("skipped, and why")
    for reason, times in why.most_common():
        terminalreporter.write_line(f"{times:5}  {reason}")


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders for the caches of tests; ``mktemp`` for each would read a list of all before it."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test's cache in a folder of its own, and its output as wide as a pipe's."""
    folder = next(homes)
    folder.mkdir()
    monkeypatch.setenv("THENCE_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "NO_COLOR", "LINES"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(autouse=True)
def own_event_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the event loop that Playwright leaves running in a worker that has opened a browser.

    What a test without a browser runs by ``asyncio.run`` would be refused there.
    """
    loop = asyncio._get_running_loop()
    if loop is None or not BROWSERS.isdisjoint(request.fixturenames):
        yield
        return
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)


@pytest.fixture(scope="session")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for tests of all workers that only read: making python-docs takes seconds."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "shared-home"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def store_of() -> Callable[[Iterable[str]], TokenStore]:
    """Characters of texts as ids in order of code point, the boundary last."""

    def make(texts: Iterable[str]) -> TokenStore:
        documents = Documents.from_strings(list(texts))
        return make_tokenizer(documents, TokenOptions(unknown="refuse")).encode(documents)

    return make


@pytest.fixture(scope="session")
def five_names(store_of: Callable[[Iterable[str]], TokenStore]) -> TokenStore:
    """The first five names of the names tutorial."""
    return store_of(FIVE_NAMES)


SMALL = {"buckets": 256, "embedding_size": 4, "threads": 1, "split": "80/20/0"}
OPINIONS = ("a good film,pos", "a bad film,neg", "good and long,pos", "bad and long,neg")
OPINIONS += ("not so good,pos", "not so bad,neg")
TOPICS = ("the war,politics", "the trade,economy", "war and trade,politics;economy")
TOPICS += ("a song and a war,music;politics", "the song,music", "trade in song,economy;music")
PLACES = ("xa,left", "xb a,left", "yc,right", "yd b,right")


@pytest.fixture(scope="session")
def opinions(tmp_path_factory: pytest.TempPathFactory) -> "thence.Run":
    """A classifier of words that tells pos from neg; nobody may change it."""
    return _classifier(tmp_path_factory, "opinions", OPINIONS)


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> "thence.Run":
    """A classifier of documents with several labels."""
    return _classifier(tmp_path_factory, "topics", TOPICS, label_separator=";")


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> "thence.Run":
    """A classifier of characters and runs of three of them."""
    return _classifier(tmp_path_factory, "places", PLACES, tokens="characters", ngrams=3)


@pytest.fixture(scope="session")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> "thence.Run":
    """A language model of characters."""
    folder = tmp_path_factory.mktemp("sentences")
    text = folder / "text.txt"
    text.write_text("the war\nthe trade\na song\n" * 10)
    sizes = {"embedding_size": 3, "hidden_size": 4, "steps": 2}
    return thence.train(text, "mlp", output=folder / "sentences", **sizes)


def _classifier(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: Iterable[str], **settings: object
) -> "thence.Run":
    folder = tmp_path_factory.mktemp(name)
    text = folder / "text.csv"
    text.write_text("\n".join(["text,label", *[*rows] * 10]) + "\n")
    settings = {**SMALL, "epochs": 8, "batch_size": 4, "label": "label", **settings}
    return thence.train(text, "averaging", output=folder / name, **settings)


SMALL_MLP = {"hidden_size": 8, "embedding_size": 3, "context": 2, "batch_size": 16, "steps": 20}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """105 lines of three letters: 84 train, 10 dev, 11 test documents of four targets each.

    Contexts recur so often that batches are ``StratifiedContexts``.
    """
    path = tmp_path / "text.txt"
    lines = ["".join(letters) for letters in product("abcde", "xyz", "abcdexy")]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def small(text: Path, tmp_path: Path) -> Callable[..., Any]:
    """Train a tiny mlp (or another model) on the tiny text."""

    def run(name: str = "run", model: str = "mlp", progress: Any = None, **settings: Any) -> Any:
        given = {**(SMALL_MLP if model == "mlp" else {}), **settings}
        quiet = {} if progress is None else {"progress": progress}
        return thence.train(text, model, output=tmp_path / name, **quiet, **given)

    return run


@pytest.fixture
def telling() -> Callable[..., Any]:
    """Make a progress maker that calls a function after every step."""

    class Teller:
        def __init__(self, hear: Callable[[int], None]) -> None:
            self.hear = hear

        def on_step(self, step: int, tokens: float, share: float) -> None:
            self.hear(step)

        def on_evaluation(self, metrics: dict[str, Any]) -> None:
            pass

    def maker(hear: Callable[[int], None]) -> Callable[[str], AbstractContextManager[Any]]:
        @contextmanager
        def opened(name: str) -> Iterator[Teller]:
            yield Teller(hear)

        return opened

    return maker
