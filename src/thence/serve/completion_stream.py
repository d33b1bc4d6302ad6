"""Reading prompts and generating completions token by token, side by side with other requests.

What a model does for a request is a generator (``batching.Work``) that runs in its thread.
"""

import asyncio
import itertools
import math
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from thence.array_types import Float
from thence.generation.sampling import choose, text_generator
from thence.inspection.following import likeliest
from thence.models.base import State
from thence.serve.batching import CHUNK_SIZES, MAX_BATCH, Ids, Read, Work, together
from thence.serve.loaded_runs import LoadedRun
from thence.serve.schemas import Choice, CompletionRequest, TokenLogProbs, Usage
from thence.serve.text_stream import StopSequences, TextStream

MAX_UNSENT = 512
"""Maximum number of pieces that wait for a slow client; generation pauses until it reads some."""
IMPOSSIBLE = -9999.0
"""Sent in place of a log-probability of minus infinity, which JSON cannot represent."""


@dataclass(frozen=True)
class ScoredToken:
    """A token of a text with its log-probability given the text before it.

    Attributes:
        index: Its id.
        log_probability: In nats; None for the boundary that begins a text.
        top: Ids and log-probabilities of the likeliest tokens there, the likeliest first.
    """

    index: int
    log_probability: float | None
    top: list[tuple[int, float]]


@dataclass(frozen=True)
class Cursor:
    """A position in a text up to which a model has read; several texts may continue from it.

    Attributes:
        log_probs: Log-probabilities of the next token.
        state: State of the model, one row.
    """

    log_probs: Float[np.ndarray, " vocab"]
    state: State


def read_text(
    loaded: LoadedRun, ids: Ids, cursor: Cursor | None = None, top: int | None = None
) -> Work[tuple[list[ScoredToken], Cursor]]:
    """Read ids from a cursor, or from the beginning of a text.

    Args:
        loaded: The run whose model reads.
        ids: The ids to read; a boundary is put before them at the beginning of a text.
        cursor: Where to continue; None for the beginning of a text.
        top: Number of likeliest tokens to return with each id; None to return no tokens.

    Returns:
        The scored tokens if asked for, one for each id, and the cursor after the last.
    """
    if cursor is None and (len(ids) == 0 or ids[0] != loaded.boundary_id):
        whole = np.concatenate([[loaded.boundary_id], ids])
        tokens, cursor = yield from read_text(loaded, whole, top=top)
        return tokens[1:], cursor
    documents = _split_documents(loaded, ids)
    if top is None:
        documents = documents[-1:]  # Documents are independent, so only the last one matters.
    tokens = []
    for first in range(0, len(documents), MAX_BATCH):
        group = documents[first : first + MAX_BATCH]
        continues = cursor is not None and (
            loaded.is_running_text or group[0][0] != loaded.boundary_id
        )
        cursors = [cursor if continues else None, *[None] * (len(group) - 1)]
        pairs = zip(group, cursors, strict=True)
        read = yield from together([_read_document(loaded, *pair, top) for pair in pairs])
        for before, (document_tokens, end) in zip(cursors, read, strict=True):
            if top is not None and before is None:  # The boundary that begins this document.
                first_token = ScoredToken(loaded.boundary_id, None, [])
                if cursor is not None:  # It ends the document before it, too.
                    first_token = score_token(cursor.log_probs, loaded.boundary_id, top)
                tokens.append(first_token)
            tokens += document_tokens
            cursor = end
    assert cursor is not None
    return tokens, cursor


def _split_documents(loaded: LoadedRun, ids: Ids) -> list[Ids]:
    """Return the parts of a text that can be read in parallel: each begins with a boundary.

    Running text is one part. Of other texts only the first part may continue from a cursor.
    """
    starts = [] if loaded.is_running_text else np.flatnonzero(ids == loaded.boundary_id).tolist()
    edges = itertools.pairwise([0, *starts, len(ids)])
    return [ids[start:end] for start, end in edges if start < end]


