"""Callbacks of the training loop: displays of its progress, and loggers.

A logger (TensorBoard, or any function) also gets the records of ``metrics.jsonl``. It adds nothing
to them, so a run does not depend on its logger. TensorBoard needs the extra ``logs``; when a
training is resumed, its files are rewritten from ``metrics.jsonl``.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from thence.atomic import WriteError, make_folders
from thence.errors import SettingError, import_extra, nearest
from thence.processes import is_first_process
from thence.runs import ClassifierRun
from thence.runs.metrics import unit_of
from thence.runs.run import Run
from thence.terminal import print_note, sparkline, stderr_console
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.text import Text

Record = Mapping[str, Any]
"""A line of ``metrics.jsonl``."""
Logger = Callable[[Record], None]
"""Called with each record after it was written; may raise ``StopTraining``."""
LoggerName = Literal["tensorboard"]
Logs = LoggerName | Logger | None
"""The name of a logger, a function, or None."""

LOSSES_IN_CURVE = 16
"""Number of the last dev losses that are drawn beside a progress bar."""
TENSORBOARD_FOLDER = "tensorboard"
"""Folder of TensorBoard's files in a run folder."""


class StopTraining(Exception):  # noqa: N818  (nothing went wrong)
    """Raised by a logger to end the training after this evaluation, as if it were the last."""


def check_logs(logs: Logs) -> None:
    """Raise SettingError for an unknown logger, MissingExtraError if its library is missing."""
    if logs is None or callable(logs):
        return
    if logs not in get_args(LoggerName):
        known = get_args(LoggerName)
        raise SettingError(
            f"There is no logger {logs!r}; choose {', '.join(known)}, or give a function."
            + nearest(str(logs), known)
        )
    if is_first_process():  # Only this process writes.
        import_writer()


@contextmanager
def open_logger(logs: Logs, run: Run, dev: TokenStore, step: int) -> Iterator[Logger]:
    """Context manager: the logger for the rest of a training; other processes get ``ignore``.

    TensorBoard first gets the records so far, as its files are rewritten; a function does not.

    Args:
        logs: The logger.
        run: The run that is trained.
        dev: Its dev split.
        step: Step of the checkpoint that training continues from; later records are left out.
    """
    if logs is None or not is_first_process():
        yield ignore
    elif callable(logs):
        yield logs
    else:
        so_far = [record for record in run.metrics() if record["step"] <= step]
        with tensorboard(run, dev) as log:
            for record in so_far:
                log(record)
            yield log


def ignore(record: Record) -> None:
    """Do nothing with a record."""


def import_writer() -> Any:  # as untyped as the library is
    """Return the class that writes files for TensorBoard."""
    import_extra("tensorboard", "logs", "`logs='tensorboard'`")
    return import_extra("torch.utils.tensorboard", "logs", "`logs='tensorboard'`").SummaryWriter


@contextmanager
def tensorboard(run: Run, dev: TokenStore) -> Iterator[Logger]:
    """Context manager: a logger to new TensorBoard files in a run folder; old ones are removed.

    TensorBoard's relative time is the duration of the training, without pauses.

    Args:
        run: The run that is trained.
        dev: Its dev split, which gives the bytes per target.

    Raises:
        RunError: If they cannot be written.
    """
    folder = run.folder / TENSORBOARD_FOLDER
    began = datetime.fromisoformat(run.provenance["made"]).timestamp()
    bytes_per_target = 0.0 if isinstance(run, ClassifierRun) else dev.bytes_per_target
    before: Record = {}

    def log(record: Record) -> None:
        nonlocal before
        found = scalars(record, before, bytes_per_target)
        before = record
        try:
            for tag, value in found.items():
                writer.add_scalar(tag, value, record["step"], began + record["seconds"])
            writer.flush()
        except OSError as error:
            raise WriteError(folder, error) from error

    try:
        make_folders(folder, within=run.folder)
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        # purge_step makes an open TensorBoard drop what it has read of the old files.
        writer = import_writer()(str(folder), purge_step=0)
    except OSError as error:
        raise WriteError(folder, error) from error
    try:
        yield log
    finally:
        writer.close()


def scalars(record: Record, before: Record, bytes_per_target: float) -> dict[str, float]:
    """Return the scalars that TensorBoard shows of a record, by tag; missing ones are left out.

    Args:
        record: A line of ``metrics.jsonl``.
        before: The line before it, empty for the first.
        bytes_per_target: Mean bytes of text per target of the dev split; 0 for a classifier.
    """
    unit = unit_of(record)
    found = {
        f"nats_per_{unit}/train": record.get(f"train_nats_per_{unit}"),
        f"nats_per_{unit}/dev": record.get(f"dev_nats_per_{unit}"),
        "accuracy/dev": record.get("dev_accuracy"),
        "training/learning_rate": record.get("learning_rate"),
    }
    nats = record.get("dev_nats_per_token")
    if nats is not None:
        found["perplexity/dev"] = math.exp(nats) if nats < 700 else None
        if bytes_per_target:
            found["bits_per_byte/dev"] = nats / math.log(2) / bytes_per_target
    seconds = record["seconds"] - before.get("seconds", 0)
    if seconds > 0:
        tokens = record["tokens"] - before.get("tokens", 0)
        found["training/tokens_per_second"] = tokens / seconds
    return {tag: value for tag, value in found.items() if value is not None}


