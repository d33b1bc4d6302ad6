"""What ``thence best`` knows of a family: when it is worth training, and in which sizes.

A family in a package of its own is tried too, once its entry in the registry has ``candidates``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TextKind = Literal["names", "characters", "words"]
"""What is modelled: short documents in characters, longer text in characters, or text in words; as
words count symbols of any large alphabet."""
Kind = Literal["names", "characters", "words", "labels"]
"""The same, or the labels of documents."""


@dataclass(frozen=True)
class Candidate:
    """A way to train a family within ``thence best``, from some budget on.

    Of a family's candidates those with the largest ``seconds`` within the budget count.

    Attributes:
        seconds: From how many seconds for training on; counted models need none.
        share: Its share of the time, beside the shares of all others that are trained. With 0 the
            family is no longer trained from this budget on.
        place: Candidates are trained in the order of their places; those of thence have 0 to 4.
        options: Settings of the model that do not follow from the time.
        running: Whether it is only for running text, where documents follow one another.
        compiled: Whether it is too slow without the compiled core.
        unlabelled: Whether it is only for labels with unlabelled text beside them.
    """

    seconds: float = 0.0
    share: float = 1.0
    place: float = 10.0
    options: Mapping[str, Any] = field(default_factory=dict)
    running: bool = False
    compiled: bool = False
    unlabelled: bool = False


@dataclass(frozen=True)
class Size:
    """A size of a network.

    Attributes:
        hidden: Units of each hidden layer.
        weights: Weights that every token goes through, the output layer's apart.
        options: Settings of the model.
        dropouts: Settings of the model that are rates of dropout, each as a multiple of the rate
            that suits the size and the text.
        training: Settings of its training.
    """

    hidden: int
    weights: int
    options: Mapping[str, Any]
    dropouts: Mapping[str, float]
    training: Mapping[str, Any]


def embedding_size(kind: TextKind, hidden: int, of_words: int) -> int:
    """Return how many numbers stand for a symbol: ``of_words``, or of characters fewer."""
    return of_words if kind == "words" else max(16, min(64, hidden // 4))
