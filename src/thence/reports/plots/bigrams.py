"""The heat map of bigrams: which symbol follows which, for a model or as train counts it."""

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from thence.array_types import Float, Int64, Integer
from thence.models.base import LanguageModel
from thence.reports import style
from thence.reports.formatting import symbol_text
from thence.reports.symbols import BOUNDARY_MARK, Ids, most_frequent
from thence.runs import Run
from thence.tokens import Tokenizer, TokenStore

MOST_SYMBOLS = 60
"""Symbols that are drawn: the most frequent."""
MOST_WITH_COUNTS = 30
"""Symbols up to which counts are written into the squares."""
BLOCK = 1 << 20
"""Tokens that are looked at together."""


def plot_bigrams(run: Run) -> style.Plot:
    """Draw which symbol follows which, for the most frequent symbols of the train split.

    The count model's bigrams are shown as counts; another model whose context is one symbol is
    asked for its probabilities; for a model with more context, for which the next symbol depends
    on more than the previous one, the train split is counted instead.
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
    figure = draw_matrix(values, labels_of(run.tokenizer, ids), title, are_counts)
    return style.Plot("heat-map", "Bigrams", f"Heat map. {title}.", figure)


def labels_of(tokenizer: Tokenizer, ids: Ids) -> list[str]:
    """Return what to write for each id; the boundary is a black square."""
    boundary_id = tokenizer.vocabulary.boundary_id
    return [
        BOUNDARY_MARK
        if index == boundary_id
        else style.drawable(symbol_text(tokenizer, int(index)))
        for index in ids
    ]


def model_probabilities(model: LanguageModel, ids: Ids) -> Float[np.ndarray, "shown shown"]:
    """Return a model's P(next | boundary, previous): a row for each previous symbol."""
    return _after(model, [np.full(len(ids), model.vocabulary_size - 1), ids])[:, ids]


def has_context_of_one(model: LanguageModel, ids: Ids) -> bool:
    """Whether a model predicts the same after a symbol, whatever came before that symbol."""
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
    # Each target but the last comes before another; the last is the boundary, as the first id is.
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
    """Draw a coloured square per bigram.

    Counts are written into the squares, with the bigram if its symbols are single letters; beside
    probabilities is the scale of the colours.
    """
    number = len(labels)
    side = 1 + 0.42 * max(number, 10) if are_counts else 2.4 + 0.155 * max(number, 16)
    figure, axes = style.new_figure(side if are_counts else side + 1, side)
    # A square root: most bigrams are rare, and they differ.
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
    # A page shows large figures smaller, and so their names are larger.
    size = 9 if number <= MOST_WITH_COUNTS else 10.5
    style.name_cells(axes, labels, size, upright=max(map(len, labels)) > 2)
    x = f"next symbol ({BOUNDARY_MARK} is the boundary)"
    style.add_titles(axes, title, x, "previous symbol")
    return figure


def pair_counts(
    store: TokenStore, ids: Integer[np.ndarray, " shown"], vocabulary_size: int
) -> Int64[np.ndarray, "shown shown"]:
    """Return how often the second of two shown ids came right after the first."""
    place = np.full(vocabulary_size, -1)
    place[ids] = np.arange(len(ids))
    counts = np.zeros(len(ids) ** 2, np.int64)
    for start in range(0, store.num_targets, BLOCK):
        places = place[store.ids[start : start + BLOCK + 1]]
        both = (places[:-1] >= 0) & (places[1:] >= 0)
        keys = places[:-1][both] * len(ids) + places[1:][both]
        counts += np.bincount(keys, minlength=len(counts))
    return counts.reshape(len(ids), len(ids))
