"""``/playground/embedding``: the embeddings of a model in two dimensions."""

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.evaluation.embeddings import embedding_table
from thence.serve.errors import UnknownModelError
from thence.serve.loaded_runs import LoadedRun
from thence.serve.routes import Context

MAX_POINTS = 2000


class Point(BaseModel):
    """The position of a token."""

    id: int
    text: str
    x: float
    y: float


class EmbeddingMap(BaseModel):
    """The embeddings of tokens in two dimensions: their first two principal components."""

    model: str
    points: list[Point]
    vocabulary: int = Field(description="How many tokens there are in all.")
    dimensions: int
    shares: list[float] | None = Field(
        description="Of the variance along each axis; none for embeddings of two dimensions."
    )


def routes(context: Context) -> APIRouter:
    """Return the endpoint of embeddings."""
    router, models = APIRouter(), context.models
    # Each map is computed once, and one at a time.
    embedding_maps = dict[str, EmbeddingMap]()
    lock = asyncio.Lock()

    @router.get("/playground/embedding")
    async def embedding(
        model: str, limit: Annotated[int, Query(ge=2, le=MAX_POINTS)] = 400
    ) -> EmbeddingMap:
        """Return the embeddings of the first tokens of a model in two dimensions."""
        if model not in models:
            raise UnknownModelError(f"There is no model {model!r} here; see /v1/models.")
        async with lock:
            if model not in embedding_maps:
                loaded = models[model]
                embedding_maps[model] = await loaded.worker.call(_embedding_map, loaded)
        whole = embedding_maps[model]
        return whole.model_copy(update={"points": whole.points[:limit]})

    return router


def _embedding_map(loaded: LoadedRun) -> EmbeddingMap:
    from thence.reports.symbols import project

    table, run = embedding_table(loaded.run), loaded.run
    if table is None:
        raise SettingError(
            f"The model '{run.recipe.model}' of {loaded.name} has no embeddings. Perceptrons, "
            "recurrent networks and transformers have some, and all classifiers but linear."
        )
    shown = table[: min(len(run.tokenizer.vocabulary.symbols) or 256, MAX_POINTS)]
    points, shares = project(shown.astype(np.float64))
    return EmbeddingMap(
        model=loaded.name,
        points=[
            Point(id=index, text=loaded.token_text(index), x=float(x), y=float(y))
            for index, (x, y) in enumerate(points)
        ],
        vocabulary=len(loaded.token_names),
        dimensions=table.shape[1],
        shares=None if shares is None else [float(share) for share in shares],
    )
