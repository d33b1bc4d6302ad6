"""Hotwords: words likelier than the language model knows, such as the names of a meeting."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from thence.ctc.constants import DEFAULT_HOTWORD_WEIGHT


@dataclass(frozen=True)
class Hotwords:
    """What hotwords add to the score of a text.

    Attributes:
        words: The hotwords; a phrase of several words is each of them.
        weight: Nats that each of them adds.
        shortest: The length of the shortest hotword that begins with each prefix of one.
    """

    words: frozenset[str] = frozenset()
    weight: float = DEFAULT_HOTWORD_WEIGHT
    shortest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def build_scorer(
        cls, hotwords: Iterable[str] | None = None, weight: float = DEFAULT_HOTWORD_WEIGHT
    ) -> "Hotwords":
        """Return the hotwords of a list of words and phrases."""
        words = frozenset(word for phrase in hotwords or () for word in phrase.split())
        shortest: dict[str, int] = {}
        for word in sorted(words, key=len):
            for end in range(1, len(word) + 1):
                shortest.setdefault(word[:end], len(word))
        return cls(words, float(weight), shortest)

    def __contains__(self, partial: str) -> bool:
        return partial in self.shortest

    def score(self, text: str) -> float:
        """Return what the words of a text add."""
        return self.weight * sum(word in self.words for word in text.split())

    def score_partial_token(self, partial: str) -> float:
        """Return what the beginning of a word adds: the share of the hotword that is there."""
        length = self.shortest.get(partial)
        return 0.0 if length is None else self.weight * len(partial) / length
