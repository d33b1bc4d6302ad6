"""The section of a report that depends on the family: n-gram orders, members, embeddings."""

import math

import numpy as np

from thence.models.language.mixture import Mixture
from thence.models.ngram import NGram
from thence.reports.colours import BLUE
from thence.reports.content import Bars, Block, Chart, Folded, Note, Pairs, Section, Series, Table
from thence.reports.insides import inside_sections
from thence.reports.reading import DevReading, token_name
from thence.reports.symbols import embedding_map, symbol_names
from thence.runs import Run

MOST_SHARED = 50_000
"""First targets of dev for which the shares of a mixture's members are computed."""
LETTER, LINE = 0.011, 0.034
"""Width of a letter and height of a line of labels, as shares of the map of embeddings."""


def family_sections(run: Run, reading: DevReading | None) -> list[Section]:
    """Return the sections that depend on the family of the model."""
    if isinstance(run.model, NGram):
        return _orders_section(run, run.model, reading)
    if isinstance(run.model, Mixture) and reading is not None:
        return [_members_section(run.model, reading)]
    inside = inside_sections(run) if reading is not None else []
    return [*inside, *embedding_sections(run)]


def _orders_section(run: Run, model: NGram, reading: DevReading | None) -> list[Section]:
    """Return how often each order of an n-gram model is the longest known one on dev."""
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
    name = "Longest known n-grams" if blocks else "The counts"
    return [Section(name, [*blocks, Folded("n-grams and discounts of each order", [Pairs(facts)])])]


def _members_section(model: Mixture, reading: DevReading) -> Section:
    """Return the loss of each member of a mixture alone, its mean weight and its mean share."""
    carry = reading.run.recipe.training.carry_context
    # The beginning and not a sample, since members may adapt to the text from its beginning on.
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
    """Return the section with the map of the embeddings; none if the run has no embeddings."""
    found = embedding_map(run) if run.has_train_text else None
    if found is None or len(found.ids) < 2:
        return []
    names = symbol_names(run.tokenizer, found.ids)
    places = [(float(x), float(y)) for x, y in found.points]
    chart = Chart(
        found.title,
        f"Map of where {len(names)} {token_name(run)}s lie: {', '.join(names[:40])}.",
        [Series("", places, BLUE, "points", names)],
        *found.axes,
        labels=_labels(places, names),
        height=32,
    )
    explained = f"What stands close together, the model reads alike: a {token_name(run)} each."
    return [Section("Embeddings", [Note(explained), chart])]


def _labels(places: list[tuple[float, float]], names: list[str]) -> list[tuple[float, float, str]]:
    """Return labels (x, y, name) for as many points, in order, as fit without overlap."""
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
