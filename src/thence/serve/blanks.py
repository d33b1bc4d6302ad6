"""``/playground/fill``: the blanks of a text filled, the likeliest fillings first."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from thence.generation import fill
from thence.generation.infill import BLANK, Fillings, split_blanks
from thence.serve.body import Body
from thence.serve.limits import LONGEST_NAME
from thence.serve.problems import PROBLEMS, refuse
from thence.serve.served import ServedRun, choose_served

LONGEST_WITH_BLANKS = 500
"""Characters of a text with blanks: every filling that is judged has so many."""
MOST_BLANKS = 8
MOST_FILLINGS = 50


class FillRequest(Body):
    """A document with blanks."""

    model: str | None = Field(
        None, max_length=LONGEST_NAME, description="Name of a model; not needed if there is one."
    )
    text: Annotated[str, StringConstraints(max_length=LONGEST_WITH_BLANKS)]
    blank: Annotated[str, StringConstraints(min_length=1, max_length=20)] = Field(
        BLANK, description="The mark of a blank; ___ stands for three underscores or more."
    )
    count: int = Field(10, ge=1, le=MOST_FILLINGS, description="Fillings to return at most.")
    longest: int | None = Field(None, ge=1, le=12, description="Tokens in each blank at most.")
    goes_on: bool = Field(False, description="The document goes on after the text.")


class FillingOfText(BaseModel):
    """One way to fill the blanks."""

    blanks: list[str]
    text: str
    share: float = Field(description="Its probability among all that were judged.")
    log_probability: float


class FillAnswer(BaseModel):
    """The best ways to fill the blanks."""

    model: str
    fillings: list[FillingOfText]
    found: int = Field(description="How many were judged.")
    exact: bool = Field(description="Whether those are all there are.")


def blanks_routes(models: dict[str, ServedRun]) -> APIRouter:
    """Return the route with which the page fills blanks."""
    router = APIRouter()

    @router.post("/playground/fill", responses=PROBLEMS)
    async def fill_blanks(request: FillRequest) -> FillAnswer:
        """Fill the blanks of a text, the likeliest fillings first."""
        served = choose_served(models, request.model, classifier=False)
        if len(split_blanks(request.text, request.blank)) > MOST_BLANKS + 1:
            raise refuse(400, f"A text may have at most {MOST_BLANKS} blanks here.")
        found = await served.worker.run(_fill, served, request)
        fillings = [
            FillingOfText(
                blanks=one.blanks,
                text=one.text,
                share=one.share,
                log_probability=one.log_probability,
            )
            for one in found.fillings
        ]
        return FillAnswer(
            model=served.name, fillings=fillings, found=found.found, exact=found.exact
        )

    return router


def _fill(served: ServedRun, request: FillRequest) -> Fillings:
    return fill(
        served.run,
        request.text,
        request.count,
        longest=request.longest,
        blank=request.blank,
        goes_on=request.goes_on,
    )
