"""What ``look`` returns: the tokens of a text, and what each lens shows.

The JSON of a language model's look (that of a classifier's has the fields of ``LabelLook``)::

    kind            "language model"
    run, family, text, by_lines, carries_context, adapting, vocabulary_size, end_bits
    available       names of the lenses that the run has
    places          [first, stop]: tokens shown in full; lists of lenses by token begin at first
    tokens          [{text, id, start, end, is_boundary, is_unknown, probability, bits,
                      rank, entropy, top: [{text, id, probability}]}]
                    rank, entropy and top only of tokens that are shown; bits may be null
    next            {entropy, top, rank: null}, or null where it was not asked for
    lenses          {name: what the lens shows}; of models of counts and of mixtures:
      backoff       [token: {order, longest, terms: [Term], given_class}]      (``backoff.py``)
      examples      [token: {order, first, count, lines: [{text, start, end}]}] (``examples.py``)
      mixture       {members, families, depends, adapts,
                      tokens: [{weights, probabilities, shares, known}]}       (``mixtures.py``)
      cache         [cache: {name, tokens: [{weight, probability, remembered:
                      [{text, id, share, ago, count, order}]}]}]                 (``caches.py``)
      learning      [token: {probability, bits_gained}]                        (``learning.py``)
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from thence.array_types import Float64, Int64
from thence.inspection.spans import Spans
from thence.results import Result, json_value


@dataclass(frozen=True)
class Likely:
    """A token that could stand at a place.

    Attributes:
        text: Its text, or its name if it has none.
        id: Its id.
        probability: After the text before that place.
    """

    text: str
    id: int
    probability: float


@dataclass(frozen=True)
class Following:
    """What could stand at a place.

    Attributes:
        entropy: Of the distribution, in bits.
        top: The likeliest tokens, the likeliest first.
        rank: Of the token that stands there: 1 is the most probable; None after the text.
    """

    entropy: float
    top: tuple[Likely, ...]
    rank: int | None = None


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes:
        text: As the text spells it; the name of what has no characters of its own.
        id: Its id.
        start: Characters (code points) of the text before it.
        end: The same with it.
        is_boundary: Whether it ends a document and begins the next.
        is_unknown: Whether the model reads it as the unknown symbol.
        probability: Given all before it.
        bits: Its surprisal; infinite if it is impossible.
        rank: 1 if it is the most probable of all tokens; None where it is not shown.
        entropy: Of the distribution it comes from, in bits; None where it is not shown.
        top: The most probable tokens; none where it is not shown.
    """

    text: str
    id: int
    start: int
    end: int
    is_boundary: bool
    is_unknown: bool
    probability: float
    bits: float
    rank: int | None = None
    entropy: float | None = None
    top: tuple[Likely, ...] = ()


