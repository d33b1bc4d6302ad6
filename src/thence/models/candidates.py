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
    """Settings with which ``thence best`` tries a family, from some training budget on.

    Of a family's candidates only those with the largest ``seconds`` within the budget are tried.

    Attributes:
        seconds: The smallest training budget, in seconds; counted models need none.
        share: Its share of the training time, relative to the shares of all others.
        place: Candidates are trained in ascending order of this; those of thence have 0 to 4.
        options: Settings of the model that do not depend on the budget.
        running: Whether it is only for running text, where context crosses documents.
        compiled: Whether it needs the compiled core, being too slow without.
        unlabelled: Whether it is only for labels together with unlabelled text.
        whole: Whether a counted model is left out if there is no time to count all of train and
            score all of dev; else parts of them are taken.
    """

    seconds: float = 0.0
    share: float = 1.0
    place: float = 10.0
    options: Mapping[str, Any] = field(default_factory=dict)
    running: bool = False
    compiled: bool = False
    unlabelled: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Size:
    """A size of a network.

    Attributes:
        hidden: Units of each hidden layer.
        weights: Weights that take part in the step of every token, without the output layer.
        options: Settings of the model.
        dropouts: Settings of the model that are dropout rates, each as a multiple of the rate that
            ``thence best`` computes from the size and the text.
        training: Settings of its training.
    """

    hidden: int
    weights: int
    options: Mapping[str, Any]
    dropouts: Mapping[str, float]
    training: Mapping[str, Any]


def embedding_size(kind: TextKind, hidden: int, of_words: int) -> int:
    """Return the width of the embedding: ``of_words`` for words, less for characters."""
    return of_words if kind == "words" else max(16, min(64, hidden // 4))
