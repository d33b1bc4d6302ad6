"""The blocks of a comparison below its table: charts, samples, documents that runs disagree on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thence.array_types import Bool
from thence.evaluation.compare import ModelLosses
from thence.evaluation.metrics import excerpt
from thence.generation import sample
from thence.reports.colours import COLOURS, ORANGE
from thence.reports.content import (
    SURPRISING,
    Annotated,
    Beside,
    Block,
    Cell,
    Chart,
    HeatMap,
    Note,
    RunningText,
    Series,
    Stack,
    Subtitle,
    Texts,
    Token,
)
from thence.reports.formatting import short, symbol_text, visible, without_breaks
from thence.reports.reading import token_name
from thence.reports.surprisal import shown_symbol
from thence.runs import ClassifierRun, Run

SAMPLES, LONGEST_SAMPLE = 8, 160
"""Texts sampled from each run, and characters that are shown of each."""
MOST_SAMPLED = 6
"""Runs whose samples are shown, the best ones."""
DISPUTED = 5
"""Documents that are shown for each of the two best runs, those where it is better by most."""
MOST_TOKENS = 120
"""Tokens of such a document that are shown."""
STRONG = 4.0
"""Difference in bits at which the colour of a token is strongest."""
FIRST_BETTER = "47 127 209"
"""Colour of tokens that the better run predicts better, as red, green and blue."""
LONGEST_EXCERPT = 200
LONGEST_NAME = 28
LARGE_RATIO = 10
"""Ratio of the longest to the shortest training above which the time axis is logarithmic."""
Lines = Sequence[Mapping[str, Any]]


def pairwise_differences(names: Sequence[str], losses: ModelLosses) -> list[Block]:
    """Return a heat map of the differences between all pairs of models, best first."""
    unit = "nats per token" if losses.same_tokens else "bits per byte"
    totals = [float(np.sum(cost, dtype=np.float64)) for cost in losses.compared]
    order = np.argsort(totals, kind="stable").tolist()
    found = {column: losses.differences(column) for column in order}
    sizes = [abs(one[0]) for row in found.values() for one in row if one is not None]
    largest = max(sizes, default=0.0) or 1.0
    cells = []
    for y, row in enumerate(order):
        for x, column in enumerate(order):
            difference = found[column][row]
            if difference is None:
                continue
            middle, low, high = difference
            is_sure = low > 0 or high < 0
            text = f"{middle:+.4f}"
            interval = "" if math.isnan(low) else f", 95 % interval {low:+.4f} to {high:+.4f}"
            text += "" if math.isnan(low) else f" ± {(high - low) / 2:.4f}"
            about = f"{names[row]} against {names[column]}: {middle:+.4f} {unit}{interval}"
            share = -math.copysign(math.sqrt(abs(middle) / largest), middle) if is_sure else 0.0
            cells.append(Cell(y, x, share, about, text))
    shown = [short(names[at], LONGEST_NAME) for at in order]
    title = f"Differences between all pairs of runs ({unit})"
    note = (
        "Blue: the run of the row needs less than that of the column, orange: more. Without a "
        "colour, the difference may be chance; the intervals hold for all pairs at once."
    )
    heat_map = HeatMap(title, title, shown, shown, cells, "minus this run", "this run")
    return [heat_map, Note(note)] if len(cells) > 1 else []


def costs(runs: Mapping[str, Run], scores: Sequence[float], unit: str) -> list[Block]:
    """Return scatter charts of the score of each run against its parameters and training time."""
    sizes = [float(run.num_parameters) for run in runs.values()]
    times = [float((run.metrics() or [{}])[-1].get("seconds") or math.nan) for run in runs.values()]
    charts = []
    for title, x, values in (
        ("Result by size", "parameters (logarithmic)", sizes),
        ("Result by training time", "seconds of training (logarithmic)", times),
    ):
        points = list(zip(values, scores, strict=True))
        abouts = [
            f"{name}: {score:.4f} {unit}, {value:,.4g} {x.partition(' (')[0]}"
            for name, (value, score) in zip(runs, points, strict=True)
        ]
        known = [(x, y, name) for (x, y), name in zip(points, runs, strict=True) if x > 0]
        labels = [(x, y, short(name, LONGEST_NAME)) for x, y, name in known]
        series = [Series("", points, ORANGE, "points", abouts)]
        description = f"{title}: {'; '.join(abouts)}."
        in_percent = unit == "accuracy"
        if len({x for x, _, _ in known}) > 1:
            charts.append(
                Chart(
                    title, description, series, x, unit, True, in_percent=in_percent, labels=labels
                )
            )
    return [Beside(charts, wide=True)] if charts else []


def curves(runs: Mapping[str, Run], unit: str) -> list[Block]:
    """Return the dev curves by step and by time; a model fitted in one step is a dashed line."""
    found = {name: (run.metrics(), _heights(run, unit)) for name, run in runs.items()}
    found = {name: one for name, one in found.items() if any(map(math.isfinite, one[1]))}
    trained = [lines for lines, _ in found.values() if len(lines) > 1]
    if not trained:
        return []
    is_accuracy = unit == "accuracy"
    y = "share of documents right" if is_accuracy else f"loss ({unit})"
    charts = []
    for field, x in (("step", "training steps"), ("seconds", "seconds of training")):
        ends = [float(lines[-1][field]) for lines in trained]
        is_log = min(ends) > 0 and max(ends) / min(ends) > LARGE_RATIO
        first = min(float(lines[0][field]) for lines in trained)
        series = []
        for place, (name, (lines, heights)) in enumerate(found.items()):
            points = [(float(line[field]), y) for line, y in zip(lines, heights, strict=True)]
            if len(lines) == 1:
                points = [(first, heights[0]), (max(ends), heights[0])]
            label, colour = short(name, LONGEST_NAME), COLOURS[place % len(COLOURS)]
            series.append(Series(label, points, colour, "dashes" if len(lines) == 1 else "line"))
        title = f"{unit.capitalize()} on dev against {x}"
        described = f"{title}, of {', '.join(found)}."
        charts.append(Chart(title, described, series, x, y, is_log, in_percent=is_accuracy))
    return list(charts)


def _heights(run: Run, unit: str) -> list[float]:
    """Return the results on dev at the evaluations of a run, converted to the unit."""
    name = "dev_accuracy" if unit == "accuracy" else "dev_nats_per_token"
    scale = 1.0
    if unit == "bits per byte":
        scale = 1 / (math.log(2) * run.store("dev").bytes_per_target)
    found = [line.get(name) for line in run.metrics()]
    return [math.nan if value is None else scale * value for value in found]


def samples(runs: Mapping[str, Run]) -> list[Block]:
    """Return samples of the best runs, drawn with the same seed, side by side."""
    columns = []
    for name, run in list(runs.items())[:MOST_SAMPLED]:
        drawn = sample(run, SAMPLES, max_length=LONGEST_SAMPLE)
        texts = [RunningText([short(text, LONGEST_SAMPLE)]) for text in drawn.texts]
        columns.append(Stack([Subtitle(short(name, LONGEST_NAME)), Texts(texts)]))
    return [Subtitle("Samples of the same seed"), Beside(columns)]


def disputed_texts(runs: Mapping[str, Run], losses: ModelLosses) -> list[Block]:
    """Return the documents on which the two best runs differ most, token by token."""
    if not losses.same_tokens or len(runs) < 2:
        return []
    totals = [float(np.sum(cost, dtype=np.float64)) for cost in losses.compared]
    best, second = np.argsort(totals, kind="stable")[:2].tolist()
    store, names = losses.stores[best], list(runs)
    with np.errstate(invalid="ignore"):
        saved = (losses.costs[second].astype(np.float64) - losses.costs[best]) / math.log(2)
    saved = np.nan_to_num(saved, posinf=1e3, neginf=-1e3)
    order = np.argsort(store.sum_by_document(saved) / store.target_counts, kind="stable")
    run, other = names[best], names[second]
    explained = (
        f"Blue: {run} predicts the token better, orange: {other}; the stronger, the more bits. "
        f"Open a text for the bits of each token: above 0 they are saved by {run}."
    )
    blocks: list[Block] = [Subtitle("Largest differences between the two best"), Note(explained)]
    for name, chosen in ((run, order[::-1]), (other, order)):
        blocks.append(Subtitle(f"{name} predicts better"))
        shown: set[bytes] = set()
        for index in chosen.tolist():
            content = store.document(index).tobytes()
            if content not in shown and len(shown) < DISPUTED:
                shown.add(content)
                blocks.append(_disputed_text(runs[run], store, saved, index))
            if len(shown) == DISPUTED:
                break
    return blocks


def _disputed_text(run: Run, store: Any, saved: Any, index: int) -> Annotated:
    """Return a document coloured by the difference in bits between the two best runs."""
    place = slice(store.offsets[index] - 1, store.offsets[index + 1] - 1)
    ids, bits = store.targets[place], saved[place]
    tokens: list[Token | str] = []
    for id_, one in zip(ids[:MOST_TOKENS].tolist(), bits[:MOST_TOKENS].tolist(), strict=True):
        text = symbol_text(run.tokenizer, id_)
        colour = FIRST_BETTER if one > 0 else SURPRISING
        about = f"{visible(text)}: {one:+.2f} bits"
        tokens.append(Token(shown_symbol(text), about, colour, min(abs(one) / STRONG, 1.0)))
    notes = [f"{one:+.1f}" for one in bits[:MOST_TOKENS].tolist()]
    if len(ids) > MOST_TOKENS:
        tokens.append(f" … and {len(ids) - MOST_TOKENS:,} more tokens")
        notes.append("")
    separator = " " if run.recipe.tokens.tokens == "words" else ""
    about = f"{bits.mean():+.2f} bits per {token_name(run)}"
    return Annotated(RunningText(tokens, separator, about), notes)


def disputed_labels(
    runs: Mapping[str, ClassifierRun], right: Bool[np.ndarray, "models documents"]
) -> list[Block]:
    """Return documents that one of the two best classifiers gets right and the other wrong."""
    names = list(runs)
    best, second = np.argsort(-right.sum(axis=1), kind="stable")[:2].tolist()
    documents = runs[names[best]].documents("dev")
    blocks: list[Block] = [Subtitle("Differences between the two best")]
    for one, other in ((best, second), (second, best)):
        chosen = np.flatnonzero(right[one] & ~right[other])
        title = f"{len(chosen):,} documents that {names[one]} has right and {names[other]} wrong"
        texts = [
            RunningText([excerpt(without_breaks(documents[at]), LONGEST_EXCERPT)])
            for at in chosen[:DISPUTED].tolist()
        ]
        blocks += [Note(f"{title}{', such as' if texts else ''}:"), Texts(texts)]
    return blocks
