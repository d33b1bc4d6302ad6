"""The commands that take texts themselves or their name: score, classify and examples.

| argument                                                        | what it is                     |
|-----------------------------------------------------------------|--------------------------------|
| ``-``, ``hf:NAME``, the path of what exists, a bundled text     | a text by its name             |
| one word that looks like a path: ``notes.txt``, ``./x``, ``a/b``| an error: no such file         |
| in a folder that exists                                         |                                |
| anything else                                                   | the text itself                |
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

from cyclopts import Parameter

from thence.batches.examples import Examples
from thence.cli.colours import END, coloured, coloured_score, described_score
from thence.cli.output import (
    Json,
    note_unknown,
    print_json,
    print_json_lines,
    print_result,
    print_shown,
    print_table,
    shows_for_people,
)
from thence.cli.streams import finish_output, print_note, print_styled, print_text
from thence.corpus import BUNDLED, Documents, ReadingOptions, load
from thence.corpus.documents import joined_labels
from thence.corpus.labelled import without_marks
from thence.corpus.loading import exists
from thence.corpus.reading import (
    KNOWN_SUFFIXES,
    STANDARD_INPUT,
    inner_suffix,
    parse,
    read_standard_input,
)
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.classify import NOTHING_KNOWN, Classification
from thence.evaluation.explain import explain as explained
from thence.evaluation.ranking import rank
from thence.evaluation.scoring import score_lines, unusual_scores
from thence.evaluation.unusual import calibrate, calibration_of
from thence.results import Results, Score
from thence.runs import LanguageRun, Run
from thence.runs.sources import readable

PATH_BEGINNINGS = ("/", "./", "../", "~/")
"""An argument that begins with one of these is taken for a path, not for a text."""
MOST_AT_ONCE = 1 << 16
"""Maximum number of bytes per read from a pipe."""


def literal_texts(arguments: Sequence[str]) -> list[str] | None:
    """Return the arguments if they are texts themselves; None if the only one names a text.

    Raises:
        TextError: If one looks like a path that does not exist, or is not UTF-8.
        SettingError: If there is none, or several of which one names a text.
    """
    if not arguments:
        raise SettingError("There is no text: give one, a file, or - for standard input.")
    named = [argument for argument in arguments if is_text_name(argument)]
    if named and len(arguments) > 1:
        raise SettingError(
            f"Several texts are given, and '{named[0]}' names a file or a known text. Give one "
            "file alone, or the texts themselves."
        )
    if named:
        return None
    for argument in arguments:
        check_text(argument)
    return list(arguments)


def is_text_name(argument: str) -> bool:
    """Return whether an argument is the path or the name of a text."""
    is_name = argument in ("-", *BUNDLED) or argument.startswith(HUGGING_FACE)
    return is_name or (argument != "" and exists_as_path(argument))


def exists_as_path(argument: str) -> bool:
    """Return whether a file or folder of that name exists."""
    try:
        Path(argument).stat()
    except (OSError, ValueError):
        return len(argument) < 256 and "\0" not in argument and exists(Path(argument))
    return True


def check_text(argument: str) -> None:
    """Check that a text is not the path of a file that does not exist.

    Raises:
        TextError: If it looks like one.
    """
    one_word = argument and not any(map(str.isspace, argument))
    written_out = argument.startswith(PATH_BEGINNINGS)
    in_a_folder = "/" in argument and exists_as_path(argument.rpartition("/")[0])
    if one_word and (written_out or in_a_folder or inner_suffix(argument) in KNOWN_SUFFIXES):
        raise TextError(
            f"{argument} does not exist. Is the path spelt right? If it is not a path but the text "
            "itself, give it through standard input (-)."
        )


def _given(run: Run, texts: list[str], is_read_otherwise: bool) -> Documents:
    """Return literal texts as documents, with a note on symbols that are unknown to the run."""
    if is_read_otherwise:
        raise SettingError(
            "Flags of reading say how a file is read, and the text itself is given here; leave "
            "them out."
        )
    for text in texts:
        note_unknown(run, text)
    return Documents.from_strings(texts)


def print_scores(
    call: Callable[..., Results[Score]],
    given: SimpleNamespace,
    *,
    reading: Annotated[ReadingOptions | None, Parameter(name="*")] = None,
    json: Json = False,
    alert: Annotated[
        float | None,
        Parameter(
            help="Print only texts that are more unusual than this share of dev, such as 0.999; "
            "lines of standard input as they come."
        ),
    ] = None,
    calibrate_on: Annotated[
        str | None,
        Parameter(help="Calibrate on this text, of the kind that is usual, instead of dev."),
    ] = None,
) -> None:
    """Print a JSON line for each document of a file or a single text; or a ranking of texts.

    At a terminal the texts are shown instead, each token coloured by its surprisal.
    """
    if given.calibrate or alert is not None or calibrate_on is not None:
        print_unusual(given, alert, calibrate_on, reading or ReadingOptions(), json)
        return
    texts = literal_texts(given.texts)
    for_people = shows_for_people() and not json
    if texts is None:
        read = load(given.texts[0], reading or ReadingOptions())
        if for_people:
            print_note(
                f"Nats per token; colour: what surprises the model; {END}: the end of a text."
            )
            for one in call(texts=read, tokens=True).once():
                print_styled(coloured_score(one))
            return
        for lines in score_lines(given.run, read, given.tokens, given.static):
            print_json_lines(lines)
        return
    documents = _given(given.run, texts, reading is not None)
    if len(texts) == 1 or given.tokens:
        for text in texts:
            if for_people:
                print_styled(described_score(call(texts=text, tokens=True)[0], given.tokens))
            else:
                print_json(call(texts=text)[0])
        return
    ranking = rank(given.run, documents, static=given.static)
    if json:
        for ranked in ranking.to_json():
            print_json(ranked)
        return
    print_table(*ranking.table())
    print_note(ranking.in_words())


def print_unusual(
    given: SimpleNamespace,
    alert: float | None,
    calibrate_on: str | None,
    reading: ReadingOptions,
    json: bool,
) -> None:
    """Print how unusual texts are, lines of a pipe as they arrive; or calibrate, without texts."""
    run = LanguageRun(given.run)
    anew = calibrate_on is not None or not given.texts
    known = calibrate(run, calibrate_on) if anew else calibration_of(run)
    if alert is not None:
        known.check_alert(alert)
    if not given.texts:
        print_result(known, json)
        return
    texts = literal_texts(given.texts)
    documents: Iterable[Documents]
    if texts is not None:
        documents = [_given(run, texts, reading != ReadingOptions())]
    elif given.texts[0] == "-":
        documents = documents_as_they_come(sys.stdin.buffer, reading)
    else:
        documents = [load(given.texts[0], reading)]
    done = shown = 0
    try:
        for some in documents:
            for line in unusual_scores(run, some, known, given.tokens):
                done += 1
                if alert is None or line["more_unusual_than"] >= alert:
                    shown += 1
                    if shows_for_people() and not json:
                        print_text(f"{100 * line['more_unusual_than']:8.4g} %  {line['text']}")
                    else:
                        print_json(line)
            finish_output()
    finally:
        if alert is not None:
            print_note(f"{shown:,} of {done:,} texts are more unusual than {100 * alert:g} %.")


def documents_as_they_come(stream: Any, reading: ReadingOptions) -> Iterator[Documents]:
    """Yield the lines of a possibly endless stream as soon as they arrive.

    If ``reading`` names a column, the lines are JSON.
    """
    name = STANDARD_INPUT if reading.column is None else f"{STANDARD_INPUT}.jsonl"

    def parsed(lines: list[bytes]) -> Iterator[Documents]:
        try:
            yield parse(b"".join(lines), name, reading)
        except TextError:
            if len(lines) < 2:
                raise
            for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
                yield from parsed(half)  # Yield the valid lines before an invalid one.

    waiting = b""
    while data := stream.read1(MOST_AT_ONCE):
        *lines, waiting = (waiting + data).split(b"\n")
        if lines:
            yield from parsed([line + b"\n" for line in lines])
    if waiting:
        yield from parsed([waiting])


@dataclass(frozen=True)
class LineReadingOptions(ReadingOptions):
    """How the text is read."""

    keep_empty: bool = True
    """Keep empty lines and cells, so that each has its line of output."""


def print_labels(
    call: Callable[..., Results[Classification]],
    given: SimpleNamespace,
    *,
    html: Annotated[
        Path | None,
        Parameter(help="Write a page that explains the label of each document, and nothing else."),
    ] = None,
    explain: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Show how much each word speaks for the label: in colours at a terminal, else in "
            "the JSON.",
        ),
    ] = False,
    label: Annotated[
        str | None, Parameter(help="Explain this label instead of the most probable one.")
    ] = None,
    no_text: Annotated[bool, Parameter(negative=(), help="Leave the text out.")] = False,
    json: Annotated[bool, Parameter(negative=(), help="Print JSON at a terminal too.")] = False,
    reading: Annotated[LineReadingOptions, Parameter(name="*")] = LineReadingOptions(),
) -> None:
    """Print the label of a text, or of each document of a file, one JSON line each.

    At a terminal the labels of texts are shown as bars, or in a table. Without a text, what is
    typed there is classified line by line.
    """
    run, named = given.run, given.texts or ("-",)
    texts = literal_texts(named)
    if label is not None and not explain and html is None:
        raise SettingError("--label says which label to explain; give --explain or --html too.")
    next(call(texts=[]), None)  # Refuse before reading.
    is_typed = named == ("-",) and sys.stdin.isatty()
    if html is not None and html.exists():
        raise RunError(f"{html} exists already and is left as it is; choose another name.")
    documents: Iterable[Documents]
    if texts is not None:
        documents = [_given(run, texts, reading != LineReadingOptions())]
    else:
        documents = _typed(run, reading) if is_typed else [_read(run, named[0], reading)]
    classified = chain.from_iterable(call(texts=some).once() for some in documents)
    if html is not None:
        from thence.reports.explanation import write_explanations  # Imports matplotlib.

        explanations = (explained(run, one.text, label) for one in classified)
        print_text(str(write_explanations(run, explanations, html)))
        return
    for_people = shows_for_people() and not json
    if texts is not None and len(texts) > 1 and for_people and not explain:
        print_table(["text", "label", "probability"], [_row(one) for one in classified])
        return
    done = nothing_known = 0
    for one in classified:
        explanation = explained(run, one.text, label) if explain else None
        if for_people and explanation is not None:
            print_styled(coloured(explanation))
            if one.nothing_known:
                print_text(NOTHING_KNOWN)
        elif for_people and (is_typed or texts is not None):
            print_shown(one)
        else:
            of_words = {} if explanation is None else explanation.to_json()
            print_json(one.to_json(not no_text) | of_words)
        done += 1
        nothing_known += one.nothing_known and one.tokens > 0
    if nothing_known and not is_typed:
        print_note(
            f"{nothing_known:,} of {done:,} texts have nothing that occurs in the train text: "
            "their labels are guesses (nothing_known in the JSON)."
        )


def _row(found: Classification) -> list[str]:
    """Return the row of a text: the text, its labels, and the probability of the likeliest."""
    labels = joined_labels(found.labels)
    labels += " (nothing known)" if found.nothing_known else ""
    return [found.text, labels, f"{found.probabilities[found.likeliest]:.4f}"]


def _read(run: Run, text: str, reading: ReadingOptions) -> Documents:
    """Read a text like the run's own: the same column, and no ``__label__`` marks."""
    with readable(text) as path:
        if str(path) == "-":  # Not load: it refuses a text of empty lines only.
            return without_marks(parse(read_standard_input(), STANDARD_INPUT, reading))
        own = run.recipe.reading.column
        if reading.column is None and own is not None and inner_suffix(str(path)) in TABLES:
            with suppress(TextError):  # It may not have that column; then the usual rule decides.
                return load(str(path), replace(reading, column=own))
        return without_marks(load(str(path), reading))


def _typed(run: Run, reading: ReadingOptions) -> Iterator[Documents]:
    """Yield each line that a person types, and flush the output after each."""
    print_note("Type a text and press Enter (Ctrl-D ends).")
    for line in sys.stdin.buffer:
        documents = parse(line, STANDARD_INPUT, reading)
        for text in documents:
            note_unknown(run, text)
        yield documents
        finish_output()


def print_examples(
    call: Callable[..., Examples], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print the examples of a text, and how many there are."""
    texts = literal_texts(given.texts)
    found = call(texts=given.texts[0] if texts is None else texts)
    print_result(found, json)
    if not json:
        print_note(found.shapes())