def _read_document(
    loaded: LoadedRun, ids: Ids, cursor: Cursor | None, top: int | None
) -> Work[tuple[list[ScoredToken], Cursor]]:
    """Read a document in chunks; return a scored token for each id but an initial boundary."""
    model, tokens = loaded.worker.model, list[ScoredToken]()
    while len(ids):
        size = next(size for size in CHUNK_SIZES if size <= len(ids))
        chunk, ids = ids[:size], ids[size:]
        state = model.start(1) if cursor is None else cursor.state
        ((log_probs, state),) = yield [Read(chunk, state, last=top is None)]
        if top is not None:
            before = log_probs[:-1] if cursor is None else [cursor.log_probs, *log_probs[:-1]]
            scored = chunk[len(chunk) - len(before) :]
            pairs = zip(before, scored, strict=True)
            tokens += [score_token(row, int(index), top) for row, index in pairs]
        cursor = Cursor(log_probs[-1], state)
    assert cursor is not None
    return tokens, cursor


def score_token(log_probs: Float[np.ndarray, " vocab"], index: int, top: int) -> ScoredToken:
    """Return a token with its log-probability and the likeliest tokens in its place."""
    best = [(i, float(log_probs[i])) for i in likeliest(log_probs, top)]
    return ScoredToken(index, float(log_probs[index]), best)


@dataclass(frozen=True)
class Prompt:
    """A text to continue.

    Attributes:
        text: Its text, for ``echo``.
        ids: Its tokens.
        incomplete: Whether the ids end within a character, which is not part of the text.
    """

    text: str
    ids: Ids
    incomplete: bool = False


@dataclass
class Piece:
    """New output of one completion: text, and tokens with their offsets in the text."""

    index: int
    text: str
    tokens: list[tuple[ScoredToken, int]]
    finish_reason: Literal["stop", "length"] | None


