"""``Look`` and ``LabelLook``: the results of ``look``, with the tokens and the results of lenses.

The JSON of a language model's look (that of a classifier has the fields of ``LabelLook``)::

    kind            "language model"
    run, family, text, by_lines, carries_context, adapting, vocabulary_size, end_bits
    available       names of the lenses that the run has
    places          [first, stop]: tokens shown in full; lists of lenses by token begin at first
    tokens          [{text, id, start, end, is_boundary, is_unknown, probability, bits,
                      rank, entropy, top: [{text, id, probability}]}]
                    rank, entropy and top only of tokens that are shown; bits may be null;
                    with "columns": {id, start, end, bits, names, shown} (``Tokens.columns``)
    next            {entropy, top, rank: null}, or null where it was not asked for
    lenses          {name: result of the lens}; for count models and mixtures:
      backoff       [token: {order, longest, terms: [Term], given_class}]      (``backoff.py``)
      examples      [token: {order, first, count, lines: [{text, start, end}]}] (``examples.py``)
      mixture       {members, families, depends, adapts,
                      tokens: [{weights, probabilities, shares, known}]}       (``mixtures.py``)
      cache         [cache: {name, tokens: [{weight, probability, remembered:
                      [{text, id, share, ago, count, order}]}]}]                 (``caches.py``)
      learning      [token: {probability, bits_gained}]                        (``caches.py``)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from thence.evaluation.explain import Contribution, Explanation
from thence.inspection.columns import LensTable, short
from thence.inspection.text import lens_tables, likely_tokens, token_table
from thence.inspection.tokens import Following, Token, Tokens, bits_of
from thence.printable import printable_line
from thence.results import Result, bar, format_pairs, format_table, json_value

MOST_LABELS = 20
"""Labels whose probabilities are printed."""


@dataclass(frozen=True)
class Look(Result):
    """A text as a language model reads it.

    Attributes:
        run: Name of the run.
        family: Name of its family, such as ``ngram``.
        text: The text.
        by_lines: Whether each line is a document, so that a line end is a boundary.
        carries_context: Whether context is carried across documents.
        adapting: Names of the parts of the model that adapt to the text while reading it.
        vocabulary_size: Size of the vocabulary (V).
        tokens: The tokens of the text, without the boundary before it.
        end_bits: Surprisal of the document's end after the text; infinite if its probability is 0.
        next: Summary of the distribution after the text; None if it was not asked for.
        places: First of the tokens that are shown in full, and the one after the last; lists by
            token in the results of lenses have an entry for each of these.
        available: Names of all lenses that the run supports.
        lenses: Results of the chosen lenses, by name.
    """

    run: str
    family: str
    text: str
    by_lines: bool
    carries_context: bool
    adapting: tuple[str, ...]
    vocabulary_size: int
    tokens: Tokens
    end_bits: float
    next: Following | None
    places: tuple[int, int]
    available: tuple[str, ...]
    lenses: Mapping[str, Any]

    @property
    def bits(self) -> float:
        """Summed surprisal of all tokens, without the end."""
        return bits_of(float(self.tokens.log_probs.sum()))

    @property
    def shown(self) -> list[Token]:
        """The tokens that are shown in full."""
        return self.tokens[slice(*self.places)]

    def heading(self) -> str:
        """Return a sentence with the run, the number of tokens and their surprisal."""
        size, (first, stop) = len(self.tokens), self.places
        mean = f", {self.bits / size:.2f} a token" if size else ""
        about = f"{self.run} ({self.family}, {self.vocabulary_size:,} different tokens)"
        about += f" reads {size:,} token{'s' * (size != 1)}: {self.bits:.2f} bits{mean}"
        about += f"; the end {self.end_bits:.2f}"
        learns = f". It learns from them: {', '.join(self.adapting)}" if self.adapting else ""
        part = f". Shown: {first:,} to {stop:,}" if (first, stop) != (0, size) else ""
        return printable_line(f"{about}{learns}{part}.")

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and a row for each token that is shown."""
        found = self.lenses.get("backoff")
        orders = None if found is None else [one.order for one in found]
        return token_table(self.shown, orders)

    def tables(self, *lenses: str) -> list[LensTable]:
        """Return the results of lenses as tables, without those that can only be drawn."""
        return [
            table
            for name in lenses
            for table in lens_tables(name, self.shown, self.lenses.get(name))
        ]

    def __str__(self) -> str:
        lines, (columns, rows) = [self.heading()], self.table()
        lines += ["", *format_table(columns, rows)] if rows else []
        if self.next is not None and self.next.top:
            lines += ["", f"What could follow: {likely_tokens(self.next.top)}"]
        return "\n".join(lines)

    def to_json(self, columns: bool = False) -> dict[str, Any]:
        """Return all fields as JSON values, None in the place of infinite numbers.

        Args:
            columns: Return the tokens by column (see ``Tokens.columns``), which is smaller.
        """
        names = [item.name for item in fields(self) if item.name != "tokens"]
        tokens = self.tokens.columns() if columns else self.tokens.to_json()
        others = {name: json_value(getattr(self, name)) for name in names}
        return {"kind": "language model", **others, "tokens": tokens}


