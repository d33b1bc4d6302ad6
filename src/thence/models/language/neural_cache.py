"""The neural cache: what followed similar states of a network is likely to follow again.

    p(w | h_t) = sum_i 1[x_(i+1) = w] exp(theta h_t . h_i)  /  sum_i exp(theta h_t . h_i)

with i over the last L places (``length``) before t, h_i the hidden state that a recurrent network
predicts the symbol x_(i+1) from, and theta how sharply it remembers: 0 makes it the cache of
symbols. Where nothing has been read yet the distribution is uniform. The network is that of
another member of a mixture, which also averages the two; here its weights are not kept again.

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
from thence.models.language.cache import LearnsNothing
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.options import NeuralCacheOptions
from thence.models.memory_guard import check_memory
from thence.tokens import TokenStore

SHARPNESS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Values of theta that are tried on dev, as multiples of 1 / mean |h|^2: networks differ in the
length of their hidden states, and so in the theta that suits them."""
SHARE = 0.1
"""The cache's weight beside its network's while theta is chosen."""
MAX_TARGETS = 20_000
"""Theta is chosen on the first targets of dev, at most this many."""
CELLS = 1 << 21
"""Products of hidden states held at once while scoring."""


class NeuralCache(LearnsNothing):
    """A memory of hidden states and of what followed them.

    Args:
        options: How far back and how sharply.
        model: The model of the network (H numbers in a hidden state), which reads sequences.
    """

    adapting = ("neural-cache",)

    def __init__(self, options: NeuralCacheOptions, model: NeuralLanguageModel) -> None:
        self.options = options
        self.model = model
        self.vocabulary_size = model.vocabulary_size

    def start(self, batch_size: int) -> State:
        """Return the state before any text: no ids have been read (-1), and no hidden states.

        It is the network's state, its last L + 1 hidden states, shape (B, L + 1, H), and the id
        that each came after, shape (B, L + 1).
        """
        before = self.model.start(batch_size)
        # A network does not say how large its hidden state is, so one step is taken to see it.
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

        All hidden states of the store are held at once.
        """
        if store.num_targets == 0:
            return np.zeros(0, np.float32)
        hidden = self.model.hidden_states(store, carry_context)
        oldest = np.arange(store.num_targets) - self.options.length
        if not carry_context:
            oldest = np.maximum(oldest, np.repeat(store.offsets[:-1] - 1, store.target_counts))
        found = remembered(hidden, store.targets, np.maximum(oldest, 0), self.options.theta)
        found[np.isnan(found)] = -math.log(self.vocabulary_size)
        return found


def remembered(
    hidden: Float[Tensor, "targets hidden"],
    targets: Integer[np.ndarray, " targets"],
    oldest: Int64[np.ndarray, " targets"],
    theta: float,
    max_cells: int = CELLS,
) -> Float[np.ndarray, " targets"]:
    """Return the log-probability of every target, in nats; NaN where nothing is remembered.

    Args:
        hidden: The hidden state that each target is predicted from.
        targets: Their ids.
        oldest: The first place that each remembers; it never goes back.
        theta: How sharply.
        max_cells: Products of hidden states held at once.
    """
    size, device = len(targets), hidden.device
    place, first = torch.arange(size, device=device), torch.from_numpy(oldest).to(device)
    ids = torch.from_numpy(targets.astype(np.int64)).to(device)
    longest = int((np.arange(size) - oldest).max(initial=1))
    found = []
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
    """Return the theta under which dev is likeliest, the cache mixed with its network.

    Args:
        model: The network's model.
        dev: Running text that is not empty.
        length: Places that are remembered.
    """
    dev = dev.beginning(MAX_TARGETS)
    targets = dev.targets[:MAX_TARGETS]
    hidden = model.hidden_states(dev, carry_context=True)[: len(targets)]
    own = model.score(dev, carry_context=True)[: len(targets)] + math.log(1 - SHARE)
    oldest = np.maximum(np.arange(len(targets)) - length, 0)
    unit = 1 / float(hidden.square().sum(dim=1).mean())

    def likelihood(theta: float) -> float:
        cached = np.nan_to_num(remembered(hidden, targets, oldest, theta), nan=-np.inf)
        return float(np.logaddexp(own, cached + math.log(SHARE)).sum(dtype=np.float64))

    return max((sharpness * unit for sharpness in SHARPNESS), key=likelihood)
