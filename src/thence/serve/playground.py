"""``/playground/read``: a text as a model reads it, token by token, and what may follow."""

import itertools

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from thence.corpus import Documents
from thence.evaluation.units import bits, finite, perplexity
from thence.serve.body import Body
from thence.serve.limits import LONGEST_NAME, Limits
from thence.serve.problems import PROBLEMS, check_characters, check_length
from thence.serve.served import ServedRun, TextStream, choose_served, top_tokens
from thence.serve.worker import Ids
from thence.serve.writing import Place, Step, read_text

MOST_ALTERNATIVES = 20
MOST_NEXT = 200
MOST_TOLD = 100_000
"""Alternatives of all tokens of a text together."""


class ReadRequest(Body):
    """A text to read token by token."""

    model: str | None = Field(
        None, max_length=LONGEST_NAME, description="Name of a model; not needed if there is one."
    )
    text: str = Field("", description="The beginning of a document, or a whole one.")
    alternatives: int = Field(
        5, ge=0, le=MOST_ALTERNATIVES, description="Likeliest tokens to tell at each place."
    )
    next: int = Field(
        20, ge=0, le=MOST_NEXT, description="Likeliest tokens to tell after it, and the boundary."
    )


class Alternative(BaseModel):
    """A token that might have stood there."""

    id: int
    text: str
    probability: float
    is_boundary: bool


class ReadToken(BaseModel):
    """A token of the text, as the model saw it come."""

    id: int
    name: str = Field(description="What the vocabulary calls it.")
    text: str = Field(description="What the text has of it.")
    nats: float | None = Field(description="Its surprisal; none if it was held for impossible.")
    surprisal: float | None = Field(description="The same in bits.")
    probability: float
    perplexity: float | None = Field(description="Of all tokens up to this one.")
    is_boundary: bool
    is_unknown: bool
    alternatives: list[Alternative]


class NextToken(BaseModel):
    """A token that may follow."""

    id: int
    name: str
    probability: float
    text: str | None = Field(description="What to append for it; none if no text makes it.")
    is_boundary: bool
    is_unknown: bool


class Following(BaseModel):
    """What may follow the text."""

    tokens: list[NextToken]
    remaining: float = Field(description="The probability of all others together.")
    others: int = Field(description="How many others there are.")


class ReadAnswer(BaseModel):
    """A text as a model reads it; the logarithms are natural ones."""

    model: str
    tokens: list[ReadToken]
    next: Following
    nats: float | None = Field(description="Minus the log-probability of the tokens.")
    nats_with_end: float | None = Field(description="The same, and the document ends here.")
    perplexity: float | None = Field(description="Per token, without the end.")


def reading_routes(models: dict[str, ServedRun], limits: Limits) -> APIRouter:
    """Return the route with which the page reads texts."""
    router = APIRouter()

    @router.post("/playground/read", responses=PROBLEMS)
    async def read_a_text(request: ReadRequest) -> ReadAnswer:
        """Read a text: the surprisal of every token, and what may follow."""
        served = choose_served(models, request.model, classifier=False)
        check_characters("text", len(request.text), limits.max_prompt)
        ids = await served.worker.run(served.encode, request.text)
        check_length("text", len(ids), limits.max_prompt)
        told = min(request.alternatives, MOST_TOLD // max(len(ids), 1))
        steps, place = await read_text(served, ids, top=told)
        return await served.worker.run(_answer, served, request, ids, steps, place)

    return router


def _answer(
    served: ServedRun, request: ReadRequest, ids: Ids, steps: list[Step], place: Place
) -> ReadAnswer:
    # A boundary that the text begins with is no token of it.
    told = [(step, -step.log_probability) for step in steps if step.log_probability is not None]
    nats = sum(of_step for _, of_step in told)
    tokens = _tokens(served, told, _as_written(served, request.text, ids))
    return ReadAnswer(
        model=served.name,
        tokens=tokens,
        next=_following(served, request.text, ids, place, request.next),
        nats=finite(nats),
        nats_with_end=finite(nats - float(place.log_probs[served.boundary_id])),
        perplexity=tokens[-1].perplexity if tokens else None,
    )


def _as_written(served: ServedRun, text: str, ids: Ids) -> list[str] | None:
    """Return what each token of a text is there: unknown words too, and capitals that are not read.

    None where that is not plain to see; then the tokens tell it themselves.
    """
    options = served.run.tokenizer.options
    if options.tokens == "characters":
        return list(text) if len(text) == len(ids) else None
    if options.tokens != "words":
        return None
    found = served.run.tokenizer.find_words(Documents.from_strings([text]))
    if len(found.starts) != int(np.sum(ids != served.boundary_id)):
        return None
    ends = [0, *found.ends.tolist()]
    words = iter(text[end:after] for end, after in itertools.pairwise(ends))
    return ["\n" if index == served.boundary_id else next(words).lstrip("\r\n") for index in ids]


def _tokens(
    served: ServedRun, steps: list[tuple[Step, float]], written: list[str] | None
) -> list[ReadToken]:
    unknown_id = served.run.tokenizer.vocabulary.unknown_id
    stream, sum_of_nats, told = TextStream(served), 0.0, list[ReadToken]()
    for number, (step, nats) in enumerate(steps, start=1):
        sum_of_nats += nats
        told.append(
            ReadToken(
                id=step.index,
                name=served.token_names[step.index],
                text=stream.add(step.index) if written is None else written[number - 1],
                nats=finite(nats),
                surprisal=finite(bits(nats)),
                probability=float(np.exp(-nats)),
                perplexity=finite(perplexity(sum_of_nats / number)),
                is_boundary=step.index == served.boundary_id,
                is_unknown=step.index == unknown_id,
                alternatives=[
                    Alternative(
                        id=index,
                        text=served.token_text(index),
                        probability=float(np.exp(log_prob)),
                        is_boundary=index == served.boundary_id,
                    )
                    for index, log_prob in step.top
                ],
            )
        )
    return told


def _following(served: ServedRun, text: str, ids: Ids, place: Place, count: int) -> Following:
    chances = np.exp(place.log_probs.astype(np.float64))
    shown = top_tokens(place.log_probs, count)
    if shown and served.boundary_id not in shown:  # Whether a text may end here always matters.
        shown.append(served.boundary_id)
    tokens = [
        NextToken(
            id=index,
            name=served.token_names[index],
            probability=float(chances[index]),
            text=_appended(served, text, ids, index),
            is_boundary=index == served.boundary_id,
            is_unknown=index == served.run.tokenizer.vocabulary.unknown_id,
        )
        for index in shown
    ]
    remaining = float(np.delete(chances, shown).sum())
    return Following(tokens=tokens, remaining=remaining, others=len(chances) - len(shown))


def _appended(served: ServedRun, text: str, ids: Ids, index: int) -> str | None:
    """Return what a text gains by a token; None for half a character, or an end no text shows."""
    if index == served.boundary_id:
        return "\n" if served.is_by_lines and text else None
    tokenizer = served.run.tokenizer
    if index == tokenizer.vocabulary.unknown_id and tokenizer.options.tokens != "words":
        return None  # Any symbol that the vocabulary lacks would do, and none is this one.
    stream = TextStream(served)
    stream.follow(text, ids)
    gained = stream.add(index)
    return gained or None
