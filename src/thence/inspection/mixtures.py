"""The lens ``mixture``: weight of each member, and its share of each token's probability."""

from dataclasses import dataclass

import numpy as np

from thence.inspection.distributions import weights_before
from thence.inspection.networks import distinct_names
from thence.inspection.subject import Subject
from thence.models.language.mixture import Mixture


@dataclass(frozen=True)
class MixedToken:
    """Weights and probabilities of the members of a mixture for a token.

    Attributes:
        weights: Weight of each member there; they sum to one.
        probabilities: Probability of the token by each member.
        shares: Posterior probability of each member: its weight times its probability, divided by
            the sum of these. All are 0 where the mixture gives the token probability 0.
        known: Length in tokens of the longest context that the n-gram member has seen, which gated
            weights depend on; None where weights do not depend on it.
    """

    weights: tuple[float, ...]
    probabilities: tuple[float, ...]
    shares: tuple[float, ...]
    known: int | None = None


@dataclass(frozen=True)
class MixtureLens:
    """The members of a mixture, token by token.

    Attributes:
        members: Names of the members.
        families: Their families.
        depends: Kind of weights: ``gated`` (a function of how well the context is known),
            ``buckets`` or ``single``.
        adapts: Whether the weights go on learning from the text.
        tokens: One entry for each token that is shown.
    """

    members: tuple[str, ...]
    families: tuple[str, ...]
    depends: str
    adapts: bool
    tokens: tuple[MixedToken, ...]


def mixture(subject: Subject) -> MixtureLens:
    """Return the members' weights and probabilities for each token that is shown."""
    model = subject.model
    assert isinstance(model, Mixture)
    store, carries, shown = subject.store, subject.carries, subject.shown
    scores = model.member_scores(store, carries)
    log_weights = weights_before(model, store, carries)
    joint = scores + log_weights
    with np.errstate(invalid="ignore"):
        logs = joint - np.logaddexp.reduce(joint, axis=1)[:, None]
    shares = np.nan_to_num(np.exp(logs), nan=0.0)
    rows = slice(shown.start, shown.stop)
    columns = [values[rows].tolist() for values in (np.exp(log_weights), np.exp(scores), shares)]
    known = (model.contexts(store, carries).ngram >= 0).sum(axis=1)
    contexts = [None] * len(shown) if model.context_ngram is None else known[rows].tolist()
    tokens = [
        MixedToken(tuple(weights), tuple(probabilities), tuple(parts), context)
        for weights, probabilities, parts, context in zip(*columns, contexts, strict=True)
    ]
    members = model.options.members
    return MixtureLens(
        tuple(distinct_names([member.name for member in members])),
        tuple(member.model for member in members),
        model.options.weights,
        "weights" in model.adapting,
        tuple(tokens),
    )
