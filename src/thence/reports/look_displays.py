"""Displays of ``Look`` and ``LabelLook`` in notebooks."""

from collections.abc import Sequence

from thence.evaluation.classify import NOTHING_KNOWN
from thence.inspection import LabelLook, Look
from thence.printable import printable_line
from thence.reports.content import (
    Bars,
    Block,
    Caption,
    Folded,
    Note,
    RunningText,
    Table,
    Token,
)
from thence.reports.explanation import explanation_tokens, weight_legend
from thence.reports.surprisal import surprisal_token

MOST_TOKENS = 400
"""Tokens of a text that are shown."""
MOST_LABELS = 20
"""Labels whose probabilities are shown."""
MOST_TABLES = 40
"""Tables shown of each lens; ``backoff`` has one for each token."""


def look(found: Look) -> list[Block]:
    """Show the text coloured by surprisal, the tokens in a table, and lenses folded."""
    shown, end, pieces = found.shown[:MOST_TOKENS], 0, list[Token | str]()
    for token in shown:
        if token.start > end:
            pieces.append(found.text[end : token.start])
        pieces.append(surprisal_token(token.text, token.bits, found.vocabulary_size))
        end = token.end
    rest = len(found.tokens) - len(shown)
    blocks: list[Block] = [Caption("look", found.heading()), RunningText(pieces)]
    if rest:
        blocks.append(Note(f"… and {rest:,} more tokens"))
    columns, rows = found.table()
    if shown:
        # Columns with text come first, since only leading columns are aligned to the left.
        order = sorted(
            range(len(columns)), key=lambda at: columns[at] not in ("token", "likeliest")
        )
        rows = [[row[at] for at in order] for row in rows[:MOST_TOKENS]]
        words = 1 + ("likeliest" in columns)
        blocks.append(Folded("tokens", [_without_bars([columns[at] for at in order], rows, words)]))
    for name in found.lenses:
        tables = [
            _without_bars(one.columns, one.rows, one.words, printable_line(one.title))
            for one in found.tables(name)[:MOST_TABLES]
        ]
        blocks += [Folded(name, tables)] if tables else []
    return blocks


def _without_bars(
    columns: Sequence[str], rows: Sequence[Sequence[str]], words: int, caption: str = ""
) -> Table:
    """Return a table without the columns of bars, which have no name and are for terminals."""
    kept = [at for at, name in enumerate(columns) if name]
    cells = [[row[at] for at in kept] for row in rows]
    return Table([columns[at] for at in kept], cells, words, caption=caption)


def label_look(found: LabelLook) -> list[Block]:
    """Show the labels as bars, and the text coloured by the weights of its words for the label."""
    likeliest = [*found.probabilities.items()][:MOST_LABELS]
    rows = [(label, chance, f"{chance:.4f}") for label, chance in likeliest]
    text = RunningText(explanation_tokens(found.explanation))
    about = f"{found.run} ({found.family}), {found.probabilities[found.label]:.4f}"
    members = [
        (f"{one.name}: {found.label}", one.probabilities[found.label], f"weight {one.weight:.3f}")
        for one in found.members
    ]
    by_member = [Folded("Members", [Bars(members)])] if members else []
    warning = [Note(NOTHING_KNOWN)] if found.nothing_known else []
    return [Caption(found.label, about), *warning, Bars(rows), text, weight_legend(), *by_member]
