"""The commands that judge: evaluate, compare, score, classify, similar."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import StringIO
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from cyclopts import Parameter
from rich.color import Color
from rich.style import Style
from rich.text import Text

from thence.cli.literal_texts import literal_texts
from thence.cli.output import Json, note_unknown, print_json, print_pairs, print_result, print_table
from thence.cli.streams import finish_output, print_note, print_styled, print_text
from thence.corpus import Documents, LabelOptions, ReadingOptions, load
from thence.corpus.labelled import without_marks
from thence.corpus.reading import STANDARD_INPUT, inner_suffix, parse, read_standard_input
from thence.corpus.tables import TABLES
from thence.errors import RunError, SettingError, TextError
from thence.evaluation import (
    Classification,
    ClassificationReport,
    Comparison,
    Explanation,
    classify,
    explain,
    rank,
    score,
)
from thence.evaluation.classify import NOTHING_KNOWN, TOP
from thence.printable import printable, printable_line
from thence.runs import Run
from thence.runs.sources import readable
from thence.terminal import SafeConsole

FOR_COLOUR, AGAINST_COLOUR = (0, 158, 115), (213, 94, 0)
"""Bluish green and vermilion, distinguishable with any colour vision (M. Okabe, K. Ito)."""
FAINTEST = 0.1
"""Share of the largest weight below which a word has no colour."""
STRONG = 0.5
"""Share of the largest weight above which a word is bold."""
MANY_COLOURS = ("256", "truecolor")


@dataclass(frozen=True)
class LabelColumns:
    """Where the labels of a text are."""

    label: str | None = None
    """Column or field with the labels (default: that of the run's text)."""
    label_separator: str | None = None
    """What stands between the labels of a document that may have several."""


def print_evaluation(
    call: Callable[..., Any],
    given: SimpleNamespace,
    *,
    labelling: Annotated[LabelColumns | None, Parameter(name="*")] = None,
    json: Json = False,
) -> None:
    """Print how good a model is, with units and intervals."""
    where = LabelOptions(labelling.label, labelling.label_separator) if labelling else None
    report = call(labelling=where)
    if json:
        print_json(report.to_json())
        return
    print_pairs(report.rows())
    if isinstance(report, ClassificationReport):
        print_table(*report.table())
        if report.mistakes:
            print_table(*report.mistakes_table(), title="The most confident mistakes")


def print_comparison(
    call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print which run is better, and by how much for sure."""
    comparison = call()
    if json:
        print_json(comparison.to_json())
        return
    unit = "" if isinstance(comparison, Comparison) else " labelled"
    documents = f"{comparison.documents:,}{unit} documents"
    columns, rows = comparison.table()
    print_table(columns, rows, title=f"{comparison.text} ({documents})", narrow=True)
    if comparison.remark:
        print_note(comparison.remark)


def print_similar(call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False) -> None:
    """Print the words that a model takes for nearest to a word."""
    print_result(call(), json)


def score_texts(
    run: Path,
    text: str,
    /,
    *others: str,
    tokens: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
) -> None:
    """Give the log-probability of a text, or of each document of a file; rank several texts.

    A file or a single text gives one JSON line for each document. Several texts give a table, the
    likeliest first.

    Args:
        run: The run folder.
        text: A file or folder, - for standard input, or a bundled text; anything else is the text
            itself.
        others: More texts: which is likelier, and by how much in all and per token.
        tokens: Add every token and how surprising it was.
        json: Print the table of several texts as JSON lines.
        reading: How a file is read.
    """
    opened = Run(run)
    texts = literal_texts([text, *others])
    if texts is None:
        for line in score(opened, load(text, reading or ReadingOptions()), tokens).once():
            print_json(line)
        return
    if reading is not None:
        raise SettingError(
            "Flags of reading say how a file is read, and the text itself is given here; leave "
            "them out."
        )
    for one in texts:
        note_unknown(opened, one)
    if len(texts) == 1 or tokens:
        for one in texts:
            print_json(score(opened, one, tokens)[0])
        return
    ranking = rank(opened, texts)
    if json:
        for ranked in ranking.to_json():
            print_json(ranked)
        return
    print_table(*ranking.table())
    print_note(ranking.in_words())


@dataclass(frozen=True)
class LineReadingOptions(ReadingOptions):
    """How the text is read."""

    keep_empty: bool = True
    """Keep empty lines and cells, so that each has its line of output."""


@dataclass(frozen=True)
class ClassifyOptions:
    """What is printed of each document."""

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


def classify_texts(
    run: Path,
    text: str = "-",
    /,
    *others: str,
    html: Path | None = None,
    shown: Annotated[ClassifyOptions, Parameter(name="*")] = ClassifyOptions(),
    reading: Annotated[LineReadingOptions, Parameter(name="*")] = LineReadingOptions(),
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
        shown: What is printed of each document.
        reading: How a file is read.
    """
    opened = Run(run)
    texts = literal_texts([text, *others])
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
        print_table(["text", "label", "probability"], [_row(one) for one, _ in found])
        return
    done = nothing_known = 0
    for classification, explanation in found:
        _print_classification(classification, explanation, shown, typed or texts is not None)
        done += 1
        nothing_known += classification.nothing_known and classification.tokens > 0
    if nothing_known and not typed:
        print_note(
            f"In {nothing_known:,} of {done:,} texts nothing is known from train: their "
            "labels are no finding about them (nothing_known in the JSON)."
        )


def _given(run: Run, texts: list[str], reading: LineReadingOptions) -> Documents:
    """Return texts that are given themselves."""
    if reading != LineReadingOptions():
        raise SettingError(
            "Flags of reading say how a file is read, and the text itself is given here; leave "
            "them out."
        )
    for text in texts:
        note_unknown(run, text)
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
            note_unknown(run, text)
        yield documents
        finish_output()


def _find(
    run: Run, documents: Documents, shown: ClassifyOptions, explains: bool
) -> Iterator[Found]:
    for found in classify(run, documents, shown.top, shown.threshold).once():
        yield found, explain(run, found.text, shown.label) if explains else None


def _print_classification(
    classification: Classification,
    explanation: Explanation | None,
    shown: ClassifyOptions,
    typed: bool,
) -> None:
    if shown.for_people and explanation is not None:
        print_styled(coloured(explanation))
        if classification.nothing_known:
            print_text(NOTHING_KNOWN)
    elif shown.for_people and typed:
        print_text(str(classification))
    else:
        of_words = {} if explanation is None else explanation.to_json()
        print_json(classification.to_json(not shown.no_text) | of_words)


def _write_page(run: Run, found: Iterable[Found], path: Path) -> None:
    from thence.reports.explanation import write_explanations  # Imports matplotlib.

    explanations = (explanation for _, explanation in found if explanation is not None)
    print_text(str(write_explanations(run, explanations, path)))


def coloured(explanation: Explanation) -> str:
    """Return a line with the label, and the text: the stronger the colour, the larger the weight.

    What speaks against the label is underlined too, for terminals and eyes without colour.
    """
    drawn = StringIO()
    console = SafeConsole(file=drawn, force_terminal=True, highlight=False)
    label = printable_line(explanation.label)
    text = Text(f"{label}  {explanation.probability:.4f}\n", Style(bold=True))
    for piece, weight in explanation.pieces():
        share = weight / explanation.largest if explanation.largest else 0.0
        text.append(printable(piece), _style(share, console.color_system in MANY_COLOURS))
    console.print(text, soft_wrap=True, end="")
    return drawn.getvalue()


def _style(share: float, many_colours: bool) -> Style:
    """Return the style of a word by its share of the largest weight, -1 to 1."""
    strength, against = abs(share), share < 0
    if strength < FAINTEST:
        return Style(bold=False)
    if not many_colours:
        named = "red" if against else "green"
        return Style(color=named, underline=against, bold=strength > STRONG)
    red, green, blue = (
        255 - strength * (255 - part) for part in (AGAINST_COLOUR if against else FOR_COLOUR)
    )
    background = Color.from_rgb(red, green, blue)
    return Style(color="black", bgcolor=background, underline=against, bold=strength > STRONG)
