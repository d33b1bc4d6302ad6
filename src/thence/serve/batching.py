"""Continuous batching: requests that wait for the same model are read in one forward pass.

A request that wants ids read joins the queue of its model. Each batch takes those at the head of
the queue that want equally many ids, joins their states, reads, and gives every one its rows. A
long text is read in several batches, so that it does not hold up the others.

A model runs in a thread of its own, one call at a time, while the event loop goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from thence.array_types import Float, Integer
from thence.models.base import LanguageModel, State, join_rows, read, take_rows
from thence.serve.errors import ThreadEndedError

Ids = Integer[np.ndarray, " time"]
LogProbs = Float[np.ndarray, "time vocab"]
Result = TypeVar("Result")

CHUNK_SIZES = (64, 32, 16, 8, 4, 2, 1)
"""A text is read in chunks of these sizes, the largest that fits first: few forward passes, and
texts of all lengths want the same sizes, so that they can share a batch."""
MAX_BATCH = 64
"""Rows of a batch at most."""
MAX_LOG_PROBS = 1 << 23
"""Log-probabilities that one batch returns at most, which bounds its rows."""
SECONDS_TO_CLOSE = 10.0
"""Time for the current call of a model when the server stops; a longer one is abandoned."""
FEW_TOKENS = 32
"""Work for so few tokens takes less time than handing it to another thread."""


async def run_in_thread(tokens: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function whose work grows with the tokens, in another thread if they are many."""
    if tokens <= FEW_TOKENS:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


class ModelThread:
    """Calls functions one after another in a thread of its own.

    Unlike those of ``ThreadPoolExecutor``, callers do not wait for ever if the thread ends: all
    calls without a result fail then, and so does every later one.

    Args:
        name: Name of the model.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._unanswered = set[Future[Any]]()
        self._lock = Lock()  # Guards _unanswered and ended.
        self._call_began: float | None = None
        self.ended: str | None = None
        """Why the thread has ended; None while it runs."""
        # A daemon, so that a program that never closes it can exit.
        self._thread = Thread(target=self._work, name=f"model {name}", daemon=True)
        self._thread.start()

    def busy_seconds(self) -> float:
        """Return for how long the current call has run; 0 if there is none."""
        began = self._call_began
        return 0.0 if began is None else monotonic() - began

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Queue a call.

        Raises:
            ThreadEndedError: If the thread has ended.
        """
        result: Future[Any] = Future()
        with self._lock:
            if self.ended is not None:
                raise ThreadEndedError(self.ended)
            self._unanswered.add(result)
        self._calls.put((result, partial(function, *arguments)))
        return result

    def close(self, timeout: float) -> None:
        """Fail queued calls, and wait so many seconds for the current one."""
        self._end("The server is being stopped.")
        self._calls.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        try:
            while (call := self._calls.get()) is not None and self.ended is None:
                self._call_began = monotonic()
                self._run(*call)
                self._call_began = None
                with self._lock:
                    self._unanswered.discard(call[0])
        except BaseException as error:
            logging.getLogger("thence.serve").critical(
                "the thread of model %s has ended", self._name, exc_info=True
            )
            self._end(
                f"The model {self._name} cannot be asked any more: its thread has ended "
                f"({type(error).__name__}). Restart the server."
            )

    def _run(self, result: "Future[Any]", function: Callable[[], Any]) -> None:
        """Run a call; what is no ``Exception``, such as SystemExit, ends the thread."""
        if not result.set_running_or_notify_cancel():
            return
        try:
            value, error = function(), None
        except Exception as raised:  # noqa: BLE001 (raised where the result is awaited)
            value, error = None, raised
        with suppress(InvalidStateError):  # The thread was closed meanwhile.
            result.set_result(value) if error is None else result.set_exception(error)

    def _end(self, why: str) -> None:
        """Accept no more calls, and fail those without a result."""
        with self._lock:
            self.ended = self.ended or why
            unanswered, self._unanswered = self._unanswered, set()
        for result in unanswered:
            with suppress(InvalidStateError):
                result.set_exception(ThreadEndedError(self.ended))


@dataclass
class _Waiting:
    """A request in the queue: ids to read after a state, and whether only the end is wanted."""

    ids: Ids
    state: State
    last: bool
    done: "asyncio.Future[tuple[LogProbs, State]]"

    @property
    def shape(self) -> tuple[int, bool]:
        """What requests of one batch have in common."""
        return len(self.ids), self.last


