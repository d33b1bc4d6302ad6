"""``verdict``: a diagnosis of a training in a sentence, such as underfit, overfit or diverged.

It compares the losses on train and dev at the evaluations. Differences are relative to the total
improvement: the loss of a uniform distribution minus the lowest loss on dev.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from thence.array_types import Float
from thence.evaluation.baselines import Baselines, baselines
from thence.models.registry import get_family
from thence.results import Result
from thence.runs import ClassifierRun, Run, open_run
from thence.runs.metrics import unit_of
from thence.training.dev_evaluation import uniform_label_loss

Kind = Literal[
    "fine", "underfit", "overfit", "unsettled", "diverged", "worse than counting", "untrained",
    "unknown",
]  # fmt: skip
Unit = Literal["nats", "bits", "log10"]
UNITS: Mapping[Unit, float] = {"nats": 1.0, "bits": 1 / math.log(2), "log10": 1 / math.log(10)}
"""Factor from nats to each unit."""
Losses = Float[np.ndarray, " evaluations"]
RISE = 0.01
"""Rise of dev above its lowest loss that counts as a rise. This and the next four are shares of the
total improvement; smaller differences are noise."""
FALL = 0.005
"""Fall of dev at the last evaluation from which on the training ended too early."""
EQUAL = 0.03
"""Difference up to which train and dev count as equal, since dev is a sample."""
RISE_TOGETHER = 0.05
"""Rise of both train and dev that counts as divergence; train alone is too noisy."""
FAR = 0.3
"""Difference from which on train is far below dev."""
LITTLE = 0.02
"""Share of the uniform loss below which a loss on dev leaves hardly anything to improve."""
STALE = 0.7
"""Dev has stopped falling if its lowest loss is within the first evaluations, this share of all."""
MOST_BYTES = 6_000_000
"""Largest train split, in bytes, for which the baselines are computed: a second or two of work."""


@dataclass(frozen=True)
class Verdict(Result):
    """The diagnosis of a training.

    Attributes:
        kind: In one or two words.
        sentence: The observation, with its numbers.
        advice: What to try; may be empty.
    """

    kind: Kind
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.advice}".strip()


def verdict(run: Run | str | Path, unit: Unit = "nats") -> Verdict | None:
    """Return the diagnosis of a run's training; None for a model that is fitted in one step.

    Args:
        run: The run or its folder.
        unit: Unit of the losses in the sentence: ``nats``, ``bits`` or ``log10``.
    """
    run = open_run(run)
    if get_family(run.recipe.model).method != "train" or not run.metrics():
        return None
    known = _baselines(run)
    pairs, guess = (known.pairs, known.accuracy) if known else (None, None)
    if isinstance(run, ClassifierRun):
        return diagnose(run.metrics(), uniform_label_loss(run.classes), guess=guess, unit=unit)
    uniform = float(np.log(len(run.tokenizer.vocabulary)))
    return diagnose(run.metrics(), uniform, pairs, unit=unit)


def _baselines(run: Run) -> Baselines | None:
    """Return the baselines; None if the text is missing, or longer than ``MOST_BYTES``."""
    if not run.has_train_text or not len(run.documents("dev")):
        return None
    return baselines(run) if run.documents("train").num_bytes <= MOST_BYTES else None


def diagnose(
    metrics: Sequence[Mapping[str, Any]],
    uniform: float,
    pairs: float | None = None,
    guess: float | None = None,
    unit: Unit = "nats",
) -> Verdict:
    """Return the diagnosis of a training from its evaluations.

    Args:
        metrics: The lines of ``metrics.jsonl``, at least one.
        uniform: Loss of a uniform distribution, in nats per token or document.
        pairs: Loss on dev of an n-gram model of order 2, in nats, if known.
        guess: Accuracy on dev of always guessing the most frequent label, if known.
        unit: Unit of the losses in the sentence.
    """
    size, of = UNITS[unit], unit_of(metrics[0])
    train, dev = (size * _column(metrics, f"{one}_nats_per_{of}") for one in ("train", "dev"))
    if metrics[-1]["step"] == 0:
        return Verdict("untrained", "Nothing was learned: these are the initial weights.")
    if not np.isfinite(dev).all():
        return Verdict("unknown", "There is no dev split to judge the training by.")
    found = _diagnosis(train, dev, [line["step"] for line in metrics], size * uniform)
    why = "" if found.kind == "fine" else f" {found.sentence}"
    right = max(line.get("dev_accuracy") or 0.0 for line in metrics)
    if guess is not None and right <= guess:
        return Verdict(
            "worse than counting",
            f"No better than guessing: {100 * right:.2f} % of dev is right, and always guessing "
            f"the most frequent label has {100 * guess:.2f} %.{why}",
            found.advice,
        )
    if pairs is None or dev.min() <= size * pairs:
        return found
    return Verdict(
        "worse than counting",
        f"No better than counting: dev is at {dev.min():.4g} {unit} per token, and counting pairs "
        f"has {size * pairs:.4g}.{why}",
        f"{found.advice} Or count: --model ngram.".strip(),
    )


def _diagnosis(train: Losses, dev: Losses, steps: Sequence[int], uniform: float) -> Verdict:
    """Return the diagnosis from the losses alone, without baselines; the first match wins."""
    number, best, lowest = len(dev), int(np.argmin(dev)), int(np.argmin(train))
    learned = max(uniform - dev[best], 1e-9)
    if min(train[-1] - train[lowest], dev[-1] - dev[best]) > RISE_TOGETHER * learned:
        return Verdict(
            "diverged",
            f"Diverged: the loss on train rose again from {train[lowest]:.4g} to {train[-1]:.4g} "
            f"after step {steps[lowest]:,}: the steps are too large.",
            "Try a lower --lr (thence find-lr suggests one) or --clip 1.",
        )
    rise, fall, gap = dev[-1] - dev[best], train[best] - train[-1], dev[-1] - train[-1]
    where = f"dev was best at evaluation {best + 1} of {number} ({dev[best]:.4g})"
    both = f"train {train[-1]:.4g}, dev {dev[-1]:.4g}"
    against = "--dropout 0.3 where the model has it, --weight-decay 0.1, a smaller model"
    if rise > RISE * learned and fall > 0 and gap > 2 * EQUAL * learned:
        return Verdict(
            "overfit",
            f"Overfit: {where} and rose to {dev[-1]:.4g} while train went on falling to "
            f"{train[-1]:.4g}: it learns by heart. The best weights are kept.",
            f"Try {against}, fewer steps (--patience 2), or more text.",
        )
    if rise > RISE * learned:
        return Verdict(
            "unsettled",
            f"Unsettled: {where} and worse at the end, though not for learning by heart ({both}): "
            "the steps are large.",
            "Let them become smaller: --schedule one-cycle, or a lower --lr.",
        )
    if best + 1 <= STALE * number and fall > EQUAL * learned:
        return Verdict(
            "overfit",
            f"Begins to overfit: {where} and has stood still since, while train fell to "
            f"{train[-1]:.4g}.",
            f"Try {against}, or more text.",
        )
    if dev[best] < LITTLE * uniform:
        return Verdict("fine", f"Fine: {where}, so there is hardly anything left to learn.")
    if number > 1 and best == number - 1 and dev[-2] - dev[-1] > FALL * learned:
        return Verdict(
            "underfit",
            f"Ended too early: dev was still falling ({dev[-2]:.4g}, then {dev[-1]:.4g}).",
            "Train longer: more --epochs, --steps or --time.",
        )
    if gap < EQUAL * learned:
        return Verdict(
            "underfit",
            f"Underfit: train and dev are about equal ({both}), so it could learn more.",
            "Try a larger model or more --epochs, and less dropout if there is any.",
        )
    if gap > FAR * learned:
        said = f"Fine: {where}; but train is far below ({both}): much is learned by heart."
        return Verdict("fine", said)
    return Verdict("fine", f"Fine: {where}, and train is not far below ({both}).")


def _column(metrics: Sequence[Mapping[str, Any]], name: str) -> Losses:
    """Return the values of one metric at the evaluations; NaN where it is missing."""
    return np.array([np.nan if line.get(name) is None else line[name] for line in metrics])
