"""Export of a network that models language as an ONNX file.

    ids (batch, time), int64                        the ids to read, from the boundary on
    context (batch, N - 1), int64                   mlp: the previous ids; initially boundaries
    hidden, cell (batch, layers, H), float32        recurrent: the state; initially zeros
    log_probs (batch, time, vocabulary), float32    of the next token after each id, in nats
    next_context, next_hidden, next_cell            the state after the last id

A transformer has no state: it reads a text from its start, and each place attends to the last
``context`` places. Batch and time may be of any size.
"""

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from thence.atomic import whole_file
from thence.errors import RunError, import_extra
from thence.exchange.parity import Ids, LogProbs, greatest_difference, network_of
from thence.models.base import leaves
from thence.models.graph import FLOAT, Exportable, Graph, Value
from thence.models.language.neural import NeuralLanguageModel
from thence.runs.run import Run

OPSET = 17
IR_VERSION = 8
"""Versions of the format that ONNX Runtime supports since 2022; no newer operators are needed."""
TOLERANCE = 1e-4
"""Largest allowed difference of log-probabilities from the run's; bugs cause much larger ones."""
PROTOBUF_LIMIT = 2_000_000_000
"""Largest size of the weights in bytes: protobuf files are limited to 2 GiB."""
ERRORS_ONLY = 3
"""Log level of ONNX Runtime that hides warnings."""


def export_onnx(run: Run, path: Path, limit: int = PROTOBUF_LIMIT) -> float:
    """Write a network as an ONNX file; return its largest difference from the run, in nats.

    Raises:
        RunError: If the run is not of a network that models language, or the result differs.
        MissingExtraError: If onnx or onnxruntime is not installed.
        OSError: If the file cannot be written.
    """
    model = network_of(run, "an ONNX file")
    content = onnx_model(run, model, limit).SerializeToString()
    session = open_session(content)
    difference = greatest_difference(
        run, model, lambda ids: _read_in_two(session, ids, model), TOLERANCE
    )
    with whole_file(path, new=True) as file:
        file.write(content)
    return difference


def onnx_model(run: Run, model: NeuralLanguageModel, limit: int = PROTOBUF_LIMIT) -> Any:
    """Return the network as an ``onnx.ModelProto``, with the vocabulary as metadata."""
    onnx = import_extra("onnx", "onnx", "writing an ONNX file")
    size = 4 * model.num_parameters()
    if size > limit:
        raise RunError(
            f"{run.folder} has weights of {size / 1e9:.1f} GB, but an ONNX file holds 2 GB at "
            "most; train a smaller network."
        )
    if not isinstance(model.network, Exportable):
        raise RunError(
            f"{run.folder} is a run of the model '{run.recipe.model}', which cannot be written as "
            "an ONNX file yet."
        )
    graph = Graph(model.tensors())
    hidden = model.network.onnx(graph)
    graph.name(model.output_layer.onnx(graph, hidden.name), "log_probs")
    inputs = [("ids", np.int64, ["batch", "time"]), *hidden.state]
    outputs = [("log_probs", np.float32, ["batch", "time", model.vocabulary_size])]
    whole = _model(onnx, graph, inputs, [*outputs, *hidden.new_state])
    onnx.helper.set_model_props(whole, metadata(run))
    whole.producer_name, whole.producer_version = "thence", version("thence")
    onnx.checker.check_model(whole)
    return whole


def _model(onnx: Any, graph: Graph, inputs: Iterable[Value], outputs: Iterable[Value]) -> Any:
    """Return a graph as an ``onnx.ModelProto``."""
    kinds: dict[type, int] = {np.float32: FLOAT, np.int64: onnx.TensorProto.INT64}
    helper = onnx.helper

    def values(of: Iterable[Value]) -> list[Any]:
        return [helper.make_tensor_value_info(name, kinds[kind], shape) for name, kind, shape in of]

    nodes = [
        helper.make_node(node.operator, node.inputs, node.outputs, **node.attributes)
        for node in graph.nodes
    ]
    constants = [
        onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()
    ]
    whole = helper.make_graph(nodes, "thence", values(inputs), values(outputs), constants)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(whole, opset_imports=[opset], ir_version=IR_VERSION)


def metadata(run: Run) -> dict[str, str]:
    """Return the metadata of the file: versions, vocabulary and special ids, as text."""
    vocabulary = run.tokenizer.vocabulary
    unknown = {} if vocabulary.unknown_id is None else {"unknown_id": str(vocabulary.unknown_id)}
    return {
        "thence": version("thence"),
        "model": run.recipe.model,
        "vocabulary": json.dumps([*vocabulary.names()], ensure_ascii=False),
        "boundary_id": str(vocabulary.boundary_id),
        **unknown,
        "tokens": run.recipe.tokens.tokens,
    }


def open_session(content: bytes) -> Any:
    """Return a session of ONNX Runtime on the CPU, without warnings."""
    runtime = import_extra("onnxruntime", "onnx", "checking an ONNX file")
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run_session(session: Any, ids: Ids, state: Sequence[Any]) -> tuple[LogProbs, list[Any]]:
    """Run a session on ids and a state; return log-probabilities and the next state."""
    names = [item.name for item in session.get_inputs()]
    log_probs, *new = session.run(None, dict(zip(names, [ids, *state], strict=True)))
    return log_probs, new


def _read_in_two(session: Any, ids: Ids, model: NeuralLanguageModel) -> LogProbs:
    """Return log-probabilities of a text; if there is a state, read in two halves to check it."""
    if len(session.get_inputs()) == 1:
        return run_session(session, ids, [])[0]
    state = [np.asarray(part) for part in leaves(model.start(len(ids)))]
    found = []
    for half in np.array_split(ids, min(2, ids.shape[1]), axis=1):
        log_probs, state = run_session(session, half, state)
        found.append(log_probs)
    return np.concatenate(found, axis=1)
