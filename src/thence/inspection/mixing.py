"""The lens of context mixing: which contexts spoke for each token, and which against it.

A token is a path of decisions (``models/language/context_mixing.py``). At each, the mixers add up
inputs x_i with weights w_ki, and the last one adds up the mixers with weights v_k:

    log-odds of bit 1 = sum_i x_i sum_k v_k w_ki

so each input has its part of them; what speaks for the bit that came is counted up, and what speaks
against it down, over all decisions of a token. The adaptive maps that follow have no such parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Float32, Float64
from thence.inspection.distributions import until
from thence.inspection.subject import Subject
from thence.models.base import Array
from thence.models.language.context_mixing import ContextMixing
from thence.models.language.context_mixing_twin import SETS, Decision, MixingTwin
from thence.models.language.mixture import Mixture

INPUTS = (
    *(f"order {order}" for order in range(9)),
    "the word",
    "two words",
    "three words",
    "the word and the one before the last",
    "the last symbol and the word before",
    "the last two symbols and the word before",
    "the second and third last symbol",
    "the last and third last symbol",
    "the column",
    "the symbol above",
    "a match of 5",
    "a match of 12",
    "always",
)
"""What each input of the mixers reads, in their order; other models follow."""


@dataclass(frozen=True)
class Spoke:
    """What an input of the mixers said of a token.

    Attributes:
        name: What it reads.
        log_odds: For the token, summed over its decisions, in nats; below 0: against it.
    """

    name: str
    log_odds: float


@dataclass(frozen=True)
class MixingToken:
    """What the inputs of context mixing said of a token.

    Attributes:
        decisions: How many decisions the token is.
        probability: By the model.
        inputs: Those that said anything, the strongest first.
    """

    decisions: int
    probability: float
    inputs: tuple[Spoke, ...]


class _Traced(MixingTwin):
    """A twin that keeps what each input contributes to each decision."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.parts: list[Float64[np.ndarray, " inputs"]] = []

    def _predict(self, *arguments: Any) -> Decision:
        made = super()._predict(*arguments)
        last = self.arrays["final_weights"][made.node_row, :SETS]
        weights = last @ self.arrays["weights"][made.rows]
        self.parts.append(weights.astype(np.float64) * made.inputs)
        return made

    def spoken(self, bits: Array, names: Sequence[str]) -> tuple[Spoke, ...]:
        """Return what the inputs said of the bits that came since this was last asked."""
        signs, parts = np.where(bits, 1.0, -1.0), self.parts
        said = signs @ np.stack(parts) if parts else np.zeros(len(names))
        self.parts = []
        strongest = np.argsort(-np.abs(said[: len(names)]), kind="stable")
        return tuple(Spoke(names[at], float(said[at])) for at in strongest if said[at])


@dataclass(frozen=True)
class _Mixer:
    """A context mixing model within a run.

    Attributes:
        model: The model.
        names: Of its inputs.
        odds: What other models say of each decision of the text, one after the other.
        carries: Whether it sees the documents before.
    """

    model: ContextMixing
    names: Sequence[str]
    odds: Float32[np.ndarray, " said"]
    carries: bool


def mixing(subject: Subject) -> list[MixingToken]:
    """Return what the inputs of context mixing said of each token that is shown."""
    mixer, first = _mixer(subject), subject.first
    model, ids = mixer.model, subject.store.ids.astype(np.int32)
    learns = mixer.carries and bool(model.adapting)
    starts = model.arrays()["starts"]
    depths = starts[subject.ids + 1] - starts[subject.ids]
    ends = np.append(0, np.cumsum(depths)) * model.models
    if learns:  # A copy, that has read what is before the first place.
        model = model.copied()
        before = mixer.odds[: ends[first]] if model.models else None
        model.learn(until(subject.store, first), True, before)
        text = np.concatenate([model.history, ids[first + 1 :]])
        offset = len(model.history) - first
    else:
        text, offset = ids, 1
    twin, found = _Traced(model.arrays(), model.models), []
    for place in subject.shown:
        at, said = offset + place, mixer.odds[ends[place] : ends[place + 1]]
        history = text if learns else model.history
        log_prob = twin.read(text, at, at + 1, mixer.carries, history, learns, said)[0]
        bits = twin.arrays["bits"][starts[text[at]] : starts[text[at] + 1]]
        inputs = twin.spoken(bits, mixer.names)
        found.append(MixingToken(len(bits), float(np.exp(log_prob)), inputs))
    return found


def _mixer(subject: Subject) -> _Mixer:
    """Return the context mixing model of a run."""
    model, carries, nothing = subject.model, subject.carries, np.zeros(0, np.float32)
    if isinstance(model, ContextMixing):
        return _Mixer(model, INPUTS, nothing, carries)
    assert isinstance(model, Mixture)
    members = model.options.members
    number = next(n for n, one in enumerate(members) if one.model == "context-mixing")
    member, inner = members[number], model.models[number]
    assert isinstance(inner, ContextMixing)
    names = [*INPUTS, *(members[of].name for of in member.inputs)]
    said = model.decisions(number, subject.store, carries) if member.inputs else nothing
    return _Mixer(inner, names, said.ravel(), carries and member.carry_context)
