"""Traces of networks that are run by PyTorch: transformers, and networks of other packages."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thence.array_types import Float, Int64
from thence.inspection.tracing import BatchTrace
from thence.models.base import Array, State
from thence.models.language.neural import NeuralLanguageModel
from thence.models.language.transformer import Attention, Transformer


@torch.inference_mode()
def trace_modules(
    model: NeuralLanguageModel, ids: Int64[np.ndarray, "batch time"], state: State, attention: bool
) -> BatchTrace:
    """Return the intermediate values of a torch network for ids that follow a state.

    For a transformer: every layer, and attention weights if asked for. For other networks: the last
    hidden states.
    """
    model.eval()
    stages: dict[str, Tensor] = {}
    shares: dict[str, Array] = {}
    network = model.network
    with ExitStack() as hooks:
        for number, layer in enumerate(_layers(network), 1):
            hooks.enter_context(_watched(layer, f"layer {number}", stages))
            if attention:
                hooks.enter_context(_attention_of(layer.attention, f"layer {number}", shares))
        hidden, _ = model.read_hidden(ids.astype(np.int64), state)
    if not stages:
        stages = {"layer 1": hidden}
    last = network.norm if isinstance(network, Transformer) else nn.Identity()

    @torch.inference_mode()
    def predictions(stage: str) -> Float[np.ndarray, "batch time vocab"]:
        rows = model.hidden_log_probs(last(stages[stage]).flatten(0, 1))
        return rows.reshape(*ids.shape, -1)

    values = {name: value.float().cpu().numpy() for name, value in stages.items()}
    return BatchTrace(values, predictions, tuple(stages), attention=shares)


def _layers(network: Any) -> Any:
    return network.layers if isinstance(network, Transformer) else ()


@contextmanager
def _watched(layer: nn.Module, name: str, stages: dict[str, Tensor]) -> Iterator[None]:
    """Context manager: records the output of a layer, and the input of the first layer."""

    def keep(_: nn.Module, inputs: Any, outputs: Any) -> None:
        stages.setdefault("embedding", inputs[0])
        stages[name] = outputs[0]

    hook = layer.register_forward_hook(keep)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _attention_of(layer: Attention, name: str, kept: dict[str, Array]) -> Iterator[None]:
    """Context manager: records the attention weights of a layer."""

    def keep(_: nn.Module, inputs: Any) -> None:
        kept[name] = attention_shares(layer, *inputs).float().cpu().numpy()

    hook = layer.register_forward_pre_hook(keep)
    try:
        yield
    finally:
        hook.remove()


def attention_shares(
    layer: Attention,
    values: Float[Tensor, "batch time hidden"],
    cached: Float[Tensor, "batch 2 heads cached size"],
    mask: Float[Tensor, "rows 1 time places"] | None,
    rotations: Float[Tensor, "2 seen size"] | None,
) -> Float[Tensor, "batch heads time seen"]:
    """Return the attention weights of each new place on all places, cached ones first.

    softmax(Q K^T / sqrt(d)) is recomputed here, since the fused kernel that the layer itself uses
    never holds these weights in memory.
    """
    queries, keys, *_ = layer.queries_keys_values(values, cached, rotations)
    scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.shape[3])
    if mask is None:
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        shares = scores.masked_fill(later, -torch.inf).softmax(3)
    else:
        shares = (scores + mask).softmax(3)
    return shares[..., shares.shape[3] - cached.shape[3] - values.shape[1] :]
