"""Who is told how a training goes: nobody, or a person at a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Listener(Protocol):
    """Hears of every step and every look at dev."""

    def step(self, step: int, tokens: float) -> None:
        """Hear that so many steps are done, which stood for so many targets."""

    def evaluated(self, metrics: dict[str, Any]) -> None:
        """Hear of a look at dev."""


ProgressMaker = Callable[[int, str], AbstractContextManager[Listener]]
"""Given the steps of a training and a name, opens what is told of each step."""


class Silence:
    """Hears and says nothing."""

    def step(self, step: int, tokens: float) -> None:
        """Do nothing."""

    def evaluated(self, metrics: dict[str, Any]) -> None:
        """Do nothing."""


@contextmanager
def silent(steps: int, name: str) -> Iterator[Silence]:
    """Tell nobody."""
    yield Silence()


class Bar:
    """A progress bar with rate, time left and losses.

    Args:
        progress: The bar's display.
        steps: Steps of the whole training.
        name: Shown before the bar.
    """

    def __init__(self, progress: Progress, steps: int, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=steps, rate="", losses="")
        self._started: tuple[float, float] | None = None
        self._shown = 0.0

    def step(self, step: int, tokens: float) -> None:
        """Show the step and the rate, a few times a second."""
        now = time.monotonic()
        self._started = self._started or (now, tokens)
        if now - self._shown > 0.2:
            self._shown = now
            elapsed = max(now - self._started[0], 1e-3)
            rate = f"{(tokens - self._started[1]) / elapsed:,.0f} tokens/s"
            self._progress.update(self._task, completed=step, rate=rate)

    def evaluated(self, metrics: dict[str, Any]) -> None:
        """Show the losses."""
        self._progress.update(self._task, completed=metrics["step"], losses=losses_of(metrics))


class Log:
    """Writes a line to standard error at each look at dev: for files, where a bar is noise.

    Args:
        steps: Steps of the whole training.
        name: Shown before each line.
    """

    def __init__(self, steps: int, name: str) -> None:
        self._steps, self._name = steps, name

    def step(self, step: int, tokens: float) -> None:
        """Do nothing: a line per step would be too much."""

    def evaluated(self, metrics: dict[str, Any]) -> None:
        """Write the losses."""
        done = f"{self._name}: step {metrics['step']:,} of {self._steps:,}"
        rate = metrics["tokens"] / max(metrics["seconds"], 1e-3)
        line = f"{done}, {metrics['seconds']:.1f} s, {rate:,.0f} tokens/s, {losses_of(metrics)}"
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def losses_of(metrics: dict[str, Any]) -> str:
    """Return the losses of a look at dev in words."""
    dev = metrics["dev_nats_per_token"]
    losses = f"train {metrics['train_nats_per_token']:.4f}"
    return losses if dev is None else f"{losses}, dev {dev:.4f} nats per token"


@contextmanager
def log_lines(steps: int, name: str) -> Iterator[Log]:
    """Write a line at each look at dev."""
    yield Log(steps, name)


@contextmanager
def terminal(steps: int, name: str) -> Iterator[Bar]:
    """Show a progress bar on standard error."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[losses]}"),
    )
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, refresh_per_second=5) as progress:
        yield Bar(progress, steps, name)
