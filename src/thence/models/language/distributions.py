"""The next-token distributions of any language model at all positions of a store.

Most mixing needs only the probability of the target. A context mixing model with other models as
inputs needs theirs of every decision of its code, and so of every symbol.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from thence.models.base import GivesDistributions, LanguageModel
from thence.models.language.scoring import Distributions
from thence.tokens import TokenStore

if TYPE_CHECKING:
    from thence.models.language.dynamic_evaluation import UpdateRule
    from thence.models.language.neural import NeuralLanguageModel


def distributions_of(
    model: LanguageModel, store: TokenStore, carry_context: bool, rule: "UpdateRule | None" = None
) -> Iterator[Distributions]:
    """Yield positions of targets, in any order, and the log-probabilities of all ids there.

    Args:
        model: Any language model.
        store: The text.
        carry_context: Whether context reaches into the documents before.
        rule: Dynamic evaluation of a network by this rule; None: its weights stay fixed.
    """
    if rule is not None:
        from thence.models.language.dynamic_evaluation import distributions_dynamically

        return distributions_dynamically(cast("NeuralLanguageModel", model), store, rule)
    if isinstance(model, GivesDistributions):
        return model.distributions(store, carry_context)
    return _by_steps(model, store, carry_context)


def _by_steps(
    model: LanguageModel, store: TokenStore, carry_context: bool
) -> Iterator[Distributions]:
    state = model.start(1)
    for place, id_ in enumerate(store.ids[:-1]):
        if id_ == store.boundary_id and not carry_context:
            state = model.start(1)
        log_probs, state = model.step(np.array([id_]), state)
        yield np.array([place]), log_probs
