"""Reading a text and writing on from it, one token after another, beside other requests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thence.generation.sampling import choose
from thence.generation.sampling_filters import DecodingOptions
from thence.models.base import Array, State
from thence.serve.off_loop import off_loop
from thence.serve.served import ServedRun, top_tokens
from thence.serve.worker import CHUNKS, LARGEST_BATCH, Ids


@dataclass(frozen=True)
class Step:
    """One token of a text, with what the model thought before it.

    Attributes:
        index: Its id.
        log_probability: Of the token after what stands before it, in nats; None for the boundary
            that the text begins with.
        top: Ids and log-probabilities of the likeliest tokens there, the likeliest first.
    """

    index: int
    log_probability: float | None
    top: list[tuple[int, float]]


@dataclass(frozen=True)
class Place:
    """How far a text has been read: a value, from which several texts may go on.

    Attributes:
        log_probs: Log-probabilities of what follows.
        state: What the model remembers.
    """

    log_probs: Float[np.ndarray, " vocab"]
    state: State


async def read_text(
    served: ServedRun, ids: Ids, place: Place | None = None, top: int | None = None
) -> tuple[list[Step], Place]:
    """Read ids from a place on, or from the start of a text.

    Args:
        served: Whose model reads.
        ids: What is read; at the start of a text a boundary is read first if there is none.
        place: Where to go on.
        top: How many of the likeliest tokens to tell for each id; None: tell nothing.

    Returns:
        A step for each id if asked for, and the place after the last.
    """
    if place is None and (len(ids) == 0 or ids[0] != served.boundary_id):
        whole = np.concatenate([[served.boundary_id], ids])
        steps, place = await read_text(served, whole, top=top)
        return steps[1:], place
    documents = _documents(served, ids)
    if top is None:
        documents = documents[-1:]  # Each begins anew: what is before it tells nothing of the rest.
    steps = []
    for first in range(0, len(documents), LARGEST_BATCH):
        some = documents[first : first + LARGEST_BATCH]
        goes_on = place is not None and (served.is_running_text or some[0][0] != served.boundary_id)
        befores = [place if goes_on else None, *[None] * (len(some) - 1)]
        read = [
            _read_document(served, document, before, top)
            for document, before in zip(some, befores, strict=True)
        ]
        for before, (of_document, end) in zip(befores, await asyncio.gather(*read), strict=True):
            if top is not None and before is None:
                steps.append(_first_step(served, place, top))
            steps += of_document
            place = end
    assert place is not None
    return steps, place


def _documents(served: ServedRun, ids: Ids) -> list[Ids]:
    """Return the parts of a text that can be read side by side: each begins with a boundary.

    Running text is one part. Of other texts only the first may go on from what was read before.
    """
    if served.is_running_text or len(ids) == 0:
        return [ids] if len(ids) else []
    parts = np.split(ids, np.flatnonzero(ids == served.boundary_id))
    return [part for part in parts if len(part)]


def _first_step(served: ServedRun, place: Place | None, top: int) -> Step:
    """Return the boundary that begins a document, after the place where another ended."""
    if place is None:
        return Step(served.boundary_id, None, [])
    return step_of(place.log_probs, served.boundary_id, top)


async def _read_document(
    served: ServedRun, ids: Ids, place: Place | None, top: int | None
) -> tuple[list[Step], Place]:
    """Read a document piece by piece; tell of each id that something was read before."""
    model, steps = served.run.model, list[Step]()
    while len(ids):
        size = next(size for size in CHUNKS if size <= len(ids))
        piece, ids = ids[:size], ids[size:]
        state = model.start(1) if place is None else place.state
        log_probs, state = await served.worker.read(model, piece, state, last=top is None)
        if top is not None:
            before = log_probs[:-1] if place is None else [place.log_probs, *log_probs[:-1]]
            told = piece[len(piece) - len(before) :]
            steps += await off_loop(len(told), _steps, before, told, top)
        place = Place(log_probs[-1], state)
    assert place is not None
    return steps, place


def _steps(before: Sequence[Array], told: Ids, top: int) -> list[Step]:
    return [step_of(row, int(index), top) for row, index in zip(before, told, strict=True)]


def step_of(log_probs: Float[np.ndarray, " vocab"], index: int, top: int) -> Step:
    """Return a token as it is after what is before it."""
    likeliest = [(i, float(log_probs[i])) for i in top_tokens(log_probs, top)]
    return Step(index, float(log_probs[index]), likeliest)


async def write_on(
    served: ServedRun,
    place: Place,
    options: DecodingOptions,
    generator: np.random.Generator,
    count: int,
    top: int = 0,
) -> AsyncIterator[Step]:
    """Yield tokens that follow a place, until a document ends or so many have come.

    Running text goes on after the end of a document.

    Args:
        served: Whose model writes.
        place: After what.
        options: How each token is chosen.
        generator: Of the draws: of this text alone, so that others do not change it.
        count: Tokens at most.
        top: How many of the likeliest tokens to tell for each.
    """
    for number in range(count):
        index = int(choose(place.log_probs[None], options, generator)[0])
        yield step_of(place.log_probs, index, top)
        if number == count - 1 or (index == served.boundary_id and not served.is_running_text):
            return
        _, place = await read_text(served, np.array([index]), place)
