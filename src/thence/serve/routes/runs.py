"""All runs of some folders, loaded or not: their table, curves, reports, scores and comparisons.

The table and the curves come from their small files; a model is loaded only to count its
parameters. What takes longer is answered by ``RunQueries``.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from thence.errors import RunError, ThenceError
from thence.evaluation.verdict import Unit
from thence.recipes.options import TrainingOptions
from thence.runs import Run
from thence.serve.routes import Context
from thence.serve.run_entries import (
    Integer,
    RunTable,
    State,
    curve_of,
    state_of,
    without_path,
)
from thence.serve.run_listing import REPORTS, RunListing
from thence.serve.run_queries import (
    MAX_COMPARED,
    baselines_of,
    comparison,
    dev_score,
    samples,
    verdict_of,
)
from thence.serve.schemas import MAX_NAME, RequestModel, Ruler
from thence.training.schedules import DEFAULT_EPOCHS, MIN_STEPS

MAX_POINTS = 2000
"""Maximum number of points of a curve; of more, evenly spaced ones are sent."""
MAX_SAMPLES = 40
REPORT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:",
}
"""A report may come from a stranger: it gets an origin of its own, and may contact no server."""


class Look(BaseModel):
    """A point of a learning curve; the loss on dev is set only at evaluations."""

    step: Integer
    seconds: float | None = None
    epoch: float | None = None
    tokens: Integer = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    train: float | None = Field(description="Nats per token, or per document.")
    dev: float | None
    accuracy: float | None


class DevScore(BaseModel):
    """How good a run is on its dev split: nats per token, or accuracy."""

    score: float | None
    low: float | None = Field(description="Of the 95 % interval; null if there is too little text.")
    high: float | None
    documents: int


class TrainingVerdict(BaseModel):
    """How a training went."""

    kind: str | None = Field(description="In a word; null for a model made in one step.")
    words: str = Field(description="What was seen, and what to try.")


class Texts(BaseModel):
    """Texts that a run has drawn."""

    texts: list[str]
    copies: int | None = Field(description="How many are whole documents of train, if known.")


class RunNames(RequestModel):
    """Runs to compare."""

    runs: Annotated[
        list[Annotated[str, Field(max_length=MAX_NAME)]],
        Field(min_length=2, max_length=MAX_COMPARED),
    ]


class ComparedRun(BaseModel):
    """A run of a comparison."""

    place: int = Field(description="Which of the runs that were named, from 0.")
    score: float | None
    difference: tuple[float, float | None, float | None] | None = Field(
        description="From the best, and its simultaneous 95 % interval; null for the best."
    )


class ApartDocument(BaseModel):
    """A document that runs disagree on; its lists have an item for each run that was named."""

    number: int
    text: str
    bits: list[float | None] = Field(description="Null if it is impossible.")
    labels: list[str] | None
    predicted: list[list[str]] | None


class RunComparison(BaseModel):
    """Runs on the same documents, the best first."""

    text: str
    documents: int
    unit: Literal["nats per token", "bits per byte", "accuracy"]
    remark: str
    runs: list[ComparedRun]
    pairs: list[list[tuple[float, float | None, float | None] | None]] | None = Field(
        description="By the runs as they were named, how much more each needs (second) than each "
        "(first), with simultaneous intervals; null for classifiers."
    )
    disagreements: list[ApartDocument]


class Curves(BaseModel):
    """The losses of one run during its training."""

    run: str
    unit: Literal["token", "document"]
    state: State
    looks: list[Look]
    left_out: int
    total_steps: Integer = Field(
        default=None, description="Of the whole training, if that is known."
    )
    seconds_left: float | None = Field(default=None, description="Of a training under way.")


def routes(context: Context) -> APIRouter:
    """Return the endpoints about all runs."""
    router = APIRouter()
    listing, queries = context.listing, context.queries

    @router.get("/playground/runs")
    async def list_runs() -> RunTable:
        """List all runs in the folders that the server was started with."""
        return await asyncio.to_thread(listing.entries)

    @router.get("/playground/curves")
    async def learning_curves(run: str) -> Curves:
        """Return the learning curves of a run, which may still be in training."""
        return await asyncio.to_thread(curves_of, listing, run)

    @router.get(REPORTS, response_class=Response)
    async def report(run: str, key: str) -> Response:
        """Return the report of a run, a page of its own; its address is in the table of runs."""
        content = await asyncio.to_thread(listing.report, run, key)
        return Response(content, media_type="text/html", headers=REPORT_HEADERS)

    @router.get("/playground/dev-score")
    async def score_on_dev(run: str) -> DevScore:
        """Return how good a run is on dev, with an interval."""
        return DevScore(**await queries.answer(dev_score, [run]))

    @router.get("/playground/baselines")
    async def ruler(run: str) -> Ruler:
        """Return what the loss of a run is held against."""
        return Ruler(**await queries.answer(baselines_of, [run]))

    @router.get("/playground/verdict")
    async def how_it_went(run: str, unit: Unit = "nats") -> TrainingVerdict:
        """Return in words how a training went."""
        return TrainingVerdict(**await queries.answer(verdict_of, [run], unit))

    @router.get("/playground/samples")
    async def draw_samples(
        run: str,
        seed: Annotated[int, Query(ge=0, lt=1 << 32)] = 0,
        count: Annotated[int, Query(ge=1, le=MAX_SAMPLES)] = 8,
    ) -> Texts:
        """Return texts drawn from the best weights so far, also of a training under way."""
        return Texts(**await queries.answer(samples, [run], seed, count))

    @router.post("/playground/compare")
    async def compare_runs(request: RunNames) -> RunComparison:
        """Compare runs on their dev split, and say which documents they disagree on most."""
        return RunComparison(**await queries.answer(comparison, request.runs))

    return router


def curves_of(listing: RunListing, name: str) -> Curves:
    """Return the learning curves of a run.

    Raises:
        UnknownModelError: If there is no run of that name.
        RunError: If it cannot be read.
    """
    run = listing.open(name)
    try:
        metrics = curve_of(run)
    except ThenceError as error:
        raise RunError(without_path(error, run.folder)) from error
    places = np.linspace(0, max(len(metrics) - 1, 0), min(len(metrics), MAX_POINTS))
    unit, state = run.loss_unit, state_of(run)
    looks = []
    for line in (metrics[place] for place in places.round().astype(int)):
        losses = {split: line.get(f"{split}_nats_per_{unit}") for split in ("train", "dev")}
        looks.append(Look(**{**line, **losses, "accuracy": line.get("dev_accuracy")}))
    last = metrics[-1] if metrics else {}
    return Curves(
        run=name,
        unit=unit,
        state=state,
        looks=looks,
        left_out=len(metrics) - len(places),
        total_steps=total_steps_of(run, last),
        seconds_left=_seconds_left(run, last) if state == "training" else None,
    )


def total_steps_of(run: Run, last: Mapping[str, Any]) -> int | None:
    """Return the steps of the whole training, from its settings and its last line of metrics."""
    options: TrainingOptions = run.recipe.training
    step: float | None = last.get("step")
    epoch: float | None = last.get("epoch")
    if options.steps is not None:
        return options.steps
    if not step or not epoch:
        return None
    if options.epochs is not None:
        return max(1, round(options.epochs * step / epoch))
    if options.seconds is not None or run.kind == "classifier":
        return None
    return max(MIN_STEPS, round(DEFAULT_EPOCHS * step / epoch))


def _seconds_left(run: Run, last: Mapping[str, Any]) -> float | None:
    """Return the remaining seconds of a training, at its speed so far and by its time limit."""
    seconds, step = last.get("seconds"), last.get("step")
    if not seconds or not step:
        return None
    total, limit = total_steps_of(run, last), run.recipe.training.seconds
    ends = [] if total is None else [seconds * total / step]
    ends += [] if limit is None else [limit]
    return max(0.0, min(ends) - seconds) if ends else None
