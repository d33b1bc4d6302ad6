"""The section of a report on the inside of networks: gates, units and attention on a document."""

from collections.abc import Sequence

import numpy as np

from thence.errors import ThenceError
from thence.inspection import Look, look
from thence.inspection.hidden import AttentionMaps, GatedLayer
from thence.inspection.lenses import lenses_of
from thence.reports.colours import COLOURS
from thence.reports.content import Beside, Block, Cell, Chart, HeatMap, Note, Section, Series
from thence.reports.reading import token_name
from thence.reports.surprisal import shown_symbol
from thence.reports.symbols import BOUNDARY_MARK
from thence.runs import LanguageRun, Run

DOCUMENTS = 200
"""First documents of dev, of which the longest that is short enough is shown."""
MOST_CHARACTERS, MOST_TOKENS = 400, 40
"""Length of the document at most; more would not fit into the width of a figure."""
LETTERS = 6
"""Average length of a word in characters, with the space after it."""
SHOWN = 20
"""Tokens of the document that a page has room for."""
UNITS = 12
"""Units of a layer that are shown: those with the largest standard deviation over the text."""
HEADS = 8
"""Attention heads that are shown, from the first layer on."""
FAINTEST = 0.03
"""Smallest attention weight that is drawn."""
GATES = ("forget", "input", "output", "update", "reset")
"""Gates, which are 0 when closed and 1 when open."""


def inside_sections(run: Run) -> list[Section]:
    """Return the gates, or the attention, of a network on a document of dev; none for others."""
    if not isinstance(run, LanguageRun):
        return []
    wanted = [lens.name for lens in lenses_of(run) if lens.name in ("gates", "attention")]
    text = dev_text(run) if wanted else None
    if text is None:
        return []
    found = look(run, text, lenses=wanted, places=(0, SHOWN), top=0)
    assert isinstance(found, Look)
    tokens = [shown_symbol(token.text) for token in found.shown]
    blocks: list[Block] = []
    if "gates" in wanted:
        for layer in found.lenses["gates"].layers:
            blocks += _gates(layer, tokens, token_name(run))
    if "attention" in wanted:
        blocks += _attention(found.lenses["attention"], tokens)
    return [Section("Inside, while it reads a document", blocks)] if blocks else []


def dev_text(run: Run) -> str | None:
    """Return a document of dev, or the beginning of one; None if dev is empty or unreadable."""
    try:
        documents = run.documents("dev")
    except ThenceError:
        return None
    texts = [documents[number] for number in range(min(DOCUMENTS, len(documents)))]
    is_of_letters = run.recipe.tokens.tokens in ("characters", "bytes")
    most = MOST_TOKENS if is_of_letters else MOST_TOKENS * LETTERS // 2
    short = [text for text in texts if len(text) <= most]
    longest = max(short, key=len, default="") or (texts[0] if texts else "")
    return longest[:MOST_CHARACTERS] or None


def _gates(layer: GatedLayer, tokens: Sequence[str], token: str) -> list[Block]:
    """Return a chart of the mean of each gate by token, and a heat map of hidden units."""
    series = [
        Series(
            name,
            [(float(at), float(mean)) for at, mean in enumerate(layer.gates[name].mean(axis=1))],
            COLOURS[place],
            abouts=[f"{name} gate {mean:.2f}" for mean in layer.gates[name].mean(axis=1)],
        )
        for place, name in enumerate(name for name in GATES if name in layer.gates)
    ]
    blocks: list[Block] = []
    if series:
        title = f"{layer.name}: gates, mean over all units"
        means = ", ".join(f"{one.name} {layer.gates[one.name].mean():.2f}" for one in series)
        chart = Chart(
            title,
            f"{title}: {means}.",
            series,
            f"after the {token}",
            "0: closed, 1: open",
            tick_names=tokens,
            height=10,
        )
        blocks.append(chart)
    values = layer.gates["hidden"]
    units = np.sort(np.argsort(-np.std(values, axis=0), kind="stable")[:UNITS])
    largest = max(float(np.abs(values[:, units]).max(initial=0)), 1e-9)
    cells = [
        Cell(row, column, float(value) / largest, f"unit {unit} after “{name}”: {value:+.2f}")
        for row, unit in enumerate(units.tolist())
        for column, (name, value) in enumerate(zip(tokens, values[:, unit], strict=True))
    ]
    title = f"{layer.name}: the {len(units)} of {values.shape[1]:,} units that change most"
    said = "Blue is above 0, orange below."
    names = [str(unit) for unit in units]
    return [
        *blocks,
        HeatMap(title, f"{title}. {said}", names, tokens, cells, f"{token} just read", "unit"),
        Note(said),
    ]


def _attention(maps: AttentionMaps, tokens: Sequence[str]) -> list[Block]:
    """Return a heat map of the attention weights for each of the first heads."""
    keys = [BOUNDARY_MARK] * (maps.starts < 0) + list(tokens)
    shown: list[HeatMap] = []
    for layer in maps.layers:
        for number, head in enumerate(layer.heads, start=1):
            cells = [
                Cell(
                    row, column, float(share), f"{tokens[row]} looks at {keys[column]}: {share:.0%}"
                )
                for (row, column), share in np.ndenumerate(head)
                if share >= FAINTEST
            ]
            title = f"{layer.name}, head {number}"
            said = f"Attention of {title}: a row for each token, a column for what it looks at."
            shown.append(HeatMap(title, said, tokens, keys, cells, "looks at", "token"))
    heads = sum(len(layer.heads) for layer in maps.layers)
    few = f"The first {HEADS} of {heads} heads. " if heads > HEADS else ""
    note = f"{few}The rows of a head add up to 1: what each token takes from those before it."
    return [Note(note), Beside(shown[:HEADS], wide=True)]
