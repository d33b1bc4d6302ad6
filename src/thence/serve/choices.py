"""All completions of a request, written side by side."""

import asyncio
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from thence.generation.sampling import text_generator
from thence.serve.completion_shapes import Choice, CompletionRequest, TokenLogProbs, Usage
from thence.serve.off_loop import off_loop
from thence.serve.prompts import Prompt
from thence.serve.served import ServedRun, TextStream
from thence.serve.stopping import Stopper
from thence.serve.writing import Place, Step, read_text, write_on

AHEAD = 512
"""Pieces that may wait for a reader that is slow; until it has read some, no more are written."""
IMPOSSIBLE = -9999.0
"""The log-probability of what cannot be, for which JSON has no number."""


@dataclass
class Piece:
    """What is new in one completion."""

    index: int
    text: str
    steps: list[tuple[Step, int]]
    finish_reason: Literal["stop", "length"] | None


class Writing:
    """All completions of a request, side by side.

    Args:
        served: Whose model writes.
        request: What was asked for.
        prompts: What to go on from.
    """

    def __init__(
        self, served: ServedRun, request: CompletionRequest, prompts: list[Prompt]
    ) -> None:
        self._served, self._request, self._prompts = served, request, prompts
        self._written = 0
        self._room = asyncio.Semaphore(AHEAD)
        fresh = int(np.random.default_rng().integers(2**63))
        self._seed = fresh if request.seed is None else request.seed % 2**64

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        options = self._request.stream_options
        return options is not None and options.include_usage

    def usage(self) -> Usage:
        """Return how many tokens there were."""
        read = sum(len(prompt.ids) for prompt in self._prompts)
        return Usage(
            prompt_tokens=read, completion_tokens=self._written, total_tokens=read + self._written
        )

    async def whole(self) -> list[Choice]:
        """Return every completion when all are done."""
        pieces: list[list[Piece]] = [[] for _ in range(len(self._prompts) * self._request.n)]
        async for piece in self.pieces():
            pieces[piece.index].append(piece)
        joined = [self._joined(of_one) for of_one in pieces]
        told = sum(len(piece.steps) for piece in joined)
        return await off_loop(told, lambda: [self.choice(piece) for piece in joined])

    def _joined(self, pieces: list[Piece]) -> Piece:
        steps = [step for piece in pieces for step in piece.steps]
        text = "".join(piece.text for piece in pieces)
        return Piece(pieces[-1].index, text, steps, pieces[-1].finish_reason)

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield pieces of all completions as they come."""
        queue: asyncio.Queue[Piece | None] = asyncio.Queue()

        async def write_all() -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    for number, prompt in enumerate(self._prompts):
                        group.create_task(self._after_prompt(number, prompt, queue))
            finally:
                queue.put_nowait(None)

        writing = asyncio.create_task(write_all())
        try:
            while (piece := await queue.get()) is not None:
                yield piece
                self._room.release()
            await writing
        except ExceptionGroup as group:
            raise _first_of(group) from group
        finally:
            writing.cancel()

    async def _after_prompt(
        self, number: int, prompt: Prompt, queue: "asyncio.Queue[Piece | None]"
    ) -> None:
        request, n = self._request, self._request.n
        told = request.logprobs if request.echo else None
        steps, place = await read_text(self._served, prompt.ids, top=told)
        placed = await off_loop(len(steps), _placed, self._served, steps)
        async with asyncio.TaskGroup() as group:
            for index in range(number * n, (number + 1) * n):
                if request.echo:
                    queue.put_nowait(Piece(index, prompt.text, placed, None))
                group.create_task(self._one(index, prompt, place, queue))

    async def _one(
        self, index: int, prompt: Prompt, place: Place, queue: "asyncio.Queue[Piece | None]"
    ) -> None:
        """Write one completion into the queue."""
        request, served = self._request, self._served
        generator = text_generator(self._seed, index)
        stopper, stream = Stopper(request.stops()), TextStream(served)
        stream.follow(prompt.text, prompt.ids, prompt.lacks)
        reason: Literal["stop", "length"] = "length"
        steps = write_on(
            served,
            place,
            request.decoding(),
            generator,
            request.max_tokens,
            request.logprobs or 0,
        )
        async for step in steps:
            await self._room.acquire()
            self._written += 1
            offset = len(prompt.text) + len(stream.text)
            ended = step.index == served.boundary_id and not served.is_running_text
            text = stopper.add("" if ended else stream.add(step.index))
            told = [] if request.logprobs is None else [(step, offset)]
            if ended or stopper.stopped:
                reason = "stop"
            if stopper.stopped:
                queue.put_nowait(Piece(index, text, told, reason))
                return
            queue.put_nowait(Piece(index, text, told, None))
        rest = stopper.add(stream.finish()) + stopper.finish()
        queue.put_nowait(Piece(index, rest, [], "stop" if stopper.stopped else reason))

    def choice(self, piece: Piece) -> Choice:
        """Return a piece as clients see it."""
        logprobs = None
        if self._request.logprobs is not None:
            name = self._served.token_text
            logprobs = TokenLogProbs(
                tokens=[name(step.index) for step, _ in piece.steps],
                token_logprobs=[_number(step.log_probability) for step, _ in piece.steps],
                top_logprobs=[self._top(step) for step, _ in piece.steps],
                text_offset=[offset for _, offset in piece.steps],
            )
        return Choice(
            index=piece.index,
            text=piece.text,
            logprobs=logprobs,
            finish_reason=piece.finish_reason,
        )

    def _top(self, step: Step) -> dict[str, float] | None:
        """Return the likeliest tokens by text, that which came among them; of equals the best."""
        if step.log_probability is None:
            return None
        found: dict[str, float] = {}
        for index, log_prob in [*step.top, (step.index, step.log_probability)]:
            name = self._served.token_text(index)
            found[name] = max(_number(log_prob) or 0.0, found.get(name, IMPOSSIBLE))
        return found


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    """Return the first error of those that came together, which is what the others came from."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first


def _placed(served: ServedRun, steps: list[Step]) -> list[tuple[Step, int]]:
    """Return the tokens of a prompt, each with the place in the text where it begins."""
    stream, placed = TextStream(served), list[tuple[Step, int]]()
    for number, step in enumerate(steps):
        placed.append((step, len(stream.text)))
        if number or step.index != served.boundary_id:  # It begins the text.
            stream.add(step.index)
    if placed:  # Nothing is told of the first token, whatever stands before it.
        placed[0] = (Step(placed[0][0].index, None, []), 0)
    return placed


def _number(log_probability: float | None) -> float | None:
    if log_probability is None or math.isfinite(log_probability):
        return log_probability
    return IMPOSSIBLE
