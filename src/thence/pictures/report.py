"""The report of a run: one HTML file that holds everything, needs no network and runs no script."""

import html
import tomllib
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from thence.corpus import count_shared
from thence.pictures.page import section, table
from thence.pictures.report_labels import label_sections
from thence.pictures.report_language import language_sections
from thence.pictures.report_training import metrics_section
from thence.training import Run
from thence.training.families import family_of
from thence.training.files import write_atomically
from thence.training.prepared import labelled
from thence.training.provenance import now
from thence.training.run import Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
MOST_NAMES = 30
"""Labels that are listed by name at most where they are the exception."""

UNKNOWN_RULES = {
    "symbol": "become one unknown symbol, <unk>",
    "bytes": "are spelled in bytes",
    "refuse": "are refused (closed vocabulary)",
}


def report(run: Run | str | Path, path: Path | None = None) -> Path:
    """Write everything about a run as one self-contained HTML page.

    The test split is not looked at.

    Args:
        run: The run or its folder.
        path: The file to write; by default ``report.html`` in the run folder.

    Returns:
        The file.

    Raises:
        TextError: If the text of the run cannot be read again.
        RunError: If the file cannot be written.
    """
    run = run if isinstance(run, Run) else Run(run)
    path = run.folder / "report.html" if path is None else path
    write_atomically(path, report_html(run).encode("utf-8"))
    return path


def report_html(run: Run) -> str:
    """Return the page; an imported run has no text for some of its sections to be about."""
    about = label_sections(run) if run.is_classifier else language_sections(run)
    splits = [] if run.imported else [split_section(run)]
    sections = [heading(run), *about, *splits, config_section(run), metrics_section(run)]
    template = Template((files("thence.pictures") / "report_template.html").read_text("utf-8"))
    title = f"{html.escape(run.name)}: report"
    return template.substitute(title=title, body="\n".join(sections))


def heading(run: Run) -> str:
    """Return the name of the run and what was trained on what."""
    recipe, vocabulary = run.recipe, run.tokenizer.vocabulary
    summary = family_of(recipe.model).summary
    rows = [
        ("model", f"{recipe.model}: {summary}"),
        ("parameters", f"{run.num_parameters:,}"),
        *text_rows(run),
        ("tokens are", recipe.tokens.tokens),
        ("vocabulary", f"{len(vocabulary):,} symbols, the special ones included"),
        ("other symbols", UNKNOWN_RULES[vocabulary.unknown]),
    ]
    vectors = run.provenance.get("vectors")
    rows += [("pretrained vectors", vectors)] if vectors else []
    lead = f"{recipe.model} on {Path(recipe.text).name}, made {run.provenance['made']}"
    return (
        f"<h1>{html.escape(run.name)}</h1>\n"
        f'<p class="lead">{html.escape(lead)} with thence {html.escape(run.provenance["thence"])}'
        f"</p>\n{table(rows)}"
    )


def text_rows(run: Run) -> list[tuple[str, str]]:
    """Return what a run was made from."""
    if run.imported:
        return [("imported from", run.recipe.text)]
    sizes = [f"{len(run.documents(name)):,} {name}" for name in SPLITS]
    rows = [("text", run.recipe.text), ("documents", ", ".join(sizes))]
    store = run.store("train")
    if not run.is_classifier:
        return [*rows, ("train tokens", f"{store.num_targets:,} (each document's end is one)")]
    lengths = store.target_counts - 1  # Without the document's end, which has no part in labels.
    about = f"{np.median(lengths):,.0f} in the median document, {lengths.max():,} in the longest"
    kind = "any number of them per document" if run.classes.several else "one per document"
    return [
        *rows,
        ("labels", f"{len(run.label_names):,}, {kind}"),
        ("train tokens", f"{lengths.sum():,} ({about})"),
    ]


def split_section(run: Run) -> str:
    """Return how honest the splits are: looks at test, and documents in more than one split."""
    looks = run.test_looks()
    looked = f"The test split has not been looked at when this was written, {now()}."
    if looks:
        times = "once" if len(looks) == 1 else f"{len(looks)} times"
        looked = f"The test split was looked at {times}, last {looks[-1]['time']}."
    rows = [row for name in ("dev", "test") for row in split_rows(run, name)]
    return section("Splits", f"<p>{html.escape(looked)}</p>" + table(rows))


def split_rows(run: Run, split: Split) -> list[tuple[str, str]]:
    """Return what of dev or test is in train too, and which of its labels train lacks."""
    documents = run.documents(split)
    if not len(documents):
        return []
    shared = count_shared(run.documents("train"), documents)
    share = f"{shared:,} of {len(documents):,} ({shared / len(documents):.1%})"
    rows = [(f"{split} documents that are in train too", share)]
    if run.is_classifier:
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
    content = tomllib.loads((run.folder / "config.toml").read_text("utf-8"))
    rows = [(name, str(value)) for name, value in flat(content)]
    return section("Settings", f"<details><summary>config.toml</summary>{table(rows)}</details>")


def flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested tables as dotted names and values.

    >>> flat({"model": "mlp", "training": {"lr": 0.1}})
    [('model', 'mlp'), ('training.lr', 0.1)]
    """
    rows: list[tuple[str, Any]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows
