"""The bigram heat map: which symbol follows which, as a model sees it or as train counts it."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int64, Integer
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from thence.models.base import LanguageModel
from thence.reports.drawing import (
    COLOUR_MAP,
    INK,
    drawable,
    new_figure,
    plain,
    set_titles,
    symbol_text,
)
from thence.reports.frequencies import most_frequent, pair_counts, symbol_counts
from thence.runs import Run
from thence.tokens import Tokenizer, TokenStore

SHOWN = 60
SHOWN_WITH_COUNTS = 30
BOUNDARY_MARK = "■"

Ids = Integer[np.ndarray, " shown"]


def heat_map(run: Run) -> Figure:
    """Draw which symbol follows which, for the most frequent symbols of the train split.

    The count model's pairs are shown as counts; another model that looks back one symbol only is
    asked for its probabilities; for a model with more context, for which the next symbol hangs
    on more than the previous one, the train split is counted instead.
    """
    store, size = run.store("train"), len(run.tokenizer.vocabulary)
    ids = most_frequent(symbol_counts(store, size), SHOWN, store.boundary_id)
    shown = f"{len(ids)} most frequent of {size:,}"
    if len(ids) == size:
        ids, shown = np.concatenate([ids[:1], np.sort(ids[1:])]), f"all {size}"
    if run.recipe.model == "bigram-counts" and len(ids) <= SHOWN_WITH_COUNTS:
        title = f"How often one symbol follows another in the train split ({shown} symbols)"
        return draw_counts(pair_counts(store, ids, size), labels_of(run.tokenizer, ids), title)
    if looks_back_once(run.model, ids):
        probabilities, source = model_probabilities(run.model, ids), "says the model"
    else:
        probabilities, source = train_probabilities(store, ids, size), "counted in the train split"
    title = f"What follows each symbol, {source} ({shown} symbols)"
    return draw_probabilities(probabilities, labels_of(run.tokenizer, ids), title)


def labels_of(tokenizer: Tokenizer, ids: Ids) -> list[str]:
    """Return what to write for each id; the boundary is a black square."""
    boundary_id = tokenizer.vocabulary.boundary_id
    return [
        BOUNDARY_MARK if index == boundary_id else drawable(symbol_text(tokenizer, int(index)))
        for index in ids
    ]


def model_probabilities(model: LanguageModel, ids: Ids) -> Float[np.ndarray, "shown shown"]:
    """Return a model's P(next | boundary, previous): a row for each previous symbol."""
    return _after(model, [np.full(len(ids), model.vocabulary_size - 1), ids])[:, ids]


def looks_back_once(model: LanguageModel, ids: Ids) -> bool:
    """Whether a model says the same after a symbol, whatever came before that symbol."""
    boundaries = np.full(len(ids), model.vocabulary_size - 1)
    direct = _after(model, [boundaries, ids])
    later = _after(model, [boundaries, np.full(len(ids), ids[-1]), ids])
    return bool(np.allclose(direct, later, atol=1e-6))


def _after(model: LanguageModel, columns: list[Ids]) -> Float[np.ndarray, "shown vocab"]:
    state = model.start(len(columns[0]))
    for column in columns:
        log_probs, state = model.step(column, state)
    probabilities: Float[np.ndarray, "shown vocab"] = np.exp(log_probs)
    return probabilities


def train_probabilities(
    store: TokenStore, ids: Ids, vocabulary_size: int
) -> Float[np.ndarray, "shown shown"]:
    """Return the share of each next symbol among all that followed the previous one in train."""
    totals = np.bincount(store.ids[:-1], minlength=vocabulary_size)[ids][:, None]
    counts = pair_counts(store, ids, vocabulary_size)
    shares: Float[np.ndarray, "shown shown"] = counts / np.maximum(totals, 1)
    return shares


def draw_probabilities(
    probabilities: Float[np.ndarray, "shown shown"], labels: list[str], title: str
) -> Figure:
    """Draw a coloured square per pair, with the scale of the colours beside them."""
    side = 2.4 + 0.155 * max(len(labels), 16)
    figure, axes = new_figure(side + 1, side)
    # A square root: most probabilities are small, and they differ.
    norm = PowerNorm(0.5, 0, max(float(probabilities.max()), 1e-9))
    image = axes.imshow(probabilities, cmap=COLOUR_MAP, norm=norm, interpolation="none")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("P(next | previous), colours on a square-root scale", color=INK)
    bar.ax.tick_params(colors=INK)
    bar.outline.set_visible(False)
    _label(axes, labels, title)
    return figure


def draw_counts(counts: Int64[np.ndarray, "shown shown"], labels: list[str], title: str) -> Figure:
    """Draw a coloured square per pair, with the pair and how often it was seen written in it.

    Symbols longer than a letter are written at the edges only.
    """
    side = 1 + 0.42 * max(len(labels), 10)
    figure, axes = new_figure(side, side)
    norm = PowerNorm(0.5, 0, max(int(counts.max()), 1))
    short = max(map(len, labels)) == 1  # words would run into each other
    axes.imshow(counts, cmap="Blues", norm=norm, interpolation="none")
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if norm(count) > 0.6 else "#1b2a3a"
        cell = f"{labels[row]}{labels[column]}\n{count}" if short else str(count)
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": 8.5,
            "linespacing": 1.3,
        }
        axes.text(column, row, cell, color=color, **style, **plain())
    _label(axes, labels, title)
    return figure


def _label(axes: Axes, labels: list[str], title: str) -> None:
    places = range(len(labels))
    rotation = 90 if max(map(len, labels)) > 2 else 0
    size = 9 if len(labels) <= SHOWN_WITH_COUNTS else 10.5  # A page shows large ones smaller.
    axes.set_xticks(places, labels, rotation=rotation, fontsize=size, **plain())
    axes.set_yticks(places, labels, fontsize=size, **plain())
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    note = f"{BOUNDARY_MARK} is the boundary"
    set_titles(axes, title, f"next symbol ({note})", "previous symbol")
