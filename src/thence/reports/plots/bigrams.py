"""The heat map of bigrams: P(next | previous) of a model, or from counts of the train split."""

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from thence.array_types import Float, Int64, Integer
from thence.models.base import LanguageModel
from thence.reports import style
from thence.reports.symbols import BOUNDARY_MARK, Ids, most_frequent, symbol_names
from thence.runs import Run
from thence.tokens import TokenStore

MOST_SYMBOLS = 60
"""Symbols that are drawn at most, the most frequent."""
MOST_WITH_COUNTS = 30
"""Largest number of symbols for which counts are written into the squares."""
BLOCK = 1 << 20
"""Tokens that are counted in one vectorised step, which bounds the memory."""


def plot_bigrams(run: Run) -> style.Plot:
    """Draw bigrams of the most frequent symbols of the train split.

    For ``bigram-counts``, the counts are shown; for another model whose context is one symbol, its
    probabilities; for a model with more context, relative frequencies in the train split.
    """
    store, size = run.store("train"), len(run.tokenizer.vocabulary)
    ids = most_frequent(store.id_counts(size), MOST_SYMBOLS, store.boundary_id)
    shown = f"{len(ids)} most frequent of {size:,}"
    if len(ids) == size:
        ids, shown = np.concatenate([ids[:1], np.sort(ids[1:])]), f"all {size}"
    are_counts = run.recipe.model == "bigram-counts" and len(ids) <= MOST_WITH_COUNTS
    if are_counts:
        values = pair_counts(store, ids, size).astype(np.float64)
        title = f"How often one symbol follows another in the train split ({shown} symbols)"
    else:
        if has_context_of_one(run.model, ids):
            values, source = model_probabilities(run.model, ids), "as the model predicts"
        else:
            values, source = train_probabilities(store, ids, size), "counted in the train split"
        title = f"What follows each symbol, {source} ({shown} symbols)"
    names = symbol_names(run.tokenizer, ids, style.drawable)
    figure = draw_matrix(values, names, title, are_counts)
    return style.Plot("heat-map", "Bigrams", f"Heat map. {title}.", figure)


def model_probabilities(model: LanguageModel, ids: Ids) -> Float[np.ndarray, "shown shown"]:
    """Return P(next | boundary, previous) by a model, with a row for each previous symbol."""
    return _after(model, [np.full(len(ids), model.vocabulary_size - 1), ids])[:, ids]


def has_context_of_one(model: LanguageModel, ids: Ids) -> bool:
    """Return whether a model's prediction depends on the last symbol only, tested on examples."""
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
    """Return P(next | previous) as relative frequencies in train."""
    # Counts of targets are those of contexts too: the first id and the last target are boundaries.
    totals = store.id_counts(vocabulary_size)[ids][:, None]
    counts = pair_counts(store, ids, vocabulary_size)
    shares: Float[np.ndarray, "shown shown"] = counts / np.maximum(totals, 1)
    return shares


def draw_matrix(
    values: Float[np.ndarray, "shown shown"],
    labels: list[str],
    title: str,
    are_counts: bool = False,
) -> Figure:
    """Draw a coloured square for each bigram.

    Counts are written into the squares, with the bigram itself if its symbols are single letters.
    Probabilities have a colour bar instead.
    """
    number = len(labels)
    side = 1 + 0.42 * max(number, 10) if are_counts else 2.4 + 0.155 * max(number, 16)
    figure, axes = style.new_figure(side if are_counts else side + 1, side)
    # A square-root scale, so that the differences between rare bigrams can be seen.
    norm = PowerNorm(0.5, 0, max(float(values.max()), 1e-9))
    colours = "Blues" if are_counts else style.COLOUR_MAP
    image = axes.imshow(values, cmap=colours, norm=norm, interpolation="none")
    if are_counts:
        are_letters = max(map(len, labels)) == 1  # Words would run into each other.
        texts = [
            [
                f"{first}{second}\n{count:.0f}" if are_letters else f"{count:.0f}"
                for second, count in zip(labels, counts, strict=True)
            ]
            for first, counts in zip(labels, values, strict=True)
        ]
        style.write_cells(axes, texts, norm(values), 8.5)
    else:
        label = "P(next | previous), colours on a square-root scale"
        style.add_colour_bar(axes, image, label, shrink=0.7)
    # Large figures are scaled down on pages, so their names are larger.
    size = 9 if number <= MOST_WITH_COUNTS else 10.5
    style.name_cells(axes, labels, size, upright=max(map(len, labels)) > 2)
    x = f"next symbol ({BOUNDARY_MARK} is the boundary)"
    style.add_titles(axes, title, x, "previous symbol")
    return figure


def pair_counts(
    store: TokenStore, ids: Integer[np.ndarray, " shown"], vocabulary_size: int
) -> Int64[np.ndarray, "shown shown"]:
    """Return the counts of bigrams of the shown ids: rows are the first id, columns the second."""
    place = np.full(vocabulary_size, -1)
    place[ids] = np.arange(len(ids))
    counts = np.zeros(len(ids) ** 2, np.int64)
    for start in range(0, store.num_targets, BLOCK):
        places = place[store.ids[start : start + BLOCK + 1]]
        both = (places[:-1] >= 0) & (places[1:] >= 0)
        keys = places[:-1][both] * len(ids) + places[1:][both]
        counts += np.bincount(keys, minlength=len(counts))
    return counts.reshape(len(ids), len(ids))
