"""The report of several runs: which is better, how they learned, and in what they differ."""

import html
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from thence.reports.comparison_curves import comparison_picture
from thence.reports.differences import differing_settings
from thence.reports.page import embedded, grid, moment, note, page, section
from thence.reports.side_by_side import (
    SideBySide,
    on_same_text,
    side_by_side,
    why_not_judged,
)
from thence.runs import Run
from thence.runs.provenance import now
from thence.runs.run import Kind

TITLES: Mapping[Kind, str] = {"language model": "Language models", "classifier": "Classifiers"}


def comparison_html(runs: Sequence[Run], folder: Path) -> str:
    """Return the page.

    Args:
        runs: Two or more.
        folder: Where the page will be: the links to the reports of the runs begin there.
    """
    named = by_name(runs)
    sections = []
    for kind, title in TITLES.items():
        alike = {name: run for name, run in named.items() if run.kind == kind}
        if alike:
            sections += [kind_section(title, alike), settings_section(title, alike)]
    title = f"Comparison of {len(runs)} runs"
    lead = (
        f"made {moment(now())} with thence {version('thence')}; the test splits were not looked at"
    )
    heading = f'<h1>{title}</h1>\n<p class="lead">{html.escape(lead)}</p>'
    return page(title, "\n".join([heading, *sections, links_section(named, folder)]))


def by_name(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by what to call them: their names, or their folders where names are alike."""
    times = Counter(run.name for run in runs)
    return {run.name if times[run.name] == 1 else str(run.folder): run for run in runs}


def kind_section(title: str, runs: Mapping[str, Run]) -> str:
    """Return tables and curves of runs of one kind: for each text its own."""
    reasons = {name: why_not_judged(run) for name, run in runs.items()}
    judged = {name: run for name, run in runs.items() if reasons[name] is None}
    tables = [side_by_side(group) for group in on_same_text(judged)]
    parts = [group_html(table) for table in tables]
    if len(tables) > 1:
        apart = "labels and texts" if title == TITLES["classifier"] else "texts"
        warning = (
            f"These runs were judged on different {apart}: only runs in the same table can be "
            "compared."
        )
        parts.insert(0, note(warning))
    rows = [
        [name, runs[name].recipe.model, f"{runs[name].num_parameters:,}", reason]
        for name, reason in reasons.items()
        if reason is not None
    ]
    if rows:
        columns = ["run", "model", "parameters", "why"]
        parts.append("<h3>Not judged, and so not compared</h3>" + grid(columns, rows))
    return section(title, "\n".join(parts))


def group_html(group: SideBySide) -> str:
    """Return the table and the curves of runs that were judged on the same text."""
    best = 0 if len(group.rows) > 1 else None
    picture = comparison_picture(group.runs, group.unit)
    absent = note("There are no learning curves: each model was made in one step.")
    return "\n".join(
        [
            f"<h3>{html.escape(group.text)}</h3>",
            grid(group.columns, group.rows, "grid compared", best),
            note(group.remark),
            absent if picture is None else embedded(picture),
        ]
    )


def settings_section(title: str, runs: Mapping[str, Run]) -> str:
    """Return the settings in which runs of one kind differ; nothing for one alone."""
    if len(runs) == 1:
        return ""
    rows = differing_settings(list(runs.values()))
    heading = f"Settings that differ: {title.lower()}"
    if not rows:
        return section(heading, note("All settings are alike, and so are the texts."))
    return section(heading, grid(["setting", *runs], rows, "grid settings"))


def links_section(runs: Mapping[str, Run], folder: Path) -> str:
    """Return a link to the report of each run that has one."""
    items = []
    for name, run in runs.items():
        shown, path = html.escape(name), run.folder / "report.html"
        if path.exists():
            items.append(f'<li><a href="{html.escape(link(path, folder))}">{shown}</a></li>')
        else:
            items.append(f"<li>{shown} <small>has none yet: thence report RUN</small></li>")
    return section("Reports of the runs", f'<ul class="texts">{"".join(items)}</ul>')


def link(path: Path, folder: Path) -> str:
    """Return the address of a file for a page in a folder."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # On another drive.
        return path.resolve().as_uri()
    # With ./ before it a name with a colon is no address of another kind.
    return "./" + quote(Path(relative).as_posix())
