"""The report of a run: one HTML file that holds everything, needs no network and runs no script."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from thence.atomic import cannot_write, clear_dead, write_atomically
from thence.autopilot.result import RESULT, read_best
from thence.corpus import count_shared
from thence.errors import RunError
from thence.models.registry import get_family
from thence.reports.best_page import found_section
from thence.reports.differences import settings_of
from thence.reports.page import MADE_BY, moment, page, section, table
from thence.reports.report_comparison import comparison_html
from thence.reports.report_labels import label_sections
from thence.reports.report_language import language_sections
from thence.reports.report_training import metrics_section
from thence.reports.sweep_page import sweep_html
from thence.runs import ClassifierRun, Run, open_run
from thence.runs.looks_at_test import count_inherited
from thence.runs.provenance import now
from thence.runs.run import Split, find_run
from thence.sweeps.results import is_sweep, read_sweep
from thence.training.data import labelled
from thence.training.finetuning import parent_row

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
BEGINNING = 1000
"""Bytes of a page in which it says what made it."""
MOST_NAMES = 30
"""Labels that are listed by name at most where they are the exception."""

UNKNOWN_RULES = {
    "symbol": "become one unknown symbol, <unk>",
    "bytes": "are spelled in bytes",
    "refuse": "are refused (closed vocabulary)",
}


def report(
    runs: Run | str | Path | Sequence[Run | str | Path], path: str | Path | None = None
) -> Path:
    """Write everything about a run, or what sets several apart, as one self-contained HTML page.

    The test split is not looked at.

    Args:
        runs: The run or its folder, or several; or the folder of a sweep.
        path: The file to write; by default ``report.html`` in the folder of a single run,
            ``sweep.html`` in that of a sweep, and ``comparison.html`` in the working directory for
            several.

    Returns:
        The file.

    Raises:
        TextError: If the text of a run cannot be read again.
        RunError: If there is no run, or the file cannot be written or was not made by thence.
    """
    several = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    if len(several) == 1 and not isinstance(several[0], Run) and is_sweep(several[0]):
        return _write_sweep(find_run(several[0]), path)
    opened = [open_run(run) for run in several]
    different = list({run.folder.resolve(): run for run in opened}.values())
    if not different:
        raise RunError("There is no run to report on; name one run folder or several.")
    if len(different) == 1:
        return _write(different[0], path)
    path = Path("comparison.html" if path is None else path)
    refuse_foreign(path)
    write_atomically(path, comparison_html(different, path.parent).encode("utf-8"))
    return path


def _write(run: Run, path: str | Path | None) -> Path:
    if path is None:
        path = run.folder / "report.html"
        clear_dead(run.folder)
    else:
        refuse_foreign(Path(path))
    write_atomically(Path(path), report_html(run).encode("utf-8"))
    return Path(path)


def _write_sweep(folder: Path, path: str | Path | None) -> Path:
    page_of = folder / "sweep.html" if path is None else Path(path)
    if path is not None:
        refuse_foreign(page_of)
    write_atomically(page_of, sweep_html(read_sweep(folder)).encode("utf-8"))
    return page_of


def refuse_foreign(path: Path) -> None:
    """Refuse to write over a file that is no page of ours.

    Raises:
        RunError: If there is one.
    """
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except OSError as error:
        raise cannot_write(path, error) from error
    if beginning and MADE_BY.encode() not in beginning:
        raise RunError(
            f"{path} exists already, is no report that thence has made, and is left as it is; "
            "choose another --output."
        )


def report_html(run: Run) -> str:
    """Return the page; a run without its text has nothing for some sections to be about."""
    about = label_sections(run) if isinstance(run, ClassifierRun) else language_sections(run)
    splits = [split_section(run)] if run.has_text else []
    found = [found_section(read_best(run.folder))] if (run.folder / RESULT).exists() else []
    sections = [heading(run), *found, *about, *splits, config_section(run), metrics_section(run)]
    return page(f"{run.name}: report", "\n".join(sections))


def heading(run: Run) -> str:
    """Return the name of the run and what was trained on what."""
    recipe, vocabulary = run.recipe, run.tokenizer.vocabulary
    summary = get_family(recipe.model).summary
    rows = [
        ("model", f"{recipe.model}: {summary}"),
        ("parameters", f"{run.num_parameters:,}"),
        *parent_row(run),
        *text_rows(run),
        ("tokens are", recipe.tokens.tokens),
        ("vocabulary", f"{len(vocabulary):,} symbols, the special ones included"),
        ("other symbols", UNKNOWN_RULES[vocabulary.unknown]),
    ]
    vectors = run.provenance.get("vectors")
    rows += [("pretrained vectors", vectors)] if vectors else []
    lead = f"{recipe.model} on {Path(run.text_name).name}, made {moment(run.provenance['made'])}"
    return (
        f"<h1>{html.escape(run.name)}</h1>\n"
        f'<p class="lead">{html.escape(lead)} with thence {html.escape(run.provenance["thence"])}'
        f"</p>\n{table(rows)}"
    )


def text_rows(run: Run) -> list[tuple[str, str]]:
    """Return what a run was made from."""
    if run.imported:
        return [("imported from", run.recipe.text)]
    if not run.has_text:
        return [("text", f"{run.text_name}, of which the run has only the hash")]
    if run.counted is not None:
        of = "{files:,} files, {documents:,} documents, read on a cluster".format(**run.counted)
        tokens = f"{run.counted['tokens']:,} (each document's end is one)"
        return [("text", f"{run.recipe.text}: {of}"), ("train tokens", tokens)]
    sizes = [f"{len(run.documents(name)):,} {name}" for name in SPLITS]
    rows = [("text", run.text_name), ("documents", ", ".join(sizes))]
    store = run.store("train")
    if not isinstance(run, ClassifierRun):
        return [*rows, ("train tokens", f"{store.num_targets:,} (each document's end is one)")]
    lengths = store.target_counts - 1  # Without the document's end, which has no part in labels.
    about = f"{np.median(lengths):,.0f} in the median document, {lengths.max():,} in the longest"
    kind = "any number of them per document" if run.classes.multilabel else "one per document"
    return [
        *rows,
        ("labels", f"{len(run.label_names):,}, {kind}"),
        ("train tokens", f"{lengths.sum():,} ({about})"),
    ]


def split_section(run: Run) -> str:
    """Return how honest the splits are: looks at test, and documents in more than one split."""
    looks = run.test_looks()
    looked = f"The test split has not been looked at when this was written, {moment(now())}."
    if looks:
        times = "once" if len(looks) == 1 else f"{len(looks)} times"
        looked = f"The test split was looked at {times}, last {moment(looks[-1]['time'])}"
        before = count_inherited(looks)
        looked += f", {before} of them in the runs that it was made of." if before else "."
    rows = [row for name in ("dev", "test") for row in split_rows(run, name)]
    return section("Splits", f"<p>{html.escape(looked)}</p>" + table(rows))


def split_rows(run: Run, split: Split) -> list[tuple[str, str]]:
    """Return what of dev or test is in train too, and which of its labels train lacks."""
    documents = run.documents(split)
    if not len(documents):
        return []
    if not run.train_text_is_here:
        return [
            (f"{split} documents", f"{len(documents):,}; how many are in train was not counted")
        ]
    shared = count_shared(run.documents("train"), documents)
    share = f"{shared:,} of {len(documents):,} ({shared / len(documents):.1%})"
    rows = [(f"{split} documents that are in train too", share)]
    if isinstance(run, ClassifierRun):
        labels = labelled(documents).labels
        counts = labels.counts()
        unseen = [
            f"{labels.names[at]} ({counts[at]:,})"
            for at in range(len(run.label_names), len(labels.names))
            if counts[at]
        ]
        if unseen:
            shown = ", ".join(unseen[:MOST_NAMES]) + (", …" if len(unseen) > MOST_NAMES else "")
            rows.append((f"{split} labels that train lacks, with their documents", shown))
    return rows


def config_section(run: Run) -> str:
    """Return every setting."""
    rows = [(name, str(value)) for name, value in settings_of(run)]
    return section("Settings", f"<details><summary>config.toml</summary>{table(rows)}</details>")
