"""``/playground/embedding``, ``/playground/neighbours``: the embeddings of a model's tokens."""

import asyncio
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from thence.array_types import Float64
from thence.errors import SettingError
from thence.evaluation.embeddings import embedding_table
from thence.serve.errors import UnknownModelError
from thence.serve.loaded_runs import LoadedRun
from thence.serve.routes import Context

MAX_POINTS = 2000
MAX_NEIGHBOURS = 100


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


class Neighbour(BaseModel):
    """A token and how alike its embedding is."""

    id: int
    text: str
    cosine: float


class Neighbours(BaseModel):
    """The tokens whose embeddings are most like that of a token, the most alike first."""

    model: str
    id: int
    text: str
    neighbours: list[Neighbour]


def routes(context: Context) -> APIRouter:
    """Return the endpoints for the embeddings of a model."""
    router, models = APIRouter(), context.models
    maps, tables = dict[str, EmbeddingMap](), dict[str, Float64[np.ndarray, "vocab embedding"]]()
    lock = asyncio.Lock()  # Each table is computed only once, one at a time.

    def find(name: str) -> LoadedRun:
        if name not in models:
            raise UnknownModelError(f"There is no model {name!r} here; see /v1/models.")
        return models[name]

    @router.get("/playground/embedding")
    async def embedding(
        model: str, limit: Annotated[int, Query(ge=2, le=MAX_POINTS)] = 400
    ) -> EmbeddingMap:
        """Return the embeddings of the first tokens of a model in two dimensions."""
        loaded = find(model)
        async with lock:
            if model not in maps:
                maps[model] = await loaded.worker.call(_embedding_map, loaded)
        whole = maps[model]
        return whole.model_copy(update={"points": whole.points[:limit]})

    @router.get("/playground/neighbours")
    async def neighbours(
        model: str,
        id: Annotated[int | None, Query(ge=0)] = None,
        text: Annotated[str | None, Query(max_length=200)] = None,
        count: Annotated[int, Query(ge=1, le=MAX_NEIGHBOURS)] = 12,
    ) -> Neighbours:
        """Return the tokens most like a token, which is given by its id or as a text."""
        loaded = find(model)
        if id is None:
            ids = await loaded.worker.call(loaded.encode, text or "")
            if not len(ids):
                raise SettingError('Say of which token: give its "id", or a "text".')
            id = int(ids[0])
        if id >= len(loaded.token_names):
            raise SettingError(f"The ids of {model} are 0 to {len(loaded.token_names) - 1}.")
        async with lock:
            if model not in tables:
                tables[model] = await loaded.worker.call(_directions, loaded)
        table = tables[model]
        cosines = table @ table[id]
        symbols = len(loaded.run.tokenizer.vocabulary.symbols) or len(table)
        nearest = np.argsort(-cosines[:symbols], kind="stable")  # None of the special ones.
        return Neighbours(
            model=model,
            id=id,
            text=loaded.token_text(id),
            neighbours=[
                Neighbour(id=one, text=loaded.token_text(one), cosine=float(cosines[one]))
                for one in nearest[nearest != id][:count].tolist()
            ],
        )

    return router


def _table(loaded: LoadedRun) -> Float64[np.ndarray, "vocab embedding"]:
    """Return the embeddings of all ids.

    Raises:
        SettingError: If the model has none.
    """
    table = embedding_table(loaded.run)
    if table is None:
        raise SettingError(
            f"The model '{loaded.run.recipe.model}' of {loaded.name} has no embeddings. "
            "Perceptrons, recurrent networks and transformers have some, and all classifiers but "
            "linear."
        )
    return table.astype(np.float64)


def _directions(loaded: LoadedRun) -> Float64[np.ndarray, "vocab embedding"]:
    """Return the embeddings normalised to length 1; zero vectors stay zero."""
    table = _table(loaded)
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    directions: Float64[np.ndarray, "vocab embedding"] = table / np.where(lengths > 0, lengths, 1)
    return directions


def _embedding_map(loaded: LoadedRun) -> EmbeddingMap:
    from thence.reports.symbols import project

    table = _table(loaded)
    symbols = len(loaded.run.tokenizer.vocabulary.symbols)
    points, shares = project(table[: min(symbols or 256, MAX_POINTS)])
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
