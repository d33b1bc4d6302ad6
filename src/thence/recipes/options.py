"""The settings of training."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from thence.errors import SettingError
from thence.settings import (
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Seed,
    Settings,
    validate,
)

Optimizer = Literal["adamw", "muon", "adagrad", "sgd"]
Schedule = Literal["one-cycle", "constant", "step", "inverse-time", "plateau"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]
Average = Literal["none", "ema", "triggered"]
_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(s|m|h|d)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(time: str | None) -> float | None:
    """Return a duration such as 90s, 30m or 2h in seconds; None for None.

    Raises:
        SettingError: If it is no duration, or zero.
    """
    if time is None:
        return None
    found = _DURATION.fullmatch(validate("time", time, str).strip())
    if not found:
        raise SettingError(f"`time` is {time!r}; write it like 90s, 30m or 2h.")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds == 0:
        raise SettingError(f"`time` is {time!r}; it must be above 0, such as 30m.")
    return seconds


@dataclass(frozen=True)
class TrainingOptions(Settings):
    """How a network is trained; n-gram models use only ``carry_context`` and ``seed``."""

    epochs: PositiveFloat | None = None
    """Passes over the train split (default: 20, or what suits the classifier, but no fewer than \
300 steps)."""
    steps: NonNegativeInt | None = None
    """Train for this many steps, instead of epochs. 0 keeps the initial weights."""
    time: str | None = None
    """End within this time, such as 90s, 30m or 2h; the learning-rate schedule is fitted to it. \
Epochs and steps that are given still count."""
    batch_size: PositiveInt | None = None
    """Rows per step: windows (default: 512); for networks that read sequences, documents, or \
streams of running text (default: 32); for classifiers, documents (default: theirs)."""
    window: PositiveInt = 64
    """For networks that read sequences: length in symbols of truncated backpropagation through \
time."""
    vary_windows: bool = False
    """Cut running text into windows at other places in each epoch."""
    accumulate: PositiveInt = 1
    """Batches whose gradients are summed for one step."""
    optimizer: Optimizer | None = None
    """AdamW (the default), Muon for the matrices of hidden layers and AdamW for all else, Adagrad \
(that of word averaging), or stochastic gradient descent."""
    lr: PositiveFloat | Literal["auto"] | None = None
    """Learning rate at its highest (default: 0.02 for windows, 0.004 for sequences, a \
classifier's own); auto runs the learning-rate finder first."""
    schedule: Schedule = "one-cycle"
    """How the learning rate changes: up and down once, constant, divided by 10 at given points, \
1 / (1 + decay x step) (Bengio et al. 2003), or halved when dev stops improving."""
    step_points: tuple[Annotated[float, Range(gt=0, lt=1)], ...] = (0.5,)
    """For the step schedule: fractions of the training after which the rate is divided by 10."""
    decay: NonNegativeFloat = 1e-3
    """For the inverse-time schedule: decay per step."""
    momentum: Fraction = 0.0
    """For SGD: decay of the running sum of gradients."""
    weight_decay: NonNegativeFloat = 0.0
    """Share of each weight that is subtracted, per step and unit of learning rate."""
    clip: Annotated[float, Range(gt=0, finite=False)] | None = None
    """Scale gradients of a larger norm down to this norm (default: 5 for sequences, else never; \
inf for never)."""
    average: Average = "none"
    """Evaluate and save an average of the weights: an exponential moving average (ema), or the \
mean over all steps since the dev loss stopped falling (triggered; with sgd, the NT-ASGD of Merity \
et al. 2018)."""
    ema_decay: Fraction = 0.999
    """Decay of the exponential moving average, per step."""
    evaluate_every: PositiveInt | None = None
    """Steps between evaluations on dev (default: a tenth of the training)."""
    patience: PositiveInt | None = None
    """Stop after this many evaluations on dev without improvement (default: never)."""
    checkpoint_seconds: NonNegativeFloat = 60.0
    """Write a checkpoint to resume from at least this often."""
    snapshots: NonNegativeInt = 0
    """Save up to this many snapshots of the weights, in half precision, at the first and the last \
step and between them evenly on a logarithmic scale; RUN@STEP opens one."""
    carry_context: bool = False
    """Documents are running text: each is predicted with those before it as context."""
    whole_contexts: bool = False
    """For networks with a fixed window: train only on targets whose whole context is inside the \
document, without its end; with a context of two words, the first target is the third word."""
    seed: Seed = 42
    """Seed of the weights, the order of batches and dropout."""
    threads: Annotated[int, Range(ge=1, le=1024)] | None = None
    """Processor threads (default: one for small networks, else all)."""
    device: Device = "auto"
    """Where to train (default: a GPU where there is one)."""
    precision: Precision = "auto"
    """Number format of matrix products in training; auto measures which is faster."""

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds."""
        return seconds_of(self.time)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.seconds  # Raises if ``time`` is no duration.
