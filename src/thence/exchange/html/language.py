"""Language models on a page: their arrays and graphs for ``page/models.js``.

    network       the nodes of a graph of ONNX operators, and its weights
    n-grams       for each order: the number of followers of each context, their words, logarithms
    classes       n-grams of word classes, the class of each word, and its probability in it
    mixture       its members, and its weights or gate

Bigram counts become n-grams of order 2, whose back-off weights are the log-probabilities of unseen
pairs.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from thence.errors import SettingError
from thence.exchange.html.packing import Bits, Pack, rounded
from thence.models.base import Adapts, LanguageModel, static_model
from thence.models.graph import Exportable, Graph, Hidden
from thence.models.language.bigram_counts import BigramCounts
from thence.models.language.class_ngram import ClassNGram
from thence.models.language.inference import InferenceModel
from thence.models.language.mixture import PLACES, Mixture
from thence.models.ngram import NGram
from thence.models.ngram.model import FOLLOWER_BUCKETS, MIN_LOG_BACKOFF
from thence.models.ngram.packing import quantise
from thence.models.ngram.smoothing import OrderTable
from thence.runs.run import LanguageRun

FARTHEST = (1 << 31) - 1
"""Largest index in a slice; stands for the end of an axis in 32 bits."""
OPERATORS = frozenset(
    (
        "Add", "Concat", "Cos", "Erf", "GRU", "Gather", "Identity", "LSTM", "LayerNormalization",
        "LogSoftmax", "MatMul", "Mod", "Mul", "RNN", "Relu", "Reshape", "Sigmoid", "Sin", "Slice",
        "Softmax", "Squeeze", "Sub", "Tanh", "Transpose",
    )
)  # fmt: skip
"""ONNX operators that the script implements (``page/graph.js``)."""
Spec = dict[str, Any]
"""The description of a model for the script, as JSON."""


def exportable_part(run: LanguageRun) -> tuple[LanguageModel, tuple[str, ...]]:
    """Return the model for a page, and the names of the parts that are left out of it.

    Left out are the parts that adapt to the text, and members of a mixture that the script does not
    support.

    Raises:
        SettingError: If nothing is left.
    """
    whole, model = run.model, static_model(run.model)
    if model is None:
        raise SettingError(
            f"{run.folder} only remembers the text that it reads, and a page has nothing of it; "
            "export a run that has learned from a text."
        )
    left_out = whole.adapting if isinstance(whole, Adapts) else ()
    if isinstance(model, Mixture):
        known = [_is_known(member) for member in model.models]
        members = model.options.members
        left_out += tuple(
            m.name for m, is_known in zip(members, known, strict=True) if not is_known
        )
        model = model.only(np.flatnonzero(known).tolist())
    if not _is_known(model):
        raise SettingError(
            f"{run.folder} is a run of the model '{run.recipe.model}', which cannot be written as "
            "a page. N-grams, also of classes, pair counts, networks, and mixtures of these can."
        )
    return model, tuple(dict.fromkeys(left_out))


def _is_known(model: LanguageModel) -> bool:
    """Return whether the script supports a model."""
    if isinstance(model, NGram | ClassNGram | BigramCounts | InferenceModel | Mixture):
        return not isinstance(model, Mixture) or bool(model.models)
    # A torch module; torch is not imported to find out.
    network = getattr(model, "network", None)
    return isinstance(network, Exportable) and hasattr(model, "output_layer")


def quantized(model: LanguageModel, bits: Bits) -> LanguageModel:
    """Return a copy of a model whose weights are rounded to ``bits`` bits, as on the page.

    Rounded are the matrices of networks, and the logarithms of n-grams of order 2 and up.
    """
    if bits == 32:
        return model
    found = deepcopy(model)
    for one in found.models if isinstance(found, Mixture) else [found]:
        if isinstance(one, NGram | ClassNGram):
            ngram = one.ngram if isinstance(one, ClassNGram) else one
            ngram.tables = _rounded_tables(ngram.tables, bits)
        elif not isinstance(one, BigramCounts):
            one.load_tensors(
                {
                    name: rounded(value, bits) if value.ndim > 1 else value
                    for name, value in one.tensors().items()
                }
            )
    return found


def _rounded_tables(tables: list[OrderTable], bits: Bits) -> list[OrderTable]:
    """Return n-gram tables with quantised logarithms, but for order 1."""
    if bits == 8:
        return quantise(tables, bits)
    return [
        tables[0],
        *(
            replace(
                table,
                log_probs=rounded(table.log_probs, bits),
                log_backoffs=rounded(table.log_backoffs, bits),
            )
            for table in tables[1:]
        ),
    ]


def _as_ngrams(model: BigramCounts) -> NGram:
    """Return an n-gram model with the same probabilities as bigram counts with add-k smoothing."""
    size, k = model.vocabulary_size, model.options.add_k
    tensors = model.tensors()
    keys, counts = tensors["keys"].astype(np.int64), tensors["counts"]
    totals = np.bincount(keys // size, counts, size)
    # (c + k) / (C + k V) for a seen pair. For an unseen one k / (C + k V), or 1 / V after an unseen
    # context if k = 0, is the back-off weight, as the "probabilities" of single words are all 1.
    with np.errstate(divide="ignore"):
        left = np.log(np.where(totals > 0, k, k or 1)) - np.log(
            np.where((totals > 0) | (k > 0), totals + k * size, size)
        )
    seen = np.log(counts + k) - np.log(totals[keys // size] + k * size)
    nothing = np.zeros(size, np.float32)
    single = OrderTable(np.arange(size), nothing, left.astype(np.float32))
    pairs = OrderTable(keys, seen.astype(np.float32), nothing[:0])
    return NGram.from_tables([single, pairs], size)


def describe(pack: Pack, model: LanguageModel, bits: Bits, name: str = "") -> Spec:
    """Add a model's arrays to a pack; return its description for the script.

    Args:
        pack: The pack.
        model: A model, rounded by ``quantized``.
        bits: Bits of its weights.
        name: Prefix of the names of its arrays, empty or ending in a slash.
    """
    if isinstance(model, Mixture):
        return _mixture(pack, model, bits, name)
    if isinstance(model, BigramCounts):
        return _ngrams(pack, _as_ngrams(model), 32, name)
    if isinstance(model, NGram):
        return _ngrams(pack, model, bits, name)
    if isinstance(model, ClassNGram):
        return {
            "kind": "classes",
            "classes": pack.add(f"{name}classes", model.class_of),
            "shares": pack.add(f"{name}shares", model.log_shares.astype(np.float32)),
            "ngrams": _ngrams(pack, model.ngram, bits, f"{name}ngram."),
        }
    return _network(pack, model, bits, name)


def _mixture(pack: Pack, model: Mixture, bits: Bits, name: str) -> Spec:
    """Return the description of a mixture and its members."""
    judge = model.context_ngram
    return {
        "kind": "mixture",
        "by": model.options.weights,
        "weights": pack.add(f"{name}weights", model.weights),
        "names": [member.name for member in model.options.members],
        "judge": None if judge is None else model.models.index(judge),
        "places": PLACES,
        "buckets": FOLLOWER_BUCKETS,
        "least_backoff": MIN_LOG_BACKOFF,
        "members": [
            describe(pack, member, bits, f"{name}{number}/")
            for number, member in enumerate(model.models)
        ],
    }


def _ngrams(pack: Pack, model: NGram, bits: Bits, name: str) -> Spec:
    """Return the description of an n-gram model; contexts are implied by counts of followers."""
    size, contexts, tables = model.vocabulary_size, model.vocabulary_size, model.tables
    orders = []
    for order, table in enumerate(tables, start=1):
        of = f"{name}{order}."
        # With 8 bits, tables have few distinct values, which are stored as indices.
        fewer: Bits = bits if order > 1 and bits != 8 else 32
        kept = {"log_probs": table.log_probs.astype(np.float32)}
        if order < len(tables):
            kept["log_backoffs"] = table.log_backoffs.astype(np.float32)
        arrays = {part: pack.add(of + part, value, fewer) for part, value in kept.items()}
        if order > 1:
            followers = np.bincount(table.keys // size, minlength=contexts)
            arrays["followers"] = pack.add(f"{of}followers", followers)
            arrays["words"] = pack.add(f"{of}words", table.keys % size)
        orders.append(arrays)
        contexts = len(table.keys)
    return {"kind": "ngrams", "orders": orders}


def _network(pack: Pack, model: Any, bits: Bits, name: str) -> Spec:
    """Return the description of a network: its graph, weights and state."""
    graph = Graph(model.tensors())
    hidden, answer = _onnx(graph, model)
    unknown = sorted({node.operator for node in graph.nodes} - OPERATORS)
    if unknown or not (hidden.state or model.context_length == 1):
        why = f"the operator {unknown[0]}" if unknown else "a graph without a state"
        raise SettingError(
            f"The network has {why}, and a page reads one token after another by operators of its "
            "own; use `to='onnx'`."
        )
    for part, value in graph.constants.items():
        if value.dtype.kind == "i":  # END exceeds 32 bits, which the script does not read.
            value = np.clip(value, -FARTHEST, FARTHEST)
        is_matrix = part in graph.used and value.ndim > 1
        pack.add(name + part, value, bits if is_matrix else 32)
    return {
        "kind": "network",
        "weights": name,
        "constants": list(graph.constants),
        "nodes": [
            [node.operator, node.inputs, node.outputs, dict(node.attributes)]
            for node in graph.nodes
        ],
        "state": [[part, np.dtype(kind).name, shape[1:]] for part, kind, shape in hidden.state],
        "new_state": [part for part, _, _ in hidden.new_state],
        "answer": answer,
    }


def _onnx(graph: Graph, model: Any) -> tuple[Hidden, str]:
    """Add a network that reads one id to a graph; return its state and the name of its output."""
    if isinstance(model, InferenceModel):
        return model.onnx(graph)
    from thence.exchange.html.attention import transformer  # With torch, which this model has.
    from thence.models.language.transformer import Transformer

    network = model.network
    is_attentive = isinstance(network, Transformer)
    hidden = transformer(graph, network.options) if is_attentive else network.onnx(graph)
    return hidden, model.output_layer.onnx(graph, hidden.name)
