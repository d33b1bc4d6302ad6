"""The opening of a report: the result in one sentence, and bars that compare it to baselines."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from thence.errors import ThenceError
from thence.evaluation.labels import ClassificationReport
from thence.models.registry import get_family, is_classifier
from thence.reports.content import Bars, Block, Note, Statement
from thence.reports.reading import DevReading, token_name
from thence.runs import Run
from thence.runs.files import UNUSABLE
from thence.runs.metrics import best_line, read_metrics
from thence.runs.provenance import check_provenance, read_config

NAMES = {
    "bigram-counts": "A table of pair counts",
    "ngram": "An n-gram model",
    "class-ngram": "An n-gram model of word classes",
    "cache": "A cache",
    "context-mixing": "A context mixing model",
    "bigram": "A bigram network",
    "mlp": "An MLP",
    "rnn": "An RNN",
    "lstm": "An LSTM",
    "gru": "A GRU",
    "transformer": "A transformer",
    "mixture": "A mixture",
    "linear": "A linear classifier",
    "ngram-bayes": "Bayes' rule over n-gram models",
    "ensemble": "An ensemble of classifiers",
}
"""Names of families as subjects of sentences; other families are called by their own names."""
MOST_NEIGHBOURS = 200
"""Folders beside a run that are searched for better runs."""
MOST_METRICS = 1 << 20
"""Largest ``metrics.jsonl`` that is read there, in bytes: ten thousand evaluations."""
MUCH_SEEN = 0.02
"""Share of the dev documents that occur in train above which the loss on the others is shown."""


def opening(reading: DevReading) -> list[Block]:
    """Return the result of a language model on dev, and bars with baselines and better runs."""
    run, report, token = reading.run, reading.report, reading.token
    subject = f"{name_of(run)} of {rounded(run.num_parameters)} parameters"
    if report.impossible:
        count = f"{report.impossible:,} of the {report.targets:,} {token}s of dev"
        said = f"{subject} takes {count} for impossible, so that its loss is infinite"
    else:
        needed = f"{reading.bits:.2f} bits ({reading.bits * math.log(2):.3f} nats)"
        said = f"{subject} needs {needed} for the next {token} of held-out text"
    known = reading.baselines
    if known is not None and run.recipe.model != "bigram-counts":
        said += f"; counting pairs of {token}s needs {_bits(known.pairs):.2f}"
    return [Statement(f"{said}."), *_ruler(reading), Note(" ".join(_remarks(reading)))]


def _bits(nats: Any) -> float:
    return float(np.mean(nats)) / math.log(2)


def _ruler(reading: DevReading) -> list[Block]:
    """Return bars with the bits of the run, of baselines, and of the best run beside it."""
    token, known = reading.token, reading.baselines
    rows = [(f"{reading.run.name} (this run)", reading.bits)]
    if known is not None:
        rows += [
            (f"every {token} alike (uniform)", math.log2(reading.vocabulary_size)),
            (f"how often each {token} occurs (unigram)", _bits(known.unigram)),
            ("how often it follows the one before (pairs)", _bits(known.pairs)),
        ]
    found = [
        (line["dev_nats_per_token"] / math.log(2), name)
        for name, line in neighbours(reading.run)
        if line.get("dev_nats_per_token") is not None
    ]
    if found and min(found)[0] < reading.bits:
        bits, name = min(found)
        rows.append((f"{name} (the best run beside this one)", bits))
    if len(rows) == 1:
        return []
    this = rows[0]
    rows = sorted((row for row in rows if math.isfinite(row[1])), key=lambda row: -row[1])
    whole = max((bits for _, bits in rows), default=1.0)
    marked = rows.index(this) if this in rows else None
    bars = [(name, bits, f"{bits:.2f} bits ({bits * math.log(2):.3f} nats)") for name, bits in rows]
    return [Bars(bars, whole, marked)]


def _remarks(reading: DevReading) -> list[str]:
    """Return remarks on the result: its interval, overlap of dev with train, selection on dev."""
    report, token = reading.report, reading.token
    low, high = (nats / math.log(2) for nats in report.interval)
    counted = f"{report.documents:,} document{'s' * (report.documents != 1)}"
    said = [f"Bits per {token} of dev, {counted}; fewer are better."]
    if math.isfinite(low):
        interval = f"95 % interval of this run: {low:.3f} to {high:.3f} bits"
        said.append(f"{interval}, of {report.covers.partition(';')[0]}.")
    elif not report.impossible:
        said.append(f"There is {report.interval_in_words()}.")
    if report.seen is not None and report.seen.documents > MUCH_SEEN * report.documents:
        share = f"{report.seen.documents / report.documents:.0%} of the documents are in train too"
        if report.unseen is None:
            said.append("All of the documents are in train too, so that this is no unseen text.")
        else:
            bits = report.unseen.nats_per_token / math.log(2)
            said.append(f"{share}; on the others alone it needs {bits:.2f} bits.")
    if report.chosen_on_dev:
        said.append(f"{report.chosen_on_dev[:1].upper()}{report.chosen_on_dev[1:]}.")
    known = reading.baselines
    if known is not None and known.counted < reading.run.store("train").num_targets:
        said.append(f"Pairs were counted in the first {known.counted:,} {token}s of train.")
    if report.dynamic:
        said.append(f"It adapts to the text as it reads: {', '.join(report.dynamic)}.")
    return said


def opening_without_dev(run: Run) -> list[Block]:
    """Return the opening for a run that has no dev split, or no text."""
    subject = f"{name_of(run)} of {rounded(run.num_parameters)} parameters"
    if run.imported:
        said = f"{subject}, imported from {Path(run.recipe.text).name}"
        about = "It has no text of its own, so that no loss is known: thence evaluate RUN TEXT."
    elif not run.has_text:
        said = f"{subject}, of whose text only the hash is kept"
        about = "No loss is known without the text: thence evaluate RUN TEXT."
    else:
        said = f"{subject}, trained on {Path(run.text_name).name}"
        about = "There is no dev split to evaluate on."
    return [Statement(f"{said}."), Note(about)]


def opening_of_labels(run: Run, report: ClassificationReport) -> list[Block]:
    """Return the accuracy of a classifier on dev, and bars with guessing and better runs."""
    label = "labels" if report.multilabel else "label"
    subject = f"{name_of(run)} of {rounded(run.num_parameters)} parameters"
    said = f"{subject} gives {report.accuracy:.1%} of held-out documents their {label}"
    guessed = f"always saying “{report.guess}” gives {report.guess_accuracy:.1%}"
    rows = [
        (f"{run.name} (this run)", report.accuracy),
        (f"always “{report.guess}”", report.guess_accuracy),
    ]
    found = [
        (line["dev_accuracy"], name) for name, line in neighbours(run) if line.get("dev_accuracy")
    ]
    if found and max(found)[0] > report.accuracy:
        rows.append((f"{max(found)[1]} (the best run beside this one)", max(found)[0]))
    this = rows[0]
    rows.sort(key=lambda row: row[1])
    bars = Bars([(name, share, f"{share:.2%}") for name, share in rows], 1.0, rows.index(this))
    low, high = report.accuracy_interval
    about = f"Share of {report.documents:,} documents of dev that are wholly right"
    interval = f", 95 % interval of this run: {low:.2%} to {high:.2%}" if low == low else ""
    return [Statement(f"{said}; {guessed}."), bars, Note(f"{about}{interval}.")]


def name_of(run: Run) -> str:
    """Return the name of a run's model as the subject of a sentence."""
    model, options = run.recipe.model, run.recipe.options
    name = NAMES.get(model)
    if name is None:
        article = "An" if model[:1] in "aeiou" else "A"
        kind = "classifier" if is_classifier(model) else "model"
        return f"{article} {model} {kind}"
    if model == "ngram":
        return f"{name} of up to {options.order} {token_name(run)}s"
    if model == "mixture":
        return f"{name} of {len(options.members)} models"
    return name


