"""``/playground/embedding`` and ``/playground/heat-map``: the data of two plots of a model."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from jaxtyping import Bool, Float, Int64
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.evaluation.embeddings import embedding_table
from thence.generation import DecodingOptions
from thence.generation.sampling import choose
from thence.models.base import LanguageModel
from thence.serve.batching import Ids
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
                embedding_maps[model] = await loaded.worker.run(_embedding_map, loaded)
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
    run, boundary = loaded.worker.run, loaded.boundary_id
    generator = np.random.default_rng(0)
    batches, num_tokens = list[_Texts](), 0
    while num_tokens < MIN_TOKENS and len(batches) < MAX_ROUNDS:
        batches.append(await run(_generate, loaded, generator))
        num_tokens += int(batches[-1].counts.sum())
    counts = np.sum([batch.counts for batch in batches], axis=0)
    likeliest = np.argsort(-counts[:boundary], kind="stable")[: size - 1]
    shown = np.append(boundary, np.sort(likeliest[counts[likeliest] > 0]))
    sums = np.zeros((len(shown), len(shown)))
    for batch in batches:
        sums += await run(_sum_probs, loaded.run.model, batch, shown)
    probs = sums / np.maximum(counts[shown], 1)[:, None]
    return HeatMap(
        model=loaded.name,
        symbols=[loaded.token_text(int(index)) for index in shown],
        boundary=0,
        probabilities=probs.round(6).tolist(),
        vocabulary=boundary + 1,
        tokens_written=num_tokens,
    )


@dataclass(frozen=True)
class _Texts:
    """Texts generated as one batch.

    Attributes:
        ids: They begin with the boundary; what is after the end of a document is 0.
        live: Whether the document has not ended before.
        counts: How often each symbol occurs where ``live``.
    """

    ids: Int64[np.ndarray, "texts time"]
    live: Bool[np.ndarray, "texts time"]
    counts: Int64[np.ndarray, " vocab"]


def _generate(loaded: LoadedRun, generator: np.random.Generator) -> _Texts:
    model, boundary = loaded.run.model, loaded.boundary_id
    ids = np.full(TEXTS_AT_ONCE, boundary)
    state, live = model.start(TEXTS_AT_ONCE), np.ones(TEXTS_AT_ONCE, bool)
    columns, lives = list[Ids](), list[Bool[np.ndarray, " texts"]]()
    while len(columns) < MAX_LENGTH and live.any():
        log_probs, state = model.step(ids, state)
        columns.append(ids)
        lives.append(live)
        following = choose(log_probs, DecodingOptions(), generator)
        if not loaded.is_running_text:
            live = live & (following != boundary)
        ids = np.where(live, following, 0)
    all_ids, all_live = np.stack(columns, axis=1), np.stack(lives, axis=1)
    return _Texts(all_ids, all_live, np.bincount(all_ids[all_live], minlength=boundary + 1))


def _sum_probs(
    model: LanguageModel, texts: _Texts, shown: Int64[np.ndarray, " shown"]
) -> Float[np.ndarray, "shown shown"]:
    """Return the next-token probabilities, summed over all places of each symbol."""
    row_of = np.full(model.vocabulary_size, -1)
    row_of[shown] = np.arange(len(shown))
    sums, state = np.zeros((len(shown), len(shown))), model.start(len(texts.ids))
    for ids, live in zip(texts.ids.T, texts.live.T, strict=True):
        log_probs, state = model.step(ids, state)
        counted = live & (row_of[ids] >= 0)
        np.add.at(sums, row_of[ids[counted]], np.exp(log_probs[counted][:, shown]))
    return sums