@dataclass(frozen=True)
class Tokens(Sequence[Token]):
    """The tokens of a text; they are kept as columns, since there may be very many.

    Attributes:
        whole: The text.
        ids: Id of each.
        spans: First character and end of each.
        log_probs: In nats.
        names: Text of those without characters of their own, by place.
        boundary_id: Id of the boundary.
        unknown_id: Id of the unknown symbol, if there is one.
        following: What could stand at each place that is shown.
    """

    whole: str
    ids: Int64[np.ndarray, " tokens"]
    spans: Spans
    log_probs: Float64[np.ndarray, " tokens"]
    names: Mapping[int, str]
    boundary_id: int
    unknown_id: int | None
    following: Mapping[int, Following] = field(default_factory=dict)

    @overload
    def __getitem__(self, place: int) -> Token: ...

    @overload
    def __getitem__(self, place: slice) -> list[Token]: ...

    def __getitem__(self, place: int | slice) -> Token | list[Token]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        (start, end), index = self.spans[place].tolist(), int(self.ids[place])
        log_prob, following = float(self.log_probs[place]), self.following.get(place)
        shown = (following.rank, following.entropy, following.top) if following else ()
        return Token(
            self.names.get(place, self.whole[start:end]),
            index,
            start,
            end,
            index == self.boundary_id,
            index == self.unknown_id,
            math.exp(log_prob),
            _bits(log_prob),
            *shown,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the tokens as JSON values; what is not shown of a token is left out."""
        ids, spans = self.ids.tolist(), self.spans.tolist()
        probabilities = np.exp(self.log_probs).tolist()
        bits = (-self.log_probs / math.log(2)).tolist()
        found = [
            {
                "text": self.whole[start:end],
                "id": index,
                "start": start,
                "end": end,
                "is_boundary": index == self.boundary_id,
                "is_unknown": index == self.unknown_id,
                "probability": probability,
                "bits": surprisal if surprisal < math.inf else None,
            }
            for index, (start, end), probability, surprisal in zip(
                ids, spans, probabilities, bits, strict=True
            )
        ]
        for place, name in self.names.items():
            found[place]["text"] = name
        for place, following in self.following.items():
            found[place] |= json_value(following)
        return found


def _bits(log_prob: float) -> float:
    return -log_prob / math.log(2) + 0.0  # Adding 0 turns a minus 0 into 0.


@dataclass(frozen=True)
class Look(Result):
    """A text as a language model reads it.

    Attributes:
        run: Name of the run.
        family: Name of its family, such as ``ngram``.
        text: The text.
        by_lines: Whether a line is a document, so that a line end is a boundary.
        carries_context: Whether documents see those before them.
        adapting: Names of the parts of the model that learn from the text as they read it.
        vocabulary_size: How many tokens there are (V).
        tokens: The tokens of the text; the boundary before it is none of them.
        end_bits: Surprisal of the document's end after the text; infinite if it is impossible.
        next: What could follow the text; None if it was not asked for.
        places: First of the tokens that are shown in full, and the one after the last; each list
            of a lens that has an entry for each token has one for each of these.
        available: Names of all lenses that the run has.
        lenses: What each lens shows that was asked for, by its name.
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
        """Surprisal of all tokens together, without the end."""
        return _bits(float(self.tokens.log_probs.sum()))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and a row for each token that is shown."""
        rows = []
        for token in self.tokens[slice(*self.places)]:
            others = [one.text for one in token.top[:3]]
            rank, entropy = ("" if token.rank is None else f"{token.rank:,}"), token.entropy
            rows.append(
                [
                    repr(token.text)[1:-1],
                    f"{token.bits:.2f}",
                    f"{token.probability:.4f}",
                    rank,
                    "" if entropy is None else f"{entropy:.2f}",
                    " ".join(map(repr, others)),
                ]
            )
        return ["token", "bits", "probability", "rank", "entropy", "likeliest"], rows

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program; None stands for what is infinite."""
        return {**super().to_json(), "tokens": self.tokens.to_json(), "kind": "language model"}


@dataclass(frozen=True)
class Contribution:
    """A word, or another part of a document.

    Attributes:
        text: As it was written.
        start: Characters of the document before it.
        end: The same with it.
        weight: How much it speaks for the label, in nats of its log-odds; below 0: against it.
    """

    text: str
    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class LabelLook(Result):
    """A text as a classifier reads it.

    Attributes:
        run: Name of the run.
        family: Name of its family, such as ``linear``.
        text: The text.
        label: The label that is explained.
        probabilities: Of each label, the likeliest first.
        tokens: The parts of the text with what each contributes to the label.
        nothing_known: Whether the classifier knows nothing of the text.
        multilabel: Whether a text may have several labels.
    """

    run: str
    family: str
    text: str
    label: str
    probabilities: Mapping[str, float]
    tokens: tuple[Contribution, ...]
    nothing_known: bool
    multilabel: bool

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and a row for each part of the text."""
        rows = [[part.text, f"{part.weight:+.2f}"] for part in self.tokens]
        return ["token", f"for {self.label} (nats)"], rows

    def to_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {**super().to_json(), "kind": "classifier"}
