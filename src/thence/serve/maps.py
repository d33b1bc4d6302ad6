"""``/playground/embedding`` and ``/playground/heat-map``: pictures of a model, as numbers."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from jaxtyping import Bool, Float, Int64
from pydantic import BaseModel, Field

from thence.errors import SettingError
from thence.evaluation.embeddings import embedding_table
from thence.generation.sampling import choose
from thence.generation.sampling_filters import DecodingOptions
from thence.models.base import LanguageModel
from thence.serve.problems import PROBLEMS
from thence.serve.served import ServedRun, UnknownModelError, choose_served
from thence.serve.worker import Ids

MOST_POINTS = 2000
MOST_SYMBOLS = 80
TOKENS_WRITTEN = 4000
"""So many tokens a model writes to tell which are frequent and what follows them."""
ROWS_AT_ONCE = 64
LONGEST_WRITTEN = 48
MOST_ROUNDS = 16


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
    """What follows each symbol: probabilities, a row for each previous symbol.

    They are averages over the places where the symbol stands in texts that the model writes.
    """

    model: str
    symbols: list[str]
    boundary: int = Field(description="Which of them is the boundary.")
    probabilities: list[list[float]]
    vocabulary: int
    tokens_written: int = Field(description="Over how many tokens the averages are.")


@dataclass
class _Drawn:
    """What has been computed, by model; each once, and one at a time."""

    embeddings: dict[str, EmbeddingMap] = field(default_factory=dict)
    heat_maps: dict[tuple[str, int], HeatMap] = field(default_factory=dict)
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)


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
        async with drawn.drawing:
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
        async with drawn.drawing:
            if (model, size) not in drawn.heat_maps:
                drawn.heat_maps[model, size] = await _heat_map(served, size)
        return drawn.heat_maps[model, size]

    return router


def _embedding_map(served: ServedRun) -> EmbeddingMap:
    from thence.reports.embedding_map import two_dimensions  # Imports matplotlib.

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
    """Let a model write, and average what it expects after each symbol of what it wrote."""
    run, boundary = served.worker.run, served.boundary_id
    generator = np.random.default_rng(0)
    texts, written = list[_Texts](), 0
    while written < TOKENS_WRITTEN and len(texts) < MOST_ROUNDS:
        texts.append(await run(_write, served, generator))
        written += int(texts[-1].counts.sum())
    counts = np.sum([some.counts for some in texts], axis=0)
    likeliest = np.argsort(-counts[:boundary], kind="stable")[: size - 1]
    shown = np.append(boundary, np.sort(likeliest[counts[likeliest] > 0]))
    sums = np.zeros((len(shown), len(shown)))
    for some in texts:
        sums += await run(_sum_expected, served.run.model, some, shown)
    chances = sums / np.maximum(counts[shown], 1)[:, None]
    return HeatMap(
        model=served.name,
        symbols=[served.token_text(int(index)) for index in shown],
        boundary=0,
        probabilities=chances.round(6).tolist(),
        vocabulary=boundary + 1,
        tokens_written=written,
    )


@dataclass(frozen=True)
class _Texts:
    """Texts that a model wrote side by side.

    Attributes:
        ids: They begin with the boundary; what is after the end of a document is 0.
        live: Where something follows that counts.
        counts: How often each symbol is followed by something.
    """

    ids: Int64[np.ndarray, "texts time"]
    live: Bool[np.ndarray, "texts time"]
    counts: Int64[np.ndarray, " vocab"]


def _write(served: ServedRun, generator: np.random.Generator) -> _Texts:
    model, boundary = served.run.model, served.boundary_id
    ids = np.full(ROWS_AT_ONCE, boundary)
    state, live = model.start(ROWS_AT_ONCE), np.ones(ROWS_AT_ONCE, bool)
    columns, lives = list[Ids](), list[Bool[np.ndarray, " texts"]]()
    while len(columns) < LONGEST_WRITTEN and live.any():
        log_probs, state = model.step(ids, state)
        columns.append(ids)
        lives.append(live)
        following = choose(log_probs, DecodingOptions(), generator)
        if not served.is_running_text:
            live = live & (following != boundary)
        ids = np.where(live, following, 0)
    written, alive = np.stack(columns, axis=1), np.stack(lives, axis=1)
    return _Texts(written, alive, np.bincount(written[alive], minlength=boundary + 1))


def _sum_expected(
    model: LanguageModel, texts: _Texts, shown: Int64[np.ndarray, " shown"]
) -> Float[np.ndarray, "shown shown"]:
    """Return the probabilities of what follows, summed over all places of each symbol."""
    place = np.full(model.vocabulary_size, -1)
    place[shown] = np.arange(len(shown))
    sums, state = np.zeros((len(shown), len(shown))), model.start(len(texts.ids))
    for ids, live in zip(texts.ids.T, texts.live.T, strict=True):
        log_probs, state = model.step(ids, state)
        counted = live & (place[ids] >= 0)
        np.add.at(sums, place[ids[counted]], np.exp(log_probs[counted][:, shown]))
    return sums
