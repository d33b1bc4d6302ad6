"""Two well-known trainings as plain PyTorch programs, to compare with: each has a ``step``.

``WordLanguageModel`` does what PyTorch's example ``word_language_model`` does with its LSTM,
``GPT`` what A. Karpathy's nanoGPT does on a processor (no biases, dropout 0, tied weights).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class WordLanguageModel(nn.Module):
    """Layers of LSTM between an embedding and a full softmax, with stochastic gradient descent.

    Args:
        vocabulary_size: Number of ids.
        size: Numbers of an embedding, and units of each layer.
        rows: Streams that are read side by side.
        rate: Learning rate.
    """

    def __init__(
        self, vocabulary_size: int, size: int = 200, rows: int = 20, rate: float = 20.0
    ) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.dropout = nn.Dropout(0.2)
        self.embedding = nn.Embedding(vocabulary_size, size)
        self.lstm = nn.LSTM(size, size, num_layers=2, dropout=0.2)
        self.output = nn.Linear(size, vocabulary_size)
        for weight in (self.embedding.weight, self.output.weight):
            nn.init.uniform_(weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        self.rows, self.rate, self.total_loss = rows, rate, 0.0
        zeros = torch.zeros(2, rows, size)
        self.state = (zeros, zeros)

    def streams(self, ids: np.ndarray) -> Tensor:
        """Return a text as streams in columns, shape (time, rows)."""
        time = len(ids) // self.rows
        columns = torch.from_numpy(ids[: time * self.rows].astype(np.int64)).view(self.rows, time)
        return columns.T.contiguous()

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the log-probabilities after each id, and the state after the last."""
        read, state = self.lstm(self.dropout(self.embedding(ids)), state)
        logits = self.output(self.dropout(read))
        return functional.log_softmax(logits.flatten(0, 1), dim=1), state

    def step(self, ids: Tensor, targets: Tensor) -> None:
        """Train on a window of the streams."""
        self.train()
        self.zero_grad()
        before = tuple(part.detach() for part in self.state)
        log_probs, self.state = self(ids, before)
        loss = functional.nll_loss(log_probs, targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 0.25)
        for weight in self.parameters():
            weight.data.add_(weight.grad, alpha=-self.rate)
        self.total_loss += loss.item()


class Block(nn.Module):
    """Causal attention and a feed-forward part, each after a norm and added to what it reads."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.second_norm = (nn.LayerNorm(size, bias=False) for _ in range(2))
        self.project, self.output = (
            nn.Linear(size, factor * size, bias=False) for factor in (3, 1)
        )
        self.inner = nn.Linear(size, 4 * size, bias=False)
        self.outer = nn.Linear(4 * size, size, bias=False)
        self.dropout = nn.Dropout(0.0)

    def forward(self, values: Tensor) -> Tensor:
        """Return the values after this block, shape (rows, time, size)."""
        rows, time, size = values.shape
        parts = self.project(self.norm(values)).split(size, dim=2)
        queries, keys, read = (
            part.view(rows, time, self.heads, size // self.heads).transpose(1, 2) for part in parts
        )
        found = functional.scaled_dot_product_attention(queries, keys, read, is_causal=True)
        joined = found.transpose(1, 2).contiguous().view(rows, time, size)
        values = values + self.dropout(self.output(joined))
        inner = functional.gelu(self.inner(self.second_norm(values)))
        return values + self.dropout(self.outer(inner))


class GPT(nn.Module):
    """A decoder-only transformer trained with AdamW on windows drawn at random.

    Args:
        ids: The text.
        vocabulary_size: Number of ids.
        size: Numbers of an embedding.
        layers: Number of blocks.
        heads: Heads of attention in each.
        window: Ids that are read at once.
        rows: Windows of a step.
        rate: Highest learning rate.
    """

    def __init__(
        self, ids: np.ndarray, vocabulary_size: int, size: int = 128, layers: int = 4,
        heads: int = 4, window: int = 64, rows: int = 12, rate: float = 1e-3,
    ) -> None:  # fmt: skip
        super().__init__()
        torch.manual_seed(1)
        self.ids, self.window, self.rows, self.rate, self.steps = ids, window, rows, rate, 0
        self.embedding = nn.Embedding(vocabulary_size, size)
        self.positions = nn.Embedding(window, size)
        self.dropout = nn.Dropout(0.0)
        self.blocks = nn.ModuleList(Block(size, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(size, bias=False)
        matrices = [weight for weight in self.parameters() if weight.dim() > 1]
        for weight in matrices:
            nn.init.normal_(weight, std=0.02)
        vectors = [weight for weight in self.parameters() if weight.dim() == 1]
        groups = [
            {"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.99))
        self.batch = self.draw()

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return windows drawn at random, and the id after each of their ids."""
        starts = torch.randint(len(self.ids) - self.window, (self.rows,)).tolist()
        windows = [self.ids[start : start + self.window + 1].astype(np.int64) for start in starts]
        both = torch.stack([torch.from_numpy(window) for window in windows])
        return both[:, :-1].contiguous(), both[:, 1:].contiguous()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss."""
        places = self.positions(torch.arange(ids.shape[1]))
        values = self.dropout(self.embedding(ids) + places)
        for block in self.blocks:
            values = block(values)
        logits = functional.linear(self.norm(values), self.embedding.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def step(self) -> None:
        """Train on the windows drawn before, and draw the next."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, (self.steps + 1) / 100)
        loss = self(*self.batch)
        self.batch = self.draw()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        loss.item()
        self.steps += 1
