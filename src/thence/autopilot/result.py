"""The result of the autopilot: the run, the models that were tried, and a guess for more time."""

import json
import math
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from thence.atomic import write_atomically
from thence.errors import RunError
from thence.evaluation.metrics import nats_and_bits
from thence.hooks import repr_html
from thence.results import json_value
from thence.runs import Run
from thence.runs.description import BEST_OF_TIME, combined_on_dev
from thence.runs.files import FORMAT, find_run, read_saved
from thence.settings import Fields, Loss, NonNegativeInt, Number, PositiveFloat, Saved, Text

RESULT = BEST_OF_TIME
"""The file in a run folder that holds the result."""
PAGE = "best.html"
"""The page about the result in a run folder."""
SHOWN_UNKNOWN = 0.01
"""Least share of unknown targets that the summary mentions."""
DOUBLING = 0.25
"""Guess for twice the time: a further gain of this share of what networks gained over counts."""
MIN_OUTLOOK = 0.0005
"""Least expected gain in nats from twice the time for a guess to be shown."""
OUTLOOK = (2.0, 5.0)
"""Multiples of the time budget for which a guess is shown."""


@dataclass(frozen=True)
class Tried(Saved):
    """A model that was tried.

    Attributes:
        name: Its name in the result.
        model: The name of its family.
        settings: Its model and training settings.
        began: Start of its training, in seconds since the start of the search.
        seconds: Seconds of training and of scoring dev.
        nats: Its own loss on dev, in nats per token or document.
        so_far: The loss of the best ensemble so far, this model included. An ensemble that was
            judged on less of dev than the one before does not count.
        accuracy: The accuracy of a classifier on dev, from 0 to 1.
        accuracy_so_far: The accuracy of the best ensemble so far.
        weight: Its weight in the final ensemble; None if it was pruned.
        curve: The learning curve: seconds since the start of the search, and the loss on a part
            of dev.
    """

    name: Text
    model: Text
    settings: Fields
    began: Number
    seconds: Number
    nats: Loss
    so_far: Loss
    accuracy: Number | None = None
    accuracy_so_far: Number | None = None
    weight: Number | None = None
    curve: tuple[tuple[Number, Loss], ...] = ()

    @property
    def ended(self) -> float:
        """End of its training, in seconds since the start of the search."""
        return self.began + self.seconds


@dataclass(frozen=True)
class Best(Saved):
    """The result of ``thence.best``.

    Attributes:
        folder: The run folder.
        unit: The unit that losses are averaged over: ``token`` or ``document``.
        text: A description of the text, such as its kind and size.
        limit: The time budget in seconds; None if the budget was in steps.
        steps: The budget in training steps; None if it was a time.
        seconds: How long the search took.
        interrupted: Whether the user stopped it.
        nats: The loss on dev in nats per unit, each half of dev scored with ensemble weights
            learned on the other half.
        accuracy: The accuracy of a classifier on dev, from 0 to 1.
        interval: The 95 % interval of ``accuracy``, or else of ``nats``; None if not computed.
        tried: Every model that was tried, in order.
        failed: The reasons why models could not be trained.
        spent: Seconds spent on reading, counting, training, combining and writing.
        refit: Whether models of the result were also fitted to dev; the losses are from before
            that, or from cross-validation.
        unknown_share: The share of the targets of dev that are the unknown symbol, from 0 to 1; 0
            for classifiers.
    """

    _repr_html_ = repr_html

    folder: Path
    unit: Literal["token", "document"]
    text: Text
    limit: Number | None
    steps: NonNegativeInt | None
    seconds: PositiveFloat
    interrupted: bool
    nats: Number
    accuracy: Number | None = None
    interval: tuple[Number, Number] | None = None
    tried: tuple[Tried, ...] = ()
    failed: tuple[Text, ...] = ()
    spent: tuple[tuple[Text, Number], ...] = ()
    refit: bool = False
    unknown_share: Number = 0.0

    @property
    def run(self) -> Run:
        """The run of the final model."""
        return Run(self.folder)

    @property
    def chosen_on_dev(self) -> str:
        """A sentence that says from how many models the ensemble was chosen on dev.

        The weights behind ``nats`` were learned on other targets than they are judged on, but the
        choice of the models was made on the same ones, so the loss is slightly optimistic.
        """
        return combined_on_dev(len(self.tried), self.refit)

    def outlook(self) -> list[tuple[float, float]]:
        """Return pairs of a longer time in seconds and the loss on dev that is expected with it.

        Each doubling of the time is expected to gain ``DOUBLING`` of what the networks have gained
        over the counted models. Empty without counted models, networks or a time budget.
        """
        counted = [one.so_far for one in takewhile(lambda one: not one.curve, self.tried)]
        if self.limit is None or self.unit != "token" or len(counted) in (0, len(self.tried)):
            return []
        gain = DOUBLING * (counted[-1] - self.nats)
        if gain < MIN_OUTLOOK:
            return []
        return [(times * self.limit, self.nats - gain * math.log2(times)) for times in OUTLOOK]

    def to_json(self) -> dict[str, Any]:
        """Return the result in types that JSON has; None stands for an infinite loss."""
        content = json_value(self)  # The loss of a cache alone is infinite: new words have p = 0.
        outlook = [{"seconds": seconds, "nats": nats} for seconds, nats in self.outlook()]
        return {
            "format": FORMAT,
            **content,
            "folder": str(self.folder),
            "chosen_on_dev": self.chosen_on_dev,
            "outlook": outlook,
        }

    def save(self) -> None:
        """Write the result into the run folder."""
        content = {key: value for key, value in self.to_json().items() if key != "folder"}
        write_atomically(
            self.folder / RESULT, json.dumps(content, indent=1, allow_nan=False).encode("utf-8")
        )


