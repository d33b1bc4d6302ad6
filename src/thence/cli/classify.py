"""``thence classify RUN [TEXT ...]``: the label of each text or document, and why."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.explained import explained
from thence.cli.given import texts_given
from thence.cli.output import say_json, say_table
from thence.cli.prompts import remark_unknown
from thence.cli.streams import finish_output, print_note, say, say_drawn
from thence.corpus import Documents, ReadingOptions, load
from thence.corpus.labelled import without_marks
from thence.corpus.reading import STANDARD_INPUT, inner_suffix, parse, read_standard_input
from thence.corpus.tables import TABLES
from thence.errors import RunError, SettingError, TextError
from thence.evaluation import Classification, Explanation, classify, explain
from thence.evaluation.classify import NOTHING_KNOWN, TOP
from thence.runs import Run
from thence.runs.sources import readable


@dataclass(frozen=True)
class LineByLine(ReadingOptions):
    """How the text is read."""

    keep_empty: bool = True
    """Keep empty lines and cells, so that each has its line of output."""


@dataclass(frozen=True)
class WhatIsShown:
    """What is said of each document."""

    top: int = TOP
    """How many of the most probable labels to list."""
    threshold: float | None = None
    """Where documents may have several labels: how probable one must be (default: 0.5)."""
    explain: Annotated[bool, Parameter(negative=())] = False
    """Show how much each word speaks for the label: in colours at a terminal, else in the JSON."""
    label: str | None = None
    """Explain this label instead of the most probable one."""
    no_text: Annotated[bool, Parameter(negative=())] = False
    """Leave the text out."""
    json: Annotated[bool, Parameter(negative=())] = False
    """Print JSON at a terminal too."""

    @property
    def for_people(self) -> bool:
        """Whether a person reads what is printed, and not a program."""
        return sys.stdout.isatty() and not self.json


Found = tuple[Classification, Explanation | None]


def command(
    run: Path,
    text: str = "-",
    /,
    *others: str,
    html: Path | None = None,
    shown: Annotated[WhatIsShown, Parameter(name="*")] = WhatIsShown(),
    reading: Annotated[LineByLine, Parameter(name="*")] = LineByLine(),
) -> None:
    """Give the label of a text, or of each document of a file, one JSON line each.

    At a terminal the labels of texts are shown as bars, or in a table. Without a text, what is
    typed there is classified line by line.

    Args:
        run: The run folder of a classifier.
        text: A file or folder, - for standard input, or a bundled text; anything else is the text
            itself.
        others: More texts.
        html: Write a page that explains the label of each document, and nothing else.
        shown: What is said of each document.
        reading: How a file is read.
    """
    opened = Run(run)
    texts = texts_given([text, *others])
    explains = shown.explain or html is not None
    if shown.label is not None and not explains:
        raise SettingError("--label says which label to explain; give --explain or --html too.")
    next(classify(opened, [], shown.top, shown.threshold), None)  # Refuse before reading.
    typed = text == "-" and sys.stdin.isatty()
    if html is not None and html.exists():
        raise RunError(f"{html} exists already and is left as it is; choose another name.")
    documents: Iterable[Documents]
    if texts is not None:
        documents = [_given(opened, texts, reading)]
    else:
        documents = _typed(opened, reading) if typed else [_read(opened, text, reading)]
    found = chain.from_iterable(_find(opened, some, shown, explains) for some in documents)
    if html is not None:
        _write_page(opened, found, html)
        return
    if texts is not None and len(texts) > 1 and shown.for_people and not explains:
        say_table(["text", "label", "probability"], [_row(one) for one, _ in found])
        return
    done = nothing_known = 0
    for classification, explanation in found:
        _say(classification, explanation, shown, typed or texts is not None)
        done += 1
        nothing_known += classification.nothing_known and classification.tokens > 0
    if nothing_known and not typed:
        print_note(
            f"In {nothing_known:,} of {done:,} texts nothing is known from train: their "
            "labels are no finding about them (nothing_known in the JSON)."
        )


def _given(run: Run, texts: list[str], reading: LineByLine) -> Documents:
    """Return texts that are given themselves."""
    if reading != LineByLine():
        raise SettingError(
            "Flags of reading say how a file is read, and the text itself is given here; leave "
            "them out."
        )
    for text in texts:
        remark_unknown(run, text)
    return Documents.from_strings(texts)


def _row(found: Classification) -> list[str]:
    """Return a row of the table of several texts: the labels, and the likeliest's probability."""
    labels = ", ".join(found.labels) or "no label"
    labels += " (nothing known)" if found.nothing_known else ""
    return [found.text, labels, f"{found.probabilities[found.likeliest]:.4f}"]


def _read(run: Run, text: str, reading: ReadingOptions) -> Documents:
    """Read a text like the run's own: the same column, and no ``__label__`` marks."""
    with readable(text) as path:
        return _read_again(run, str(path), reading)


def _read_again(run: Run, text: str, reading: ReadingOptions) -> Documents:
    if text == "-":  # One of empty lines only has its lines of output too.
        return without_marks(parse(read_standard_input(), STANDARD_INPUT, reading))
    own = run.recipe.reading.column
    if reading.column is None and own is not None and inner_suffix(text) in TABLES:
        with suppress(TextError):  # It may not have that column; then the usual rule decides.
            return load(text, replace(reading, column=own))
    return without_marks(load(text, reading))


def _typed(run: Run, reading: ReadingOptions) -> Iterator[Documents]:
    """Yield what a person types, line by line, and see to it that the answers are not held back."""
    print_note("Type a text and press Enter (Ctrl-D ends).")
    for line in sys.stdin.buffer:
        documents = parse(line, STANDARD_INPUT, reading)
        for text in documents:
            remark_unknown(run, text)
        yield documents
        finish_output()


def _find(run: Run, documents: Documents, shown: WhatIsShown, explains: bool) -> Iterator[Found]:
    for found in classify(run, documents, shown.top, shown.threshold).once():
        yield found, explain(run, found.text, shown.label) if explains else None


def _say(
    classification: Classification,
    explanation: Explanation | None,
    shown: WhatIsShown,
    typed: bool,
) -> None:
    if shown.for_people and explanation is not None:
        say_drawn(explained(explanation))
        if classification.nothing_known:
            say(NOTHING_KNOWN)
    elif shown.for_people and typed:
        say(str(classification))
    else:
        of_words = {} if explanation is None else explanation.to_json()
        say_json(classification.to_json(not shown.no_text) | of_words)


def _write_page(run: Run, found: Iterable[Found], path: Path) -> None:
    from thence.reports.explanation import write_explanations  # Imports matplotlib.

    explanations = (explanation for _, explanation in found if explanation is not None)
    say(str(write_explanations(run, explanations, path)))
