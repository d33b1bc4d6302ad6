"""``POST /playground/read``: the surprisal of every token of a text, and what may follow it."""

import itertools
from typing import Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.corpus import Documents
from thence.evaluation.metrics import bits, finite, perplexity
from thence.inspection.following import likeliest
from thence.serve.batching import Ids, Work
from thence.serve.completion_stream import Cursor, ScoredToken, read_text
from thence.serve.errors import check_characters, check_length, reject
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.reading import Readings, adapts, lines_of, score_whole
from thence.serve.routes import Context
from thence.serve.routes.strips import appended_text
from thence.serve.schemas import ModelRequest
from thence.serve.text_stream import TextStream

MAX_ALTERNATIVES = 20
MAX_NEXT = 200
MAX_ALL_ALTERNATIVES = 100_000
"""Alternatives of all tokens of a text together; of a longer text each token has fewer."""


class ReadRequest(ModelRequest):
    """A text to read token by token."""

    text: str = Field("", description="The beginning of a document, or a whole one.")
    alternatives: int = Field(
        5, ge=0, le=MAX_ALTERNATIVES, description="Most probable tokens to return at each position."
    )
    next: int = Field(
        20, ge=0, le=MAX_NEXT, description="Most probable next tokens to return, and the boundary."
    )
    adapt: bool = Field(
        False,
        description="Let a model of running text that adapts (caches, context mixing, dynamic "
        "evaluation) learn from each token after it is scored; without alternatives. What follows "
        "is predicted without adaptation, and the next request starts from the saved model.",
    )


class Token(BaseModel):
    """A token and its probability, given the tokens before it."""

    id: int
    text: str | None = Field(description="Its text; none if no text makes it.")
    probability: float
    is_boundary: bool


class NamedToken(Token):
    """A token with its name in the vocabulary."""

    name: str
    is_unknown: bool


class ReadToken(NamedToken):
    """A token of the text."""

    nats: float | None = Field(description="Its surprisal; none if its probability is 0.")
    surprisal: float | None = Field(description="The same in bits.")
    perplexity: float | None = Field(description="Of all tokens up to this one.")
    alternatives: list[Token]


class Following(BaseModel):
    """What may follow the text."""

    tokens: list[NamedToken]
    remaining: float = Field(description="The probability of all others together.")
    others: int = Field(description="How many others there are.")


class ReadAnswer(BaseModel):
    """A text as a model reads it; the logarithms are natural ones."""

    model: str
    tokens: list[ReadToken]
    next: Following
    nats: float | None = Field(description="Minus the log-probability of the tokens.")
    nats_with_end: float | None = Field(description="The same, if the document ends here.")
    perplexity: float | None = Field(description="Per token, without the end.")


def routes(context: Context) -> APIRouter:
    """Return the endpoint that scores a text for the page."""
    router = APIRouter()

    @router.post("/playground/read")
    async def read_a_text(request: ReadRequest) -> ReadAnswer:
        """Read a text: the surprisal of every token, and what may follow."""
        loaded = find_model(context.models, request.model, classifier=False)
        check_characters("text", len(request.text), context.limits.max_prompt)
        if request.adapt and not adapts(loaded):
            raise reject(f"'adapt': {loaded.name} does not adapt to text that it reads.")
        return await loaded.worker.run(_read(loaded, request, context.limits.max_prompt))

    return router


