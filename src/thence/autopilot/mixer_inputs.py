"""Context mixing with the predictions of other models as inputs, trained on dev.

Only on dev do the other models predict text that they were not trained on, so only there can the
context-mixing model learn which of them to trust. It learns each symbol of running text (else each
document) only after it has scored it, so its scores of dev are honest: ``evaluate`` gives the same
ones. Afterwards it has learned dev as well.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from thence.autopilot.candidates import TrainedCandidate
from thence.models.language.context_mixing import ContextMixing
from thence.models.language.distributions import distributions_of
from thence.models.language.mixing_tables import MODELS
from thence.models.language.scoring import Distributions
from thence.models.ngram import NGram
from thence.tokens import TokenStore

MAX_CELLS = 1 << 26
"""Most log-probabilities (dev targets x V) to compute of the best n-gram model as an input: 64
million. Texts of characters stay below; for words, context mixing gains little from this input."""


def with_log_odds(
    one: TrainedCandidate, members: Sequence[TrainedCandidate], dev: TokenStore
) -> TrainedCandidate:
    """Return a candidate with its scores and its binary log-odds of dev, computed in one pass.

    It is returned unchanged if the members have no context-mixing model.

    Raises:
        DeadlineError: If a deadline has passed.
    """
    mixer = _mixer(members)
    if mixer is None:
        return one
    targets, scores = dev.targets.astype(np.int32), np.zeros(dev.num_targets, np.float32)

    def read() -> Iterator[Distributions]:
        for places, log_probs in distributions_of(one.model, dev, one.carry_context, one.rule):
            scores[places] = log_probs[np.arange(len(places)), targets[places]]
            yield places, log_probs

    log_odds = mixer.model.log_odds(targets, [read()])[:, 0]
    return one.with_scores(scores, log_odds=log_odds)


def with_inputs(members: Sequence[TrainedCandidate], dev: TokenStore) -> list[TrainedCandidate]:
    """Return the members with their context-mixing model trained on dev, the others as its inputs.

    Args:
        members: The trained models. Those with ``log_odds`` become inputs, and the best n-gram
            model.
        dev: The text that all members have scored.

    Raises:
        DeadlineError: If a deadline has passed.
    """
    mixer = _mixer(members)
    if mixer is None:
        return list(members)
    usable = [
        one for one in (*members, *_best_ngram(members, mixer, dev)) if one.log_odds is not None
    ]
    inputs = sorted(usable, key=lambda one: one.nats)[:MODELS]
    model: ContextMixing = mixer.model.with_models(len(inputs))
    said = [one.log_odds for one in inputs if one.log_odds is not None]
    scores = model.learn(dev, mixer.carry_context, np.stack(said, axis=1) if said else None)
    made = mixer.with_scores(scores, model=model, inputs=[one.name for one in inputs])
    # Members of a mixture may only have inputs before them, so it goes to the end.
    return [*(one for one in members if one is not mixer), made]


def _best_ngram(
    members: Sequence[TrainedCandidate], mixer: TrainedCandidate, dev: TokenStore
) -> list[TrainedCandidate]:
    """Return the best n-gram model with its binary log-odds of dev, if they fit into memory."""
    ngrams = [one for one in members if isinstance(one.model, NGram)]
    if not ngrams or dev.num_targets * mixer.model.vocabulary_size > MAX_CELLS:
        return []
    best = min(ngrams, key=lambda one: one.nats)
    return [with_log_odds(best, [mixer], dev)]


def _mixer(members: Sequence[TrainedCandidate]) -> TrainedCandidate | None:
    """Return the context-mixing model among the members, if there is one."""
    return next((one for one in members if isinstance(one.model, ContextMixing)), None)
