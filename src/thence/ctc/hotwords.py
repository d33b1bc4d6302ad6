"""Hotwords: words to favour beyond the language model, such as the names in a meeting."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from thence.ctc.constants import DEFAULT_HOTWORD_WEIGHT


@dataclass(frozen=True)
class Hotwords:
    """The bonus of hotwords in the score of a text.

    Attributes:
        words: The hotwords; of a phrase each word is one.
        weight: Nats added per hotword.
        shortest: For each prefix of a hotword, the length of the shortest hotword with it.
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
        """Return the bonus of the words of a text, in nats."""
        return self.weight * sum(word in self.words for word in text.split())

    def score_partial_token(self, partial: str) -> float:
        """Return the bonus of an unfinished word: ``weight`` times the share of the hotword."""
        length = self.shortest.get(partial)
        return 0.0 if length is None else self.weight * len(partial) / length
