"""``autotuneValidationFile``: a random search for settings, within a time.

A trial trains with settings that are drawn around the best ones so far, ever nearer, and is judged
on the validation file. What was given by name is never changed. The best model is returned as it
is: unlike fastText, nothing is trained once more when the time is over.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from thence.deadline import DeadlineError, deadline
from thence.fasttext.errors import FastTextError, FastTextTrainingError
from thence.fasttext.evaluation import Judged, Meter, by_label, chosen, judged, share
from thence.fasttext.fit import fit, read
from thence.fasttext.settings import Asked
from thence.models.fasttext.contents import FastTextModel
from thence.terminal import print_note

RANGES = {"epoch": (1, 100), "lr": (0.01, 5.0), "dim": (10, 300), "bucket": (10_000, 2_000_000)}
"""Settings that are multiplied by a random factor, and how far they may go."""
CHOICES = {"wordNgrams": (1, 2, 3), "minn": (0, 2, 3)}
"""Settings of which another value is taken at times."""
LONGER = 3
"""Runs of characters are of ``minn`` to so many more characters; 0: there are none."""
WIDEST, NARROWEST, TRIALS = 1.5, 0.2, 20
"""Standard deviation of the logarithm of a factor, at first and from so many trials on."""
CHANGE = 0.3
"""The chance that a setting of ``CHOICES`` is drawn anew."""

Metric = Callable[[Judged, list[str]], float]


def autotune(asked: Asked) -> tuple[FastTextModel, Asked]:
    """Return the best model that was found within ``autotuneDuration`` seconds, and its settings.

    The first trial, with the settings as they are, has all the time that it needs.

    Raises:
        FastTextError: If a file cannot be read, or something is asked for that this search lacks.
    """
    values = asked.values
    metric = metric_of(str(values["autotuneMetric"]), int(values["autotunePredictions"]))
    if values["autotuneModelSize"]:
        raise FastTextError(
            "autotuneModelSize is not searched for here: leave it out, then call "
            "model.quantize(input=..., cutoff=100000, retrain=True) with the cutoff that fits."
        )
    end = time.monotonic() + float(values["autotuneDuration"])
    text, draw = read(values["input"]), np.random.default_rng(int(values["seed"]))
    found = asked
    best, score = trial(asked, text, metric)
    trials = 1
    while time.monotonic() < end:
        tried = drawn(found, asked.given, draw, trials)
        try:
            with deadline(end):
                model, reached = trial(tried, text, metric)
        except DeadlineError:
            break
        except FastTextTrainingError:  # The learning rate was too high.
            reached = -1.0
        if reached > score:
            best, score, found = model, reached, tried
        trials += 1
    if values["verbose"] > 0:
        shown = ", ".join(f"{name} {found.values[name]:.4g}" for name in (*RANGES, *CHOICES))
        print_note(f"autotune: {trials} trials, {values['autotuneMetric']} {score:.4f}: {shown}")
    return best, found


def trial(
    asked: Asked, text: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], metric: Metric
) -> tuple[FastTextModel, float]:
    """Return a model and how good it is on the validation file."""
    quiet = Asked({**asked.values, "verbose": 0}, asked.given)
    model = fit(quiet, quiet.arguments("supervised"), text)
    found = judged(model, asked.values["autotuneValidationFile"])
    reached = metric(found, model.dictionary.labels.names())
    return model, reached if np.isfinite(reached) else 0.0


def drawn(best: Asked, given: frozenset[str], draw: np.random.Generator, trials: int) -> Asked:
    """Return settings near the best ones; those that were given stay."""
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
    """Return the function of a name: ``f1``, ``f1:LABEL``, or ``precisionAtRecall:30:LABEL``.

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


def f1(found: Judged, k: int) -> float:
    """Return F1 of all labels together, k predicted for each line."""
    predicted = chosen(found.scores, k, 0.0)
    both = int(predicted.sum()) + int(found.gold.sum()) + found.extra
    return share(2 * int((predicted & found.gold).sum()), both)
