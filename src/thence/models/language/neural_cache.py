"""The neural cache: symbols that followed similar hidden states are likely to occur again.

    p(w | h_t) = sum_i 1[x_(i+1) = w] exp(theta h_t . h_i)  /  sum_i exp(theta h_t . h_i)

with i over the last L positions (``length``) before t, h_i the hidden state from which a recurrent
network predicts the symbol x_(i+1), and theta an inverse temperature: with 0 it is the cache of
symbols. At the beginning of a text the distribution is uniform. The network is that of another
member of the same mixture, which owns its weights.

Source: E. Grave, A. Joulin and N. Usunier 2017, "Improving neural language models with a
continuous cache", equations 2 to 5.
"""

import math

import numpy as np
import torch
from torch import Tensor

from thence.array_types import Float, Int64, Integer
from thence.deadline import check_deadline
from thence.models.base import Array, State
from thence.models.language.cache import CacheBase
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.options import NeuralCacheOptions
from thence.models.memory_guard import check_memory
from thence.tokens import TokenStore

SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Values of theta that are tried on dev, as multiples of 1 / mean |h|^2, since the length of hidden
states differs between networks."""
SHARE = 0.1
"""Mixture weight of the cache while theta is chosen; the network has the rest."""
MAX_TARGETS = 20_000
"""Largest number of targets, from the beginning of dev, on which theta is chosen."""
CELLS = 1 << 21
"""Products of hidden states that are in memory at once while scoring."""


class NeuralCache(CacheBase):
    """A memory of hidden states and of the symbols that followed them.

    Args:
        options: Its settings.
        model: A language model with a network that reads sequences (H is the size of its states).
    """

    adapting = ("neural-cache",)

    def __init__(self, options: NeuralCacheOptions, model: NeuralLanguageModel) -> None:
        self.options = options
        self.model = model
        self.vocabulary_size = model.vocabulary_size

    def start(self, batch_size: int) -> State:
        """Return the state before any text.

        A state is the network's state, its last L + 1 hidden states, shape (B, L + 1, H), and the
        id after which each was computed, shape (B, L + 1), -1 where there is none yet.
        """
        before = self.model.start(batch_size)
        # The size of a network's hidden state is found out by one step.
        hidden, _ = self.model.advance(np.zeros(batch_size, np.int64), before)
        length = self.options.length
        size = 4 * batch_size * (length + 1) * (hidden.shape[1] + 2)
        check_memory(size, f"The last {length:,} hidden states", "Use a shorter `neural_cache`.")
        ids = torch.full((batch_size, length + 1), -1, device=self.model.device)
        return before, hidden.new_zeros(*ids.shape, hidden.shape[1]), ids

    @torch.inference_mode()
    def step(
        self, ids: Integer[np.ndarray, " batch"], state: State
    ) -> tuple[Float[np.ndarray, "batch vocab"], State]:
        """Read one id per row; return the log-probabilities of the next and the new state."""
        before, hidden, read = state
        now, after = self.model.advance(ids, before)  # (B, H)
        column = torch.from_numpy(ids.astype(np.int64)).to(read.device)[:, None]
        hidden = torch.cat([hidden[:, 1:], now[:, None]], dim=1)
        read = torch.cat([read[:, 1:], column], dim=1)
        absent = read[:, :-1] < 0  # (B, L)
        products = torch.bmm(hidden[:, :-1], now[:, :, None])[:, :, 0]
        products = (self.options.theta * products).masked_fill(absent, -torch.inf)
        shares = torch.softmax(products, dim=1).masked_fill(absent, 0)
        probs = shares.new_zeros(len(ids), self.vocabulary_size)
        probs.scatter_add_(1, read[:, 1:].clamp_min(0), shares)
        probs[absent.all(dim=1)] = 1 / self.vocabulary_size
        return probs.log().cpu().numpy(), (after, hidden, read)

    @torch.inference_mode()
    def score(
        self, store: TokenStore, carry_context: bool = False
    ) -> Float[np.ndarray, " targets"]:
        """Return the log-probability of every target, in nats.

        The hidden states of the whole store are in memory at once.
        """
        if store.num_targets == 0:
            return np.zeros(0, np.float32)
        hidden = self.model.hidden_states(store, carry_context)
        oldest = np.arange(store.num_targets) - self.options.length
        if not carry_context:
            oldest = np.maximum(oldest, np.repeat(store.offsets[:-1] - 1, store.target_counts))
        found = cache_log_probs(hidden, store.targets, np.maximum(oldest, 0), self.options.theta)
        found[np.isnan(found)] = -math.log(self.vocabulary_size)
        return found


def cache_log_probs(
    hidden: Float[Tensor, "targets hidden"],
    targets: Integer[np.ndarray, " targets"],
    oldest: Int64[np.ndarray, " targets"],
    theta: float,
    max_cells: int = CELLS,
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of every target by the cache, in nats; NaN if it is empty.

    Args:
        hidden: The hidden state before each target.
        targets: The ids of the targets.
        oldest: The first position in each target's cache; ascending.
        theta: The inverse temperature.
        max_cells: Products of hidden states that are in memory at once.
    """
    size, device = len(targets), hidden.device
    place, first = torch.arange(size, device=device), torch.from_numpy(oldest).to(device)
    ids = torch.from_numpy(targets.astype(np.int64)).to(device)
    longest = int((np.arange(size) - oldest).max(initial=1))
    found = []
    # Blocks of targets against the band of positions that any of them has in its cache; masked
    # positions have log-weight -inf. The target's probability is a ratio of two sums of exp.
    for rows in torch.split(place, max(1, min(longest, max_cells // (2 * longest)))):
        check_deadline()
        band = slice(int(oldest[rows[0]]), int(rows[-1]) + 1)
        products = (theta * hidden[rows]) @ hidden[band].T
        outside = (place[band] >= rows[:, None]) | (place[band] < first[rows, None])
        products.masked_fill_(outside, -torch.inf)
        total = torch.logsumexp(products, dim=1)
        products.masked_fill_(ids[band] != ids[rows, None], -torch.inf)
        found.append(torch.logsumexp(products, dim=1) - total)
    scores: Array = torch.cat(found).cpu().numpy()
    return scores


def choose_theta(model: NeuralLanguageModel, dev: TokenStore, length: int) -> float:
    """Return the theta with the highest likelihood of dev by the cache mixed with its network.

    Args:
        model: The language model of the network.
        dev: Running text that is not empty.
        length: Length of the cache in positions (L).
    """
    dev = dev.beginning(MAX_TARGETS)
    targets = dev.targets[:MAX_TARGETS]
    hidden = model.hidden_states(dev, carry_context=True)[: len(targets)]
    own = model.score(dev, carry_context=True)[: len(targets)] + math.log(1 - SHARE)
    oldest = np.maximum(np.arange(len(targets)) - length, 0)
    unit = 1 / float(hidden.square().sum(dim=1).mean())

    def likelihood(theta: float) -> float:
        cached = np.nan_to_num(cache_log_probs(hidden, targets, oldest, theta), nan=-np.inf)
        return float(np.logaddexp(own, cached + math.log(SHARE)).sum(dtype=np.float64))

    return max((sharpness * unit for sharpness in SHARPNESS), key=likelihood)