class Worker:
    """The queue and the thread of one model.

    Args:
        name: Name of the model.
        batching: Whether waiting requests share batches; else each is read alone.
    """

    def __init__(self, name: str, batching: bool = True) -> None:
        self._name, self.thread = name, ModelThread(name)
        self._max_batch = MAX_BATCH if batching else 1
        self._queue: list[_Waiting] = []
        self._batches: asyncio.Task[None] | None = None
        self.rows_read = 0
        self.batches_read = 0

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in the model's thread.

        Raises:
            ThreadEndedError: If the thread has ended, or ends before the call does.
        """
        result: Result = await asyncio.wrap_future(self.thread.submit(function, *arguments))
        return result

    async def read(
        self, model: LanguageModel, ids: Ids, state: State, last: bool = False
    ) -> tuple[LogProbs, State]:
        """Read ids, in a batch with other waiting requests.

        Args:
            model: The model of this worker.
            ids: As many as one of ``CHUNK_SIZES``.
            state: State of one row.
            last: Whether only the distribution after the last id is wanted.

        Returns:
            The log-probabilities after each id, or after the last, and the state after it.
        """
        done: asyncio.Future[tuple[LogProbs, State]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(ids, state, last and len(ids) > 1, done))
        if self._batches is None or self._batches.done():
            self._batches = asyncio.create_task(self._read_batches(model))
        return await done

    def find_trouble(self, patience: float) -> str | None:
        """Return why the model cannot answer; None if it can.

        Args:
            patience: Seconds that one call may take; a longer one is taken to hang.
        """
        busy = self.thread.busy_seconds()
        if self.thread.ended is None and busy > patience:
            return f"The model {self._name} has been at one piece of work for {busy:.0f} seconds."
        return self.thread.ended

    async def _read_batches(self, model: LanguageModel) -> None:
        """Read batches until the queue is empty."""
        batch: list[_Waiting] = []
        try:
            while True:
                # Requests that got a result may first ask for their next token, for this batch.
                await asyncio.sleep(0)
                batch = self._next_batch(model.vocabulary_size)
                if not batch:
                    return
                await self._read_batch(model, batch)
        except Exception as error:  # noqa: BLE001 (or the queue would wait for ever)
            queue, self._queue = [*batch, *self._queue], []
            for waiting in queue:
                if not waiting.done.done():
                    waiting.done.set_exception(error)

    async def _read_batch(self, model: LanguageModel, batch: Sequence[_Waiting]) -> None:
        """Read a batch; if that fails, read each request alone, so that only the culprit fails."""
        try:
            results = await self.run(_read_rows, model, batch)
        except Exception as error:  # noqa: BLE001 (raised in the request that waits)
            if len(batch) == 1 and not batch[0].done.done():
                batch[0].done.set_exception(error)
            for waiting in batch if len(batch) > 1 else []:
                await self._read_batch(model, [waiting])
            return
        self.batches_read += 1
        self.rows_read += len(batch)
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(result)

    def _next_batch(self, vocabulary_size: int) -> list[_Waiting]:
        """Take the head of the queue, and others of its shape."""
        queue = [
            waiting for waiting in self._queue if not waiting.done.done()
        ]  # Some were cancelled.
        if not queue:
            self._queue = []
            return []
        head = queue[0]
        row_size = vocabulary_size * (1 if head.last else len(head.ids))
        rows = min(self._max_batch, max(1, MAX_LOG_PROBS // row_size))
        batch = [waiting for waiting in queue if waiting.shape == head.shape][:rows]
        taken = set(map(id, batch))
        self._queue = [waiting for waiting in queue if id(waiting) not in taken]
        return batch

    def close(self, timeout: float = SECONDS_TO_CLOSE) -> None:
        """Let the thread end after its current call, and wait so many seconds for that."""
        self.thread.close(timeout)


def _read_rows(model: LanguageModel, batch: Sequence[_Waiting]) -> list[tuple[LogProbs, State]]:
    ids = np.stack([waiting.ids for waiting in batch])
    states = [waiting.state for waiting in batch]
    joined = states[0] if len(batch) == 1 else join_rows(states)
    log_probs, state = read(model, ids, joined, batch[0].last)
    if len(batch) == 1:
        return [(log_probs[0], state)]
    return [(log_probs[row], take_rows(state, np.array([row]))) for row in range(len(batch))]
