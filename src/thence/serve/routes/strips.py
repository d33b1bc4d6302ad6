"""``POST /playground/strips``: the surprisal of a text by several models, while it is typed."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncIterator
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from thence.array_types import Float64, Int64
from thence.corpus import Documents
from thence.errors import ThenceError
from thence.inspection.following import likeliest
from thence.inspection.spans import token_spans
from thence.serve.batching import Ids, Work
from thence.serve.completion_stream import Cursor
from thence.serve.errors import SERVER_ERROR, check_characters, check_length
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.reading import Readings, lines_of
from thence.serve.routes import Context
from thence.serve.schemas import MAX_NAME, RequestModel
from thence.serve.text_stream import TextStream

MAX_MODELS = 32
PROMPTS = 4
"""A text may be this many times as long as ``--max-prompt``: 65,536 tokens by default."""
MAX_TOP = 512
"""Maximum number of tokens of a distribution that are listed: all characters of most alphabets."""
TAIL_BINS = 48
"""Number of groups for all other tokens of a distribution, by probability."""


class StripsRequest(RequestModel):
    """A text for several models, and the place in it that is looked at."""

    models: Annotated[
        list[Annotated[str, Field(max_length=MAX_NAME)]], Field(min_length=1, max_length=MAX_MODELS)
    ]
    text: str = ""
    place: int | None = Field(
        None,
        ge=0,
        description="A character: what could stand in place of its token is listed.",
    )
    top: int = Field(100, ge=1, le=MAX_TOP, description="Tokens to list of each distribution.")


class Candidate(BaseModel):
    """A token that could stand at a place."""

    id: int
    text: str | None = Field(description="What it adds to the text; none if it cannot be added.")
    name: str
    probability: float
    is_boundary: bool
    is_unknown: bool


class Distribution(BaseModel):
    """What could stand at a place: the likeliest tokens, and all others in groups."""

    tokens: list[Candidate]
    tail: list[tuple[float, int]] = Field(
        description="Of the tokens that are not listed: mean probability and size of each group."
    )
    entropy: float = Field(description="In bits.")
    index: int | None = Field(description="The token of the text that stands there; none: the end.")
    rank: int | None = Field(description="Of that token; 1: the most probable.")


class Strip(BaseModel):
    """A text as a model reads it; the lists have an item for each token."""

    model: str
    ids: list[int]
    starts: list[int] = Field(description="First character of each token.")
    ends: list[int] = Field(description="The character after its last.")
    bits: list[float | None] = Field(description="Its surprisal; none if it is impossible.")
    boundary: int = Field(description="The id that ends documents.")
    unknown: int | None = Field(description="The id of what the vocabulary lacks.")
    end_bits: float | None = Field(description="Surprisal of the end of the document here.")
    at: Distribution | None = Field(description="At the place that was asked for.")
    end: Distribution = Field(description="After the text.")


def routes(context: Context) -> APIRouter:
    """Return the endpoint that reads a text for the page."""
    router = APIRouter()
    readings = {name: Readings(one) for name, one in context.models.items()}

    async def strip(name: str, request: StripsRequest) -> dict[str, Any]:
        try:
            loaded = find_model(context.models, name, False)
            most = PROMPTS * context.limits.max_prompt
            check_characters("text", len(request.text), most)
            work = _read(loaded, readings[name], request, most)
            return (await loaded.worker.run(work, len(request.text))).model_dump()
        except (ThenceError, HTTPException) as error:
            said = error.detail if isinstance(error, HTTPException) else str(error)
            said = said.get("message", said) if isinstance(said, dict) else said
            return {"model": name, "problem": str(said)}
        except Exception:
            logging.getLogger("thence.serve").exception("a strip failed")
            return {"model": name, "problem": SERVER_ERROR}

    async def events(request: StripsRequest) -> AsyncIterator[str]:
        tasks = [
            asyncio.create_task(strip(name, request)) for name in dict.fromkeys(request.models)
        ]
        try:
            for done in asyncio.as_completed(tasks, timeout=context.limits.timeout):
                yield f"data: {json.dumps(await done, ensure_ascii=False)}\n\n"
        except TimeoutError:
            pass  # The page says which models did not answer.
        finally:
            for task in tasks:
                task.cancel()
        yield "data: [DONE]\n\n"

    events_of_strips = {"description": "Events (``Strip``).", "content": {"text/event-stream": {}}}

    @router.post(
        "/playground/strips", response_class=StreamingResponse, responses={200: events_of_strips}
    )
    async def read_strips(request: StripsRequest) -> Response:
        """Read a text with several models: an event for each, the quickest first."""
        return StreamingResponse(events(request), media_type="text/event-stream")

    return router


def _read(
    loaded: LoadedRun, readings: Readings, request: StripsRequest, max_tokens: int
) -> Work[Strip]:
    lines, text = lines_of(loaded, request.text), request.text
    store = loaded.run.tokenizer.encode(Documents.from_strings(lines.texts))
    ids = store.targets[:-1].astype(np.int64)
    check_length("text", len(ids), max_tokens)
    reading = yield from readings.read(lines, ids)
    spans = token_spans(loaded.run.tokenizer, lines, store)
    at, index = None, _token_at(spans, request.place)
    if index is not None:
        cursor = yield from readings.at(reading, index + 1)
        before = text[: spans[index, 0]]
        at = _distribution(loaded, cursor, before, ids[:index], request.top, int(ids[index]))
        at.index = index
    cursor = yield from readings.at(reading, len(reading.ids))
    end = _distribution(loaded, cursor, text, ids, request.top, None)
    return Strip(
        model=loaded.name,
        ids=ids.tolist(),
        starts=spans[:, 0].tolist(),
        ends=spans[:, 1].tolist(),
        bits=bits_of(reading.log_probs),
        boundary=loaded.boundary_id,
        unknown=loaded.run.tokenizer.vocabulary.unknown_id,
        end_bits=bits_of(cursor.log_probs[loaded.boundary_id : loaded.boundary_id + 1])[0],
        at=at,
        end=end,
    )


def _token_at(spans: Int64[np.ndarray, "tokens 2"], place: int | None) -> int | None:
    """Return which token a character belongs to; None if it stands after the last."""
    if place is None:
        return None
    index = int(np.searchsorted(spans[:, 1], place, "right"))
    return index if index < len(spans) else None


def bits_of(log_probs: Any) -> list[float | None]:
    """Return surprisals rounded to what can be seen; None for the impossible."""
    bits = np.round(-np.asarray(log_probs, np.float64) / math.log(2), 4) + 0.0
    return [value if math.isfinite(value) else None for value in bits.tolist()]


def _distribution(
    loaded: LoadedRun, cursor: Cursor, text: str, ids: Ids, top: int, actual: int | None
) -> Distribution:
    log_probs = cursor.log_probs.astype(np.float64)
    probs = np.exp(log_probs)
    shown = likeliest(cursor.log_probs, top)
    extra = {loaded.boundary_id, *([] if actual is None else [actual])} - set(shown)
    shown += sorted(extra)
    certain = np.where(probs > 0, log_probs, 0.0)
    vocabulary = loaded.run.tokenizer.vocabulary
    return Distribution(
        tokens=[
            Candidate(
                id=index,
                text=appended_text(loaded, text, ids, index),
                name=loaded.token_names[index],
                probability=float(probs[index]),
                is_boundary=index == loaded.boundary_id,
                is_unknown=index == vocabulary.unknown_id,
            )
            for index in shown
        ],
        tail=_tail(np.delete(probs, shown)),
        entropy=max(0.0, -float(probs @ certain) / math.log(2)),
        index=None,
        rank=None if actual is None else int((log_probs > log_probs[actual]).sum()) + 1,
    )


def _tail(probs: Float64[np.ndarray, " others"]) -> list[tuple[float, int]]:
    """Return the mean probability and the size of groups of tokens of similar probability."""
    probs = np.sort(probs[probs > 0])
    if len(probs) == 0:
        return []
    logs = np.log(probs)
    edges = np.linspace(logs[0], logs[-1], TAIL_BINS + 1)[1:-1]
    parts = np.split(probs, np.searchsorted(logs, edges))
    return [(float(part.mean()), len(part)) for part in parts if len(part)]


def appended_text(loaded: LoadedRun, text: str, ids: Ids, index: int) -> str | None:
    """Return what a token adds to a text; None for part of a character, or an end without text."""
    if index == loaded.boundary_id:
        return "\n" if loaded.is_by_lines and text else None
    tokenizer = loaded.run.tokenizer
    if index == tokenizer.vocabulary.unknown_id and tokenizer.options.tokens != "words":
        return None  # Any symbol outside the vocabulary would do, and none is this one.
    stream = TextStream(loaded)
    stream.follow(text, ids)
    return stream.add(index) or None
