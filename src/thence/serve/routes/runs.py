"""``/playground/runs``, ``/playground/curves``, ``/playground/report``: all runs of some folders.

What is known of a run comes from its small files; a model is loaded only to count its parameters.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from thence.errors import RunError, ThenceError
from thence.recipes.options import TrainingOptions
from thence.runs import Run
from thence.serve.routes import Context
from thence.serve.run_listing import (
    REPORTS,
    Integer,
    RunListing,
    RunTable,
    State,
    metrics_of,
    state_of,
    without_path,
)
from thence.training.schedules import DEFAULT_EPOCHS, MIN_STEPS

MAX_POINTS = 2000
"""Evaluations of a curve; of more, evenly spaced ones are sent."""
REPORT_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:",
}
"""A report may come from anybody: it runs in an origin of its own, and may ask no server."""


class Look(BaseModel):
    """What is known of a training after a step; the loss on dev only at evaluations."""

    step: Integer
    seconds: float | None = None
    epoch: float | None = None
    tokens: Integer = None
    learning_rate: float | None = None
    gradient_norm: float | None = None
    train: float | None = Field(description="Nats per token, or per document.")
    dev: float | None
    accuracy: float | None


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
    listing = RunListing(context.models, context.folders)

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

    return router


def curves_of(listing: RunListing, name: str) -> Curves:
    """Return the learning curves of a run.

    Raises:
        UnknownModelError: If there is no run of that name.
        RunError: If it cannot be read.
    """
    run = listing.open(name)
    try:
        metrics = metrics_of(run)
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
    """Return how long a training still takes, at the pace so far and within its time limit."""
    seconds, step = last.get("seconds"), last.get("step")
    if not seconds or not step:
        return None
    total, limit = total_steps_of(run, last), run.recipe.training.seconds
    ends = [] if total is None else [seconds * total / step]
    ends += [] if limit is None else [limit]
    return max(0.0, min(ends) - seconds) if ends else None
