"""The report of a run: one self-contained HTML file without scripts."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from thence.atomic import WriteError, clear_dead, write_atomically
from thence.corpus import count_shared
from thence.corpus.documents import as_labelled
from thence.errors import RunError
from thence.generation import sample
from thence.models.memory_guard import fits_into_memory, gigabytes
from thence.models.registry import get_family
from thence.reports.classifier import classifier_blocks
from thence.reports.comparison import comparison_html, settings_of, without_folders
from thence.reports.content import (
    Block,
    Folded,
    Note,
    Pairs,
    RunningText,
    Section,
    Texts,
    Title,
    Token,
)
from thence.reports.family import family_sections
from thence.reports.formatting import date_and_time
from thence.reports.learned import calibration_section, gain_section, where_section
from thence.reports.markup import MADE_BY, page
from thence.reports.opening import opening, opening_without_dev
from thence.reports.reading import DevReading, read_dev
from thence.reports.surprisal import surprisal_section
from thence.reports.training import training_sections
from thence.runs import ClassifierRun, Run, open_run
from thence.runs.description import BEST_OF_TIME, is_sweep
from thence.runs.files import find_run
from thence.runs.looks_at_test import count_inherited
from thence.runs.provenance import now
from thence.runs.run import Split
from thence.training.finetuning import parent_row

SAMPLES = 20
MOST_CHARACTERS, FIRST = 3000, 4
"""If samples have more characters than this together, only the first few are shown unfolded."""
SHORT_TEXT = 30
"""Length of the longest sample, in characters, up to which samples are shown side by side."""
COPY = "0 158 115"
"""Colour of samples that are copies of train documents, as red, green and blue."""
BYTES_PER_SYMBOL = 128
"""Memory that sampling needs for each symbol of the vocabulary: its id and its probability."""
REPLACED = "\ufffd stands for an unknown symbol, or for bytes that make no character"


def language_blocks(run: Run) -> list[Block]:
    """Return the blocks of a language model's report below its title."""
    reading = read_dev(run)
    if reading is None:
        first, on_dev = opening_without_dev(run), []
    else:
        first = [*opening(reading), Folded("in other units", [Pairs(reading.report.rows())])]
        on_dev = dev_sections(reading)
    return [
        *first,
        samples_section(run),
        *training_sections(run, reading),
        *family_sections(run, reading),
        *on_dev,
    ]


def dev_sections(reading: DevReading) -> list[Section]:
    """Return the sections on the evaluation on dev."""
    is_probability = getattr(reading.run.model, "is_probability", True)
    return [
        *gain_section(reading),
        surprisal_section(reading),
        *where_section(reading),
        *(calibration_section(reading) if is_probability else []),
    ]


def samples_section(run: Run) -> Section:
    """Return texts sampled from the model, with copies of train documents marked."""
    size = len(run.tokenizer.vocabulary)
    if not fits_into_memory(size * BYTES_PER_SYMBOL):
        needed = gigabytes(size * BYTES_PER_SYMBOL)
        why = f"None were drawn: with a vocabulary of {size:,} this needs {needed} of memory"
        return Section("Samples", [Note(f"{why}; `thence sample` draws them.")])
    drawn = sample(run, SAMPLES)
    about = f"{SAMPLES} texts drawn at temperature 1"
    if drawn.copies is not None:
        some = "1 is a copy" if drawn.copies == 1 else f"{drawn.copies} are copies"
        copies = some if drawn.copies else "none is a copy"
        about += f"; {copies} of a train document"
        about += " (green, underlined)" if drawn.copies else ""
    if any("\ufffd" in text for text in drawn.texts):
        about += f". {REPLACED}"
    items = []
    for place, text in enumerate(drawn.texts):
        copied = bool(drawn.copied) and drawn.copied[place]
        token = Token(text or "\u00a0", "a copy of a train document", COPY, 0.4, True)
        items.append(RunningText([token if copied else text]))
    first, rest = items, items[:0]
    if sum(map(len, drawn.texts)) > MOST_CHARACTERS:
        first, rest = items[:FIRST], items[FIRST:]
    folded = [Folded(f"{len(rest)} more", [Texts(rest)])] if rest else []
    shown = Texts(first, _are_short(drawn.texts))
    return Section("Samples", [Note(f"{about}."), shown, *folded])


def _are_short(texts: Iterable[str]) -> bool:
    return max(map(len, texts)) <= SHORT_TEXT


SPLITS: tuple[Split, ...] = ("train", "dev", "test")
BEGINNING = 1000
"""First bytes of a page, which contain ``MADE_BY``."""
MOST_NAMES = 30
"""Labels that train lacks which are listed by name at most."""

UNKNOWN_RULES = {
    "symbol": "become one unknown symbol, <unk>",
    "bytes": "are spelled in bytes",
    "refuse": "are refused (closed vocabulary)",
}


