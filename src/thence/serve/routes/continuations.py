"""``POST /playground/continuations``: continuations of a text, with copies of train marked."""

from itertools import pairwise

from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.inspection.train_counts import TrainCounts, train_counts
from thence.serve.completion_stream import CompletionStream, Piece, Prompt
from thence.serve.errors import check_characters, check_length, reject
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.routes import Context
from thence.serve.routes.strips import bits_of
from thence.serve.schemas import CompletionRequest, ModelRequest

MAX_COUNT = 32
MAX_TOKENS = 400
LONGEST_MATCH = 64
"""Maximum length of a copy that is searched for, in tokens."""


class ContinuationsRequest(ModelRequest):
    """A text to continue, and how."""

    text: str = ""
    count: int = Field(12, ge=1, le=MAX_COUNT)
    max_tokens: int = Field(30, ge=1, le=MAX_TOKENS)
    temperature: float = Field(1.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int | None = Field(None, ge=1)
    seed: int | None = Field(None, ge=0, lt=2**63)


class Continuation(BaseModel):
    """One continuation of the text; the lists have an item for each new token."""

    text: str
    tokens: list[str] = Field(description="What each token adds.")
    bits: list[float | None]
    finished: bool = Field(description="Whether the document ended.")
    copied: bool | None = Field(
        description="Whether the document is one of the train text; none if that cannot be read."
    )
    match: tuple[int, int] | None = Field(
        description="First token of the longest part that the train text has, and the one after "
        "its last."
    )


class Continuations(BaseModel):
    """Continuations of a text."""

    model: str
    continuations: list[Continuation]


def routes(context: Context) -> APIRouter:
    """Return the endpoint that continues a text in several ways."""
    router, limits = APIRouter(), context.limits

    @router.post("/playground/continuations")
    async def continue_text(request: ContinuationsRequest) -> Continuations:
        """Continue a text in several ways."""
        loaded = find_model(context.models, request.model, classifier=False)
        check_characters("text", len(request.text), limits.max_prompt)
        if request.max_tokens > limits.max_tokens:
            raise reject(
                f'"max_tokens" is {request.max_tokens}; this server gives at most '
                f"{limits.max_tokens} (--max-tokens)."
            )
        ids = await loaded.worker.call(loaded.encode, request.text)
        check_length("text", len(ids), limits.max_prompt)
        settings = request.model_dump(exclude={"count", "text"})
        asked = CompletionRequest(prompt=request.text, n=request.count, logprobs=0, **settings)
        prompt = Prompt(request.text, ids)
        pieces = await CompletionStream(loaded, asked, [prompt]).whole()
        found = await loaded.worker.call(_continuations, loaded, prompt, pieces)
        return Continuations(model=loaded.name, continuations=found)

    return router


def _continuations(loaded: LoadedRun, prompt: Prompt, pieces: list[Piece]) -> list[Continuation]:
    counts = train_counts(loaded.run)
    return [_continuation(loaded, prompt, piece, counts) for piece in pieces]


def _continuation(
    loaded: LoadedRun, prompt: Prompt, piece: Piece, counts: TrainCounts | None
) -> Continuation:
    ids = [token.index for token, _ in piece.tokens]
    places = [offset - len(prompt.text) for _, offset in piece.tokens] + [len(piece.text)]
    boundary = loaded.boundary_id
    document = [boundary, *prompt.ids.tolist(), *ids]
    if not loaded.is_running_text:  # What came before the last document does not count.
        before = document[: len(document) - len(ids)]
        inside = [place for place, index in enumerate(before) if index == boundary]
        document = document[inside[-1] :]
    finished = piece.finish_reason == "stop"
    copied = match = None
    if counts is not None:
        copied = finished and len(document) > 2 and len(counts.ends(tuple(document))) > 0
        match = _longest_match(counts, ids)
    return Continuation(
        text=piece.text,
        tokens=[piece.text[first:stop] for first, stop in pairwise(places)],
        bits=bits_of([token.log_probability for token, _ in piece.tokens]),
        finished=finished,
        copied=copied,
        match=match,
    )


def _longest_match(counts: TrainCounts, ids: list[int]) -> tuple[int, int]:
    """Return start and end of the longest sequence of ids that occurs in train."""
    best, first = (0, 0), 0
    for stop in range(1, len(ids) + 1):
        first = max(first, stop - LONGEST_MATCH)
        while first < stop and not len(counts.ends(tuple(ids[first:stop]))):
            first += 1
        if stop - first > best[1] - best[0]:
            best = first, stop
    return best
