"""Context mixing with networks as its inputs, for which it reads dev as one more part of train.

It learns from dev after that was scored, each symbol of running text, else each document; so what
it gives dev owes nothing to dev, and is what ``evaluate`` would give. In the end it has learned
dev, too: which networks to believe where, and its contexts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from thence.autopilot.candidates import TrainedCandidate
from thence.models.language.context_mixing import ContextMixing
from thence.models.language.distributions import distributions_of
from thence.models.language.mixing_tables import MODELS
from thence.models.language.scoring import Distributions
from thence.models.ngram import NGram
from thence.tokens import TokenStore

MAX_CELLS = 1 << 26
"""Log-probabilities that the best n-gram model is asked for at most: those of characters are few,
and of words context mixing gains little by them."""


def asked(
    one: TrainedCandidate, members: Sequence[TrainedCandidate], dev: TokenStore
) -> TrainedCandidate:
    """Return a candidate with its scores of dev and its log-odds of each decision, of one pass.

    It is returned as it is if no mixer is among the members.

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
    nats = -float(np.mean(scores, dtype=np.float64))
    return replace(one, scores=scores, nats=nats, log_odds=log_odds)


def joined(members: Sequence[TrainedCandidate], dev: TokenStore) -> list[TrainedCandidate]:
    """Return the members, with context mixing that has read dev and takes the others as inputs.

    Args:
        members: What was trained. Those that were asked for their decisions are inputs.
        dev: The text that all have scored.

    Raises:
        DeadlineError: If a deadline has passed.
    """
    mixer = _mixer(members)
    if mixer is None:
        return list(members)
    asked = [
        one for one in (*members, *_best_ngram(members, mixer, dev)) if one.log_odds is not None
    ]
    inputs = sorted(asked, key=lambda one: one.nats)[:MODELS]
    model: ContextMixing = mixer.model.with_models(len(inputs))
    said = [one.log_odds for one in inputs if one.log_odds is not None]
    scores = model.learn(dev, mixer.carry_context, np.stack(said, axis=1) if said else None)
    nats = -float(np.mean(scores, dtype=np.float64))
    names = [one.name for one in inputs]
    made = replace(mixer, model=model, scores=scores, nats=nats, inputs=names)
    # It comes after its inputs, as members of a mixture must.
    return [*(one for one in members if one is not mixer), made]


def _best_ngram(
    members: Sequence[TrainedCandidate], mixer: TrainedCandidate, dev: TokenStore
) -> list[TrainedCandidate]:
    """Return the best n-gram model with its log-odds of each decision, if they fit into memory."""
    ngrams = [one for one in members if isinstance(one.model, NGram)]
    if not ngrams or dev.num_targets * mixer.model.vocabulary_size > MAX_CELLS:
        return []
    best = min(ngrams, key=lambda one: one.nats)
    return [asked(best, [mixer], dev)]


def _mixer(members: Sequence[TrainedCandidate]) -> TrainedCandidate | None:
    return next((one for one in members if isinstance(one.model, ContextMixing)), None)
