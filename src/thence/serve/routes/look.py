"""``POST /playground/look``: the tokens of a text with their surprisal, and lenses on the model."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Response
from pydantic import Field

from thence.inspection import Look, look
from thence.serve.errors import check_characters, check_length, reject
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.routes import Context
from thence.serve.schemas import ModelRequest

MAX_TOP = 200
MAX_LENSES = 20
MAX_PLACES = 1000
"""Maximum number of tokens of a text that are shown in full."""
MAX_ALL_TOP = 100_000
"""Maximum number of likeliest tokens of all places together."""

Lens = Annotated[str, Field(max_length=50)]
Place = Annotated[int, Field(ge=0)]


class LookRequest(ModelRequest):
    """A text to look at."""

    text: str = Field("", description="The beginning of a document, or a whole one.")
    lenses: list[Lens] | None = Field(
        None,
        max_length=MAX_LENSES,
        description="Names of what to show of each token; by default what costs little.",
    )
    top: int = Field(
        10, ge=0, le=MAX_TOP, description="Most probable tokens to list at each place."
    )
    places: list[Place] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="First of the tokens to show in full, and the one after the last.",
    )
    columns: bool = Field(False, description="Give the tokens by column, which is smaller.")
    label: str | None = Field(None, description="Of a classifier: explain this label.")
    against: str | None = Field(
        None, description="Of the lens why: a token that each one is compared with."
    )


def routes(context: Context) -> APIRouter:
    """Return the endpoint that looks inside a model."""
    router = APIRouter()

    @router.post("/playground/look")
    async def look_inside(request: LookRequest) -> Response:
        """Look inside a model while it reads a text, as ``thence.look`` does."""
        known = context.models.get(request.model or "")
        loaded = known or find_model(context.models, request.model, classifier=False)
        check_characters("text", len(request.text), context.limits.max_prompt)
        first, stop = request.places or (0, 1)
        if stop - first > min(MAX_PLACES, MAX_ALL_TOP // max(request.top, 1)):
            raise reject(
                f"{stop - first:,} places are asked for, with {request.top} tokens each; at most "
                f"{MAX_PLACES:,} are shown, and {MAX_ALL_TOP:,} tokens of all together."
            )
        body = await loaded.worker.call(_look, loaded, request, context.limits.max_prompt)
        return Response(body, media_type="application/json")

    return router


def _look(loaded: LoadedRun, request: LookRequest, max_tokens: int) -> bytes:
    check_length("text", len(loaded.encode(request.text)), max_tokens)
    first_and_stop = None if request.places is None else (request.places[0], request.places[1])
    found = look(
        loaded.run,
        request.text,
        lenses=request.lenses,
        top=request.top,
        places=first_and_stop,
        label=request.label,
        against=request.against,
    )
    shown = found.to_json(request.columns) if isinstance(found, Look) else found.to_json()
    return orjson.dumps(shown, option=orjson.OPT_SERIALIZE_NUMPY)
