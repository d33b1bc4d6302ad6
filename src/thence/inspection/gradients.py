"""Gradients of the surprisal of targets: with respect to what a network read, and remembered.

For every target the text is read once more, so many copies side by side, and one backward pass
gives the gradients of all. Each copy has embeddings of its own: a table with a row for every place
takes the place of the network's table, and the ids become numbers of its rows.
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
"""Names of a network's table of embeddings; the rows of a bigram's are logits."""
MOST_CELLS = 1 << 13
"""Places of all copies of a text that are read together: some 50 MB with 256 units."""


@dataclass(frozen=True)
class InputGradients:
    """Gradients of surprisals with respect to the embeddings read before, in nats.

    Attributes:
        products: The gradient times the embedding itself, shape (targets, sources).
        norms: Length of the gradient.
    """

    products: Float64[np.ndarray, "targets sources"]
    norms: Float64[np.ndarray, "targets sources"]


def embedding_table(model: NeuralLanguageModel) -> str | None:
    """Return the name of a network's table of embeddings; None if it has none that is known."""
    named = dict(cast(nn.Module, model.network).named_parameters())
    return next((name for name in TABLES if name in named), None)


def input_gradients(
    model: NeuralLanguageModel,
    ids: Int64[np.ndarray, " time"],
    targets: Sequence[int],
    others: Int64[np.ndarray, " targets"] | None = None,
    state: State = None,
) -> InputGradients:
    """Return how the surprisal of tokens depends on the embeddings of those before.

    Args:
        model: A network with a table of embeddings (``embedding_table``).
        ids: A document: the boundary, and then its tokens; or a part of one.
        targets: Which of the ids are predicted, in ascending order; the first is none.
        others: For each target another id: then the surprisal of the target less that of this one.
        state: Before the first id; by default that before any text.

    Returns:
        Gradients with respect to each of the ids but the last; 0 from the target on. What a
        fixed window reads before the text counts for the boundary.
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
    """Yield which targets were predicted, their summed loss, and the embeddings that were read.

    Each target is predicted from a copy of the text of its own, in the row of its number.

    Args:
        model: The network.
        ids: The document.
        targets: Which of its ids are predicted.
        state: Before the first id, or None.
        others: Ids whose losses are subtracted.
        step: Whether to read id by id.
    """
    model.eval()
    network, table = cast(nn.Module, model.network), cast(str, embedding_table(model))
    weights = network.get_parameter(table).detach()
    state = model.start(1) if state is None else state
    is_window = model.context_length is not None  # The state is the ids before.
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
    """Return how much the surprisal of tokens depends on what was remembered before.

    Args:
        model: A recurrent network.
        ids: A document: the boundary, and then its tokens; or a part of one.
        targets: Which of the ids are predicted, in ascending order; the first is none.
        state: Before the first id; by default that before any text.

    Returns:
        For each layer, as ``layer 1``, and the cells of an LSTM, as ``layer 1 cell``: the length
        of the gradient, in nats, with respect to the state that the target is predicted from
        (lag 0), and to those before; NaN where there is none.
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
"""What comes out of a layer at one time: the hidden states twice, as what is read above and as
what is remembered, and the cells of an LSTM."""


@contextmanager
def _steps_of(layer: nn.Module, kept: list[LayerStep]) -> Iterator[None]:
    """Keep what comes out of a layer, time by time."""

    def keep(_: nn.Module, inputs: Any, outputs: Any) -> None:
        kept.append([outputs[0], *outputs[1]])

    hook = layer.register_forward_hook(keep)
    try:
        yield
    finally:
        hook.remove()


def _lengths(step: LayerStep, gradients: Sequence[Tensor | None]) -> list[Array]:
    """Return the lengths (rows) of the gradients with respect to hidden states and cells."""
    read, *remembered = (
        torch.zeros_like(tensor[0] if number else tensor[:, 0])
        if gradient is None
        else (gradient[0] if number else gradient[:, 0])
        for number, (tensor, gradient) in enumerate(zip(step, gradients, strict=True))
    )
    hidden = read + remembered[0]
    found = [hidden]
    if len(remembered) > 1:
        # A cell also acts through the hidden state of its time, h = o tanh(c).
        squashed = step[2][0].detach().tanh()
        opened = torch.where(squashed == 0, 0.5, step[1][0].detach() / squashed)
        found.append(remembered[1] + hidden * opened * (1 - squashed**2))
    return [gradient.norm(dim=1).numpy() for gradient in found]