class CompletionStream:
    """All completions of a request, generated concurrently.

    Args:
        loaded: The run whose model generates.
        request: The request.
        prompts: The prompts of the request.
    """

    def __init__(
        self, loaded: LoadedRun, request: CompletionRequest, prompts: list[Prompt]
    ) -> None:
        self._loaded, self._request, self._prompts = loaded, request, prompts
        self._decoding = request.decoding()
        self._seed = secrets.randbits(63) if request.seed is None else request.seed % 2**64
        self._generated = 0
        self._max_unsent = math.inf
        # Numbers of pieces. The model's thread changes the first, the event loop the second.
        self._emitted = self._sent = 0

    def usage(self) -> Usage:
        """Return the numbers of tokens so far."""
        read = sum(len(prompt.ids) for prompt in self._prompts)
        total = read + self._generated
        return Usage(prompt_tokens=read, completion_tokens=self._generated, total_tokens=total)

    async def whole(self) -> list[Piece]:
        """Return all completions, complete."""
        pieces: list[list[Piece]] = [[] for _ in range(len(self._prompts) * self._request.n)]
        work = self._complete_all(lambda piece: pieces[piece.index].append(piece))
        ids = (
            sum(1 + len(one.ids) for one in self._prompts) + len(pieces) * self._request.max_tokens
        )
        await self._loaded.worker.run(work, ids)
        return [_join_pieces(of_choice) for of_choice in pieces]

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of all completions as they are generated."""
        queue: asyncio.Queue[Piece | None] = asyncio.Queue()
        loop, worker = asyncio.get_running_loop(), self._loaded.worker

        def put(piece: Piece | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, piece)

        def emit(piece: Piece) -> None:
            self._emitted += 1
            put(piece)

        self._max_unsent = MAX_UNSENT
        job = worker.submit(self._complete_all(emit))
        job.done.add_done_callback(lambda _: put(None))
        try:
            while (piece := await queue.get()) is not None:
                yield piece
                self._sent += 1
                if self._emitted - self._sent == MAX_UNSENT - 1:  # There is room again.
                    worker.wake(job)
            job.done.result()
        finally:
            job.done.cancel()

    def _complete_all(self, emit: Callable[[Piece], None]) -> Work[None]:
        prompts = enumerate(self._prompts)
        yield from together([self._complete_prompt(*pair, emit) for pair in prompts])

    def _complete_prompt(
        self, number: int, prompt: Prompt, emit: Callable[[Piece], None]
    ) -> Work[None]:
        request, loaded = self._request, self._loaded
        top = request.logprobs if request.echo else None
        tokens, cursor = yield from read_text(loaded, prompt.ids, top=top)
        indices = range(number * request.n, (number + 1) * request.n)
        if request.echo:
            with_offsets = _add_offsets(loaded, tokens)
            for index in indices:
                emit(Piece(index, prompt.text, with_offsets, None))
        yield from together([self._complete(index, prompt, cursor, emit) for index in indices])

    def _complete(
        self, index: int, prompt: Prompt, cursor: Cursor, emit: Callable[[Piece], None]
    ) -> Work[None]:
        """Generate one completion.

        It ends where a document ends, except for running text.
        """
        request, loaded = self._request, self._loaded
        generator = text_generator(self._seed, index)  # Its own, so other texts do not change it.
        stops, stream = StopSequences(request.stops()), TextStream(loaded)
        stream.follow(prompt.text, prompt.ids, prompt.incomplete)
        reason: Literal["stop", "length"] = "length"
        chosen = None
        for _ in range(request.max_tokens):
            if chosen is not None:
                ((log_probs, state),) = yield [Read(np.array([chosen]), cursor.state)]
                cursor = Cursor(log_probs[-1], state)
            while self._emitted - self._sent >= self._max_unsent:
                yield []
            chosen = int(choose(cursor.log_probs[None], self._decoding, generator)[0])
            token = score_token(cursor.log_probs, chosen, request.logprobs or 0)
            self._generated += 1
            offset = len(prompt.text) + len(stream.text)
            ended = chosen == loaded.boundary_id and not loaded.is_running_text
            text = stops.add("" if ended else stream.add(chosen))
            tokens = [] if request.logprobs is None else [(token, offset)]
            if stops.stopped:
                emit(Piece(index, text, tokens, "stop"))
                return
            emit(Piece(index, text, tokens, None))
            if ended:
                reason = "stop"
                break
        rest = stops.add(stream.finish()) + stops.finish()
        emit(Piece(index, rest, [], "stop" if stops.stopped else reason))

    def choice(self, piece: Piece) -> Choice:
        """Return a piece in the shape of OpenAI's API."""
        logprobs = None
        if self._request.logprobs is not None:
            tokens = [token for token, _ in piece.tokens]
            logprobs = TokenLogProbs(
                tokens=[self._loaded.token_text(token.index) for token in tokens],
                token_logprobs=[_finite(token.log_probability) for token in tokens],
                top_logprobs=[self._top_logprobs(token) for token in tokens],
                text_offset=[offset for _, offset in piece.tokens],
            )
        return Choice(
            index=piece.index,
            text=piece.text,
            logprobs=logprobs,
            finish_reason=piece.finish_reason,
        )

    def _top_logprobs(self, token: ScoredToken) -> dict[str, float] | None:
        """Return log-probabilities by text: the likeliest tokens and the token itself.

        Of tokens with the same text the likeliest counts.
        """
        if token.log_probability is None:
            return None
        found: dict[str, float] = {}
        for index, log_prob in [*token.top, (token.index, token.log_probability)]:
            text = self._loaded.token_text(index)
            found[text] = max(_finite(log_prob) or 0.0, found.get(text, IMPOSSIBLE))
        return found


def _join_pieces(pieces: list[Piece]) -> Piece:
    """Return all pieces of one completion as one."""
    tokens = [token for piece in pieces for token in piece.tokens]
    text = "".join(piece.text for piece in pieces)
    return Piece(pieces[-1].index, text, tokens, pieces[-1].finish_reason)


def _add_offsets(loaded: LoadedRun, tokens: list[ScoredToken]) -> list[tuple[ScoredToken, int]]:
    """Return the tokens of a prompt with their offsets in its text."""
    stream, with_offsets = TextStream(loaded), list[tuple[ScoredToken, int]]()
    for number, token in enumerate(tokens):
        with_offsets.append((token, len(stream.text)))
        if number or token.index != loaded.boundary_id:  # The first boundary has no text.
            stream.add(token.index)
    if with_offsets:  # As in OpenAI's API, the first token has no log-probability.
        with_offsets[0] = (ScoredToken(tokens[0].index, None, []), 0)
    return with_offsets


def _finite(log_probability: float | None) -> float | None:
    if log_probability is None or math.isfinite(log_probability):
        return log_probability
    return IMPOSSIBLE
