"""The worker of one model: requests that wait for it are read together.

Continuous batching: whoever wants ids read waits in one line; each turn takes those at its head
that want equally many, joins their states, reads, and hands every one its rows. A long text is read
in several turns, so that it does not hold up the others.

A model works in a thread of its own, one call at a time, so that the server goes on answering.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Integer

from thence.models.base import LanguageModel, State
from thence.models.batched_forward import read
from thence.models.states import join_rows, take_rows
from thence.serve.model_thread import ModelThread

Ids = Integer[np.ndarray, " time"]
LogProbs = Float[np.ndarray, "time vocab"]
Result = TypeVar("Result")

CHUNKS = (64, 32, 16, 8, 4, 2, 1)
"""A text is read in pieces of these sizes, the largest that it fills first: in few turns, and texts
of all lengths want the same sizes, and can be read together."""
LARGEST_BATCH = 64
"""Rows read together at most."""
SECONDS_TO_CLOSE = 10.0
"""For the call that a model is at when the server is stopped; one that never ends is left."""
CELLS_AT_ONCE = 1 << 23
"""Log-probabilities that reading gives at once: fewer rows are read where each gives many."""


@dataclass
class _Waiting:
    ids: Ids
    state: State
    last: bool
    done: "asyncio.Future[tuple[LogProbs, State]]"

    @property
    def kind(self) -> tuple[int, bool]:
        """What those who are read together have in common."""
        return len(self.ids), self.last


class Worker:
    """Reads for all who ask, in a thread of its own.

    Args:
        name: Of the thread.
        batching: Whether those who wait are read together.
    """

    def __init__(self, name: str, batching: bool = True) -> None:
        self._name, self.thread = name, ModelThread(name)
        self._largest = LARGEST_BATCH if batching else 1
        self._line: list[_Waiting] = []
        self._turns: asyncio.Task[None] | None = None
        self.rows_read = 0
        self.turns_taken = 0

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
        """Read ids, together with whoever else waits.

        Args:
            model: Whose worker this is.
            ids: At least one; as many as one of ``CHUNKS``.
            state: Of one row.
            last: Whether only what follows the last id is wanted.

        Returns:
            The log-probabilities of what follows each id, or the last, and the state after it.
        """
        done = asyncio.get_running_loop().create_future()
        waiting = _Waiting(ids, state, last and len(ids) > 1, done)
        self._line.append(waiting)
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns(model))
        return await waiting.done

    def trouble(self, patience: float) -> str | None:
        """Return why nothing can be asked of the model; None if it can.

        Args:
            patience: Seconds that one piece of work may take; what takes longer never ends.
        """
        busy = self.thread.busy_seconds()
        if self.thread.ended is None and busy > patience:
            return f"The model {self._name} has been at one piece of work for {busy:.0f} seconds."
        return self.thread.ended

    async def _take_turns(self, model: LanguageModel) -> None:
        batch: list[_Waiting] = []
        try:
            while True:
                # All who were handed something in the last turn get to ask again before this one.
                await asyncio.sleep(0)
                batch = self._next_batch(model.vocabulary_size)
                if not batch:
                    return
                await self._take_turn(model, batch)
        except Exception as error:  # noqa: BLE001 (or those who wait would wait for ever)
            line, self._line = [*batch, *self._line], []
            for waiting in line:
                if not waiting.done.done():
                    waiting.done.set_exception(error)

    async def _take_turn(self, model: LanguageModel, batch: Sequence[_Waiting]) -> None:
        """Read for some; if that fails, for each alone, so that it fails for whom it must."""
        try:
            results = await self.run(_read_together, model, batch)
        except Exception as error:  # noqa: BLE001 (it is theirs who asked)
            if len(batch) == 1 and not batch[0].done.done():
                batch[0].done.set_exception(error)
            for waiting in batch if len(batch) > 1 else []:
                await self._take_turn(model, [waiting])
            return
        self.turns_taken += 1
        self.rows_read += len(batch)
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(result)

    def _next_batch(self, vocabulary_size: int) -> list[_Waiting]:
        """Take from the line its head, and others that want the same of equally many ids."""
        line = [waiting for waiting in self._line if not waiting.done.done()]  # Some have gone.
        if not line:
            self._line = []
            return []
        head = line[0]
        cells = vocabulary_size * (1 if head.last else len(head.ids))
        rows = min(self._largest, max(1, CELLS_AT_ONCE // cells))
        batch = [waiting for waiting in line if waiting.kind == head.kind][:rows]
        taken = set(map(id, batch))
        self._line = [waiting for waiting in line if id(waiting) not in taken]
        return batch

    def close(self, patience: float = SECONDS_TO_CLOSE) -> None:
        """Let the thread end when it has done what it is at, and wait so many seconds for that."""
        self.thread.close()
        self.thread.join(patience)


def _read_together(model: LanguageModel, batch: Sequence[_Waiting]) -> list[tuple[LogProbs, State]]:
    ids = np.stack([waiting.ids for waiting in batch])
    states = [waiting.state for waiting in batch]
    joined = states[0] if len(batch) == 1 else join_rows(states)
    log_probs, state = read(model, ids, joined, batch[0].last)
    if len(batch) == 1:
        return [(log_probs[0], state)]
    rows = [np.array([row]) for row in range(len(batch))]
    return [(log_probs[row], take_rows(state, rows[row])) for row in range(len(batch))]
