r"""``POST /v1/completions``: texts that go on, and the score of texts, as OpenAI's API has them.

Where it differs: ``top_k`` may be given too; a model of running text goes on after the end of a
document (stop it with ``"stop": "\n"``); the first token of a prompt has no log-probability unless
a boundary stands before it; what is impossible has -9999.
"""

import asyncio
import json
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from itertools import count as numbers
from time import time
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field, StringConstraints

from thence.errors import SettingError
from thence.generation.filters import DecodingOptions
from thence.serve.body import Body
from thence.serve.limits import MOST_CHOICES, MOST_STOPS, PROMPTS_TOGETHER, Limits
from thence.serve.problems import MISTAKE, PROBLEMS, problem_content, refuse
from thence.serve.served import ServedRun, TextStream, choose_served
from thence.serve.stopping import Stopper
from thence.serve.worker import Ids
from thence.serve.writing import Place, Step, read_text, write_on

SHORT = 2000
"""Characters or ids of prompts that are made ready in the event loop."""
IMPOSSIBLE = -9999.0
"""The log-probability of what cannot be, for which JSON has no number."""

TokenId = Annotated[int, Field(ge=0)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]
# A list that is wrong is so at its first wrong item: a million others need no error of their own.
Stops = Annotated[list[Stop], Field(fail_fast=True, max_length=MOST_STOPS)]
Texts = Annotated[list[str], Field(fail_fast=True)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True)]
ListsOfIds = Annotated[list[TokenIds], Field(fail_fast=True)]


class StreamOptions(Body):
    """What a stream tells beside the text."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Nothing(Body):
    """An empty object, for what is not offered."""


class CompletionRequest(Body):
    """What to go on from, and how."""

    model: str | None = Field(None, description="Name of a model; not needed if there is one.")
    prompt: str | Texts | TokenIds | ListsOfIds = Field(
        "", description="A text, several, its token ids, or several of those."
    )
    max_tokens: int = Field(16, ge=0, description="Tokens to add at most.")
    temperature: float = Field(1.0, ge=0, le=100, description="0 takes the likeliest token.")
    top_p: float = Field(1.0, gt=0, le=1, description="Draw from the likeliest that have this.")
    top_k: int | None = Field(None, ge=1, description="Draw from the k likeliest tokens only.")
    n: int = Field(1, ge=1, le=MOST_CHOICES, description="Completions of each prompt.")
    best_of: int | None = Field(None, description="Not offered, unless it equals n.")
    echo: bool = Field(False, description="Give the prompt back before its completion.")
    logprobs: int | None = Field(None, ge=0, le=20, description="Likeliest tokens to tell of each.")
    stop: Stop | Stops | None = Field(None, description="Texts before which to stop.")
    stream: bool = Field(False, description="Send each token as it comes (server-sent events).")
    stream_options: StreamOptions | None = None
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Same seed, same text.")
    user: str | None = Field(None, description="Not looked at.")
    suffix: Literal[""] | None = Field(None, description="Not offered.")
    presence_penalty: float | None = Field(None, ge=0, le=0, description="Not offered.")
    frequency_penalty: float | None = Field(None, ge=0, le=0, description="Not offered.")
    logit_bias: Nothing | None = Field(None, description="Not offered.")

    def stops(self) -> list[str]:
        """Return the texts before which to stop."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def decoding(self) -> DecodingOptions:
        """Return how each token is chosen."""
        if self.temperature == 0:
            return DecodingOptions(greedy=True)
        return DecodingOptions(self.temperature, self.top_k, self.top_p if self.top_p < 1 else None)


class TokenLogProbs(BaseModel):
    """What the model thought of each token, in nats; the lists are equally long."""

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] = []
    text_offset: list[int] = []


class Choice(BaseModel):
    """One completion, or a piece of one in a stream."""

    index: int
    text: str
    logprobs: TokenLogProbs | None
    finish_reason: Literal["stop", "length"] | None


class Usage(BaseModel):
    """How many tokens were read and written."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionAnswer(BaseModel):
    """The completions, or a piece of one in a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None = None


