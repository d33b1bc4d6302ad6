"""What a model goes on with: next tokens, samples, completions, fillings, similar words."""

import math

from thence.evaluation import SimilarWords
from thence.generation import Completions, Fillings, NextTokens, Samples
from thence.reports.displays.pieces import LINE, bars, escaped, note, short, title
from thence.reports.drawing import visible

EXCERPT = 400
"""Characters of a drawn text that are shown."""
SHOWN = 100
"""Texts that are shown."""


def next_tokens_html(found: NextTokens) -> str:
    """Show the distribution of the next token as bars; the longest takes the whole width."""
    rows = [
        (visible(found.quoted(token)), chance, f"{chance:.4f}") for token, chance in found.tokens
    ]
    rest = max(1 - math.fsum(chance for _, chance in found.tokens), 0.0)
    before = f"after “{short(found.text)}”" if found.text else "at the beginning"
    others = note(f"all other tokens together: {rest:.4f}")
    return title("next token", before) + bars(rows, _longest(rows)) + others


def samples_html(samples: Samples) -> str:
    """Show texts, and how many of them are copies."""
    style = f"border: 1px solid {LINE}; border-radius: .3rem; padding: .1rem .5rem"
    style += "; white-space: pre-wrap"
    texts = [escaped(short(text, EXCERPT)) or "&nbsp;" for text in samples.texts[:SHOWN]]
    items = "".join(f'<bdi style="{style}">{text}</bdi>' for text in texts)
    count = len(samples.texts)
    copies = samples.copies
    about = "" if copies is None else f"{copies:,} of them copies of train documents"
    more = note(f"… and {count - SHOWN:,} more") if count > SHOWN else ""
    flow = '<div style="display: flex; flex-wrap: wrap; gap: .3rem .4rem">'
    return title(f"{count:,} samples", about) + f"{flow}{items}</div>{more}"


def completions_html(found: Completions) -> str:
    """Show how a text goes on, with the probability of each way."""
    rows = []
    for completion in found.completions:
        chance = math.exp(completion.log_probability)
        rows.append((short(completion.text, EXCERPT), chance, f"{chance:.3g}"))
    return title("completions", f"of “{short(found.text)}”") + bars(rows, _longest(rows))


def fillings_html(found: Fillings) -> str:
    """Show how blanks may be filled, with the share of each way."""
    rows = [
        (short(filling.text, EXCERPT), filling.share, f"{filling.share:.4f}")
        for filling in found.fillings
    ]
    how = "all there are" if found.exact else "found by a beam"
    about = f"shares among {found.found:,} candidates ({how})"
    return title(short(found.text), about) + bars(rows, _longest(rows))


def similar_words_html(found: SimilarWords) -> str:
    """Show the nearest words with the cosine of each."""
    rows = [(visible(word), cosine, f"{cosine:.4f}") for word, cosine in found.words]
    return title(found.word, "nearest words, cosine of the embeddings") + bars(rows)


def _longest(rows: list[tuple[str, float, str]]) -> float:
    return max((length for _, length, _ in rows), default=1.0) or 1.0
