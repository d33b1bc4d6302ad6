"""The tokens of a text as a model reads it, and what else could stand in their places."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from thence.array_types import Float64, Int64
from thence.inspection.spans import Spans
from thence.results import json_value


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
            bits_of(log_prob),
            *shown,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the tokens as JSON values; what is not shown of a token is left out."""
        ids, spans = self.ids.tolist(), self.spans.tolist()
        probabilities = np.exp(self.log_probs).tolist()
        bits = self._bits.tolist()
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

    def columns(self) -> dict[str, Any]:
        """Return the tokens as JSON values by column, for very many: a third of the size.

        ``names`` has the text of tokens without characters of their own, and ``shown`` what could
        stand at the places that are shown, both by place.
        """
        bits = [bits if bits < math.inf else None for bits in self._bits.tolist()]
        return {
            "id": self.ids.tolist(),
            "start": self.spans[:, 0].tolist(),
            "end": self.spans[:, 1].tolist(),
            "bits": bits,
            "names": {str(place): name for place, name in self.names.items()},
            "shown": {str(place): json_value(one) for place, one in self.following.items()},
            "boundary_id": self.boundary_id,
            "unknown_id": self.unknown_id,
        }

    @property
    def _bits(self) -> Float64[np.ndarray, " tokens"]:
        bits: Float64[np.ndarray, " tokens"] = -self.log_probs / math.log(2) + 0.0
        return bits


def bits_of(log_prob: float) -> float:
    """Return the surprisal of a log-probability in nats."""
    return -log_prob / math.log(2) + 0.0  # Adding 0 turns a minus 0 into 0.
