"""Reading a text and writing on from it, one token after another, beside other requests."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from thence.generation.filters import DecodingOptions
from thence.generation.sampling import choose
from thence.models import State
from thence.serve.served import ServedRun, top_tokens
from thence.serve.worker import CHUNKS, Ids


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
    model, steps = served.run.model, list[Step]()
    if place is None and (len(ids) == 0 or ids[0] != served.boundary_id):
        _, place = await read_text(served, np.array([served.boundary_id]))
    for piece in _pieces(ids, None if served.is_running_text else served.boundary_id):
        begins = piece[0] == served.boundary_id and not served.is_running_text
        state = model.start(1) if place is None or begins else place.state
        log_probs, state = await served.worker.read(model, piece, state, last=top is None)
        if top is not None:
            if place is None:
                steps.append(Step(int(piece[0]), None, []))
            before = log_probs[:-1] if place is None else [place.log_probs, *log_probs[:-1]]
            told = piece[len(piece) - len(before) :]
            steps += [step_of(row, int(i), top) for row, i in zip(before, told, strict=True)]
        place = Place(log_probs[-1], state)
    assert place is not None
    return steps, place


def _pieces(ids: Ids, boundary_id: int | None) -> Iterator[Ids]:
    """Yield the ids in pieces of the sizes of ``CHUNKS``; a boundary begins one, if given."""
    begins = ids == boundary_id if boundary_id is not None else np.zeros(len(ids), bool)
    for document in np.split(ids, np.flatnonzero(begins)):
        while len(document):
            size = next(size for size in CHUNKS if size <= len(document))
            yield document[:size]
            document = document[size:]


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
