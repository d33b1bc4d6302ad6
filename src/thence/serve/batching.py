"""Continuous batching: texts that wait for the same model are read in one forward pass.

Each model has a thread, which does all of its work, so that the event loop stays responsive. A
piece of work is a generator: it yields the reads that it needs, and is resumed with their results.
A batch takes the reads at the head of the queue with the same number of ids, joins their states,
and gives each read its row of the result. A long text is read in several batches, so that it does
not block the others.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic, thread_time
from typing import Any, TypeVar

import numpy as np

from thence.array_types import Float, Integer
from thence.models.base import State, join_rows, read, take_rows
from thence.serve.errors import ThreadEndedError

Ids = Integer[np.ndarray, " time"]
LogProbs = Float[np.ndarray, "places vocab"]
Reading = tuple[LogProbs, State]
"""Log-probabilities after each id that was read, or after the last, and the state after it."""
Result = TypeVar("Result")

CHUNK_SIZES = (64, 32, 16, 8, 4, 2, 1)
"""A text is read in chunks of these sizes, the largest that fits first: that takes few forward
passes, and texts of different lengths have chunks of the same size, which can share a batch."""
MAX_BATCH = 64
"""Maximum number of rows of a batch."""
MAX_LOG_PROBS = 1 << 23
"""Maximum number of log-probabilities per batch (32 MB), which bounds its rows."""
SECONDS_AT_ONCE = 0.002
"""Work that is expected to take less is done in the event loop if the model is idle: handing it to
the thread would take longer, and such a short pause does not harm other requests."""
SECONDS_TO_CLOSE = 10.0
"""Seconds to wait for the current call of a model when the server stops."""


@dataclass(frozen=True)
class Read:
    """A request to a model: some ids, read from a state.

    Attributes:
        ids: The ids; their number is one of ``CHUNK_SIZES``.
        state: The state before them, of one row.
        last: Whether only the distribution after the last id is needed.
    """

    ids: Ids
    state: State
    last: bool = False

    @property
    def shape(self) -> tuple[int, bool]:
        """Number of ids, and whether only the last distribution is needed; equal within a batch."""
        return len(self.ids), self.last and len(self.ids) > 1


Work = Generator[list[Read], Any, Result]
"""A generator that yields lists of reads and is sent the result of each (``Reading``). When it
yields an empty list, it waits until ``Worker.wake`` is called."""


def together(works: Sequence[Work[Result]]) -> Work[list[Result]]:
    """Interleave several pieces of work, so that their reads share batches; return the results."""
    if len(works) == 1:
        return [(yield from works[0])]
    results: list[Any] = [None] * len(works)
    readings: dict[int, Any] = dict.fromkeys(range(len(works)))
    while True:
        wanted: dict[int, list[Read]] = {}
        for number, of_work in readings.items():
            try:
                wanted[number] = works[number].send(of_work)
            except StopIteration as end:
                results[number] = end.value
        if not wanted:
            return results
        # The value sent is None if the job was waiting and ``wake`` was called.
        found = iter((yield [one for reads in wanted.values() for one in reads]) or ())
        readings = {number: list(islice(found, len(reads))) for number, reads in wanted.items()}


def call(function: Callable[..., Result], *arguments: Any) -> Work[Result]:
    """Return the work of calling a function, which needs no reads."""
    yield from ()
    return function(*arguments)


@dataclass(eq=False)
class Job:
    """A piece of work that is queued or in progress.

    Attributes:
        work: The generator.
        done: The future of its result; cancelling it ends the work.
        missing: Number of reads that it still waits for.
        readings: Results of its current reads so far, by their number.
    """

    work: Work[Any]
    done: "Future[Any]" = field(default_factory=Future)
    missing: int = 0
    readings: dict[int, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class _Waiting:
    """A read in the queue: its job, and its number among the job's current reads."""

    job: Job
    number: int
    read: Read