def rounded(number: int) -> str:
    """Return a rounded number in words.

    >>> rounded(382), rounded(406_123), rounded(1_234_567)
    ('382', '406 thousand', '1.2 million')
    """
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**4, "thousand")):
        if number >= size:
            many = number / (1000 if size == 10**4 else size)
            return f"{many:.0f} {name}" if many >= 10 else f"{many:.1f} {name}"
    return f"{number:,}"


def neighbours(run: Run) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the runs in the same folder with the same dev split and tokenizer.

    For each, its name and the best line of its metrics. Unreadable ones are skipped.
    """
    own = run.folder.resolve()
    wanted = (run.provenance["sha256"].get("dev"), run.provenance["tokenizer"])
    try:
        beside = (path for path in own.parent.iterdir() if _is_small_run(path))
        folders = sorted(islice(beside, MOST_NEIGHBOURS))
    except OSError:
        return
    for folder in folders:
        if folder == own:
            continue
        try:
            config = read_config(folder / "config.toml")
            model = str(config.content.get("model"))
            found = check_provenance(config, is_classifier(model))
            same_tokens = is_classifier(run.recipe.model) or found["tokenizer"] == wanted[1]
            if found["sha256"].get("dev") != wanted[0] or not same_tokens:
                continue
            trained = get_family(model).method == "train"
            yield folder.name, best_line(read_metrics(folder / "metrics.jsonl", trained=trained))
        except (ThenceError, OSError, *UNUSABLE):
            continue


def _is_small_run(folder: Path) -> bool:
    """Return whether a folder is a complete run with a short ``metrics.jsonl``."""
    metrics = folder / "metrics.jsonl"
    is_run = not folder.name.startswith(".") and (folder / "config.toml").is_file()
    return is_run and metrics.is_file() and metrics.stat().st_size <= MOST_METRICS