def _read(loaded: LoadedRun, request: ReadRequest, max_tokens: int) -> Work[ReadAnswer]:
    ids = loaded.encode(request.text)
    check_length("text", len(ids), max_tokens)
    top = min(request.alternatives, MAX_ALL_ALTERNATIVES // max(len(ids), 1))
    if top and not request.adapt:
        tokens, cursor = yield from read_text(loaded, ids, top=top)
    else:  # Nothing is shown that takes a distribution per token.
        readings = Readings(loaded)
        reading = yield from readings.read(lines_of(loaded, request.text), ids)
        log_probs = reading.log_probs
        if request.adapt:
            log_probs = score_whole(loaded, lines_of(loaded, request.text))
        scored = zip(ids.tolist(), log_probs.tolist(), strict=True)
        tokens = [ScoredToken(index, log_prob, []) for index, log_prob in scored]
        cursor = yield from readings.at(reading, len(reading.ids))
    return _answer(loaded, request, ids, tokens, cursor)


def _answer(
    loaded: LoadedRun, request: ReadRequest, ids: Ids, tokens: list[ScoredToken], cursor: Cursor
) -> ReadAnswer:
    # A boundary that the text begins with is not scored.
    scored = [
        (token, -token.log_probability) for token in tokens if token.log_probability is not None
    ]
    nats = sum(surprisal for _, surprisal in scored)
    shown = _read_tokens(loaded, scored, _spelled(loaded, request.text, ids))
    return ReadAnswer(
        model=loaded.name,
        tokens=shown,
        next=_following(loaded, request.text, ids, cursor, request.next),
        nats=finite(nats),
        nats_with_end=finite(nats - float(cursor.log_probs[loaded.boundary_id])),
        perplexity=shown[-1].perplexity if shown else None,
    )


def _spelled(loaded: LoadedRun, text: str, ids: Ids) -> list[str] | None:
    """Return each token as the text spells it, also unknown words and capitals that are lowered.

    None if tokens and text do not correspond; then each token's own text is shown.
    """
    options = loaded.run.tokenizer.options
    if options.tokens == "characters":
        return list(text) if len(text) == len(ids) else None
    if options.tokens != "words":
        return None
    found = loaded.run.tokenizer.find_words(Documents.from_strings([text]))
    if len(found.starts) != int(np.sum(ids != loaded.boundary_id)):
        return None
    ends = [0, *found.ends.tolist()]
    words = iter(text[end:after] for end, after in itertools.pairwise(ends))
    return ["\n" if index == loaded.boundary_id else next(words).lstrip("\r\n") for index in ids]


def _fields(loaded: LoadedRun, index: int, log_probability: float) -> dict[str, Any]:
    """Return the fields that all tokens of an answer have but their text."""
    return {
        "id": index,
        "name": loaded.token_names[index],
        "probability": float(np.exp(log_probability)),
        "is_boundary": index == loaded.boundary_id,
        "is_unknown": index == loaded.run.tokenizer.vocabulary.unknown_id,
    }


def _read_tokens(
    loaded: LoadedRun, scored: list[tuple[ScoredToken, float]], spelled: list[str] | None
) -> list[ReadToken]:
    stream, total_nats, tokens = TextStream(loaded), 0.0, list[ReadToken]()
    for number, (token, nats) in enumerate(scored):
        total_nats += nats
        alternatives = [
            Token(text=loaded.token_text(index), **_fields(loaded, index, log_prob))
            for index, log_prob in token.top
        ]
        tokens.append(
            ReadToken(
                text=stream.add(token.index) if spelled is None else spelled[number],
                nats=finite(nats),
                surprisal=finite(bits(nats)),
                perplexity=finite(perplexity(total_nats / (number + 1))),
                alternatives=alternatives,
                **_fields(loaded, token.index, -nats),
            )
        )
    return tokens


def _following(loaded: LoadedRun, text: str, ids: Ids, cursor: Cursor, count: int) -> Following:
    log_probs = cursor.log_probs.astype(np.float64)
    shown = likeliest(cursor.log_probs, count)
    if shown and loaded.boundary_id not in shown:  # Always show whether the text may end here.
        shown.append(loaded.boundary_id)
    tokens = [
        NamedToken(
            text=appended_text(loaded, text, ids, index),
            **_fields(loaded, index, log_probs[index]),
        )
        for index in shown
    ]
    remaining = float(np.exp(np.delete(log_probs, shown)).sum())
    return Following(tokens=tokens, remaining=remaining, others=len(log_probs) - len(shown))
