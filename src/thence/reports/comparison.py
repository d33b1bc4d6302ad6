"""The comparison page of several runs: results, learning curves, and settings that differ."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from thence.corpus.documents import as_labelled
from thence.evaluation.compare import compare_losses, model_losses, with_selection_remark
from thence.evaluation.compare_labels import compare_classifiers
from thence.evaluation.data import EvaluationData
from thence.evaluation.labels import classification_report
from thence.evaluation.language import MANY_UNKNOWN, evaluate_language_model
from thence.evaluation.metrics import are_right, bits, nats_and_bits, perplexity
from thence.models.registry import get_family
from thence.recipes.recipe import PROVENANCE, read_toml_file
from thence.reports.comparison_blocks import (
    costs,
    curves,
    disputed_labels,
    disputed_texts,
    pairwise_differences,
    samples,
)
from thence.reports.content import (
    Block,
    Note,
    RunningText,
    Section,
    Statement,
    Subtitle,
    Table,
    Texts,
    Title,
)
from thence.reports.formatting import date_and_time, short
from thence.reports.markup import page
from thence.runs import ClassifierRun, Run
from thence.runs.description import distinct_names
from thence.runs.folder import Kind
from thence.runs.provenance import now
from thence.tokens import encode_texts

TITLES: Mapping[Kind, str] = {"language model": "Language models", "classifier": "Classifiers"}
ABOUT = ("run", "model", "tokens", "parameters")
"""First columns of a table of runs."""
HASHES = f"{PROVENANCE}.sha256."
HASH_DIGITS = 8
"""Hexadecimal digits of a hash that are shown, enough to tell texts apart."""
LONGEST_SETTING = 80
"""Characters of the value of a setting that are shown."""
ABSENT = "–"
OF_ALL = ("training.carry_context",)
"""Settings of ``training`` that also matter for models that are fitted in one step."""


def comparison_html(runs: Sequence[Run], folder: Path) -> str:
    """Return the page as HTML.

    Args:
        runs: Two or more runs.
        folder: Folder of the page, which links to the reports of runs are relative to.
    """
    named = dict(zip(distinct_names(runs), runs, strict=True))
    sections = []
    for kind, title in TITLES.items():
        alike = {name: run for name, run in named.items() if run.kind == kind}
        if alike:
            sections += [results_section(title, alike), *settings_sections(title, alike)]
    title = f"Comparison of {len(runs)} runs"
    made = f"made {date_and_time(now())} with thence {version('thence')}"
    heading = Title(title, f"{made}; the test splits were not looked at")
    return page(title, [heading, *sections, links_section(named, folder)])


def results_section(title: str, runs: Mapping[str, Run]) -> Section:
    """Return the section on runs of one task, with a table and curves for each dev text."""
    reasons = {name: why_not_evaluated(run) for name, run in runs.items()}
    usable = {name: run for name, run in runs.items() if reasons[name] is None}
    groups = [evaluate_group(group) for group in on_same_text(usable)]
    blocks: list[Block] = []
    if len(groups) > 1:
        apart = "labels and texts" if title == TITLES["classifier"] else "texts"
        warning = (
            f"These runs were evaluated on different {apart}: only runs in the same table can be"
        )
        blocks.append(Note(f"{warning} compared."))
    for group in groups:
        blocks += group_blocks(group)
    rows = [
        [name, runs[name].recipe.model, f"{runs[name].num_parameters:,}", reason]
        for name, reason in reasons.items()
        if reason is not None
    ]
    if rows:
        blocks.append(Subtitle("Not evaluated, and so not compared"))
        blocks.append(Table(["run", "model", "parameters", "why"], rows))
    return Section(title, blocks)


def why_not_evaluated(run: Run) -> str | None:
    """Return why a run cannot be evaluated on its dev split; None if it can."""
    if run.imported:
        return "imported, and so without a text of its own"
    if not run.has_text:
        return "it has only the hash of its text"
    return None if len(run.documents("dev")) else "it has no dev split"


def on_same_text(runs: Mapping[str, Run]) -> list[dict[str, Run]]:
    """Return groups of comparable runs: with the same dev documents and the same labels."""
    groups: dict[object, dict[str, Run]] = {}
    for name, run in runs.items():
        labels = None
        if isinstance(run, ClassifierRun):
            labels = (frozenset(run.label_names), run.classes.multilabel)
        groups.setdefault((run.provenance["sha256"]["dev"], labels), {})[name] = run
    return list(groups.values())


@dataclass(frozen=True)
class EvaluatedGroup:
    """Runs that were evaluated on the same documents.

    Attributes:
        runs: The runs by name, the best first.
        columns: Columns of the table.
        rows: Rows of the table, in the order of the runs.
        remark: What to know when reading it.
        unit: Unit of scores and learning curves.
        scores: Score of each run, in that unit.
        more: Further blocks below the curves.
    """

    runs: Mapping[str, Run]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remark: str
    unit: str
    scores: Sequence[float] = ()
    more: Sequence[Block] = ()


def group_blocks(group: EvaluatedGroup) -> list[Block]:
    """Return the table, charts and further blocks of runs evaluated on the same text."""
    run = next(iter(group.runs.values()))
    documents = len(run.documents("dev"))
    number = "1 document" if documents == 1 else f"{documents:,} documents"
    # The name of the text alone: a heading has no room for a path.
    text = f"dev split of {Path(run.text_name).name} ({number})"
    best = 0 if len(group.rows) > 1 else None
    return [
        Subtitle(text),
        *statement(group),
        Table(group.columns, group.rows, words=3, style="wide", best=best),
        Note(group.remark),
        *(costs(group.runs, group.scores, group.unit) if len(group.runs) > 1 else []),
        *curves(group.runs, group.unit),
        *group.more,
    ]


def statement(group: EvaluatedGroup) -> list[Block]:
    """Return the best and the second-best run in a sentence; nothing for a single run."""
    if len(group.runs) < 2:
        return []
    (best, second), (first, next_) = list(group.runs)[:2], group.scores[:2]
    if group.unit == "accuracy":
        said = f"{best} is right most often, in {first:.2%}; next is {second}, in {next_:.2%}."
    else:
        least = f"{first:.4f} {group.unit}"
        if group.unit == "nats per token":
            least = nats_and_bits(first)
        said = f"{best} needs least, {least}; next is {second} with {next_:.4f}."
    return [Statement(said)]


def evaluate_group(runs: Mapping[str, Run]) -> EvaluatedGroup:
    """Evaluate comparable runs on their dev split."""
    classifiers = {name: run for name, run in runs.items() if isinstance(run, ClassifierRun)}
    return _classifiers(classifiers) if classifiers else _language_models(runs)


def _language_models(runs: Mapping[str, Run]) -> EvaluatedGroup:
    """Evaluate language models on their common dev split, best first."""
    if len(runs) == 1:
        ((name, run),) = runs.items()
        report = evaluate_language_model(run)
        unknown = report.unknown / report.targets
        nats = report.nats_per_token
        numbers = [f"{nats:.4f}", f"{bits(nats):.4f}", f"{perplexity(nats):.3f}"]
        numbers.append(f"{report.bits_per_byte:.4f}")
        row = [
            *_about(name, run),
            f"{unknown:.2%}",
            *(text.replace("inf", "∞") for text in numbers),
        ]
        remark = f"For nats per token: {report.interval_in_words()}, of {report.covers}."
        if unknown > MANY_UNKNOWN:
            remark += " Much of the text is read as <unk>: these numbers say little of it."
        columns = [*ABOUT, "unknown", "nats per token", "bits per token", "perplexity"]
        columns.append("bits per byte")
        return EvaluatedGroup(runs, columns, [row], remark, "nats per token")
    data, several = EvaluationData(), list(runs.values())
    losses = model_losses(several, data)
    compared = with_selection_remark(compare_losses(several, losses, data), several)
    columns, rows = compared.table()
    ordered = {name: runs[name] for name in (list(runs)[line.place] for line in compared.runs)}
    first = len(ABOUT) - 1  # The table for a terminal has no room for the kind of tokens.
    table = [
        [*_about(name, run), *row[first:]]
        for (name, run), row in zip(ordered.items(), rows, strict=True)
    ]
    columns = [*ABOUT, *columns[first:]]
    scores = [
        one.bits_per_byte if one.nats_per_token is None else one.nats_per_token
        for one in compared.runs
    ]
    more = [
        *pairwise_differences(list(runs), losses),
        *samples(ordered),
        *disputed_texts(runs, losses),
    ]
    return EvaluatedGroup(ordered, columns, table, compared.remark, compared.unit, scores, more)


def _about(name: str, run: Run) -> list[str]:
    shown = name if run.finished else f"{name} (not finished)"
    return [shown, run.recipe.model, run.recipe.tokens.tokens, f"{run.num_parameters:,}"]


def _classifiers(runs: Mapping[str, ClassifierRun]) -> EvaluatedGroup:
    """Evaluate classifiers on their common dev split, best first."""
    rows, right = {}, []
    for name, run in runs.items():
        own = as_labelled(run.documents("dev")).named(run.label_names)
        log_probs = run.classifier.classify(encode_texts(run.tokenizer, own))
        right.append(are_right(log_probs, own.labels))
        report = classification_report(name, "dev", log_probs, own.labels, own, mistakes=0)
        rows[name] = [*_about(name, run), f"{report.macro_f1:.4f}"]
        accuracy = f"{100 * report.accuracy:.2f} %"
    if len(runs) == 1:
        remark = f"For macro F1: {report.macro_f1_interval_in_words()}."
        table = [[*rows[name], accuracy]]
        return EvaluatedGroup(runs, [*ABOUT, "macro F1", "accuracy"], table, remark, "accuracy")
    matrix = np.stack(right)
    compared = compare_classifiers(list(runs), matrix, "dev")
    columns, found = compared.table()
    table = [[*rows[row[0]], *row[1:]] for row in found]
    ordered = {row[0]: runs[row[0]] for row in found}
    columns = [*ABOUT, "macro F1", *columns[1:]]
    scores = [float(matrix[list(runs).index(name)].mean()) for name in ordered]
    more = disputed_labels(runs, matrix)
    return EvaluatedGroup(ordered, columns, table, compared.remark, "accuracy", scores, more)


def settings_sections(title: str, runs: Mapping[str, Run]) -> list[Section]:
    """Return the section on settings in which runs of one task differ; none for a single run."""
    if len(runs) == 1:
        return []
    rows = differing_settings(list(runs.values()))
    heading = f"Settings that differ: {title.lower()}"
    if not rows:
        return [Section(heading, [Note("All settings are the same, and so are the texts.")])]
    columns = ["setting", *runs]
    return [Section(heading, [Table(columns, rows, words=len(columns), style="settings")])]


def differing_settings(runs: Sequence[Run]) -> list[list[str]]:
    """Return a row for each setting that several runs have and that differs, a value for each run.

    Settings that only one run has are collected in one row. Of the provenance, only hashes of the
    text and the version are compared.
    """
    found = [dict(_comparable_settings(run)) for run in runs]
    names = dict.fromkeys(name for settings in found for name in settings)
    rows = []
    alone: list[list[str]] = [[] for _ in runs]
    for name in names:
        values = [settings.get(name, ABSENT) for settings in found]
        having = [at for at, settings in enumerate(found) if name in settings]
        if len(having) == 1:
            label = name.removeprefix("options.").replace("_", " ")
            alone[having[0]].append(f"{label} {values[having[0]]}")
        elif len({values[at] for at in having}) > 1:
            rows.append([name, *(short(value, LONGEST_SETTING) for value in values)])
    if any(alone):
        rows.append(["settings of its own", *(", ".join(one) or ABSENT for one in alone)])
    return rows


def _comparable_settings(run: Run) -> list[tuple[str, str]]:
    """Return the settings and hashes of a run that are worth comparing, as names and values."""
    is_trained = get_family(run.recipe.model).method == "train"
    rows: list[tuple[str, str]] = [("model", run.recipe.model)]
    for name, value in settings_of(run):
        if name.startswith(HASHES):
            digits = f"{str(value)[:HASH_DIGITS]}…"
            rows.append((f"{name.removeprefix(HASHES)} (SHA-256)", digits))
        elif name == "options.members":
            rows.append((name, ", ".join(_member_name(one) for one in value)))
        elif name.startswith("training.") and not is_trained and name not in OF_ALL:
            continue
        elif name == f"{PROVENANCE}.thence" or not name.startswith(f"{PROVENANCE}."):
            rows.append((name.removeprefix(f"{PROVENANCE}."), without_folders(value)))
    return rows


def _member_name(member: Any) -> str:
    named = member.get("name") or member.get("model") if isinstance(member, Mapping) else member
    return str(named)


def settings_of(run: Run) -> list[tuple[str, Any]]:
    """Return the whole config of a run as dotted names and values."""
    return _flat(read_toml_file(run.folder / "config.toml"))


def _flat(tables: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in tables.items():
        is_table = isinstance(value, dict)
        rows += _flat(value, f"{prefix}{name}.") if is_table else [(prefix + name, value)]
    return rows


def without_folders(value: Any) -> str:
    """Return the value of a setting as text; absolute paths without their folders.

    >>> without_folders("/home/ada/names.txt"), without_folders(0.1), without_folders(["a", "b"])
    ('names.txt', '0.1', 'a, b')
    """
    if isinstance(value, list | tuple):
        return ", ".join(map(without_folders, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {without_folders(one)}" for name, one in value.items())
    text = str(value)
    return Path(text).name if isinstance(value, str) and Path(text).is_absolute() else text


def links_section(runs: Mapping[str, Run], folder: Path) -> Section:
    """Return the section with links to the reports of the runs."""
    items = []
    for name, run in runs.items():
        path = run.folder / "report.html"
        if path.exists():
            items.append(RunningText([name], link=link(path, folder)))
        else:
            items.append(RunningText([name], about="has none yet: thence report RUN"))
    return Section("Reports of the runs", [Texts(items)])


def link(path: Path, folder: Path) -> str:
    """Return the URL of a file relative to a folder; a file URL if there is no relative path."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # On another drive.
        return path.resolve().as_uri()
    # Without ./ a name with a colon would be read as a URL with a scheme.
    return "./" + quote(Path(relative).as_posix())
