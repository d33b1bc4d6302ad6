"""Gradients of the surprisal of targets with respect to embeddings and to hidden states.

The text is read once for each target, as a batch of copies, so that one backward pass through the
summed losses gives the gradients of all targets. Each copy has embeddings of its own: the
network's table is replaced by one with a row for every place of every copy, and the ids are
replaced by indices of these rows.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from thence.array_types import Float, Float64, Int64
from thence.models.base import Array, State, take_rows
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.recurrent import Recurrent

TABLES = ("embedding.weight", "logits.weight")
"""Names of a network's embedding table; in the neural bigram model its rows are logits."""
MOST_CELLS = 1 << 13
"""Places of all copies in a batch: about 50 MB with 256 units."""


@dataclass(frozen=True)
class InputGradients:
    """Gradients of surprisals (nats) with respect to the embeddings of earlier tokens.

    Attributes:
        products: Dot product of the gradient and the embedding, shape (targets, sources).
        norms: Euclidean norm of the gradient, shape (targets, sources).
    """

    products: Float64[np.ndarray, "targets sources"]
    norms: Float64[np.ndarray, "targets sources"]


def embedding_table(model: NeuralLanguageModel) -> str | None:
    """Return the name of a network's embedding table, one of ``TABLES``; None if it has none."""
    named = dict(cast(nn.Module, model.network).named_parameters())
    return next((name for name in TABLES if name in named), None)


def input_gradients(
    model: NeuralLanguageModel,
    ids: Int64[np.ndarray, " time"],
    targets: Sequence[int],
    others: Int64[np.ndarray, " targets"] | None = None,
    state: State = None,
) -> InputGradients:
    """Return the gradients of the surprisal of targets with respect to earlier embeddings.

    Args:
        model: A network with an embedding table (``embedding_table``).
        ids: A document: the boundary, and then its tokens; or a part of one.
        targets: Indices of the ids to predict, in ascending order, from 1 on.
        others: Another id for each target: the gradient is then that of the difference of their
            surprisals.
        state: State before the first id; by default the initial state.

    Returns:
        Gradients with respect to all ids but the last; 0 from the target on. Gradients of the
        padding before the text in a fixed window are added to that of the boundary.
    """
    found = np.zeros((2, len(targets), len(ids) - 1))
    for rows, loss, read in _copies(model, ids, targets, state, others):
        (gradient,) = torch.autograd.grad(loss, read)
        pads = read.shape[1] - targets[rows.stop - 1]
        for kind, values in zip(
            found, ((gradient * read.detach()).sum(2), gradient.norm(dim=2)), strict=True
        ):
            kind[rows, : targets[rows.stop - 1]] = values[:, pads:].numpy()
            kind[rows, 0] += values[:, :pads].sum(1).numpy()
    return InputGradients(*found)