class Worker:
    """The queue and the thread of one model.

    Unlike those of ``ThreadPoolExecutor``, callers do not wait for ever if the thread ends: all
    unfinished jobs fail then, and so does every later one.

    Args:
        name: Name of the model.
        model: The model; a classifier is used through ``call`` only.
        batching: Whether waiting reads share batches; if not, each is read alone.
    """

    def __init__(self, name: str, model: Any = None, batching: bool = True) -> None:
        self._name, self.model = name, model
        self._max_batch = MAX_BATCH if batching else 1
        self._new: SimpleQueue[Job | None] = SimpleQueue()
        self._queue: list[_Waiting] = []
        self._unfinished = set[Job]()
        self._lock = Lock()  # Guards _unfinished and ended.
        self._in_use = Lock()  # Held by whoever uses the model or the queue.
        self._seconds_per_id = math.inf  # A moving average of processor time.
        self._busy_since: float | None = None
        self.rows_read = 0
        self.batches_read = 0
        self.ended: str | None = None
        """Why the thread has ended; None while it runs."""
        # A daemon, so that a program that never closes it can exit.
        self._thread = Thread(target=self._work, name=f"model {name}", daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in the model's thread.

        Raises:
            ThreadEndedError: If the thread has ended, or ends before the call does.
        """
        return await self.run(call(function, *arguments))

    async def run(self, work: Work[Result], ids: float = math.inf) -> Result:
        """Do a piece of work in the model's thread, and end it if this is cancelled.

        Args:
            work: The work.
            ids: Maximum number of ids that it reads; with few ids it may run in the event loop.

        Raises:
            ThreadEndedError: If the thread has ended, or ends before the work does.
        """
        is_short = ids * self._seconds_per_id < SECONDS_AT_ONCE
        if is_short and self._in_use.acquire(blocking=False):
            try:
                if not self._queue and self._new.empty() and self.ended is None:
                    return self._run_at_once(work)
            except Exception:
                raise
            except BaseException as error:
                self._end_by(error)
                raise ThreadEndedError(self.ended) from error
            finally:
                self._in_use.release()
        result: Result = await asyncio.wrap_future(self.submit(work).done)
        return result

    def _run_at_once(self, work: Work[Result]) -> Result:
        readings = None
        try:
            while True:
                wanted = work.send(readings)
                readings = [self._read_rows([one])[0] for one in wanted]
        except StopIteration as end:
            result: Result = end.value
            return result

    def submit(self, work: Work[Any]) -> Job:
        """Queue a piece of work.

        Raises:
            ThreadEndedError: If the thread has ended.
        """
        job = Job(work)
        with self._lock:
            if self.ended is not None:
                raise ThreadEndedError(self.ended)
            self._unfinished.add(job)
        job.done.add_done_callback(lambda _: self._forget(job))
        self._new.put(job)
        return job

    def _forget(self, job: Job) -> None:
        with self._lock:
            self._unfinished.discard(job)
        if job.done.cancelled():
            self.wake(job)  # So that the thread closes its generator.

    def wake(self, job: Job) -> None:
        """Resume a job that has yielded an empty list."""
        self._new.put(job)

    def find_trouble(self, patience: float) -> str | None:
        """Return why the model cannot answer; None if it can.

        Args:
            patience: Seconds after which a call counts as hanging.
        """
        since = self._busy_since
        busy = 0.0 if since is None else monotonic() - since
        if self.ended is None and busy > patience:
            return f"The model {self._name} has been at one piece of work for {busy:.0f} seconds."
        return self.ended

    def close(self, timeout: float = SECONDS_TO_CLOSE) -> None:
        """Fail all unfinished jobs, and wait for the end of the current call."""
        self._end("The server is being stopped.")
        self._new.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        """Start and resume jobs, and read batches, until the worker is closed."""
        try:
            while self._take_new():
                with self._in_use:
                    self._read_next()
        except BaseException as error:  # noqa: BLE001 (it is logged)
            self._end_by(error)

    def _end_by(self, error: BaseException) -> None:
        """Log what has ended the thread, and accept no more jobs."""
        logging.getLogger("thence.serve").critical(
            "the thread of model %s has ended", self._name, exc_info=error
        )
        self._end(
            f"The model {self._name} cannot be asked any more: its thread has ended "
            f"({type(error).__name__}). Restart the server."
        )

    def _end(self, why: str) -> None:
        """Accept no more jobs, and fail those without a result."""
        with self._lock:
            self.ended = self.ended or why
            unfinished, self._unfinished = self._unfinished, set()
        for job in unfinished:
            with suppress(InvalidStateError):
                job.done.set_exception(ThreadEndedError(self.ended))

    def _take_new(self) -> bool:
        """Start new jobs, waiting for one if the queue is empty; return False at the end."""
        while self.ended is None:
            self._busy_since = None
            try:
                job = self._new.get(block=not self._queue)
            except Empty:
                return True
            self._busy_since = monotonic()
            if job is not None and (job.missing == 0 or job.done.cancelled()):
                with self._in_use:
                    self._resume(job, None)
        return False

    def _resume(self, job: Job, readings: list[Reading] | Exception | None) -> None:
        """Run a job up to its next reads, sending it the readings or raising the exception in it.

        A BaseException such as SystemExit ends the thread.
        """
        try:
            if job.done.done():  # Cancelled, or failed by another of its reads.
                job.work.close()
                return
            if isinstance(readings, Exception):
                wanted = job.work.throw(readings)
            else:
                wanted = job.work.send(readings)
        except StopIteration as end:
            value, error = end.value, None
        except Exception as raised:  # noqa: BLE001 (raised where the result is awaited)
            value, error = None, raised
        else:
            job.missing, job.readings = len(wanted), {}
            self._queue += [_Waiting(job, number, one) for number, one in enumerate(wanted)]
            return
        with suppress(InvalidStateError):  # It was cancelled, or the worker closed.
            job.done.set_result(value) if error is None else job.done.set_exception(error)

    def _read_next(self) -> None:
        """Read the next batch."""
        self._busy_since = monotonic()
        try:
            batch = self._next_batch()
            if batch:
                self._read_batch(batch)
        except Exception as error:  # noqa: BLE001 (or the jobs in the queue would wait for ever)
            failed, self._queue = {waiting.job for waiting in self._queue}, []
            for job in failed:
                self._resume(job, error)

    def _next_batch(self) -> list[_Waiting]:
        """Return the head of the queue, and others of its shape, taken out of it."""
        self._queue = queue = [one for one in self._queue if not one.job.done.done()]
        if not queue:
            return []
        head = queue[0].read
        row_size = self.model.vocabulary_size * (1 if head.last else len(head.ids))
        rows = min(self._max_batch, max(1, MAX_LOG_PROBS // row_size))
        batch = [one for one in queue if one.read.shape == head.shape][:rows]
        taken = set(map(id, batch))
        self._queue = [one for one in queue if id(one) not in taken]
        return batch

    def _read_batch(self, batch: list[_Waiting]) -> None:
        """Read a batch; if that fails, each read alone, so that only the culprit fails."""
        try:
            readings = self._read_rows([waiting.read for waiting in batch])
        except Exception as error:  # noqa: BLE001 (raised in the work that waits)
            if len(batch) == 1:
                self._resume(batch[0].job, error)
            for waiting in batch if len(batch) > 1 else []:
                self._read_batch([waiting])
            return
        for waiting, reading in zip(batch, readings, strict=True):
            job = waiting.job
            job.readings[waiting.number] = reading
            job.missing -= 1
            if job.missing == 0:
                self._resume(job, [job.readings[number] for number in range(len(job.readings))])

    def _read_rows(self, batch: Sequence[Read]) -> list[Reading]:
        began, ids, last = thread_time(), np.stack([one.ids for one in batch]), batch[0].last
        states = [one.state for one in batch]
        state = states[0] if len(batch) == 1 else join_rows(states)
        log_probs, state = read(self.model, ids, state, last)
        self.batches_read += 1
        self.rows_read += len(batch)
        seconds = (thread_time() - began) / ids.shape[1]
        known = self._seconds_per_id
        self._seconds_per_id = seconds if known == math.inf else known + (seconds - known) / 8
        if len(batch) == 1:
            return [(log_probs[0], state)]
        rows = range(len(batch))
        return [(log_probs[row], take_rows(state, np.array([row]))) for row in rows]