def report(
    runs: Run | str | Path | Sequence[Run | str | Path], path: str | Path | None = None
) -> Path:
    """Write everything about a run, or a comparison of several, as one self-contained HTML page.

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
        from thence.reports.sweep import sweep_html
        from thence.sweeps.results import read_sweep

        folder = find_run(several[0])
        target = _own_or_checked(path, folder / "sweep.html")
        html = sweep_html(read_sweep(folder))
    else:
        opened = [open_run(run) for run in several]
        different = list({run.address: run for run in opened}.values())
        if not different:
            raise RunError("There is no run to report on; name one run folder or several.")
        if len(different) == 1:
            run = different[0]
            target = _own_or_checked(path, run.folder / f"report{run.at_step}.html")
            if path is None:
                clear_dead(run.folder)
            html = report_html(run)
        else:
            # Others may have a file of that name in the working directory.
            target = _own_or_checked(path or "comparison.html", Path())
            html = comparison_html(different, target.parent)
    write_atomically(target, html.encode("utf-8"))
    return target


def _own_or_checked(path: str | Path | None, own: Path) -> Path:
    """Return the file to write: our own in a run folder, or one that is safe to replace."""
    if path is None:
        return own
    check_replaceable(Path(path))
    return Path(path)


def check_replaceable(path: Path) -> None:
    """Check that a file may be written: it does not exist, is empty, or is a page made by thence.

    Raises:
        RunError: If it is another file.
    """
    try:
        if not path.is_file():
            return
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
    except OSError as error:
        raise WriteError(path, error) from error
    if beginning and MADE_BY.encode() not in beginning:
        raise RunError(
            f"{path} exists already, is no report that thence has made, and is left as it is; "
            "choose another `output`."
        )


def report_html(run: Run) -> str:
    """Return the page as HTML; sections that need the text are left out if there is none."""
    found = classifier_blocks(run) if isinstance(run, ClassifierRun) else language_blocks(run)
    blocks = [
        Title(run.name, lead(run)),
        *found,
        *_search_sections(run),
        *([splits_section(run)] if run.has_text else []),
        settings_section(run),
    ]
    return page(f"{run.name}: report", blocks)


def _search_sections(run: Run) -> list[Section]:
    """Return the section on what ``thence best`` tried; none for other runs."""
    if not (run.folder / BEST_OF_TIME).exists():
        return []
    from thence.autopilot.result import read_best
    from thence.reports.best import found_section

    return [found_section(read_best(run.folder))]


def lead(run: Run) -> str:
    """Return a line with the model, the text, the date and the version."""
    made = f"made {date_and_time(run.provenance['made'])} with thence {run.provenance['thence']}"
    return f"{run.recipe.model} on {Path(run.text_name).name}, {made}"


def settings_section(run: Run) -> Section:
    """Return the section with model, text, vocabulary, all settings and the command to repeat."""
    recipe, vocabulary = run.recipe, run.tokenizer.vocabulary
    family = get_family(recipe.model)
    rows = [
        ("model", f"{recipe.model}: {family.summary}"),
        ("parameters", f"{run.num_parameters:,}"),
        *parent_row(run),
        *text_rows(run),
        ("tokens are", recipe.tokens.tokens),
        ("vocabulary", f"{len(vocabulary):,} symbols, the special ones included"),
        ("other symbols", UNKNOWN_RULES[vocabulary.unknown]),
    ]
    vectors = run.provenance.get("vectors")
    rows += [("pretrained vectors", Path(vectors).name)] if vectors else []
    if family.method != "combine" and run.has_text and not run.imported:
        again = "thence train --config config.toml --output ../again (in the folder of this page)"
        rows.append(("to make it again", again))
    settings = [(name, without_folders(value)) for name, value in settings_of(run)]
    return Section("Model and settings", [Pairs(rows), Folded("config.toml", [Pairs(settings)])])


def text_rows(run: Run) -> list[tuple[str, str]]:
    """Return rows on the text of a run, its documents, labels and tokens."""
    if run.imported:
        return [("imported from", Path(run.recipe.text).name)]
    if not run.has_text:
        return [("text", f"{Path(run.text_name).name}, of which the run has only the hash")]
    if (counts := run.cluster_counts) is not None:
        read = f"{counts['files']:,} files, {counts['documents']:,} documents, read on a cluster"
        tokens = f"{counts['tokens']:,} (each document's end is one)"
        return [("text", f"{Path(run.recipe.text).name}: {read}"), ("train tokens", tokens)]
    sizes = [f"{len(run.documents(name)):,} {name}" for name in SPLITS]
    rows = [("text", Path(run.text_name).name), ("documents", ", ".join(sizes))]
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


def splits_section(run: Run) -> Section:
    """Return the section on the splits: evaluations on test, and overlap with train."""
    looks = run.test_looks()
    looked = f"The test split has not been looked at when this was written, {date_and_time(now())}."
    if looks:
        times = "once" if len(looks) == 1 else f"{len(looks)} times"
        looked = f"The test split was looked at {times}, last {date_and_time(looks[-1]['time'])}"
        before = count_inherited(looks)
        looked += f", {before} of them in the runs that it was made of." if before else "."
    rows = [row for name in ("dev", "test") for row in split_rows(run, name)]
    return Section("Splits", [RunningText([looked]), Pairs(rows)])


def split_rows(run: Run, split: Split) -> list[tuple[str, str]]:
    """Return rows on dev or test: documents that train has too, and labels that train lacks."""
    documents = run.documents(split)
    if not len(documents):
        return []
    if not run.has_train_text:
        return [
            (f"{split} documents", f"{len(documents):,}; how many are in train was not counted")
        ]
    shared = count_shared(run.documents("train"), documents)
    share = f"{shared:,} of {len(documents):,} ({shared / len(documents):.1%})"
    rows = [(f"{split} documents that are in train too", share)]
    if isinstance(run, ClassifierRun):
        labels = as_labelled(documents).labels
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