def _copies(
    model: NeuralLanguageModel,
    ids: Int64[np.ndarray, " time"],
    targets: Sequence[int],
    state: State,
    others: Int64[np.ndarray, " targets"] | None = None,
    step: bool = False,
) -> Iterator[tuple[slice, Float[Tensor, ""], Float[Tensor, "rows time embedding"]]]:
    """Yield batches: a slice of the targets, their summed loss, and the embeddings of the copies.

    Each target is predicted from its own copy of the text, in one row of the batch.

    Args:
        model: The network.
        ids: The document.
        targets: Indices of the ids to predict.
        state: State before the first id, or None.
        others: Ids whose losses are subtracted.
        step: Whether to read one id at a time, so that hooks see the state at each step.
    """
    model.eval()
    network, table = cast(nn.Module, model.network), cast(str, embedding_table(model))
    weights = network.get_parameter(table).detach()
    state = model.start(1) if state is None else state
    is_window = model.context_length is not None  # The state is then the previous ids.
    padded = np.concatenate([state[0].numpy(), ids]) if is_window else ids
    pads = len(padded) - len(ids)
    at_once = max(1, MOST_CELLS // len(padded))
    for first in range(0, len(targets), at_once):
        rows = slice(first, min(first + at_once, len(targets)))
        chosen = np.array(targets[rows])
        time, count = pads + int(chosen[-1]), len(chosen)
        read = weights[torch.from_numpy(padded[:time])].expand(count, -1, -1).clone()
        read.requires_grad_()
        places = torch.arange(count * time).reshape(count, time)
        now = places[:, :pads] if is_window else take_rows(state, np.zeros(count, np.int64))
        hidden = []
        for part in torch.split(places[:, pads:], 1 if step else time, dim=1):
            named = {table: read.flatten(0, 1)}
            values, now = functional_call(network, named, (part, now))
            hidden.append(values)
        last = torch.cat(hidden, 1)[torch.arange(count), torch.from_numpy(chosen - 1)]
        loss = model.output_layer.loss(last, torch.from_numpy(ids[chosen]))
        if others is not None:
            loss = loss - model.output_layer.loss(last, torch.from_numpy(others[rows]))
        yield rows, loss, read


def state_gradients(
    model: NeuralLanguageModel,
    ids: Int64[np.ndarray, " time"],
    targets: Sequence[int],
    state: State = None,
) -> dict[str, Float64[np.ndarray, "targets lags"]]:
    """Return the norms of the gradients of the surprisal of targets with respect to earlier states.

    Args:
        model: A recurrent network.
        ids: A document: the boundary, and then its tokens; or a part of one.
        targets: Indices of the ids to predict, in ascending order, from 1 on.
        state: State before the first id; by default the initial state.

    Returns:
        For each layer, as ``layer 1``, and for the cells of an LSTM, as ``layer 1 cell``: norms
        with respect to the state that the target is predicted from (lag 0) and to the states
        before it (lag 1, 2, ...); NaN where there are none.
    """
    network = cast(Recurrent, model.network)
    steps: list[list[LayerStep]] = [[] for _ in network.layers]
    found: dict[str, Array] = {}
    with ExitStack() as hooks:
        for layer, kept in zip(network.layers, steps, strict=True):
            hooks.enter_context(_steps_of(layer, kept))
        for rows, loss, _ in _copies(model, ids, targets, state, step=True):
            tensors = [tensor for kept in steps for step in kept for tensor in step]
            gradients = iter(torch.autograd.grad(loss, tensors, allow_unused=True))
            for number, kept in enumerate(steps, 1):
                lengths = [_lengths(step, [next(gradients) for _ in step]) for step in kept]
                for name, by_time in zip(("", " cell"), zip(*lengths, strict=True), strict=False):
                    shape = len(targets), len(ids) - 1
                    of_layer = found.setdefault(f"layer {number}{name}", np.full(shape, np.nan))
                    for row, values in zip(
                        range(rows.start, rows.stop), np.stack(by_time, 1), strict=True
                    ):
                        of_layer[row, : targets[row]] = values[: targets[row]][::-1]
                kept.clear()
    return found


LayerStep = list[Tensor]
"""Outputs of a layer at one step: the hidden states as its output and again as its state, and the
cells of an LSTM. Both copies of the hidden states get a gradient: from above, and from later."""


@contextmanager
def _steps_of(layer: nn.Module, kept: list[LayerStep]) -> Iterator[None]:
    """Context manager: records the outputs of a layer at each step."""

    def keep(_: nn.Module, inputs: Any, outputs: Any) -> None:
        kept.append([outputs[0], *outputs[1]])

    hook = layer.register_forward_hook(keep)
    try:
        yield
    finally:
        hook.remove()


def _lengths(step: LayerStep, gradients: Sequence[Tensor | None]) -> list[Array]:
    """Return the norm of each row's gradient with respect to the hidden state, and to the cell."""
    read, *remembered = (
        torch.zeros_like(tensor[0] if number else tensor[:, 0])
        if gradient is None
        else (gradient[0] if number else gradient[:, 0])
        for number, (tensor, gradient) in enumerate(zip(step, gradients, strict=True))
    )
    hidden = read + remembered[0]
    found = [hidden]
    if len(remembered) > 1:
        # Chain rule: a cell also acts through the hidden state of its step, h = o tanh(c), so
        # o (1 - tanh(c)^2) times the gradient of h is added; o = h / tanh(c).
        squashed = step[2][0].detach().tanh()
        opened = torch.where(squashed == 0, 0.5, step[1][0].detach() / squashed)
        found.append(remembered[1] + hidden * opened * (1 - squashed**2))
    return [gradient.norm(dim=1).numpy() for gradient in found]
