"""What is special to the family of a language model: counts, members, embeddings."""

import math

import numpy as np

from thence.evaluation.embeddings import embedding_table
from thence.models.language.mixture import Mixture
from thence.models.ngram import NGram
from thence.reports.colours import BLUE
from thence.reports.content import Bars, Block, Chart, Folded, Note, Pairs, Section, Series, Table
from thence.reports.insides import inside_sections
from thence.reports.reading import DevReading, token_name
from thence.reports.symbols import most_frequent, project, symbol_names
from thence.runs import ClassifierRun, Run

MOST_SHARED = 50_000
"""Targets of dev, from its beginning, for which the shares of members are computed."""
MOST_SYMBOLS = 150
"""Symbols of a map of embeddings: the most frequent."""
LETTER, LINE = 0.011, 0.034
"""Shares of the width that a letter takes on the map, and of the height that a line does."""


def family_sections(run: Run, reading: DevReading | None) -> list[Section]:
    """Return the sections that only some families have."""
    if isinstance(run.model, NGram):
        return _orders_section(run, run.model, reading)
    if isinstance(run.model, Mixture) and reading is not None:
        return [_members_section(run.model, reading)]
    inside = inside_sections(run) if reading is not None else []
    return [*inside, *embedding_sections(run)]


def _orders_section(run: Run, model: NGram, reading: DevReading | None) -> list[Section]:
    facts = model.facts(None)
    blocks: list[Block] = []
    if reading is not None and len(model.tables) > 1:
        orders = model.known_orders(reading.store, run.recipe.training.carry_context)
        size = len(model.tables) + 1
        counts = np.bincount(orders, minlength=size)
        bits = np.bincount(orders, reading.nats, size) / np.maximum(counts, 1) / math.log(2)
        token = reading.token
        rows = [
            (
                f"{order} {token}{'s' if order > 1 else ''}",
                counts[order] / len(orders),
                f"{counts[order] / len(orders):.1%}, {bits[order]:.2f} bits"
                if counts[order]
                else "never",
            )
            for order in range(1, size)
        ]
        explained = (
            f"The longest n-gram of train that ends at each {token} of dev: the share of each "
            "length, and how many bits such targets cost on average."
        )
        blocks += [Note(explained), Bars(rows, max(share for _, share, _ in rows))]
    name = "How far back it knows the text" if blocks else "The counts"
    return [Section(name, [*blocks, Folded("n-grams and discounts of each order", [Pairs(facts)])])]


def _members_section(model: Mixture, reading: DevReading) -> Section:
    carry = reading.run.recipe.training.carry_context
    # Members that adapt read on from the beginning, so it is the beginning that is looked at.
    store = reading.store.beginning(MOST_SHARED)
    scores, shares = model.shares(store, carry)
    weights = model.mean_weights(store, carry)
    mixed = float(np.mean(reading.nats[: store.num_targets])) / math.log(2)
    rows, bars = [], []
    for at, member in enumerate(model.options.members):
        bits = -float(np.mean(scores[:, at])) / math.log(2)
        alone = f"{bits:.3f}" if math.isfinite(bits) else "∞"
        rows.append([member.name, member.model, alone, f"{weights[at]:.1%}"])
        share = float(np.nanmean(shares[:, at]))
        bars.append((member.name, share, f"{share:.1%}"))
    rows.append(["together", "mixture", f"{mixed:.3f}", "100.0%"])
    columns = ["member", "model", f"bits per {reading.token} alone", "mean weight"]
    how = {
        "gated": "The weights depend on what is known of the context (a gate)",
        "buckets": "The weights depend on how well the context is known (buckets)",
        "single": "The weights are the same everywhere",
    }[model.options.weights]
    is_part = store.num_targets < reading.store.num_targets
    part = f" These are of the first {store.num_targets:,} targets of dev." if is_part else ""
    return Section(
        "Its members",
        [
            Note(f"{how}.{part}"),
            Table(columns, rows, words=2, best=len(rows) - 1),
            Note("How much of the probability of what came was each member's, on average:"),
            Bars(bars),
        ],
    )


def embedding_sections(run: Run) -> list[Section]:
    """Return the map of the embeddings; nothing where there are none."""
    table = embedding_table(run)
    if table is None or not run.has_train_text:
        return []
    store = run.store("train")
    counts = store.id_counts(len(table))
    is_classifier = isinstance(run, ClassifierRun)  # It never reads the boundary.
    ids = most_frequent(counts, MOST_SYMBOLS + is_classifier, store.boundary_id)[is_classifier:]
    if len(ids) < 2:
        return []
    points, shares = project(table[ids].astype(np.float64))
    names = symbol_names(run.tokenizer, ids)
    axes = ("first dimension", "second dimension")
    if shares is not None:
        first, second = (f"({share:.0%} of the variance)" for share in shares)
        axes = (f"first principal component {first}", f"second principal component {second}")
    places = [(float(x), float(y)) for x, y in points]
    title = f"Embeddings of {len(ids)} symbols"
    if len(ids) < len(table):
        title = f"Embeddings of the {len(ids)} most frequent of {len(table):,} symbols"
    chart = Chart(
        title,
        f"Map of where {len(ids)} {token_name(run)}s lie: {', '.join(names[:40])}.",
        [Series("", places, BLUE, "points", names)],
        *axes,
        labels=_labels(places, names),
        height=32,
    )
    explained = f"What stands close together, the model reads alike: a {token_name(run)} each."
    return [Section("Embeddings", [Note(explained), chart])]


def _labels(places: list[tuple[float, float]], names: list[str]) -> list[tuple[float, float, str]]:
    """Return as many names, in order, as fit beside their points without overlap."""
    xs, ys = np.array(places).T
    across = (xs - xs.min()) / (np.ptp(xs) or 1)
    down = (ys - ys.min()) / (np.ptp(ys) or 1)
    taken: list[tuple[float, float, float]] = []
    found = []
    for x, y, (left, top), name in zip(across, down, places, names, strict=True):
        right = x + LETTER * (len(name) + 1)
        if right > 1.04 or any(
            abs(y - other) < LINE and x < end and start < right for start, end, other in taken
        ):
            continue
        taken.append((x, right, y))
        found.append((left, top, name))
    return found
