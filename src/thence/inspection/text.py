"""A look as tables in 80 columns: the tokens, and the lenses that can be shown as tables."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from thence.inspection.backoff import Decomposition
from thence.inspection.caches import CacheLens, Learned
from thence.inspection.columns import NAME, LensTable, chance, cut, short
from thence.inspection.examples import Examples
from thence.inspection.mixing import MixingToken
from thence.inspection.mixtures import MixtureLens
from thence.inspection.network_text import NETWORK_TABLES
from thence.inspection.tokens import Likely, Token
from thence.printable import printable_line
from thence.results import bar

MOST_BITS = 10.0
"""Surprisal of the longest bar, where it is cut off: that of one of 1,024 equally likely tokens."""
LIKELY = 3
"""Likeliest tokens shown beside each token."""
FOLLOWING = 3
"""Likeliest next tokens shown after the text."""
MEMBERS = 3
"""Members of a mixture, tokens in a cache, or inputs of context mixing shown beside each token."""
SMALLEST = 0.005
"""Smallest share of a member that is shown."""
SETTINGS = re.compile(r"(?:order|length|discount) (?=[\d.])")
"""Names of settings within the names of members, which are removed where there is little room."""
CONTINUATION = "* of different tokens before it, not of occurrences (Kneser-Ney smoothing)"


def token_table(
    tokens: Sequence[Token], orders: Sequence[int] | None
) -> tuple[list[str], list[list[str]]]:
    """Return the column names and a row for each token.

    Args:
        tokens: The tokens.
        orders: Order of the n-gram found for each token; None for other models.
    """
    ranked = any(token.rank is not None for token in tokens)
    columns = ["token", "bits", "", "probability"]
    columns += ["rank", "entropy"] if ranked else []
    columns += ["order"] if orders is not None else []
    listed = any(token.top for token in tokens)
    columns += ["likeliest"] if listed else []
    rows = []
    for number, token in enumerate(tokens):
        row = [
            short(token.text),
            f"{token.bits:5.2f}",
            bar(token.bits / MOST_BITS),
            chance(token.probability),
        ]
        row += [f"{token.rank:,}", f"{token.entropy:.2f}"] if ranked else []
        row += [str(orders[number])] if orders is not None else []
        row += [_likely(token)] if listed else []
        rows.append(row)
    return columns, rows


def likely_tokens(likely: Sequence[Likely]) -> str:
    """Return the first of the likeliest tokens with their probabilities, on one line."""
    return ", ".join(f"{short(one.text)} {chance(one.probability)}" for one in likely[:FOLLOWING])


def lens_tables(name: str, tokens: Sequence[Token], shown: Any) -> list[LensTable]:
    """Return the result of a lens as tables; an empty list if it cannot be shown as tables."""
    tables = TABLES.get(name)
    return [] if tables is None or shown is None else list(tables(tokens, shown))


def _likely(token: Token) -> str:
    return cut(" ".join(short(one.text) for one in token.top[:LIKELY]), 18)


def _end(text: str) -> str:
    """Return a context truncated at its beginning to ``NAME`` columns."""
    text = printable_line(text)
    return text if len(text) <= NAME else "…" + text[1 - NAME :]


def _backoff(
    tokens: Sequence[Token], decompositions: Sequence[Decomposition]
) -> Iterator[LensTable]:
    """Yield a table for each token: the contribution of each order to its probability."""
    starred = any(
        term.is_continuation for decomposition in decompositions for term in decomposition.terms
    )
    for number, (token, decomposition) in enumerate(
        zip(tokens, decompositions, strict=True), start=1
    ):
        classes = ""
        if (within := decomposition.given_class) is not None:
            some = cut(" ".join(within.examples), 24)
            classes = f"; x {within.probability:.4f} in its class of {within.members:,}: {some}"
        # In a mixture the probability shown is that of its n-gram member.
        by = f" by {decomposition.member}" if decomposition.member else ""
        rows, whole = [], math.fsum(term.share for term in decomposition.terms)
        for term in decomposition.terms:
            part = term.share / whole if whole else 0.0
            context = "uniform" if term.order == 0 else _end(term.context)
            counted = f"{term.formula}{' *' if term.is_continuation and term.count else ''}"
            left, share = f"{term.weight:.4g}", chance(term.share, 6)
            rows.append([f"{term.order}", context, counted, left, share, bar(part)])
        is_last = number == len(decompositions)
        yield LensTable(
            f"{short(token.text)}  {chance(whole, 6)}{by}, order {decomposition.order}{classes}",
            ["order", "after", "count", "x left to it", "= share", ""],
            rows,
            CONTINUATION if is_last and starred else "",
            2,
        )


def _mixture(tokens: Sequence[Token], lens: MixtureLens) -> Iterator[LensTable]:
    """Yield a table of the members' mean weights, and one of their shares in each token."""
    count, rows = max(len(lens.tokens), 1), []
    for number, name in enumerate(lens.members):
        weight = sum(one.weights[number] for one in lens.tokens) / count
        share = sum(one.shares[number] for one in lens.tokens) / count
        rows.append([cut(name, 36), f"{weight:.3f}", f"{share:.3f}", bar(share)])
    title = f"Members ({lens.depends} weights): mean weight, and mean share of the probability"
    yield LensTable(title, ["member", "weight", "share", ""], rows)
    rows, names = [], [cut(SETTINGS.sub("", name), 22) for name in lens.members]
    for token, one in zip(tokens, lens.tokens, strict=True):
        best = sorted(range(len(lens.members)), key=lambda at: -one.shares[at])[:MEMBERS]
        said = [f"{names[at]} {one.shares[at]:.0%}" for at in best if one.shares[at] >= SMALLEST]
        rows.append([short(token.text), ", ".join(said)])
    yield LensTable(
        "Largest shares of the members in each token", ["token", "largest shares"], rows, words=2
    )


