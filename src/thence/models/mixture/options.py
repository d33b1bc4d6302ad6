"""The settings of mixtures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from thence.settings import NonNegativeFloat, Settings

Weights = Literal["gated", "buckets", "single"]


@dataclass(frozen=True)
class Member(Settings):
    """One model of a mixture.

    Attributes:
        model: Name of its family.
        options: Its own settings.
        carry_context: Whether it sees the documents before.
        dynamic: The rate at which it goes on learning from running text that it scores (see
            ``models.dynamic``); None: it stays as trained.
    """

    model: str
    options: Mapping[str, Any]
    carry_context: bool = False
    dynamic: NonNegativeFloat | None = None

    @property
    def name(self) -> str:
        """What to call it: its family and the settings that tell it from others."""
        told = ("order", "length", "theta")
        parts = [f"{key} {_short(self.options[key])}" for key in told if key in self.options]
        if self.dynamic is not None:
            parts.append(f"dynamic {_short(self.dynamic)}")
        return " ".join([self.model, *parts])

    @property
    def adapts(self) -> bool:
        """Whether it remembers or learns the text that it is judged on."""
        return self.model in ("cache", "neural-cache") or self.dynamic is not None


@dataclass(frozen=True)
class MixtureOptions(Settings):
    """Settings of the ``mixture`` model, made by ``thence mix``."""

    members: tuple[Member, ...] = ()
    """The models that are mixed."""
    weights: Weights = "gated"
    """What the weights depend on: on how well each context is known and on the place in its \
document, on the kind of context only, or on nothing."""


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
