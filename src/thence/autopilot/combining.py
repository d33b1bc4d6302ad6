"""Mixtures of trained language models: choosing the members, and their loss on dev.

The weights of the mixture are learned on dev, and must not be judged on the targets that they were
learned from. So each half of dev is judged with weights learned on the other half (two-fold
cross-validation). Members that gain too little are pruned. ``averaging`` does the same for
classifiers.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from thence._core import library
from thence.array_types import Bool, Float
from thence.autopilot.candidates import Ensemble, TrainedCandidate, single
from thence.autopilot.pace import SAFETY, Pace
from thence.deadline import DeadlineError, check_deadline, deadline
from thence.ensembles.members import build_mixture, dynamic_member
from thence.models.language.members import Member
from thence.models.language.mixture import MAX_TARGETS, Mixture
from thence.models.mixture_weights import adapt_gate, learn_gate, log_weights_of
from thence.tokens import TokenStore

MIN_GAIN = 0.001
"""Nats per token by which a member must lower the loss of a mixture; less is noise, and each member
makes the mixture slower."""
MAX_PRUNED_WEIGHT = 0.10
"""Only members below this mean weight are candidates for pruning, to save time."""
PRUNING_TARGETS = 20_000
"""Number of dev targets used for pruning; more of them rarely change which members are kept."""

OVERHEAD_TARGETS = 300
"""Number of dev targets of a first fit of the weights, which only measures the fixed overhead."""
PROBED, PROBING_SHARE = (2000, 10_000), 0.2
"""Numbers of dev targets of fits that measure how long learning the weights takes, and the largest
share of the time left that such a fit may take."""
MAX_STRIDE = 1024
"""With little time, weights are learned on every nth target; the largest n."""
RATES = (0.0005, 0.001, 0.002, 0.004)
"""Learning rates to try for adapting the weights while running text is scored. The best on plays in
characters and news in words were 0.002 to 0.01; high rates gain on short texts and lose on long
ones, so the higher ones are left out."""
PRUNING_SHARE = 0.05
"""Largest share of the time left that is kept for pruning."""
LEAST_PRUNING = 2.0
"""Members are pruned only if there is time for so many mixtures of the sample."""
COMBINING_SHARE = 0.12
"""Largest share of the time left that is kept for learning the weights of a mixture, in addition to
that for pruning."""


def combine_language_models(
    members: Sequence[TrainedCandidate],
    dev: TokenStore,
    vocabulary_size: int,
    ends: float = math.inf,
    pace: Pace | None = None,
) -> Ensemble:
    """Prune the members and mix the others.

    Args:
        members: The trained models; at least one.
        dev: The text to learn and judge weights on; only the part that all members have scored is
            used.
        vocabulary_size: Number of ids (V).
        ends: Deadline, by ``time.monotonic``. If it is soon, no member is pruned, and weights are
            learned on as many targets as there is time for.
        pace: Measured times of earlier calls; those of this call are added to it.

    Returns:
        The ensemble; its loss on dev is never above that of the best member alone.
    """
    kept, dev = _on_beginning(members, dev, min(len(one.scores) for one in members))
    best = _best_alone(kept)
    if len(kept) == 1:
        return best
    pace, made = pace or Pace(), None
    with suppress(DeadlineError), deadline(ends):
        probed = () if math.isinf(ends) or "learning" in pace.rates else PROBED
        if probed:
            _mixed(*_on_beginning(kept, dev, OVERHEAD_TARGETS), vocabulary_size, 1, pace)
        for size in probed:
            probing = _seconds(len(kept), size, 1, pace)
            if made is None or probing <= PROBING_SHARE * (ends - time.monotonic()):
                made = _likelier(*_on_beginning(kept, dev, size), vocabulary_size, 1, pace)
        made = _mixed_in_time(kept, dev, vocabulary_size, ends, pace) or made
    return best if made is None or len(made.members) == 1 else made


def _likelier(
    members: list[TrainedCandidate],
    dev: TokenStore,
    vocabulary_size: int,
    stride: int,
    pace: Pace,
) -> Ensemble:
    """Return the mixture of all members, or the best single one if its loss is lower."""
    mixed = _mixed(members, dev, vocabulary_size, stride, pace)
    return min((_best_alone(members), mixed), key=lambda one: one.nats)


def _mixed_in_time(
    members: list[TrainedCandidate],
    dev: TokenStore,
    vocabulary_size: int,
    ends: float,
    pace: Pace,
) -> Ensemble | None:
    """Return the best mixture, or single member, that there is time for; None for too little time.

    With too little time for all of dev, weights are learned on every nth target (the stride), or
    learned and judged on the beginning of dev, whichever of the two parts takes longer.

    Args:
        members: At least two models that have scored all of dev.
        dev: The text.
        vocabulary_size: Number of ids (V).
        ends: Deadline, by ``time.monotonic``; infinity for no deadline.
        pace: Measured times of learning and judging.
    """
    full = _seconds(len(members), dev.num_targets, _usual_stride(dev), pace)
    sample = _seconds(len(members), min(PRUNING_TARGETS, dev.num_targets), 1, pace)
    if time.monotonic() + full + LEAST_PRUNING * sample < ends:
        began = time.monotonic()
        members = prune(members, dev, vocabulary_size, ends - full)
        pace.measured("pruning", time.monotonic() - began)
    if len(members) == 1:
        return single(members[0])
    left, stride = max(0.0, ends - time.monotonic()), _usual_stride(dev)
    targets = dev.num_targets
    while _seconds(len(members), targets, stride, pace) > left:
        if _learning_seconds(len(members), targets, stride, pace) > left / 2:
            stride *= 2
        else:
            targets //= 2
        if targets < min(PROBED[-1], dev.num_targets) or stride > MAX_STRIDE:
            return None
    return _likelier(*_on_beginning(members, dev, targets), vocabulary_size, stride, pace)


def combining_seconds(members: int, dev: TokenStore, left: float, pace: Pace) -> float:
    """Return the seconds to keep for mixing ``members`` models, and for pruning them."""
    # Without SAFETY: with less time than it takes, weights are learned on fewer targets.
    full = _seconds(members, dev.num_targets, _usual_stride(dev), pace) / SAFETY
    sample = _seconds(members, min(PRUNING_TARGETS, dev.num_targets), 1, pace)
    pruning = pace.expected("pruning") if "pruning" in pace.rates else members * sample
    most = PRUNING_SHARE * left
    if most < LEAST_PRUNING * sample:
        most = 0.0  # None is tried in so little time.
    return min(full, COMBINING_SHARE * left) + min(pruning, most)


def _seconds(members: int, targets: int, stride: int, pace: Pace) -> float:
    """Return the expected seconds of ``_mixed``, from measured times."""
    judging = pace.expected("judging", members * targets)
    return judging + _learning_seconds(members, targets, stride, pace)


def _learning_seconds(members: int, targets: int, stride: int, pace: Pace) -> float:
    # Twice: weights are learned on each half of dev to judge the other half, then on all of it.
    return 2 * pace.expected("learning", members * targets / stride)


def _best_alone(members: Sequence[TrainedCandidate]) -> Ensemble:
    # A model that needs another one is no single model: a cache, or context mixing with inputs.
    alone = (single(one) for one in members if one.network_of is None and not one.inputs)
    return min(alone, key=lambda one: one.nats)


def _usual_stride(dev: TokenStore) -> int:
    return max(1, math.ceil(dev.num_targets / MAX_TARGETS))


def _on_beginning(
    members: Sequence[TrainedCandidate], dev: TokenStore, targets: int
) -> tuple[list[TrainedCandidate], TokenStore]:
    """Return the members with their scores of the beginning of dev, and that beginning."""
    if targets < dev.num_targets:
        dev = dev.beginning(targets)
    return [_scored_on(one, dev) for one in members], dev


def _scored_on(one: TrainedCandidate, dev: TokenStore) -> TrainedCandidate:
    """Return a member with its scores cut to the first documents of dev."""
    if len(one.scores) == dev.num_targets:
        return one
    return one.with_scores(one.scores[: dev.num_targets])


def _mixed(
    members: Sequence[TrainedCandidate],
    dev: TokenStore,
    vocabulary_size: int,
    stride: int = 1,
    pace: Pace | None = None,
    adapts: bool = True,
) -> Ensemble:
    """Return the mixture of all members, each half of dev judged with weights of the other half.

    All of dev is judged, whatever the stride, since losses on different parts cannot be compared.

    Args:
        members: The models to mix.
        dev: The text.
        vocabulary_size: Number of ids (V).
        stride: Weights are learned on every nth target, to save time.
        pace: Gets the seconds of ``learning`` and ``judging`` per target and member.
        adapts: Whether to try weights that adapt to running text (``RATES``), and to keep the best
            rate if it lowers the loss.
    """
    pace = pace or Pace()
    began = time.monotonic()
    mixture, scores = mixture_of(members, vocabulary_size), _scores(members)
    carries = any(one.carry_context for one in members)
    chosen = np.arange(0, dev.num_targets, stride)
    features = np.concatenate(
        [
            seen[-block.start % stride :: stride]
            for block, seen in mixture.gate_features(dev, carries)
        ]
    )
    probs = np.exp(scores[chosen] - scores[chosen].max(axis=1, keepdims=True))
    half = -(-dev.num_targets // 2)
    halves = np.split(np.arange(len(chosen)), [-(-half // stride)])
    again = time.monotonic()
    gates = [learn_gate(probs[some], features[some]) for some in halves]
    mixture.weights = learn_gate(probs, features)
    learning = time.monotonic() - again
    held_out = np.empty(dev.num_targets)
    rates = RATES if adapts and carries and library() is not None else ()
    adapted = {rate: np.empty(dev.num_targets) for rate in rates}
    learning_on = {rate: [gate.astype(np.float64) for gate in gates] for rate in rates}
    for block, seen in mixture.gate_features(dev, carries):
        check_deadline()
        log_weights = [log_weights_of(gate, seen) for gate in gates]
        in_first = np.arange(block.start, block.start + len(seen)) < half
        other = scores[block] + np.where(in_first[:, None], log_weights[1], log_weights[0])
        held_out[block] = np.logaddexp.reduce(other, axis=1)
        for rate, (first, second) in learning_on.items():
            for gate, some in ((second, in_first), (first, ~in_first)):
                found = adapt_gate(gate, scores[block][some], seen[some], rate)
                adapted[rate][block][some] = found
    rate = max(rates, key=lambda rate: adapted[rate].sum(), default=0.0)
    if rates and adapted[rate].sum() > held_out.sum():
        held_out, mixture.options = adapted[rate], replace(mixture.options, adapt=rate)
    means = np.exp(log_weights_of(mixture.weights, features)).mean(axis=0)
    pairs = len(members) * dev.num_targets
    pace.measured("learning", learning, 2 * pairs / stride)
    pace.measured("judging", time.monotonic() - began - learning, pairs)
    judged = dev.num_targets
    nats = -float(held_out.sum()) / max(judged, 1)
    own = "mixture", mixture.options, mixture, nats
    shares = tuple(means.tolist())
    return Ensemble(tuple(members), shares, *own, judged=judged, held_out=held_out)


def prune(
    members: list[TrainedCandidate], dev: TokenStore, vocabulary_size: int, ends: float = math.inf
) -> list[TrainedCandidate]:
    """Return the members without those that gain less than ``MIN_GAIN``.

    Backward elimination: members are tried once each, that of the least mean weight first.

    Args:
        members: The trained models.
        dev: The text to learn and judge weights on.
        vocabulary_size: Number of ids (V).
        ends: Deadline, by ``time.monotonic``; no trial is started that would end after it.
    """
    sample, sampled = _sample(dev, any(one.carry_context for one in members))
    tried: set[str] = set()
    began = time.monotonic()
    nats, weights = _evaluate(members, sample, sampled, vocabulary_size)
    while len(members) > 1:
        needed = {*tried, *(member.network_of for member in members)}
        needed |= {name for member in members for name in member.inputs}
        light = [
            (weight, number)
            for number, weight in enumerate(weights)
            if weight < MAX_PRUNED_WEIGHT and members[number].name not in needed
        ]
        last, began = time.monotonic() - began, time.monotonic()
        if not light or began + last > ends:
            break
        number = min(light)[1]
        tried.add(members[number].name)
        fewer = members[:number] + members[number + 1 :]
        nats_of_fewer, weights_of_fewer = _evaluate(fewer, sample, sampled, vocabulary_size)
        if nats_of_fewer < nats + MIN_GAIN:
            members, nats, weights = fewer, nats_of_fewer, weights_of_fewer
    return members


def _sample(dev: TokenStore, carries: bool) -> tuple[TokenStore, Bool[np.ndarray, " targets"]]:
    """Return a sample of the documents of dev, and a mask of its targets (targets of dev).

    It has about ``PRUNING_TARGETS`` targets. The documents are evenly spaced; of running text they
    are the first ones, since contexts reach into the documents before.
    """
    if carries:
        sample = dev.beginning(PRUNING_TARGETS)
        return sample, np.arange(dev.num_targets) < sample.num_targets
    every = max(1, dev.num_targets // PRUNING_TARGETS)
    documents = np.arange(dev.num_documents) % every == 0
    return dev.take(np.flatnonzero(documents)), np.repeat(documents, dev.target_counts)


def _evaluate(
    members: list[TrainedCandidate],
    sample: TokenStore,
    sampled: Bool[np.ndarray, " targets"],
    vocabulary_size: int,
) -> tuple[float, list[float]]:
    """Return the held-out loss of a mixture on a sample of dev, and the mean weight per member."""
    there = [replace(one, scores=one.scores[sampled]) for one in members]
    if len(there) == 1:
        return -float(np.mean(there[0].scores, dtype=np.float64)), [1.0]
    mixed = _mixed(there, sample, vocabulary_size, adapts=False)
    return mixed.nats, list(mixed.weights)


def mixture_of(members: Sequence[TrainedCandidate], vocabulary_size: int) -> Mixture:
    """Return a mixture of some language models whose weights are not learned yet."""
    names = [one.name for one in members]
    listed = []
    for one in members:
        shared = {} if one.network_of is None else {"of": names.index(one.network_of)}
        member = Member(one.family, {**one.settings, **shared}, one.carry_context)
        member = replace(member, inputs=tuple(names.index(name) for name in one.inputs))
        listed.append(member if one.rule is None else dynamic_member(member, one.rule))
    mixture = build_mixture(listed, [one.model for one in members], vocabulary_size)
    mixture.gradient_sizes.update(
        {number: one.rule.sizes for number, one in enumerate(members) if one.rule is not None}
    )
    return mixture


def with_members(
    best: Ensemble, members: Sequence[TrainedCandidate], vocabulary_size: int
) -> Ensemble:
    """Return an ensemble whose members have learned more text; the weights are unchanged."""
    if all(one is other for one, other in zip(members, best.members, strict=True)):
        return best
    model = members[0].model
    if isinstance(best.model, Mixture):
        model = mixture_of(members, vocabulary_size)
        model.options, model.weights = best.model.options, best.model.weights
    return replace(best, members=tuple(members), model=model, refit=True)


def sharing_weights(
    made: Ensemble, others: Sequence[TrainedCandidate], vocabulary_size: int
) -> Ensemble:
    """Return the ensemble with further models, which share the weights of its members.

    Args:
        made: The ensemble.
        others: Models trained on train and dev; each shares the weight of the member that it names
            in ``TrainedCandidate.judged_as``.
        vocabulary_size: Number of ids (V).
    """
    groups = [
        [one, *(other for other in others if other.judged_as == one.name)] for one in made.members
    ]
    sizes = [len(group) for group in groups]
    members = tuple(one for group in groups for one in group)
    mixture = mixture_of(members, vocabulary_size)
    if isinstance(made.model, Mixture):
        # The first feature of the gate is the constant 1: n equal columns with log n less there
        # have the weight of one.
        mixture.options = replace(mixture.options, adapt=made.model.options.adapt)
        mixture.weights = np.repeat(made.model.weights, sizes, axis=1)
        mixture.weights[0] -= np.log(np.repeat(sizes, sizes))
    weights = np.repeat(np.array(made.weights) / sizes, sizes)
    return replace(
        made, members=members, weights=tuple(weights.tolist()), family="mixture",
        options=mixture.options, model=mixture, refit=True,
    )  # fmt: skip


def _scores(members: Sequence[TrainedCandidate]) -> Float[np.ndarray, "targets members"]:
    return np.stack([one.scores.astype(np.float64) for one in members], axis=1)
