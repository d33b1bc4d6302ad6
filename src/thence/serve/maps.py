"""``/playground/embedding`` and ``/playground/heat-map``: pictures of a model, as numbers."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from jaxtyping import Float, Int64
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.models import LanguageModel
from thence.serve.problems import PROBLEMS
from thence.serve.served import ServedRun, UnknownModelError, choose_served
from thence.training.embeddings import embedding_table

MOST_POINTS = 2000
MOST_SYMBOLS = 80
RANKED = 512
"""Vocabularies up to this size are asked which symbols are frequent; larger ones are in order."""
ROWS_AT_ONCE = 64
ROUNDS = 50

Ids = Int64[np.ndarray, " shown"]


class Point(BaseModel):
    """Where a token lies."""

    id: int
    text: str
    x: float
    y: float


class EmbeddingMap(BaseModel):
    """The embeddings of tokens in two dimensions: on their first two principal components."""

    model: str
    points: list[Point]
    vocabulary: int = Field(description="How many tokens there are in all.")
    dimensions: int
    shares: list[float] | None = Field(
        description="Of the variance along each axis; none where the embeddings have two numbers."
    )


class HeatMap(BaseModel):
    """What follows each symbol: probabilities, a row for each previous symbol."""

    model: str
    symbols: list[str]
    boundary: int = Field(description="Which of them is the boundary.")
    probabilities: list[list[float]]
    vocabulary: int


@dataclass
class _Drawn:
    """What has been computed, by model; each once."""

    embeddings: dict[str, EmbeddingMap] = field(default_factory=dict)
    heat_maps: dict[tuple[str, int], HeatMap] = field(default_factory=dict)


def map_routes(models: dict[str, ServedRun]) -> APIRouter:
    """Return the routes for pictures of a model."""
    router, drawn = APIRouter(), _Drawn()

    @router.get("/playground/embedding", responses=PROBLEMS)
    async def embedding(
        model: str, limit: Annotated[int, Query(ge=2, le=MOST_POINTS)] = 400
    ) -> EmbeddingMap:
        """Give the embeddings of the first tokens of a model in two dimensions."""
        if model not in models:
            raise UnknownModelError(f"There is no model {model!r} here; see /v1/models.")
        served = models[model]
        if model not in drawn.embeddings:
            drawn.embeddings[model] = await served.worker.run(_embedding_map, served)
        whole = drawn.embeddings[model]
        return whole.model_copy(update={"points": whole.points[:limit]})

    @router.get("/playground/heat-map", responses=PROBLEMS)
    async def heat_map(
        model: str, size: Annotated[int, Query(ge=2, le=MOST_SYMBOLS)] = 40
    ) -> HeatMap:
        """Give what follows each of the most frequent symbols, as the model sees it."""
        served = choose_served(models, model, classifier=False)
        if (model, size) not in drawn.heat_maps:
            drawn.heat_maps[model, size] = await _heat_map(served, size)
        return drawn.heat_maps[model, size]

    return router


def _embedding_map(served: ServedRun) -> EmbeddingMap:
    from thence.pictures.embedding_map import two_dimensions  # Imports matplotlib.

    table, run = embedding_table(served.run), served.run
    if table is None:
        raise SettingError(
            f"The model '{run.recipe.model}' of {served.name} has no embeddings. Perceptrons, "
            "recurrent networks and transformers have some, and all classifiers but linear."
        )
    shown = table[: min(len(run.tokenizer.vocabulary.symbols) or 256, MOST_POINTS)]
    points, shares = two_dimensions(shown.astype(np.float64))
    return EmbeddingMap(
        model=served.name,
        points=[
            Point(id=index, text=served.token_text(index), x=float(x), y=float(y))
            for index, (x, y) in enumerate(points)
        ],
        vocabulary=len(served.token_names),
        dimensions=table.shape[1],
        shares=None if shares is None else [float(share) for share in shares],
    )


async def _heat_map(served: ServedRun, size: int) -> HeatMap:
    """Ask a model, some rows at a time, so that others get their turn between."""
    model, boundary = served.run.model, served.boundary_id
    candidates = np.arange(boundary + 1) if boundary < RANKED else np.arange(size - 1)
    if candidates[-1] != boundary:
        candidates = np.append(candidates, boundary)
    rows = []
    for first in range(0, len(candidates), ROWS_AT_ONCE):
        some = candidates[first : first + ROWS_AT_ONCE]
        rows.append(await served.worker.run(_after, model, some, boundary))
    chances = np.concatenate(rows)[:, candidates]
    shown = await asyncio.to_thread(_frequent, chances, size)
    return HeatMap(
        model=served.name,
        symbols=[served.token_text(int(index)) for index in candidates[shown]],
        boundary=int(np.flatnonzero(candidates[shown] == boundary)[0]),
        probabilities=chances[np.ix_(shown, shown)].round(6).tolist(),
        vocabulary=boundary + 1,
    )


def _after(model: LanguageModel, ids: Ids, boundary: int) -> Float[np.ndarray, "shown vocab"]:
    """Return P(next | beginning of a document, symbol); after the boundary, of a first token."""
    log_probs, state = model.step(np.full(len(ids), boundary), model.start(len(ids)))
    first = log_probs
    log_probs, _ = model.step(ids, state)
    found: Any = np.where((ids == boundary)[:, None], first, log_probs)
    return np.asarray(np.exp(found.astype(np.float64)))


def _frequent(chances: Float[np.ndarray, "all all"], size: int) -> Ids:
    """Return which symbols come most often if each follows from the one before; by id.

    The boundary, which is the last, comes first.
    """
    chain = chances / np.maximum(chances.sum(axis=1, keepdims=True), 1e-300)
    share = np.full(len(chain), 1 / len(chain))
    for _ in range(ROUNDS):
        share = 0.5 * share + 0.5 * share @ chain  # Half a step, so that no cycle goes on.
    last = len(chain) - 1
    order = np.argsort(-share[:last], kind="stable")[: size - 1]
    return np.concatenate([[last], np.sort(order)]).astype(np.int64)
