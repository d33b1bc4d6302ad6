"""Readers: log-probabilities of tokens after contexts, in batches and with caching.

A reader returns the log-probabilities of short sequences of tokens after many contexts, and the
contexts after them. For n-gram models it looks up single tokens; any other model is stepped with
the contexts of all beams as one batch, and never twice with the same context.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from thence.array_types import Float
from thence.models.base import LanguageModel, State, join_rows, take_rows
from thence.models.ngram import NGram

Ids = tuple[int, ...]
Path = tuple[Any, Ids]
"""A context and the ids of tokens that follow it."""


MOST_KEPT = 1 << 17
"""Cached pairs of context and token of an n-gram model (about 40 MB); a full cache is emptied."""


class Reader(Protocol):
    """Reads tokens after contexts, which are opaque values of the reader."""

    order: int | None
    """The order n of an n-gram model; None if all tokens before matter."""

    def start(self, boundary: bool) -> Any:
        """Return the context before a text: the boundary, or no token at all if supported."""

    def read(self, paths: Sequence[Path]) -> list[tuple[float, Any]]:
        """Return the log-probability of each path's ids in nats, and the context after them."""

    def forget(self, context: Any) -> None:
        """Free the memory of a context after which nothing will be read any more."""


class NGramReader:
    """Reads an n-gram model; a context is the index of the n-gram of each length that ends there.

    Args:
        model: The n-gram model.
    """

    def __init__(self, model: NGram) -> None:
        self.model = model
        self.order: int | None = len(model.tables)
        self._after: dict[tuple[tuple[int, ...], int], tuple[float, tuple[int, ...]]] = {}

    def start(self, boundary: bool) -> tuple[int, ...]:
        """Return the context after a boundary, or the empty context."""
        context = self.model.start(1)
        if boundary:
            ids = np.array([[self.model.vocabulary_size - 1]])
            context = self.model.queries.advance(ids, context)
        return tuple(context[0].tolist())

    def read(self, paths: Sequence[Path]) -> list[tuple[float, tuple[int, ...]]]:
        """Return the log-probability of each path's ids, and the context after them."""
        if len(self._after) > MOST_KEPT:
            self._after = {}
        after = self._after  # Another thread may replace it.
        totals, contexts = [0.0] * len(paths), [context for context, _ in paths]
        for depth in range(max((len(ids) for _, ids in paths), default=0)):
            rows = [row for row, (_, ids) in enumerate(paths) if depth < len(ids)]
            keys = [(contexts[row], paths[row][1][depth]) for row in rows]
            after.update(self._look_up([key for key in dict.fromkeys(keys) if key not in after]))
            for row, key in zip(rows, keys, strict=True):
                log_prob, contexts[row] = after[key]
                totals[row] += log_prob
        return list(zip(totals, contexts, strict=True))

    def _look_up(
        self, keys: Sequence[tuple[tuple[int, ...], int]]
    ) -> dict[tuple[tuple[int, ...], int], tuple[float, tuple[int, ...]]]:
        """Return the log-probability of each id after its context, and the context after it."""
        if not keys:
            return {}
        states = np.array([context for context, _ in keys], np.int64)
        states = states.reshape(len(keys), len(self.model.tables) - 1)
        log_probs, states = self.model.queries.read(np.array([index for _, index in keys]), states)
        found = zip(log_probs.tolist(), map(tuple, states.tolist()), strict=True)
        return dict(zip(keys, found, strict=True))

    def forget(self, context: tuple[int, ...]) -> None:
        """Do nothing: a context is a few numbers."""


class _Node:
    """A node of the tree of texts; the model reads its last token only when needed.

    Attributes:
        token: The last token.
        before: The model's state before the last token: the state of a batch, and the row in it.
        children: The texts that are longer by one token, by this token.
        log_probs: Log-probabilities of the next token; None until the model has read the last.
        after: The state after the last token, in the same form.
    """

    __slots__ = ("after", "before", "children", "log_probs", "token")

    def __init__(self, token: int, before: tuple[State, int]) -> None:
        self.token, self.before = token, before
        self.children: dict[int, _Node] = {}
        self.log_probs: Float[np.ndarray, " vocab"] | None = None
        self.after: tuple[State, int] = (None, 0)

    def child(self, token: int) -> "_Node":
        found = self.children.get(token)
        if found is None:
            found = self.children[token] = _Node(token, self.after)
        return found


class StepReader:
    """Reads any language model step by step; a context is a node of the tree of texts.

    Args:
        model: The language model.
    """

    order: int | None = None

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def start(self, boundary: bool) -> _Node:
        """Return the context after a boundary; such models cannot start without one."""
        del boundary
        return _Node(self.model.vocabulary_size - 1, (self.model.start(1), 0))

    def read(self, paths: Sequence[Path]) -> list[tuple[float, _Node]]:
        """Return the log-probability of each path's ids, and the context after them."""
        nodes: list[_Node] = [context for context, _ in paths]
        totals = [0.0] * len(paths)
        for depth in range(max((len(ids) for _, ids in paths), default=0)):
            rows = [row for row, (_, ids) in enumerate(paths) if depth < len(ids)]
            self._expand([nodes[row] for row in rows])
            for row in rows:
                token = paths[row][1][depth]
                log_probs = nodes[row].log_probs
                assert log_probs is not None
                totals[row] += float(log_probs[token])
                nodes[row] = nodes[row].child(token)
        return list(zip(totals, nodes, strict=True))

    def _expand(self, nodes: Sequence[_Node]) -> None:
        """Let the model read the last token of each node that lacks ``log_probs``, as one batch."""
        new = list({id(node): node for node in nodes if node.log_probs is None}.values())
        if not new:
            return
        new.sort(key=lambda node: id(node.before[0]))  # Group them by the batch of their state.
        parts, rows = [], []
        for place, node in enumerate(new):
            rows.append(node.before[1])
            is_last = place + 1 == len(new) or new[place + 1].before[0] is not node.before[0]
            if is_last:
                parts.append(take_rows(node.before[0], np.array(rows)))
                rows = []
        ids = np.array([node.token for node in new])
        log_probs, state = self.model.step(ids, join_rows(parts) if len(parts) > 1 else parts[0])
        for row, node in enumerate(new):
            node.log_probs, node.after = log_probs[row].copy(), (state, row)

    def forget(self, context: _Node) -> None:
        """Free the distribution and the state after a context, and its children."""
        context.children = {}
        context.log_probs, context.after = None, (None, 0)


def make_reader(model: LanguageModel) -> Reader:
    """Return the reader of a model."""
    return NGramReader(model) if isinstance(model, NGram) else StepReader(model)