@dataclass(frozen=True)
class MemberPrediction:
    """The prediction of one member of an ensemble.

    Attributes:
        name: Name of the member.
        weight: Its weight in the average; weights sum to one.
        probabilities: Probability of each label by this member alone.
    """

    name: str
    weight: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class LabelLook(Result):
    """A text as a classifier reads it.

    Attributes:
        run: Name of the run.
        family: Name of its family, such as ``linear``.
        text: The text.
        label: The label that is explained.
        probabilities: Probability of each label, the likeliest first.
        tokens: The parts of the text with their weights for the label.
        members: The predictions of the members of an ensemble; empty for other classifiers.
        nothing_known: Whether the text has no feature that the classifier has weights for.
        multilabel: Whether a text may have several labels.
        available: Names of all lenses that the run supports.
        lenses: Results of the chosen lenses, by name: ``gradient`` has the tokens with the gradient
            of the label's log-odds times the embedding of each.
    """

    run: str
    family: str
    text: str
    label: str
    probabilities: Mapping[str, float]
    tokens: tuple[Contribution, ...]
    members: "tuple[MemberPrediction, ...]"
    nothing_known: bool
    multilabel: bool
    available: tuple[str, ...] = ()
    lenses: Mapping[str, Sequence[Contribution]] = field(default_factory=dict)

    @property
    def explanation(self) -> Explanation:
        """The weights as an ``Explanation``."""
        return Explanation(self.text, self.label, self.probabilities[self.label], self.tokens)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and a row for each part of the text."""
        rows = [[part.text, f"{part.weight:+.2f}"] for part in self.tokens]
        return ["token", f"for {self.label} (nats)"], rows

    def __str__(self) -> str:
        labels = [
            (label, f"{chance:.4f}  {bar(chance)}".rstrip())
            for label, chance in [*self.probabilities.items()][:MOST_LABELS]
        ]
        if len(others := [*self.probabilities.values()][MOST_LABELS:]):
            labels.append((f"{len(others):,} others", f"{sum(others):.4f}"))
        says = [
            (f"{one.name} (weight {one.weight:.3f})", f"{one.probabilities[self.label]:.4f}")
            for one in self.members
        ]
        parts = [format_pairs(labels), format_table(*self.table())]
        parts += [[f"{self.label} by member", *format_pairs(says)]] if says else []
        for name, tokens in self.lenses.items():
            rows = [[short(one.text), f"{one.weight:+.2f}"] for one in tokens]
            parts.append(format_table([name, f"for {self.label} (nats)"], rows))
        return "\n\n".join("\n".join(lines) for lines in parts)

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**super().to_json(), "kind": "classifier"}
