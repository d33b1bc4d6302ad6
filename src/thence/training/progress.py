"""Callbacks that show the progress of a training: none, a progress bar, or lines for a log."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from thence.runs.metrics import unit_of
from thence.terminal import print_note, stderr_console


class ProgressCallback(Protocol):
    """Is called after every step and every evaluation."""

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Show a step.

        Args:
            step: Steps that are done.
            tokens: Targets that were read.
            share: Fraction of the training that is done, from 0 to 1.
        """

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Show a record of ``metrics.jsonl``."""


NARROW = 132
"""A terminal with fewer columns has no room for the rate and all losses beside the bar."""

ProgressFactory = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Opens a callback for a training of that name; the context ends with the training."""


class SilentProgress:
    """A callback that shows nothing."""

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Do nothing."""

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Do nothing."""


@contextmanager
def silent_progress(name: str) -> Iterator[SilentProgress]:
    """Show nothing."""
    yield SilentProgress()


class ProgressBar:
    """A progress bar with the time left, the step, and the losses of the last evaluation.

    Where the terminal is narrow, the losses are shown without their unit, and no rate.

    Args:
        progress: The bar's display.
        name: Shown before the bar.
    """

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._narrow = progress, progress.console.width < NARROW
        self._task = progress.add_task(name, total=1.0, steps="", rate="", losses="")
        self._started: tuple[float, float] | None = None
        self._shown = 0.0

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Show the step and the rate, a few times a second."""
        now = time.monotonic()
        self._started = self._started or (now, tokens)
        if now - self._shown > 0.2:
            self._shown = now
            elapsed = max(now - self._started[0], 1e-3)
            per_second = (tokens - self._started[1]) / elapsed
            rate = "" if self._narrow else f"{per_second:,.0f} tokens/s"
            self._progress.update(self._task, completed=share, steps=f"step {step:,}", rate=rate)

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Show the losses."""
        losses = losses_in_short(metrics) if self._narrow else losses_of(metrics)
        self._progress.update(self._task, losses=losses)


class ProgressLines:
    """Writes a line to standard error at each evaluation, for files, where a bar is noise.

    Args:
        name: Shown before each line.
    """

    def __init__(self, name: str) -> None:
        self._name, self._share = name, 0.0

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Remember the progress; a line per step would be too much."""
        self._share = share

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Write the losses."""
        done = f"{self._name}: {self._share:4.0%}, step {metrics['step']:,}"
        rate = metrics["tokens"] / max(metrics["seconds"], 1e-3)
        line = f"{done}, {metrics['seconds']:.1f} s, {rate:,.0f} tokens/s, {losses_of(metrics)}"
        print_note(line)


def losses_of(metrics: dict[str, Any]) -> str:
    """Return the losses of a record in words."""
    unit = unit_of(metrics)
    dev = metrics[f"dev_nats_per_{unit}"]
    losses = f"train {metrics[f'train_nats_per_{unit}']:.4f}"
    if dev is None:
        return f"{losses} nats per {unit}"
    if unit == "document":
        accuracy = f"accuracy {metrics['dev_accuracy']:.2%}"
        return f"{losses}, dev {dev:.4f} nats per document ({accuracy})"
    return f"{losses}, dev {dev:.4f} nats per token (perplexity {math.exp(min(dev, 99)):.4g})"


def losses_in_short(metrics: dict[str, Any]) -> str:
    """Return the loss on train and the loss or accuracy on dev, in few characters."""
    unit = unit_of(metrics)
    train, dev = (metrics[f"{split}_nats_per_{unit}"] for split in ("train", "dev"))
    accuracy = metrics.get("dev_accuracy")
    on_dev = "" if dev is None else f", dev {dev:.4f}"
    return f"train {train:.4f}" + (on_dev if accuracy is None else f", dev {accuracy:.2%}")


@contextmanager
def line_progress(name: str) -> Iterator[ProgressLines]:
    """Write a line to standard error at each evaluation."""
    yield ProgressLines(name)


@contextmanager
def bar_progress(name: str) -> Iterator[ProgressBar]:
    """Show a progress bar on standard error."""
    console = stderr_console()
    columns = (
        # The name alone gives way where there is too little room.
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis")),
        BarColumn(bar_width=16 if console.width < NARROW else 24),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        *(
            TextColumn(f"{{task.fields[{field}]}}", table_column=Column(no_wrap=True))
            for field in ("steps", "rate", "losses")
        ),
    )
    with Progress(*columns, console=console, refresh_per_second=5) as progress:
        yield ProgressBar(progress, name)