def _cache(tokens: Sequence[Token], caches: Sequence[CacheLens]) -> Iterator[LensTable]:
    """Yield a table for each cache: the remembered tokens with the largest shares."""
    for lens in caches:
        rows = []
        for token, one in zip(tokens, lens.tokens, strict=True):
            best = one.remembered[:MEMBERS]
            said = [f"'{short(item.text)}' {item.share:.2f}, {item.ago} ago" for item in best]
            numbers = [f"{one.weight:.3f}", chance(one.probability)]
            rows.append([short(token.text), cut("; ".join(said), 42), *numbers])
        title = f"{lens.name}: its weight, its probability of the token, its content"
        columns = ["token", "remembered", "weight", "probability"]
        yield LensTable(title, columns, rows, words=2)


def _learning(tokens: Sequence[Token], learned: Sequence[Learned]) -> Iterator[LensTable]:
    """Yield a table of the bits that adapting to the text gained, by token."""
    gained = [one.bits_gained for one in learned if one.bits_gained is not None]
    rows = [
        [short(token.text), f"{one.bits_gained:+.2f}", chance(one.probability)]
        for token, one in zip(tokens, learned, strict=True)
        if one.bits_gained is not None and one.probability is not None
    ]
    title = f"Learning from the text gained {sum(gained):.2f} bits on these tokens"
    yield LensTable(title, ["token", "bits", "probability without"], rows)


def _mixing(tokens: Sequence[Token], found: Sequence[MixingToken]) -> Iterator[LensTable]:
    """Yield a table of the inputs of context mixing with the largest contributions, by token."""
    rows = []
    for token, one in zip(tokens, found, strict=True):
        said = [f"{item.name} {item.log_odds:+.1f}" for item in one.inputs[:MEMBERS]]
        rows.append([short(token.text), cut(", ".join(said), 60)])
    title = "Contributions to each token, in nats of its log-odds; negative: against it"
    yield LensTable(title, ["token", "the strongest inputs"], rows, words=2)


def _examples(tokens: Sequence[Token], found: Sequence[Examples]) -> Iterator[LensTable]:
    """Yield a table with an example from the train text for each token."""
    rows = []
    for token, one in zip(tokens, found, strict=True):
        shown = ""
        if one.lines:
            line = one.lines[0]
            marked = f"{line.text[: line.start]}[{line.text[line.start : line.end]}]"
            shown = cut(f"{marked}{line.text[line.end :]}", 44)
        rows.append([short(token.text), shown, str(one.order), f"{one.count:,}"])
    title = "The longest n-gram of the train text that ends with each token"
    yield LensTable(title, ["token", "for example", "tokens", "times"], rows, words=2)


TABLES: Mapping[str, Callable[[Sequence[Token], Any], Iterable[LensTable]]] = {
    "backoff": _backoff,
    "mixture": _mixture,
    "cache": _cache,
    "learning": _learning,
    "mixing": _mixing,
    "examples": _examples,
    **NETWORK_TABLES,
}
"""Functions from tokens and the result of a lens to tables, by the name of the lens."""
