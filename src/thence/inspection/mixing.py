"""The lens ``mixing``: the contribution of each input of context mixing to each token.

A token is coded as binary decisions (``models/language/context_mixing.py``). At each, the mixers
sum the inputs x_i with weights w_ki, and the final mixer sums the mixers with weights v_k:

    log-odds of bit 1 = sum_i x_i sum_k v_k w_ki

so the log-odds are a sum over inputs. The contribution of an input to a token is the sum of its
terms over the token's decisions, with the sign reversed where the bit is 0. The adaptive
probability maps after the final mixer are not linear, and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thence.array_types import Float32, Float64
from thence.inspection.distributions import truncate_store
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
"""Names of the inputs of the mixers, in their order; inputs from other models follow."""


@dataclass(frozen=True)
class InputContribution:
    """The contribution of an input of the mixers to a token.

    Attributes:
        name: The context that the input reads.
        log_odds: Its log-odds for the token, summed over its decisions, in nats; negative: against
            the token.
    """

    name: str
    log_odds: float


@dataclass(frozen=True)
class MixingToken:
    """The contributions of all inputs to a token.

    Attributes:
        decisions: Number of binary decisions in the token's code.
        probability: Probability of the token by the model.
        inputs: Inputs whose contribution is not 0, the strongest first.
    """

    decisions: int
    probability: float
    inputs: tuple[InputContribution, ...]


class _TracedMixing(MixingTwin):
    """The NumPy twin of the kernel, extended to record each input's term of the log-odds."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.parts: list[Float64[np.ndarray, " inputs"]] = []

    def _predict(self, *arguments: Any) -> Decision:
        made = super()._predict(*arguments)
        last = self.arrays["final_weights"][made.node_row, :SETS]
        weights = last @ self.arrays["weights"][made.rows]
        self.parts.append(weights.astype(np.float64) * made.inputs)
        return made

    def contributions(self, bits: Array, names: Sequence[str]) -> tuple[InputContribution, ...]:
        """Return the contributions to the decisions since the last call, given their bits."""
        signs, parts = np.where(bits, 1.0, -1.0), self.parts
        said = signs @ np.stack(parts) if parts else np.zeros(len(names))
        self.parts = []
        strongest = np.argsort(-np.abs(said[: len(names)]), kind="stable")
        return tuple(InputContribution(names[at], float(said[at])) for at in strongest if said[at])


@dataclass(frozen=True)
class _Mixer:
    """The context mixing model of a run, which may be a member of a mixture.

    Attributes:
        model: The model.
        names: Names of its inputs.
        odds: Log-odds by other models that are its inputs, for each decision of the text.
        carries: Whether its context is carried across documents.
    """

    model: ContextMixing
    names: Sequence[str]
    odds: Float32[np.ndarray, " said"]
    carries: bool


def mixing(subject: Subject) -> list[MixingToken]:
    """Return the contributions of all inputs to each token that is shown."""
    mixer, first = _mixer(subject), subject.first
    model, ids = mixer.model, subject.store.ids.astype(np.int32)
    learns = mixer.carries and bool(model.adapting)
    starts = model.arrays()["starts"]
    depths = starts[subject.ids + 1] - starts[subject.ids]
    ends = np.append(0, np.cumsum(depths)) * model.models
    if learns:  # Online learning: a copy of the model learns from the text before the first place.
        model = model.copied()
        before = mixer.odds[: ends[first]] if model.models else None
        model.learn(truncate_store(subject.store, first), True, before)
        text = np.concatenate([model.history, ids[first + 1 :]])
        offset = len(model.history) - first
    else:
        text, offset = ids, 1
    twin, found = _TracedMixing(model.arrays(), model.models), []
    for place in subject.shown:
        at, said = offset + place, mixer.odds[ends[place] : ends[place + 1]]
        history = text if learns else model.history
        log_prob = twin.read(text, at, at + 1, mixer.carries, history, learns, said)[0]
        bits = twin.arrays["bits"][starts[text[at]] : starts[text[at] + 1]]
        inputs = twin.contributions(bits, mixer.names)
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
