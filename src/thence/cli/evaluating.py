"""Output of the commands that evaluate models and generate text."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from thence.cli.output import (
    Json,
    note_unknown,
    print_json,
    print_pairs,
    print_result,
    print_table,
    shows_for_people,
)
from thence.cli.streams import print_note, print_text
from thence.corpus import LabelOptions
from thence.generation import Completions, Fillings, Samples, split_blanks
from thence.terminal import print_prose

if TYPE_CHECKING:
    from thence.evaluation.embeddings import SimilarWords


@dataclass(frozen=True)
class LabelColumns:
    """Flags that name the labels of a text."""

    label: str | None = None
    """Column or field with the labels (default: that of the run's text)."""
    label_separator: str | None = None
    """What separates the labels of a document that may have several."""


def print_evaluation(
    call: Callable[..., Any],
    given: SimpleNamespace,
    *,
    labelling: Annotated[LabelColumns | None, Parameter(name="*")] = None,
    json: Json = False,
) -> None:
    """Print the evaluation of a run, with units and intervals."""
    from thence.evaluation.labels import ClassificationReport

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
    """Print the comparison of runs, with intervals of their differences."""
    comparison = call()
    if json:
        print_json(comparison.to_json())
        return
    title = f"{comparison.text} ({comparison.documents:,} {comparison.kind_of_documents})"
    columns, rows = comparison.table()
    print_table(columns, rows, title=title, narrow=True)
    if comparison.remark:
        print_prose(comparison.remark)


def print_found(call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False) -> None:
    """Print a result as text, or as JSON."""
    print_result(call(), json)


def print_next(
    call: Callable[..., Any],
    given: SimpleNamespace,
    *,
    json: Annotated[bool, Parameter(negative=(), help="Print JSON at a terminal too.")] = False,
) -> None:
    """Print the next tokens as bars at a terminal, else as JSON."""
    print_result(call(), json or not shows_for_people())
    note_unknown(given.run, given.text)


def print_similar(
    call: "Callable[..., SimilarWords]", given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print the neighbours of a word, with a remark if its embedding was not learned."""
    found = call()
    print_result(found, json)
    if found.remark and not json:
        print_prose(found.remark)


def print_completions(
    call: Callable[..., Completions], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print completions of a text with their probabilities."""
    found = call()
    note_unknown(given.run, given.text)
    print_result(found, json)
    cut = sum(not completion.finished for completion in found.completions)
    if cut and not json:
        print_note(f"{cut} cut at {given.max_length} tokens.")


def print_fillings(
    call: Callable[..., Fillings], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print the most probable fillings of the blanks of a text."""
    among = given.among and [one.strip() for some in given.among for one in some.split(",")]
    found = call(among=among)
    note_unknown(given.run, given.text, split_blanks(given.text, given.blank))
    for candidate in among or []:
        note_unknown(given.run, candidate)
    print_result(found, json)
    if json:
        return
    all_of = f"all {found.found:,} fillings" if found.exact else f"{found.found:,} found by a beam"
    missing = found.found - len(found) if among and given.count is None else 0
    impossible = f"; {missing:,} of them are impossible" if missing else ""
    print_note(f"Shares are among {all_of}{impossible}.")


def print_samples(
    call: Callable[..., Samples], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print sampled texts, the number of copies of train documents, and of unknown symbols."""
    samples = call()
    in_prefix = note_unknown(given.run, given.prefix)
    if json:
        print_result(samples, json)
        return
    print_text("\n".join(samples.texts))
    cut = samples.finished.count(False)
    notes = [f"{cut} cut at {given.max_length} tokens"] if cut else []
    if samples.copies is not None:
        notes.append(f"{samples.copies} of {len(samples.texts)} are copies of train documents")
    unknown = sum(samples.unknown) - in_prefix * len(samples.texts)
    if unknown:
        what = "one token is" if unknown == 1 else f"{unknown:,} tokens are"
        notes.append(f"{what} <unk>, which --bad-words '<unk>' keeps out")
    if notes:
        print_note("; ".join(notes) + ".")
