"""A sentence on how a training went: too little learned, too much by heart, or as it should be.

It compares the losses on train and dev at the evaluations. Differences are judged by what was
learned at all: the loss of a uniform distribution minus the lowest on dev.
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
"""How much of each unit a nat is."""
Losses = Float[np.ndarray, " evaluations"]
RISE = 0.01
"""Share of what was learned by which dev must rise, or train fall, to mean something."""
FALL = 0.005
"""The same by which dev must fall with the last evaluation if the training ended too early."""
EQUAL = 0.03
"""The same up to which train and dev count as equal: dev is a sample, after all."""
RISE_TOGETHER = 0.05
"""The same by which train and dev must both rise for a divergence: train alone is noisy."""
FAR = 0.3
"""The same by which train is far below dev."""
STALE = 0.7
"""Part of the evaluations by which dev must have been best if it has stopped falling."""
MOST_BYTES = 6_000_000
"""Bytes of a train split whose pairs are counted for a verdict: a second or two at most."""


@dataclass(frozen=True)
class Verdict(Result):
    """How a training went.

    Attributes:
        kind: In a word.
        sentence: What was seen, with the numbers.
        advice: What to try; empty if there is nothing.
    """

    kind: Kind
    sentence: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.advice}".strip()


def verdict(run: Run | str | Path, unit: Unit = "nats") -> Verdict | None:
    """Return how the training of a run went; None for a model made in one step.

    Args:
        run: The run or its folder.
        unit: In which losses are said: ``nats``, ``bits`` or ``log10``.
    """
    run = open_run(run)
    if get_family(run.recipe.model).method != "train" or not run.metrics():
        return None
    known = _baselines(run)
    pairs, guess = (known.pairs, known.accuracy) if known else (None, None)
    if isinstance(run, ClassifierRun):
        return judge(run.metrics(), uniform_label_loss(run.classes), guess=guess, unit=unit)
    uniform = float(np.log(len(run.tokenizer.vocabulary)))
    return judge(run.metrics(), uniform, pairs, unit=unit)


def _baselines(run: Run) -> Baselines | None:
    """Return what needs no training; None where that cannot be had, or takes long."""
    if not run.has_train_text or not len(run.documents("dev")):
        return None
    return baselines(run) if run.documents("train").num_bytes <= MOST_BYTES else None


def judge(
    metrics: Sequence[Mapping[str, Any]],
    uniform: float,
    pairs: float | None = None,
    guess: float | None = None,
    unit: Unit = "nats",
) -> Verdict:
    """Return how a training went by its evaluations.

    Args:
        metrics: The lines of ``metrics.jsonl``, at least one.
        uniform: Nats per token or document of a uniform distribution.
        pairs: The loss on dev of counting pairs of tokens, if known.
        guess: The accuracy on dev of always guessing the most frequent label, if known.
        unit: In which losses are said.
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
    """Return what the losses at the evaluations tell by themselves."""
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
    against = "--dropout 0.3 where the model has it, --weight-decay 0.01, a smaller model"
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
    return np.array([np.nan if line.get(name) is None else line[name] for line in metrics])
