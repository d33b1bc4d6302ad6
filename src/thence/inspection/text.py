"""A look as plain text, for a terminal of 80 columns: the tokens, and each lens that has a form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from thence.inspection.backoff import Stack
from thence.inspection.caches import CacheLens
from thence.inspection.examples import Examples
from thence.inspection.learning import Learned
from thence.inspection.mixtures import MixtureLens
from thence.inspection.tokens import Token
from thence.printable import printable_line, printable_symbol
from thence.results import format_table

MOST_BITS = 10.0
"""Bits of the longest bar, and of all above: what one of 1,024 equally likely tokens has."""
BAR = 10
"""Columns of the longest bar."""
NAME = 16
"""Columns of a token or a context; longer ones lose their beginning or end."""
LIKELY = 3
"""Tokens that could stand at a place, besides the one that does."""
MEMBERS = 3
"""Members of a mixture, and tokens that a cache remembers, shown beside each token."""


def token_table(
    tokens: Sequence[Token], orders: Sequence[int] | None
) -> tuple[list[str], list[list[str]]]:
    """Return the column names and a row for each token.

    Args:
        tokens: The tokens.
        orders: Of the n-gram that answered for each, if there is one.
    """
    ranked = any(token.rank is not None for token in tokens)
    columns = ["token", "bits", "", "probability"]
    columns += ["rank", "entropy"] if ranked else []
    columns += ["order"] if orders is not None else []
    columns += ["likeliest"] if ranked else []
    rows = []
    for number, token in enumerate(tokens):
        bar = "█" * round(BAR * min(token.bits / MOST_BITS, 1.0))
        row = [_name(token.text), f"{token.bits:5.2f}", bar, f"{token.probability:.4f}"]
        row += [f"{token.rank:,}", f"{token.entropy:.2f}"] if ranked else []
        row += [str(orders[number])] if orders is not None else []
        row += [_likely(token)] if ranked else []
        rows.append(row)
    return columns, rows


def lens_lines(name: str, tokens: Sequence[Token], shown: Any) -> Iterator[str]:
    """Yield what a lens shows of tokens; nothing if it has no form as text."""
    lines = LINES.get(name)
    if lines is not None and shown is not None:
        yield from lines(tokens, shown)


def _likely(token: Token) -> str:
    return _cut(" ".join(_name(one.text) for one in token.top[:LIKELY]), 18)


def _name(text: str) -> str:
    """Return a token as a short word."""
    return _cut(printable_symbol(text))


def _cut(text: str, most: int = NAME) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _end(text: str) -> str:
    """Return the end of a context."""
    text = printable_line(text)
    return text if len(text) <= NAME else "…" + text[1 - NAME :]


def _backoff_lines(tokens: Sequence[Token], stacks: Sequence[Stack]) -> Iterator[str]:
    """Yield what each order gave to each token: the numbers, their part and the weight before."""
    yield "Which order answered: shares that add up to the probability."
    for token, stack in zip(tokens, stacks, strict=True):
        yield ""
        within = stack.given_class
        classes = "" if within is None else f" = {within.probability:.4f} in its class of"
        classes += (
            "" if within is None else f" {within.members:,} ({_cut(' '.join(within.examples))})"
        )
        yield f"{_name(token.text)}  {token.probability:.6f}, order {stack.order}{classes}"
        rows = []
        for term in stack.terms:
            part = term.share / token.probability if token.probability else 0.0
            context = "uniform" if term.order == 0 else _end(term.context)
            counted = f"{term.formula}{' *' if term.is_continuation else ''}"
            rows.append([
                f"  {term.order}", context, counted, f"x {term.weight:.4g}",
                f"{term.share:.6f}", "█" * round(BAR * part),
            ])  # fmt: skip
        yield from format_table(["order", "after", "count", "left to it", "share", ""], rows)[1:]
    if any(term.is_continuation for stack in stacks for term in stack.terms):
        yield ""
        yield "* counts different tokens before, not occurrences (Kneser-Ney smoothing)"


def _mixture_lines(tokens: Sequence[Token], lens: MixtureLens) -> Iterator[str]:
    """Yield the members, and whose each token is."""
    count = max(len(lens.tokens), 1)
    yield f"Members ({lens.depends}), mean weight and mean share of the probability"
    rows = []
    for number, name in enumerate(lens.members):
        weight = sum(one.weights[number] for one in lens.tokens) / count
        share = sum(one.shares[number] for one in lens.tokens) / count
        rows.append([_cut(name, 36), f"{weight:.3f}", f"{share:.3f}", "█" * round(BAR * share)])
    yield from format_table(["member", "weight", "share", ""], rows)
    yield ""
    rows = []
    for token, one in zip(tokens, lens.tokens, strict=True):
        best = sorted(range(len(lens.members)), key=lambda at: -one.shares[at])[:MEMBERS]
        said = [f"{_cut(lens.members[at])} {one.shares[at]:.0%}" for at in best if one.shares[at]]
        rows.append([_name(token.text), ", ".join(said)])
    yield from format_table(["token", "largest shares"], rows)


def _cache_lines(tokens: Sequence[Token], caches: Sequence[CacheLens]) -> Iterator[str]:
    """Yield what each cache remembered."""
    for number, lens in enumerate(caches):
        yield from [""] * (number > 0)
        yield f"{lens.name}: its weight, its probability of the token, and what it remembers"
        rows = []
        for token, one in zip(tokens, lens.tokens, strict=True):
            best = one.remembered[:MEMBERS]
            said = [f"{_name(item.text)} {item.share:.2f} ({item.ago} ago)" for item in best]
            numbers = [f"{one.weight:.3f}", f"{one.probability:.4f}"]
            rows.append([_name(token.text), *numbers, _cut(", ".join(said), 46)])
        yield from format_table(["token", "weight", "prob", "remembered"], rows)


def _learning_lines(tokens: Sequence[Token], learned: Sequence[Learned]) -> Iterator[str]:
    """Yield what learning from the text gained."""
    gained = [one.bits_gained for one in learned if one.bits_gained is not None]
    yield f"Learning from the text gained {sum(gained):.2f} bits on these tokens."
    rows = [
        [_name(token.text), f"{one.bits_gained:+.2f}", f"{one.probability:.4f}"]
        for token, one in zip(tokens, learned, strict=True)
        if one.bits_gained is not None and one.probability is not None
    ]
    yield from format_table(["token", "bits", "probability without"], rows)


def _example_lines(tokens: Sequence[Token], found: Sequence[Examples]) -> Iterator[str]:
    """Yield where the train text says the same."""
    yield "Where the train text has the longest end of the text so far"
    rows = []
    for token, one in zip(tokens, found, strict=True):
        line = one.lines[0] if one.lines else None
        marked = line and f"{line.text[: line.start]}[{line.text[line.start : line.end]}]"
        shown = "" if line is None else _cut(f"{marked}{line.text[line.end :]}", 44)
        rows.append([_name(token.text), str(one.order), f"{one.count:,}", printable_line(shown)])
    yield from format_table(["token", "tokens", "times", "for example"], rows)


LINES: Mapping[str, Callable[[Sequence[Token], Any], Iterator[str]]] = {
    "backoff": _backoff_lines,
    "mixture": _mixture_lines,
    "cache": _cache_lines,
    "learning": _learning_lines,
    "examples": _example_lines,
}
"""What writes a lens as text; others are for pictures, and for programs."""
