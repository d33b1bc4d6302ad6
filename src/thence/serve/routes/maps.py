"""``/playground/embedding`` and ``/playground/heat-map``: the data of two plots of a model."""

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from thence.array_types import Float, Int64
from thence.errors import SettingError
from thence.evaluation.embeddings import embedding_table
from thence.generation import DecodingOptions
from thence.generation.sampling import draw
from thence.models.base import LanguageModel
from thence.serve.errors import UnknownModelError
from thence.serve.loaded_runs import LoadedRun, find_model
from thence.serve.routes import Context

MAX_POINTS = 2000
MAX_SYMBOLS = 80
MIN_TOKENS = 4000
"""Tokens that a model generates to estimate which are frequent and what follows them."""
TEXTS_AT_ONCE = 64
MAX_LENGTH = 48
"""Tokens of each generated text."""
MAX_ROUNDS = 16
"""Batches of texts at most, if many texts are shorter."""


Contexts = np.ma.MaskedArray[Any, np.dtype[np.int64]]


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


class HeatMap(BaseModel):
    """Next-token probabilities, a row for each previous symbol.

    Each row is the average over the places of the symbol in texts that the model generates.
    """

    model: str
    symbols: list[str]
    boundary: int = Field(description="Index of the boundary among them.")
    probabilities: list[list[float]]
    vocabulary: int
    tokens_written: int = Field(description="Number of tokens averaged over.")


def routes(context: Context) -> APIRouter:
    """Return the endpoints for plots of a model."""
    router, models = APIRouter(), context.models
    # Each map is computed once, and one at a time.
    embedding_maps, heat_maps = dict[str, EmbeddingMap](), dict[tuple[str, int], HeatMap]()
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

    @router.get("/playground/heat-map")
    async def heat_map(
        model: str, size: Annotated[int, Query(ge=2, le=MAX_SYMBOLS)] = 40
    ) -> HeatMap:
        """Return what follows each of the most frequent symbols, according to the model."""
        loaded = find_model(models, model, classifier=False)
        async with lock:
            if (model, size) not in heat_maps:
                heat_maps[model, size] = await _heat_map(loaded, size)
        return heat_maps[model, size]

    return router


def _embedding_map(loaded: LoadedRun) -> EmbeddingMap:
    from thence.reports.plots.embeddings import project  # Imports matplotlib.

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


async def _heat_map(loaded: LoadedRun, size: int) -> HeatMap:
    """Generate texts, and average the next-token probabilities after each frequent symbol."""
    call, boundary = loaded.worker.call, loaded.boundary_id
    batches, counts = list[Contexts](), np.zeros(boundary + 1, np.int64)
    while counts.sum() < MIN_TOKENS and len(batches) < MAX_ROUNDS:
        batches.append(await call(_generate, loaded, len(batches)))
        counts += np.bincount(batches[-1].compressed(), minlength=len(counts))
    likeliest = np.argsort(-counts[:boundary], kind="stable")[: size - 1]
    shown = np.append(boundary, np.sort(likeliest[counts[likeliest] > 0]))
    sums = np.zeros((len(shown), len(shown)))
    for contexts in batches:
        sums += await call(_sum_probs, loaded.run.model, contexts, shown)
    probs = sums / np.maximum(counts[shown], 1)[:, None]
    return HeatMap(
        model=loaded.name,
        symbols=[loaded.token_text(int(index)) for index in shown],
        boundary=0,
        probabilities=probs.round(6).tolist(),
        vocabulary=boundary + 1,
        tokens_written=int(counts.sum()),
    )


def _generate(loaded: LoadedRun, seed: int) -> Contexts:
    """Return the ids (texts, T) that precede each token of some generated texts.

    They begin with the boundary; the positions after the end of a shorter text are masked.
    """
    texts = draw(
        loaded.run.model,
        np.zeros(0, np.int64),
        TEXTS_AT_ONCE,
        MAX_LENGTH,
        DecodingOptions(),
        seed,
        past_boundary=loaded.is_running_text,
    )
    lengths = np.array([len(text) for text in texts])
    masked = np.arange(lengths.max()) >= lengths[:, None]
    contexts = np.zeros(masked.shape, np.int64)
    for row, text in zip(contexts, texts, strict=True):
        row[: len(text)] = [loaded.boundary_id, *text[:-1]]
    return np.ma.MaskedArray(contexts, masked)


def _sum_probs(
    model: LanguageModel, contexts: Contexts, shown: Int64[np.ndarray, " shown"]
) -> Float[np.ndarray, "shown shown"]:
    """Return the next-token probabilities, summed over all places of each symbol."""
    row_of = np.full(model.vocabulary_size, -1)
    row_of[shown] = np.arange(len(shown))
    sums, state = np.zeros((len(shown), len(shown))), model.start(len(contexts))
    for ids, masked in zip(contexts.data.T, np.ma.getmaskarray(contexts).T, strict=True):
        log_probs, state = model.step(ids, state)
        counted = ~masked & (row_of[ids] >= 0)
        np.add.at(sums, row_of[ids[counted]], np.exp(log_probs[counted][:, shown]))
    return sums