class ProgressCallback(Protocol):
    """Called after every step and every evaluation, to show the progress."""

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Show a step.

        Args:
            step: Number of steps done.
            tokens: Number of targets read so far.
            share: Fraction of the training that is done, from 0 to 1.
        """

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Show a record of ``metrics.jsonl``."""


ProgressFactory = Callable[[str], AbstractContextManager[ProgressCallback]]
"""Returns a context manager of a callback for the training of a name."""


class SilentProgress:
    """A callback that shows nothing."""

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Do nothing."""

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Do nothing."""


@contextmanager
def silent_progress(name: str) -> Iterator[SilentProgress]:
    """Context manager: show nothing."""
    yield SilentProgress()


class ProgressBar:
    """A display of two lines: a bar with time left, step and speed; and the losses so far.

    Args:
        progress: The first line.
        losses: The second line, which is changed in place.
        name: Shown before the bar.
    """

    def __init__(self, progress: "Progress", losses: "Text", name: str) -> None:
        self._progress, self._losses = progress, losses
        self._task = progress.add_task(name, total=1.0, steps="", rate="")
        self._started: tuple[float, float] | None = None
        self._shown, self._last = 0.0, (0, 0.0, 0.0)
        self._dev: list[float] = []

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Show the step and the rate, a few times a second."""
        now, self._last = time.monotonic(), (step, tokens, share)
        self._started = self._started or (now, tokens)
        if now - self._shown > 0.2:
            self._shown = now
            self.update()

    def update(self) -> None:
        """Show the newest step."""
        step, tokens, share = self._last
        if self._started is None:
            return
        elapsed = max(time.monotonic() - self._started[0], 1e-3)
        rate = f"{(tokens - self._started[1]) / elapsed:,.0f} tokens/s"
        self._progress.update(self._task, completed=share, steps=f"step {step:,}", rate=rate)

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Show the losses, and a sparkline of the dev losses so far."""
        dev = metrics[f"dev_nats_per_{unit_of(metrics)}"]
        self._dev += [] if dev is None else [dev]
        curve = f"  {sparkline(self._dev[-LOSSES_IN_CURVE:])}" if len(self._dev) > 1 else ""
        self._losses.plain = losses_of(metrics) + curve


class ProgressLines:
    """Writes a line to standard error at each evaluation, for log files instead of a bar.

    Args:
        name: Shown before each line.
    """

    def __init__(self, name: str) -> None:
        self._name, self._share = name, 0.0

    def on_step(self, step: int, tokens: float, share: float) -> None:
        """Store the progress; a line is written only at evaluations."""
        self._share = share

    def on_evaluation(self, metrics: dict[str, Any]) -> None:
        """Write the losses."""
        done = f"{self._name}: {self._share:4.0%}, step {metrics['step']:,}"
        rate = metrics["tokens"] / max(metrics["seconds"], 1e-3)
        line = f"{done}, {metrics['seconds']:.1f} s, {rate:,.0f} tokens/s, {losses_of(metrics)}"
        print_note(line)


def losses_of(metrics: dict[str, Any]) -> str:
    """Return the losses of a record as text for people."""
    unit = unit_of(metrics)
    dev = metrics[f"dev_nats_per_{unit}"]
    losses = f"train {metrics[f'train_nats_per_{unit}']:.4f}"
    if dev is None:
        return f"{losses} nats per {unit}"
    if unit == "document":
        accuracy = f"accuracy {metrics['dev_accuracy']:.2%}"
        return f"{losses}, dev {dev:.4f} nats per document ({accuracy})"
    return f"{losses}, dev {dev:.4f} nats per token (perplexity {math.exp(min(dev, 99)):.4g})"


@contextmanager
def line_progress(name: str) -> Iterator[ProgressLines]:
    """Context manager: write a line to standard error at each evaluation."""
    yield ProgressLines(name)


@contextmanager
def bar_progress(name: str) -> Iterator[ProgressBar]:
    """Context manager: show a progress bar on standard error."""
    # Imported only here, as it takes a tenth of the start-up time.
    from rich.console import Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    fields = ("steps", "rate")
    progress = Progress(
        # In a narrow terminal only the name is shortened.
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis")),
        BarColumn(bar_width=16),
        TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
        *(TextColumn(f"{{task.fields[{f}]}}", table_column=Column(no_wrap=True)) for f in fields),
    )
    losses = Text(no_wrap=True, overflow="crop")
    with Live(Group(progress, losses), console=stderr_console(), refresh_per_second=5):
        bar = ProgressBar(progress, losses, name)
        try:
            yield bar
        finally:
            bar.update()
