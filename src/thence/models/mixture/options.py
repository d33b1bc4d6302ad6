"""The settings of mixtures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Weights = Literal["gated", "buckets", "single"]


@dataclass(frozen=True)
class Member:
    """One model of a mixture.

    Attributes:
        model: Name of its family.
        options: Its own settings.
        carry_context: Whether it sees the documents before.
    """

    model: str
    options: Mapping[str, Any]
    carry_context: bool = False


@dataclass(frozen=True)
class MixtureOptions:
    """Settings of the ``mixture`` model, made by ``thence mix``."""

    members: tuple[Member, ...] = ()
    """The models that are mixed."""
    weights: Weights = "gated"
    """What the weights depend on: on how well each context is known and on the place in its \
document, on the kind of context only, or on nothing."""