@dataclass(frozen=True)
class Prompt:
    """A text to go on from.

    Attributes:
        text: As it is given back.
        ids: Its tokens.
        lacks: Whether the ids end within a character, which is no part of the text yet.
    """

    text: str
    ids: Ids
    lacks: bool = False


def completion_routes(models: dict[str, ServedRun], limits: Limits) -> APIRouter:
    """Return the route for completions."""
    router, serial = APIRouter(), numbers(1)

    @router.post("/v1/completions", responses=PROBLEMS, response_model=CompletionAnswer)
    async def completions(request: CompletionRequest) -> JSONResponse | StreamingResponse:
        """Go on from one or more prompts, or score them (``echo`` with ``logprobs``)."""
        served = choose_served(models, request.model, classifier=False)
        if _length(request.prompt) <= SHORT:  # Sooner done than handed to another thread.
            prompts = _prompts(served, request, limits)
        else:
            prompts = await served.worker.run(_prompts, served, request, limits)
        about = CompletionAnswer(
            id=f"cmpl-{next(serial)}", created=int(time()), model=served.name, choices=[]
        )
        writing = _Writing(served, request, prompts)
        if request.stream:
            events = _events(writing, about, limits.timeout)
            return StreamingResponse(events, media_type="text/event-stream")
        about.choices = await writing.whole()
        about.usage = writing.usage()
        return JSONResponse(about.model_dump())

    return router


def _length(prompt: Any) -> int:
    """Return the characters or ids of all prompts together."""
    is_nested = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    return sum(map(len, prompt)) if is_nested else len(prompt)


def _prompts(served: ServedRun, request: CompletionRequest, limits: Limits) -> list[Prompt]:
    """Return the prompts as ids, or refuse them."""
    several = _several(request.prompt)
    if not several:
        raise SettingError('"prompt" is an empty list; give at least one text.')
    if len(several) * request.n > MOST_CHOICES:
        raise SettingError(
            f"{len(several)} prompts with n = {request.n} are more than {MOST_CHOICES} "
            "completions; ask for fewer at a time."
        )
    if request.max_tokens > limits.max_tokens:
        raise refuse(
            400,
            f'"max_tokens" is {request.max_tokens}; this server gives at most '
            f"{limits.max_tokens} (--max-tokens).",
        )
    if request.best_of not in (None, request.n):
        raise SettingError('"best_of" other than n is not offered; leave it out.')
    of_each = [_ids_of(served, given) for given in several]
    for bound, length in [
        (limits.max_prompt, max(len(ids) for ids in of_each)),
        (PROMPTS_TOGETHER * limits.max_prompt, sum(len(ids) for ids in of_each)),
    ]:
        if length > bound:
            raise refuse(
                400,
                f"The prompt has {length} tokens; this server reads at most {bound} "
                "(--max-prompt).",
                "context_length_exceeded",
            )
    return [_prompt(served, given, ids) for given, ids in zip(several, of_each, strict=True)]


def _several(given: Any) -> list[str | list[int]]:
    """Return the prompts as a list; a list of ids is one of them."""
    is_one = isinstance(given, str) or (given and isinstance(given[0], int))
    return [given] if is_one else list(given)


def _ids_of(served: ServedRun, given: str | list[int]) -> Ids:
    if isinstance(given, str):
        ids = served.encode(given)
        if given.startswith("\n") and len(ids) and ids[0] == served.boundary_id:
            # The first document is empty and kept: its end is not the boundary that begins a text.
            ids = np.insert(ids, 0, served.boundary_id)
        return ids
    size = len(served.token_names)
    if wrong := [index for index in given if index >= size]:
        raise SettingError(
            f"{str(wrong[0])[:40]} is no token id of {served.name}; its ids are 0 to {size - 1}."
        )
    return np.array(given, np.int64)


def _prompt(served: ServedRun, given: str | list[int], ids: Ids) -> Prompt:
    if isinstance(given, str):
        return Prompt(given, ids)
    begun = ids[1:] if len(ids) and ids[0] == served.boundary_id else ids
    text = served.decode(begun)
    certain = served.certain_text(begun, text)
    return Prompt(certain, ids, lacks=certain != text)


