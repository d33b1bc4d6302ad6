"""Runs judged side by side: a table for all whose dev documents are the same, the best first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from thence.evaluation.classification import ClassificationReport, are_right, judge_labels
from thence.evaluation.compare import Comparison, compare
from thence.evaluation.compare_labels import LabelComparison, compare_classifiers
from thence.evaluation.likelihood import MANY_UNKNOWN, evaluate_likelihood
from thence.evaluation.units import perplexity
from thence.runs import ClassifierRun, Run
from thence.tokens import encode_texts
from thence.training.data import labelled

BEST = "best"
LIKELIHOOD = ("nats per token", "perplexity", "bits per byte")


@dataclass(frozen=True)
class SideBySide:
    """Runs that were judged on the same documents.

    Attributes:
        text: What they were judged on, in words.
        runs: Their names and themselves, the best first.
        columns: Of the table.
        rows: Of the table, one for each run in the same order.
        remark: What to know when reading it.
        unit: Of their learning curves.
    """

    text: str
    runs: Mapping[str, Run]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remark: str
    unit: str


def why_not_judged(run: Run) -> str | None:
    """Return why a run cannot be judged on its dev split, or None where it can."""
    if run.imported:
        return "imported, and so without a text of its own"
    if not run.has_text:
        return "it has only the hash of its text"
    return None if len(run.documents("dev")) else "it has no dev split"


def on_same_text(runs: Mapping[str, Run]) -> list[dict[str, Run]]:
    """Return the runs that can be compared with each other, in the order of their first.

    Their dev documents are the same, and classifiers tell the same labels apart.
    """
    groups: dict[object, dict[str, Run]] = {}
    for name, run in runs.items():
        labels = None
        if isinstance(run, ClassifierRun):
            labels = (frozenset(run.label_names), run.classes.multilabel)
        groups.setdefault((run.provenance["sha256"]["dev"], labels), {})[name] = run
    return list(groups.values())


def side_by_side(runs: Mapping[str, Run]) -> SideBySide:
    """Judge comparable runs on their dev split."""
    classifiers = {name: run for name, run in runs.items() if isinstance(run, ClassifierRun)}
    return _classifiers(classifiers) if classifiers else _language_models(runs)


def _text(run: Run) -> str:
    # The name of the text alone: a heading has no room for a path.
    documents = len(run.documents("dev"))
    number = "1 document" if documents == 1 else f"{documents:,} documents"
    return f"dev split of {Path(run.text_name).name} ({number})"


def _about(name: str, run: Run) -> list[str]:
    shown = name if run.finished else f"{name} (not finished)"
    return [shown, run.recipe.model, run.recipe.tokens.tokens, f"{run.num_parameters:,}"]


def _language_models(runs: Mapping[str, Run]) -> SideBySide:
    names, opened = list(runs), list(runs.values())
    columns = ["run", "model", "tokens", "parameters", "unknown", *LIKELIHOOD]
    if len(opened) == 1:
        judged = evaluate_likelihood(opened[0], "dev")
        unknown = judged.unknown / judged.targets
        numbers = _likelihood(judged.nats_per_token, judged.bits_per_byte)
        row = [*_about(names[0], opened[0]), f"{unknown:.2%}", *numbers]
        remark = f"For nats per token: {judged.interval_in_words()}, of {judged.covers}."
        if unknown > MANY_UNKNOWN:
            remark += " Much of the text is read as <unk>: these numbers say little of it."
        return SideBySide(_text(opened[0]), runs, columns, [row], remark, LIKELIHOOD[0])
    compared = cast(Comparison, compare(opened))
    rows = []
    for line in compared.runs:
        run = opened[line.place]
        nats = line.bits_per_byte * math.log(2) * run.store("dev").bytes_per_target
        difference = [BEST, ""]
        if line.difference is not None:
            middle, low, high = line.difference
            bounds = "none" if math.isnan(low) else f"{low:+.4f} to {high:+.4f}"
            difference = [f"{middle:+.4f}", bounds]
        elif line is not compared.runs[0]:
            difference = ["∞", ""]
        numbers = _likelihood(nats, line.bits_per_byte)
        row = [*_about(names[line.place], run), f"{line.unknown:.2%}", *numbers]
        rows.append([*row, *difference])
    columns += [f"{compared.unit} above the best", "simultaneous 95 % interval"]
    ordered = {names[line.place]: opened[line.place] for line in compared.runs}
    return SideBySide(_text(opened[0]), ordered, columns, rows, compared.remark, compared.unit)


def _likelihood(nats_per_token: float, bits_per_byte: float) -> list[str]:
    found = (f"{nats_per_token:.4f}", f"{perplexity(nats_per_token):.3f}", f"{bits_per_byte:.4f}")
    return [text.replace("inf", "∞") for text in found]


def _classifiers(runs: Mapping[str, ClassifierRun]) -> SideBySide:
    opened = list(runs.values())
    columns = ["run", "model", "tokens", "parameters", "accuracy", "macro F1"]
    reports, right = {}, []
    for name, run in runs.items():
        documents = labelled(run.documents("dev"))
        own = documents.named(run.label_names)
        log_probs = run.classifier.classify(encode_texts(run.tokenizer, own))
        right.append(are_right(log_probs, own.labels))
        reports[name] = judge_labels(name, "dev", log_probs, own.labels, own, mistakes=0)
    if len(opened) == 1:
        rows = [_scored(name, run, reports[name]) for name, run in runs.items()]
        remark = f"For macro F1: {reports[next(iter(runs))].macro_f1_interval_in_words()}."
        return SideBySide(_text(opened[0]), runs, columns, rows, remark, "accuracy")
    compared = compare_classifiers(list(runs), np.stack(right), "dev")
    columns += ["points below the best", "simultaneous 95 % interval", "p (McNemar, Holm)"]
    rows = [
        [*_scored(line.run, runs[line.run], reports[line.run]), *against]
        for line, against in zip(compared.runs, _against(compared), strict=True)
    ]
    ordered = {line.run: runs[line.run] for line in compared.runs}
    return SideBySide(_text(opened[0]), ordered, columns, rows, compared.remark, "accuracy")


def _scored(name: str, run: Run, judged: ClassificationReport) -> list[str]:
    return [*_about(name, run), f"{100 * judged.accuracy:.2f} %", f"{judged.macro_f1:.4f}"]


def _against(compared: LabelComparison) -> list[list[str]]:
    """Return the difference of each run to the best, its interval, and p."""
    shown = [[BEST, "", ""]]
    _, rows = compared.table()
    for line, row in zip(compared.runs[1:], rows[1:], strict=True):
        assert line.against_best is not None
        low, high = (100 * bound for bound in line.against_best.interval)
        bounds = "none" if math.isnan(low) else f"{low:+.2f} to {high:+.2f}"
        shown.append([f"{100 * line.against_best.difference:+.2f}", bounds, row[-1]])
    return shown
