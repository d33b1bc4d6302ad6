"""The tokens of a text as a model reads it, with summaries of the predictive distributions."""

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
    """A likely token at a place.

    Attributes:
        text: Its text, or its name if it has none.
        id: Its id.
        probability: Its probability given the text before the place.
    """

    text: str
    id: int
    probability: float


@dataclass(frozen=True)
class Following:
    """A summary of the predictive distribution at a place.

    Attributes:
        entropy: Entropy of the distribution, in bits.
        top: The likeliest tokens, likeliest first.
        rank: Rank of the token that stands there, 1 for the most probable; None after the text.
    """

    entropy: float
    top: tuple[Likely, ...]
    rank: int | None = None


@dataclass(frozen=True)
class Token:
    """A token of a text.

    Attributes:
        text: As spelled in the text; its name if its span is empty.
        id: Its id.
        start: Index of its first character (code point) in the text.
        end: Index after its last character.
        is_boundary: Whether it ends a document and begins the next.
        is_unknown: Whether the model reads it as the unknown symbol.
        probability: Its probability given all tokens before it.
        bits: Its surprisal; infinite if its probability is 0.
        rank: Its rank among all tokens, 1 for the most probable; None where it is not shown.
        entropy: Entropy of the predictive distribution, in bits; None where it is not shown.
        top: The most probable tokens; empty where it is not shown.
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
    """The tokens of a text as a sequence; stored as columns, since there may be very many.

    Attributes:
        whole: The text.
        ids: Id of each token.
        spans: First character and end of each token.
        log_probs: Log-probability of each token, in nats.
        names: Names of the tokens with an empty span, by place.
        boundary_id: Id of the boundary.
        unknown_id: Id of the unknown symbol, if there is one.
        following: Summary of the predictive distribution at each place that is shown.
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
        """Return the tokens as JSON values; only those shown have rank, entropy and top."""
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
        """Return the tokens as JSON values by column, a third of the size of ``to_json``.

        ``names`` has the names of tokens with an empty span, and ``shown`` the summaries of the
        predictive distributions at the places that are shown, both by place.
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
    """Return the surprisal in bits of a log-probability in nats."""
    return -log_prob / math.log(2) + 0.0  # -0.0 + 0.0 is 0.0.
