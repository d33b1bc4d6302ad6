"""Dynamic evaluation: a network goes on learning from the text that it is evaluated on.

    w <- w - rate * gradient of the window's mean loss + DECAY (w_trained - w)

after each window of targets was scored (``Scoring.dynamic_window``), so no target has been learned
from before its score is known. The text is read in its order as a single stream: with several
streams side by side a target early in the text would be scored by weights that know what comes
later. At the end the weights are again as they were trained.

Source: B. Krause, E. Kahembwe, I. Murray and S. Renals 2018, "Dynamic evaluation of neural sequence
models". Its RMS rule divides by the gradients' size on the train text, which a run does not keep;
this is its plain rule of stochastic gradient descent with decay.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from thence.array_types import Float
from thence.batches import Streams
from thence.models.base import map_state
from thence.models.language.neural import NeuralLanguageModel
from thence.tokens import TokenStore

DECAY = 0.001
"""Share of the way back to the trained weights at each step."""
RATES = (0.03, 0.1, 0.3, 1.0)
"""Learning rates that ``choose_rate`` tries on dev."""
MAX_TARGETS = 10_000
"""The rate is chosen on the first targets of dev, at most this many."""


def score_dynamically(
    model: NeuralLanguageModel, store: TokenStore, rate: float, max_targets: int | None = None
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of every target of a running text, in nats.

    Args:
        model: A network that reads sequences; its weights are restored.
        store: The text.
        rate: Learning rate of each step, of the mean loss per target.
        max_targets: Stop after so many targets; None: read all.
    """
    size = store.num_targets if max_targets is None else min(max_targets, store.num_targets)
    scores = np.zeros(size, np.float32)
    model.eval()
    state = model.start(1)
    length = model.scoring.dynamic_window
    streams = Streams(store, 1, length)
    with _restored(model) as (weights, trained), torch.enable_grad():
        for step in range(-(-size // length)):
            batch = streams.at(step)
            ids, targets = model.to_device(batch.ids, batch.targets[0])
            hidden, state = model.network(ids, map_state(Tensor.detach, state))
            found = model.output_layer.target_log_probs(hidden[0], targets)
            window = slice(step * length, (step + 1) * length)
            scores[window] = found.detach().cpu().numpy()[: size - step * length]
            _learn(-found.mean(), weights, trained, rate)
    return scores


@contextmanager
def _restored(model: NeuralLanguageModel) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Yield a model's weights and a copy of them; the weights are restored afterwards."""
    weights: list[Tensor] = list(model.parameters())
    trained = [weight.detach().clone() for weight in weights]
    try:
        yield weights, trained
    finally:
        with torch.no_grad():
            torch._foreach_copy_(weights, trained)


def _learn(
    loss: Float[Tensor, ""], weights: Sequence[Tensor], trained: Sequence[Tensor], rate: float
) -> None:
    """Take one step down a loss, and a little of the way back to the trained weights."""
    # A cluster of the adaptive softmax without a target has no gradient.
    gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    with torch.no_grad():
        for weight, gradient, before in zip(weights, gradients, trained, strict=True):
            weight.lerp_(before, DECAY).sub_(gradient, alpha=rate)


def choose_rate(model: NeuralLanguageModel, dev: TokenStore) -> float:
    """Return the rate of ``RATES`` under which dev, or much of it, is likeliest."""

    def likelihood(rate: float) -> float:
        total = score_dynamically(model, dev, rate, MAX_TARGETS).sum(dtype=np.float64)
        return float(total) if np.isfinite(total) else -np.inf

    return max(RATES, key=likelihood)
