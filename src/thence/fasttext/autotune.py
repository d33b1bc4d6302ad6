"""``autotuneValidationFile``: a random search for settings, within a time limit.

A trial trains with random settings around the best ones so far, within a shrinking distance, and is
evaluated on the validation file. Settings given by the caller never change. The best model itself
is returned: unlike fastText, no final training follows.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from thence.deadline import DeadlineError, deadline
from thence.fasttext.errors import FastTextError, FastTextTrainingError
from thence.fasttext.evaluation import (
    LabelScores,
    Meter,
    by_label,
    predicted_labels,
    ratio,
    score_labels,
)
from thence.fasttext.fit import fit, read_text
from thence.fasttext.settings import BoundArguments
from thence.models.fasttext.contents import FastTextModel
from thence.terminal import print_note

RANGES = {"epoch": (1, 100), "lr": (0.01, 5.0), "dim": (10, 300), "bucket": (10_000, 2_000_000)}
"""Settings that are multiplied by a random factor, with their limits."""
CHOICES = {"wordNgrams": (1, 2, 3), "minn": (0, 2, 3)}
"""Settings that are sometimes replaced by a random one of these values."""
LONGER = 3
"""``maxn`` minus ``minn``; with ``minn`` 0 there are no character n-grams."""
WIDEST, NARROWEST, TRIALS = 1.5, 0.2, 20
"""Standard deviation of the logarithm of a factor: at first, and after ``TRIALS`` trials."""
CHANGE = 0.3
"""The probability that a setting of ``CHOICES`` is drawn again in a trial."""

Metric = Callable[[LabelScores, list[str]], float]
"""Takes the scores of a file and the names of the labels; higher is better."""


def autotune(call: BoundArguments) -> tuple[FastTextModel, BoundArguments]:
    """Return the best model found within ``autotuneDuration`` seconds, and its settings.

    The first trial, with the given settings, is always completed.

    Raises:
        FastTextError: If a file cannot be read, or ``autotuneModelSize`` is given.
    """
    values = call.values
    metric = metric_of(str(values["autotuneMetric"]), int(values["autotunePredictions"]))
    if values["autotuneModelSize"]:
        raise FastTextError(
            "autotuneModelSize is not searched for here: leave it out, then call "
            "model.quantize(input=..., cutoff=100000, retrain=True) with the cutoff that fits."
        )
    end = time.monotonic() + float(values["autotuneDuration"])
    text, draw = read_text(values["input"]), np.random.default_rng(int(values["seed"]))
    found = call
    best, score = run_trial(call, text, metric)
    trials = 1
    while time.monotonic() < end:
        tried = perturbed(found, call.given, draw, trials)
        try:
            with deadline(end):
                model, reached = run_trial(tried, text, metric)
        except DeadlineError:
            break
        except FastTextTrainingError:  # The training diverged: the learning rate was too high.
            reached = -1.0
        if reached > score:
            best, score, found = model, reached, tried
        trials += 1
    if values["verbose"] > 0:
        shown = ", ".join(f"{name} {found.values[name]:.4g}" for name in (*RANGES, *CHOICES))
        print_note(f"autotune: {trials} trials, {values['autotuneMetric']} {score:.4f}: {shown}")
    return best, found


def run_trial(
    call: BoundArguments, text: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], metric: Metric
) -> tuple[FastTextModel, float]:
    """Train a model; return it with its metric on the validation file."""
    quiet = BoundArguments({**call.values, "verbose": 0}, call.given)
    model = fit(quiet, quiet.arguments("supervised"), text)
    found = score_labels(model, call.values["autotuneValidationFile"])
    reached = metric(found, model.dictionary.labels.names())
    return model, reached if np.isfinite(reached) else 0.0


def perturbed(
    best: BoundArguments, given: frozenset[str], draw: np.random.Generator, trials: int
) -> BoundArguments:
    """Return random settings near the best ones; those in ``given`` stay."""
    values, width = dict(best.values), WIDEST * (NARROWEST / WIDEST) ** min(trials / TRIALS, 1)
    for name, (least, most) in RANGES.items():
        factor = float(np.exp(draw.normal(0, width)))
        if name not in given:
            new = min(max(values[name] * factor, least), most)
            values[name] = new if isinstance(least, float) else round(new)
    for name, choices in CHOICES.items():
        choice, changes = int(draw.choice(choices)), draw.random() < CHANGE
        if changes and name not in given and not (name == "minn" and "maxn" in given):
            values[name] = choice
            if name == "minn":
                values["maxn"] = choice + LONGER if choice else 0
    return replace(best, values=values)


def metric_of(name: str, k: int) -> Metric:
    """Return the metric of a name: ``f1``, ``f1:LABEL``, ``precisionAtRecall:30:LABEL`` and so on.

    Raises:
        FastTextError: If there is no such metric.
    """
    kind, *rest = name.split(":", 1 if name.startswith("f1") else 2)
    if kind == "f1" and not rest:
        return lambda found, labels: f1(found, k)
    if kind == "f1":
        return lambda found, labels: by_label(found, labels, k, 0.0)[rest[0]]["f1score"]
    if kind in ("precisionAtRecall", "recallAtPrecision") and rest:
        least, label = float(rest[0]) / 100, rest[1] if len(rest) > 1 else None
        at = Meter.precision_at_recall if kind == "precisionAtRecall" else Meter.recall_at_precision
        return lambda found, labels: at(Meter(found, labels, -1), least, label)
    raise FastTextError(
        f"Unknown metric {name!r}; there are f1, f1:LABEL, precisionAtRecall:30 and "
        "recallAtPrecision:30, the last two also with :LABEL."
    )


def f1(found: LabelScores, k: int) -> float:
    """Return the micro-averaged F1, with k labels predicted per line."""
    predicted = predicted_labels(found.scores, k, 0.0)
    both = int(predicted.sum()) + int(found.gold.sum()) + found.extra
    return ratio(2 * int((predicted & found.gold).sum()), both)
