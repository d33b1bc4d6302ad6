"""A reader of pages, and small runs of every family of classifiers on a text full of traps."""

import csv
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import thence
from thence.models.registry import get_family

SCRIPT = "<script>alert(1)</script>"
SCRIPT_LABEL = "<script>alert('label')</script>"
LABELS = ("good", "bad", SCRIPT_LABEL)
SMALL: dict[str, Any] = {
    "embedding_size": 3,
    "hidden_size": 4,
    "filters": 2,
    "buckets": 64,
    "max_length": 4,
}
"""Sizes of whatever family has them."""
Rows = list[tuple[str, str]]


def run_with(metrics: list[dict[str, Any]]) -> Any:
    """Return what plots of a training look at: the metrics, the schedule and the tokens."""
    training, tokens = (SimpleNamespace(schedule="constant"), SimpleNamespace(tokens="characters"))
    recipe = SimpleNamespace(training=training, tokens=tokens)
    return SimpleNamespace(metrics=lambda: metrics, curve=lambda: metrics, recipe=recipe)


class Page(HTMLParser):
    """Collects what a report holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.headings: list[str] = []
        self._in_heading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._in_heading = tag == "h2"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_heading:
            self.headings.append(data)
            self._in_heading = False

    def is_harmless(self) -> bool:
        """Whether nothing runs and nothing is fetched."""
        return self.tags["script"] == 0 and all(
            not name.startswith("on")
            and (name not in ("src", "href") or str(value).startswith("data:image/"))
            for _, name, value in self.attributes
        )


def write_table(path: Path, rows: Rows) -> Path:
    """Write labels and texts as a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *rows])
    return path


def train_rows() -> Rows:
    words = {"good": "fine lovely", "bad": "dull awful", SCRIPT_LABEL: "$x_1$ 日本"}
    return [
        (label, f"{words[label]} film {number} {SCRIPT if number % 3 else 'and more'}")
        for number in range(8)
        for label in LABELS
    ]


def settings_of(model: str) -> dict[str, Any]:
    """Return the small sizes that a family knows, and a short training."""
    line = get_family(model)
    known = {name: size for name, size in SMALL.items() if hasattr(line.options_class(), name)}
    trained = {"steps": 4, "evaluate_every": 2, "batch_size": 8} if line.method == "train" else {}
    return {**known, **trained}


def train_on(folder: Path, model: str, rows: Rows, **settings: Any) -> thence.Run:
    """Train a small classifier on a table."""
    text = write_table(folder / "text.csv", rows)
    output = folder / f"{model}-run"
    if get_family(model).method == "combine":
        members = [train_on(folder, part, rows, **settings) for part in ("linear", "averaging")]
        return thence.mix(members, output)
    settings |= {"start_from": language_model(folder)} if model == "finetuned" else {}
    return thence.train(text, model, output=output, label="label", **settings_of(model), **settings)


def language_model(folder: Path) -> Path:
    """Train a language model for a classifier to start from."""
    text = write_table(folder / "language.csv", train_rows())
    sizes = {"embedding_size": 4, "hidden_size": 4, "steps": 2}
    run = thence.train(
        text, "lstm", output=folder / "language", column="text", tokens="words", **sizes
    )
    return run.folder


@pytest.fixture(scope="session")
def classifier_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], thence.Run]:
    """Train each family once; one dev document has a label that train lacks."""
    made: dict[str, thence.Run] = {}

    def make(model: str) -> thence.Run:
        if model not in made:
            folder = tmp_path_factory.mktemp(model)
            dev = [*train_rows()[:5], ("<b>new</b>", f"a surprise {SCRIPT}")]
            made[model] = train_on(
                folder,
                model,
                train_rows(),
                dev=str(write_table(folder / "dev.csv", dev)),
                test=str(write_table(folder / "test.csv", train_rows()[:4])),
            )
        return made[model]

    return make