@dataclass
class _Piece:
    """What is new in one completion."""

    index: int
    text: str
    steps: list[tuple[Step, int]]
    finish_reason: Literal["stop", "length"] | None


class _Writing:
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
        pieces: list[list[_Piece]] = [[] for _ in range(len(self._prompts) * self._request.n)]
        async for piece in self.pieces():
            pieces[piece.index].append(piece)
        return [self.choice(self._joined(of_one)) for of_one in pieces]

    def _joined(self, pieces: list[_Piece]) -> _Piece:
        steps = [step for piece in pieces for step in piece.steps]
        text = "".join(piece.text for piece in pieces)
        return _Piece(pieces[-1].index, text, steps, pieces[-1].finish_reason)

    async def pieces(self) -> AsyncGenerator[_Piece, None]:
        """Yield pieces of all completions as they come."""
        queue: asyncio.Queue[_Piece | None] = asyncio.Queue()

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
            await writing
        finally:
            writing.cancel()

    async def _after_prompt(
        self, number: int, prompt: Prompt, queue: "asyncio.Queue[_Piece | None]"
    ) -> None:
        request, n = self._request, self._request.n
        told = request.logprobs if request.echo else None
        steps, place = await read_text(self._served, prompt.ids, top=told)
        stream = TextStream(self._served)
        placed = []
        for number_of_step, step in enumerate(steps):
            placed.append((step, len(stream.text)))
            if number_of_step or step.index != self._served.boundary_id:  # It begins the text.
                stream.add(step.index)
        if placed:  # Nothing is told of the first token, whatever stands before it.
            placed[0] = (Step(placed[0][0].index, None, []), 0)
        async with asyncio.TaskGroup() as group:
            for index in range(number * n, (number + 1) * n):
                if request.echo:
                    queue.put_nowait(_Piece(index, prompt.text, placed, None))
                group.create_task(self._one(index, prompt, place, queue))

    async def _one(
        self, index: int, prompt: Prompt, place: Place, queue: "asyncio.Queue[_Piece | None]"
    ) -> None:
        """Write one completion into the queue."""
        request, served = self._request, self._served
        generator = np.random.default_rng(self._seed + index)
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
            self._written += 1
            offset = len(prompt.text) + len(stream.text)
            ended = step.index == served.boundary_id and not served.is_running_text
            text = stopper.add("" if ended else stream.add(step.index))
            told = [] if request.logprobs is None else [(step, offset)]
            if ended or stopper.stopped:
                reason = "stop"
            if stopper.stopped:
                queue.put_nowait(_Piece(index, text, told, reason))
                return
            queue.put_nowait(_Piece(index, text, told, None))
        rest = stopper.add(stream.finish()) + stopper.finish()
        queue.put_nowait(_Piece(index, rest, [], "stop" if stopper.stopped else reason))

    def choice(self, piece: _Piece) -> Choice:
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


def _number(log_probability: float | None) -> float | None:
    if log_probability is None or math.isfinite(log_probability):
        return log_probability
    return IMPOSSIBLE


async def _events(writing: _Writing, about: CompletionAnswer, timeout: float) -> AsyncIterator[str]:
    """Yield the completions as server-sent events; what goes wrong is the last one."""
    end = asyncio.get_running_loop().time() + timeout
    pieces = writing.pieces()
    try:
        while True:
            # Not around the whole: there it would break off the sending of what was yielded.
            async with asyncio.timeout_at(end):
                piece = await anext(pieces, None)
            if piece is None:
                break
            about.choices = [writing.choice(piece)]
            if piece.text or piece.steps or piece.finish_reason:
                yield _event(about.model_dump(exclude={"usage"}))
    except TimeoutError:
        message = f"The request took longer than {timeout:g} seconds (--timeout)."
        yield _event(problem_content(504, message))
        return
    except Exception:
        logging.getLogger("thence.serve").exception("a stream failed")
        yield _event(problem_content(500, MISTAKE))
        return
    finally:
        await pieces.aclose()
    if writing.tells_usage:
        about.choices, about.usage = [], writing.usage()
        yield _event(about.model_dump())
    yield "data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
