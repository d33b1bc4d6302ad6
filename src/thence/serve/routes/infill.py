"""``POST /playground/fill``: the likeliest ways to fill the blanks of a text."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from thence.generation import fill, split_blanks
from thence.generation.infill import BLANK
from thence.serve.errors import reject
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.routes import Context
from thence.serve.schemas import ModelRequest

MAX_CHARACTERS = 500
"""Maximum length of a text with blanks in characters; every scored candidate is as long."""
MAX_BLANKS = 8
MAX_FILLINGS = 50


class FillRequest(ModelRequest):
    """A document with blanks."""

    text: Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
    blank: Annotated[str, StringConstraints(min_length=1, max_length=20)] = Field(
        BLANK, description="The mark of a blank; ___ stands for three underscores or more."
    )
    count: int = Field(10, ge=1, le=MAX_FILLINGS, description="Fillings to return at most.")
    longest: int | None = Field(None, ge=1, le=12, description="Tokens in each blank at most.")
    goes_on: bool = Field(False, description="The document continues after the text.")


class FillingOfText(BaseModel):
    """One way to fill the blanks."""

    model_config = ConfigDict(from_attributes=True)

    blanks: list[str]
    text: str
    share: float = Field(description="Its share of the probability of all that were scored.")
    log_probability: float


class FillAnswer(BaseModel):
    """The best ways to fill the blanks."""

    model: str
    fillings: list[FillingOfText]
    found: int = Field(description="How many were scored.")
    exact: bool = Field(description="Whether those are all there are.")


def routes(context: Context) -> APIRouter:
    """Return the endpoint for infilling."""
    router = APIRouter()

    @router.post("/playground/fill")
    async def fill_blanks(request: FillRequest) -> FillAnswer:
        """Fill the blanks of a text, the likeliest fillings first."""
        loaded = find_model(context.models, request.model, classifier=False)
        if len(split_blanks(request.text, request.blank)) > MAX_BLANKS + 1:
            raise reject(f"A text may have at most {MAX_BLANKS} blanks here.")
        return await loaded.worker.call(_fill, loaded, request)

    return router


def _fill(loaded: LoadedRun, request: FillRequest) -> FillAnswer:
    settings = request.model_dump(include={"longest", "blank", "goes_on"})
    found = fill(loaded.run, request.text, request.count, **settings)
    fillings = [FillingOfText.model_validate(filling) for filling in found]
    return FillAnswer(model=loaded.name, fillings=fillings, found=found.found, exact=found.exact)