def read_best(folder: str | Path) -> Best:
    """Read the result of ``thence best`` from a run folder.

    Raises:
        RunError: If the folder has none, or it is damaged.
    """
    folder = find_run(folder)
    try:
        found = read_saved(folder / RESULT, Best, "remove it to use the run", folder=folder)
    except OSError as error:
        raise RunError(f"{folder} was not made by thence best: it has no {RESULT}.") from error
    if not found.tried:
        raise RunError(f"{folder / RESULT} is damaged (it tells of no models); remove it.")
    return found


COLUMNS = ("tried", "seconds", "loss on dev", "combined so far", "weight")
"""The headings of ``tried_rows``."""


def tried_rows(done: Best) -> list[list[str]]:
    """Return a row of text for each model that was tried."""
    return [
        [
            one.name,
            f"{one.seconds:.1f}",
            loss_text(one.nats, one.accuracy),
            loss_text(one.so_far, one.accuracy_so_far),
            "dropped" if one.weight is None else f"{one.weight:.2f}",
        ]
        for one in done.tried
    ]


def about_rows(done: Best) -> list[tuple[str, str]]:
    """Return the summary of a result as pairs of a heading and a text."""
    of = "" if done.limit is None else f" of {duration(done.limit)}"
    ended = ", broken off" if done.interrupted else ""
    rows = [("text", done.text), ("took", f"{duration(done.seconds)}{of}{ended}")]
    if done.spent:
        spent = [f"{work} {duration(seconds)}" for work, seconds in done.spent]
        rows.append(("of which", ", ".join(spent)))
    if done.unit == "token":
        rows.append(("on dev", nats_and_bits(done.nats)))
        rows.append(("perplexity on dev", f"{math.exp(min(done.nats, 700)):.4g}"))
        if done.unknown_share >= SHOWN_UNKNOWN:
            said = (
                f"{done.unknown_share:.1%} of the targets, each counted as one symbol, so that a "
                "model without the words of a text seems good: thence evaluate also says the loss "
                "with their spelling"
            )
            rows.append(("unknown on dev", said))
    else:
        rows.append(("on dev", f"{loss_text(done.nats, done.accuracy)} nats per {done.unit}"))
    rows.append(("", done.chosen_on_dev))
    counted = done.unit == "token" and not any(one.curve for one in done.tried)
    if counted and not done.interrupted:
        short = "too little time" if done.steps is None else "too few steps"
        rows.append(("networks", f"none: {short} for one"))
    rows += [("left out", reason) for reason in done.failed]
    return rows + [
        (f"in {duration(seconds)}", f"about {nats:.4f} would be likely")
        for seconds, nats in done.outlook()
    ]


def loss_text(nats: float, accuracy: float | None) -> str:
    """Return a loss as text, after the accuracy if there is one."""
    return f"{nats:.4f}" if accuracy is None else f"{accuracy:.2%}, {nats:.4f}"


def duration(seconds: float) -> str:
    """Return a duration in readable units.

    >>> duration(0.94), duration(59.6), duration(150), duration(7300)
    ('0.9 s', '59.6 s', '2.5 min', '2.0 h')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"
