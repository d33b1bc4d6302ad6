"""``/playground/replay``: a training played again from the snapshots that it kept."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from thence.serve.replay import Replays
from thence.serve.routes import Context
from thence.serve.schemas import MAX_NAME, RequestModel

MAX_TEXT = 400
"""Characters of a text that all snapshots read."""
MAX_SAMPLES = 20


class Embeddings(BaseModel):
    """Embeddings in two dimensions, along the principal axes of the last snapshot."""

    tokens: list[str]
    points: list[list[tuple[float, float]]] = Field(description="Of each snapshot, each token.")
    shares: list[float] = Field(description="Of the last one's variance along each axis.")


class Replay(BaseModel):
    """What does not depend on a text."""

    steps: list[int] = Field(description="Of the snapshots; other lists have an item for each.")
    samples: list[list[str]] = Field(description="All of one seed.")
    embeddings: Embeddings | None
    views: list[str] = Field(description="What can be shown over a text.")


class ReplayRequest(RequestModel):
    """A text that all snapshots of a run read."""

    run: str = Field(max_length=MAX_NAME)
    text: str = Field("", max_length=MAX_TEXT)
    view: str | None = Field(None, description="One of the replay's views; none: colours alone.")
    matrix: str | None = Field(None, description="One of the view's matrices; none: the last.")


class ReplayToken(BaseModel):
    """A token of the text."""

    text: str
    before: str = Field(description="White space between it and the token before.")
    is_boundary: bool


class Next(BaseModel):
    """The likeliest token after the text."""

    text: str
    probability: float


class ReplayReading(BaseModel):
    """How each snapshot reads a text."""

    tokens: list[ReplayToken]
    bits: list[list[float | None]] = Field(description="Of each snapshot, each token.")
    end: list[float | None] = Field(description="Bits of the end of the document after it.")
    next: list[Next | None]
    names: list[str] = Field(description="The matrices of the view: layers, or gates of layers.")
    matrix: str | None = Field(description="The one whose values these are.")
    values: list[list[list[float]]] = Field(description="Of each snapshot: tokens, units.")


def routes(context: Context) -> APIRouter:
    """Return the endpoints of replays."""
    router, replays, queries = APIRouter(), Replays(), context.queries

    @router.get("/playground/replay")
    async def replay(
        run: str,
        seed: Annotated[int, Query(ge=0, lt=1 << 32)] = 1,
        count: Annotated[int, Query(ge=1, le=MAX_SAMPLES)] = 8,
    ) -> Replay:
        """Return the snapshots of a run, with samples and embeddings of each."""
        return Replay(**await queries.answer(replays.overview, [run], seed, count))

    @router.post("/playground/replay")
    async def read(request: ReplayRequest) -> ReplayReading:
        """Return how each snapshot of a run reads a text."""
        asked = request.text, request.view, request.matrix
        found = await queries.answer(replays.reading, [request.run], *asked, remember=False)
        return ReplayReading(**found)

    return router
