"""Dynamic evaluation: a network goes on learning from the text that it is evaluated on.

After each window of targets is scored (``Scoring.dynamic_window``), with g the gradient of its mean
loss and w_trained the weights after training,

    sgd    w <- w - rate g + decay (w_trained - w)
    rms    w <- w - rate g / (s + EPSILON m) + min(decay s / m, 1) (w_trained - w)

where s is the root mean square gradient of each weight on the train text, and m the mean of s over
all weights. So steps are relative to a weight's usual gradient, as in RMSprop, and weights that
mattered in training are drawn back faster. The network learns from a target only after its score is
known. The text is read in its order as a single stream: with several streams side by side, a target
early in the text would be scored by weights that have learned from later text. At the end the
trained weights are restored.

Source: B. Krause, E. Kahembwe, I. Murray and S. Renals 2018, "Dynamic evaluation of neural sequence
models". Our EPSILON is relative to m, so that it suits networks and losses of any size.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from thence.array_types import Float
from thence.batches import Streams
from thence.deadline import check_deadline
from thence.models.base import Array, State, map_state
from thence.models.language.neural import NeuralLanguageModel, name_in_files
from thence.models.language.scoring import Distributions
from thence.tokens import TokenStore

EPSILON = 1.0
"""Added to s of each weight, as a multiple of m: without it the weights of rare symbols, whose
gradients on train are nearly zero, would move too far."""
STATISTICS_WINDOWS = 300
"""Number of windows of the train text, evenly spaced, on which s is measured."""
FIRST_RATE, MOST_DOUBLINGS = 1e-3, 8
"""The learning rate that ``choose_rule`` tries first, which suited plays in characters and news in
words, and how often it may double or halve it."""
DECAYS = (0.003, 0.001, 0.01)
"""Values of ``decay`` that ``choose_rule`` tries, the first one with every learning rate."""
MAX_TARGETS = 10_000
"""Largest number of targets, from the beginning of dev, on which rate and decay are chosen."""

RULES_TRIED = 6
"""Usual number of rules that ``choose_rule`` tries: four rates, and two more decays."""
TIMED_WINDOWS = 8
"""Number of windows that ``seconds_per_window`` measures."""

GradientSizes = Mapping[str, Array]
"""Root mean square gradient s of each weight, by the name of its tensor in files."""


@dataclass(frozen=True)
class UpdateRule:
    """The update of the weights after each window.

    Attributes:
        rate: Learning rate.
        decay: Strength of the pull back to the trained weights.
        sizes: Root mean square gradients on train, for ``rms``; None for ``sgd``.
    """

    rate: float
    decay: float
    sizes: GradientSizes | None = None


def score_dynamically(
    model: NeuralLanguageModel, store: TokenStore, rule: UpdateRule, max_targets: int | None = None
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of every target of a running text, in nats.

    Args:
        model: A network that reads sequences; its weights are restored afterwards.
        store: The text.
        rule: The update rule.
        max_targets: Score only so many targets; None: all.

    Raises:
        DeadlineError: Between two windows, if a deadline has passed.
    """
    size = store.num_targets if max_targets is None else min(max_targets, store.num_targets)
    scores = np.zeros(size, np.float32)
    length = model.scoring.dynamic_window
    streams, state = Streams(store, 1, length), model.start(1)
    with _learning(model, rule) as learn:
        for step in range(-(-size // length)):
            check_deadline()
            found, state = _read(model, streams, step, state)
            window = slice(step * length, (step + 1) * length)
            scores[window] = found.detach().cpu().numpy()[: size - step * length]
            learn(found)
    return scores


def distributions_dynamically(
    model: NeuralLanguageModel, store: TokenStore, rule: UpdateRule
) -> Iterator[Distributions]:
    """Yield the distributions of which ``score_dynamically`` returns the targets' entries.

    Raises:
        DeadlineError: Between two windows, if a deadline has passed.
    """
    length = model.scoring.dynamic_window
    streams, state = Streams(store, 1, length), model.start(1)
    with _learning(model, rule) as learn:
        for step in range(-(-store.num_targets // length)):
            check_deadline()
            batch = streams.at(step)
            ids, targets = model.to_device(batch.ids, batch.targets[0])
            with torch.enable_grad():
                hidden, state = model.network(ids, map_state(Tensor.detach, state))
                log_probs = model.output_layer.log_probs(hidden[0])
                found = log_probs.gather(1, targets[:, None])[:, 0]
                learn(found)
            places = np.arange(step * length, min((step + 1) * length, store.num_targets))
            yield places, log_probs.detach().cpu().numpy()[: len(places)]


def gradient_sizes(
    model: NeuralLanguageModel, train: TokenStore, windows: int = STATISTICS_WINDOWS
) -> GradientSizes:
    """Return the root mean square gradient of each weight over windows of the train text.

    Args:
        model: A network that reads sequences.
        train: The train text.
        windows: Number of windows, evenly spaced. The state before each is that after reading the
            window before it.

    Raises:
        DeadlineError: Between two windows, if a deadline has passed.
    """
    model.eval()
    weights = dict(model.named_parameters())
    squares = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    streams = Streams(train, 1, model.scoring.dynamic_window)
    steps = np.unique(np.linspace(0, streams.steps_per_epoch - 1, windows).astype(int)).tolist()
    for step in steps if train.num_targets else []:
        check_deadline()
        state = model.start(1)
        if step > 0:
            with torch.no_grad():
                _, state = _read(model, streams, step - 1, state)
        with torch.enable_grad():
            found, _ = _read(model, streams, step, state)
            gradients = _gradients(found, list(weights.values()))
        for square, gradient in zip(squares.values(), gradients, strict=True):
            square.addcmul_(gradient, gradient, value=1 / len(steps))
    return {name_in_files(name): square.sqrt().cpu().numpy() for name, square in squares.items()}


def choose_rule(
    model: NeuralLanguageModel,
    dev: TokenStore,
    sizes: GradientSizes,
    max_targets: int = MAX_TARGETS,
) -> UpdateRule:
    """Return the rule with the highest likelihood of the beginning of dev, by a line search.

    Args:
        model: A network that reads sequences.
        dev: Running text.
        sizes: What ``gradient_sizes`` returned for the train text.
        max_targets: Number of targets of dev that are scored with each rule.

    Raises:
        DeadlineError: Between two windows, if a deadline has passed.
    """

    @cache
    def likelihood(rate: float, decay: float) -> float:
        rule = UpdateRule(rate, decay, sizes)
        total = score_dynamically(model, dev, rule, max_targets).sum(dtype=np.float64)
        return float(total) if np.isfinite(total) else -np.inf

    rate = FIRST_RATE
    for factor in (2.0, 0.5):
        for _ in range(MOST_DOUBLINGS):
            if not likelihood(factor * rate, DECAYS[0]) > likelihood(rate, DECAYS[0]):
                break
            rate *= factor
    return UpdateRule(rate, max(DECAYS, key=lambda decay: likelihood(rate, decay)), sizes)


def seconds_per_window(model: NeuralLanguageModel, store: TokenStore) -> float:
    """Return the measured seconds that scoring and learning from a window takes."""
    targets = min(TIMED_WINDOWS * model.scoring.dynamic_window, store.num_targets)
    began = time.perf_counter()
    score_dynamically(model, store, UpdateRule(0.0, 0.0), targets)
    return (time.perf_counter() - began) / TIMED_WINDOWS


def windows_to_learn(model: NeuralLanguageModel, dev: TokenStore, max_targets: int) -> float:
    """Return the estimated number of windows read to choose a rule and to score dev with it."""
    targets = dev.num_targets + RULES_TRIED * min(max_targets, dev.num_targets)
    return 2 * STATISTICS_WINDOWS + targets / model.scoring.dynamic_window


def _read(
    model: NeuralLanguageModel, streams: Streams, step: int, state: State
) -> tuple[Float[Tensor, " read"], State]:
    """Return the log-probability of each target of a window, and the state after it."""
    batch = streams.at(step)
    ids, targets = model.to_device(batch.ids, batch.targets[0])
    hidden, state = model.network(ids, map_state(Tensor.detach, state))
    return model.output_layer.target_log_probs(hidden[0], targets), state


def _gradients(found: Float[Tensor, " read"], weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the gradients of a window's mean negative log-likelihood."""
    # A cluster of the adaptive softmax without a target has no gradient.
    return torch.autograd.grad(-found.mean(), weights, materialize_grads=True)


@contextmanager
def _learning(model: NeuralLanguageModel, rule: UpdateRule) -> Iterator[Callable[[Tensor], None]]:
    """Context manager: a function that updates the weights from a window's log-probabilities.

    The weights are restored at the end.
    """
    model.eval()
    weights: list[Tensor] = list(model.parameters())
    trained = [weight.detach().clone() for weight in weights]
    factors, pulls = _factors(model, rule)

    def learn(found: Tensor) -> None:
        gradients = _gradients(found, weights)
        with torch.no_grad():
            for weight, gradient, before, factor, pull in zip(
                weights, gradients, trained, factors, pulls, strict=True
            ):
                # w <- w + pull (w_trained - w) - rate factor g
                weight.lerp_(before, pull).addcmul_(gradient, factor, value=-rule.rate)

    try:
        with torch.enable_grad():
            yield learn
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, trained)


def _factors(model: NeuralLanguageModel, rule: UpdateRule) -> tuple[list[Tensor], list[Tensor]]:
    """Return the factor of the gradient and the pull to the trained weight, for each weight."""
    names = [name_in_files(name) for name, _ in model.named_parameters()]
    if rule.sizes is None:
        one = torch.ones((), device=model.device)
        return [one] * len(names), [rule.decay * one] * len(names)
    sizes = model.to_device(*(rule.sizes[name] for name in names))
    mean = max(float(torch.cat([size.flatten() for size in sizes]).mean()), 1e-30)
    factors = [1 / (size + EPSILON * mean) for size in sizes]
    return factors, [(rule.decay / mean * size).clamp(max=1) for size in sizes]
