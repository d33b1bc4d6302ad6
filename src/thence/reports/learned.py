"""Sections of a report on dev: gain over pair counts, loss by place and length, calibration."""

import math
from collections.abc import Sequence

import numpy as np

from thence.array_types import Float, Int64
from thence.models.base import LanguageModel
from thence.reports.colours import BLUE, GREY
from thence.reports.content import Cell, Chart, HeatMap, Note, Section, Series
from thence.reports.reading import DevReading
from thence.reports.symbols import most_frequent, symbol_names
from thence.tokens import TokenStore

SYMBOLS = 28
"""Symbols of the heat map at most, the most frequent ones."""
MOST_PLACES = 16
"""Places of a document with a point of their own; later ones are in groups of doubling width."""
FEWEST = 30
"""Fewest targets or documents in a group for its mean to be shown; with fewer it is noise."""
BINS = 8
"""Groups of documents by their length."""
PLACES, MOST_ROWS = 2048, 256
"""Places of dev at which distributions are computed for the calibration, and documents at most."""
MOST_CELLS = 8_000_000
"""Probabilities that are computed for it at most: half a second."""
EDGES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Bounds of the bins of probabilities; narrow near 0, where most probabilities are."""


def gain_section(reading: DevReading) -> list[Section]:
    """Return a heat map of the bits saved against pair counts, for each pair of symbols."""
    known = reading.baselines
    if known is None or reading.run.recipe.model == "bigram-counts":
        return []
    store, token = reading.store, reading.token
    counts = store.id_counts(reading.vocabulary_size)
    ids = most_frequent(counts, SYMBOLS, store.boundary_id)
    ids = np.concatenate([ids[:1], np.sort(ids[1:])])
    table = _PairTable(reading, ids, (known.pairs - reading.nats) / math.log(2))
    if not table.largest:
        return []
    names = symbol_names(reading.tokenizer, ids)
    saved = float(np.mean(known.pairs - reading.nats)) / math.log(2)
    better = f"{abs(saved):.2f} bits per {token}"
    said = f"Beyond counting pairs it saves {better}" if saved >= 0 else f"It loses {better}"
    said += " in all" if saved >= 0 else " against counting pairs"
    explained = (
        f"{said}. Blue: pairs of {token}s in dev for which it needs fewer bits than pair counts "
        "do, all their occurrences together; orange: more. ■ is the boundary of a document."
    )
    of = f"{len(ids)} most frequent of " if len(ids) < reading.vocabulary_size else "all "
    heat_map = HeatMap(
        f"Bits saved ({of}{reading.vocabulary_size:,} symbols)",
        f"Heat map of the bits saved for each pair of {token}s. {said}.",
        names,
        names,
        table.cells(names),
        f"next {token}",
        f"{token} before",
    )
    return [Section("Gain over pair counts", [Note(explained), heat_map])]


class _PairTable:
    """Counts, bits, and bits saved against pair counts, for each pair of the shown symbols."""

    def __init__(
        self, reading: DevReading, ids: Int64[np.ndarray, " shown"], saved: Float[np.ndarray, " _"]
    ) -> None:
        store, size = reading.store, len(ids)
        place = np.full(reading.vocabulary_size, -1)
        place[ids] = np.arange(size)
        before, after = place[store.ids[:-1]], place[store.targets]
        shown = (before >= 0) & (after >= 0) & np.isfinite(saved)
        keys = before[shown] * size + after[shown]

        def summed(values: Float[np.ndarray, " targets"]) -> Float[np.ndarray, "shown shown"]:
            return np.bincount(keys, values[shown], size * size).reshape(size, size)

        self.counts = summed(np.ones(len(saved)))
        self.saved = summed(saved)
        self.bits = summed(reading.nats / math.log(2))
        self.largest = float(np.abs(self.saved).max(initial=0.0))

    def cells(self, names: Sequence[str]) -> list[Cell]:
        """Return the cells of the heat map for the pairs that occur."""
        found = []
        for row, column in np.argwhere(self.counts > 0).tolist():
            count, saved = self.counts[row, column], self.saved[row, column]
            own = self.bits[row, column] / count
            about = (
                f"{names[row]} {names[column]}, {count:,.0f} times: {own:.2f} bits, pair counts "
                f"{own + saved / count:.2f}"
            )
            # A square-root scale, so that the differences between rare pairs can be seen.
            share = math.copysign(math.sqrt(abs(saved) / self.largest), saved)
            found.append(Cell(row, column, share, about))
        return found


def where_section(reading: DevReading) -> list[Section]:
    """Return charts of the bits by place in the document, and by length of the document."""
    charts = [chart for chart in (_by_place(reading), _by_length(reading)) if chart is not None]
    return [Section("Loss by position and by length", charts)] if charts else []


def _by_place(reading: DevReading) -> Chart | None:
    """Return the chart of mean bits by place in the document."""
    places = reading.store.places
    # Groups: places 1, 2, ..., 16, then 17 to 32, 33 to 64 and so on, drawn at their first place.
    powers = 2.0 ** np.arange(4, 40)
    edges = np.concatenate([np.arange(MOST_PLACES), powers])
    group = np.searchsorted(edges, places, side="right") - 1
    return _means(
        reading,
        group,
        edges + 1,
        f"By place: bits of the first, second, ... {reading.token} of a document",
        "place in the document (logarithmic)",
    )


def _by_length(reading: DevReading) -> Chart | None:
    """Return the chart of mean bits by length of the document, in quantile groups."""
    lengths = reading.store.target_counts
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, BINS + 1)[:-1], method="lower"))
    group = np.searchsorted(edges, lengths, side="right") - 1
    return _means(
        reading,
        np.repeat(group, lengths),
        edges.astype(np.float64),
        f"By length: bits per {reading.token} of short and long documents",
        f"{reading.token}s of the document, its end included, from (logarithmic)",
    )


def _means(
    reading: DevReading,
    group: Int64[np.ndarray, " targets"],
    xs: Float[np.ndarray, " groups"],
    title: str,
    x: str,
) -> Chart | None:
    """Return the chart of the mean bits of groups of targets; None with fewer than two groups."""
    counts = np.bincount(group, minlength=len(xs))
    kept = np.flatnonzero(counts >= FEWEST)
    if len(kept) < 2:
        return None
    lines = [("this run", BLUE, reading.nats)]
    if reading.baselines is not None:
        lines.insert(0, ("pair counts", GREY, reading.baselines.pairs))
    series = []
    for name, colour, nats in lines:
        bits = np.bincount(group, nats, len(xs)) / math.log(2)
        points = [(float(xs[at]), float(bits[at] / counts[at])) for at in kept]
        abouts = [f"{name} {y:.2f} bits" for _, y in points]
        abouts = [
            f"{one} ({counts[at]:,} {reading.token}s)" for one, at in zip(abouts, kept, strict=True)
        ]
        series.append(Series(name, points, colour, abouts=abouts))
    said = ", ".join(f"{x:g}: {y:.2f}" for x, y in series[-1].points)
    description = f"{title}. This run at {said}."
    return Chart(title, description, series, x, f"bits per {reading.token}", is_log=True, height=12)


def calibration_section(reading: DevReading) -> list[Section]:
    """Return the reliability diagram of all predicted probabilities on a part of dev."""
    found = reliability_bins(reading.run.model, reading.store, reading.vocabulary_size)
    if found is None:
        return []
    said, seen, counts = found
    points, abouts = [], []
    for expected, came, count in zip(said, seen, counts, strict=True):
        if count and max(expected, came) >= FEWEST / 6:
            points.append((100 * expected / count, came / count))
            abouts.append(
                f"predicted {expected / count:.1%}, occurred {came / count:.1%}: {came:,.0f} of "
                f"{count:,.0f}"
            )
    if len(points) < 2:
        return []
    off = float(np.abs(said - seen).sum() / 2 / seen.sum())
    explained = (
        f"All predicted probabilities of next tokens at {seen.sum():,.0f} places of dev, and how "
        "often these tokens occurred. On the dashed line the model is calibrated; below it, it is "
        f"overconfident. {off:.1%} of its probability is misplaced."
    )
    chart = Chart(
        "Reliability",
        f"{explained} " + "; ".join(abouts),
        [
            Series("perfect calibration", [(0, 0), (100, 1)], GREY, "dashes"),
            Series("this run", points, BLUE, "line", abouts),
        ],
        "predicted probability (%)",
        "relative frequency",
        in_percent=True,
        limits=(0, 1),
    )
    return [Section("Calibration", [Note(explained), chart])]


def reliability_bins(
    model: LanguageModel, store: TokenStore, vocabulary_size: int
) -> Float[np.ndarray, "3 bins"] | None:
    """Return sums over bins of predicted probabilities: expected events, actual events, number.

    Every token of the vocabulary at a place is one prediction. The beginnings of documents that
    are evenly spaced over the text are read; None without targets.
    """
    if store.num_targets == 0:
        return None
    places = max(1, min(PLACES, MOST_CELLS // vocabulary_size))
    mean = max(1, store.num_targets // store.num_documents)
    rows = min(store.num_documents, MOST_ROWS, max(1, places // min(mean, 32)))
    steps = max(1, places // rows)
    chosen = np.linspace(0, store.num_documents - 1, rows).astype(np.int64)
    starts, lengths = store.offsets[chosen] - 1, store.target_counts[chosen]
    found = np.zeros((3, len(EDGES) - 1))
    said, seen, counts = found
    state = model.start(rows)
    for step in range(min(steps, int(lengths.max()))):
        at = starts + np.minimum(step, lengths - 1)
        log_probs, state = model.step(store.ids[at].astype(np.int64), state)
        probs = np.exp(np.asarray(log_probs, np.float64))[step < lengths]
        targets = store.targets[at][step < lengths].astype(np.int64)
        group = np.clip(np.searchsorted(EDGES, probs, side="right") - 1, 0, len(EDGES) - 2)
        came = np.take_along_axis(group, targets[:, None], 1)[:, 0]
        said += np.bincount(group.ravel(), probs.ravel(), len(said))
        counts += np.bincount(group.ravel(), minlength=len(said))
        seen += np.bincount(came, minlength=len(said))
    return found
