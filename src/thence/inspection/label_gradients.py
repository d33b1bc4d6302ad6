"""The lens ``gradient`` of neural classifiers: gradient-times-input attribution for a label.

The weight of a token is the dot product of its embedding and the gradient of the label's log-odds
with respect to it: to first order, what the label would lose without the token. Occlusion
(``thence.explain``) takes one forward pass per word; this takes one backward pass in all.
"""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from thence.array_types import Float64, Int64
from thence.corpus import Documents
from thence.evaluation.explain import Contribution
from thence.inspection.spans import Lines, token_spans
from thence.models.labels.neural import NeuralClassifier
from thence.runs import ClassifierRun

TABLES = ("embedding.weight", "fixed.weight", "encoder.embedding.weight")
"""Names of embedding tables; a network may read two of them side by side."""


def label_gradient(run: ClassifierRun, text: str, label: str) -> tuple[Contribution, ...]:
    """Return the weight of each token that the classifier reads for a label, in nats.

    Args:
        run: The run of a neural classifier.
        text: The document.
        label: One of its labels.
    """
    model = cast(NeuralClassifier, run.classifier)
    store = run.tokenizer.encode(Documents.from_strings([text]))
    spans = token_spans(run.tokenizer, Lines([text], np.zeros(1, np.int64)), store).tolist()
    ids = store.document(0).astype(np.int64)[: model.max_length]
    weights = gradient_times_input(model, ids, run.label_names.index(label))
    return tuple(
        Contribution(text[start:end], start, end, weight)
        for (start, end), weight in zip(spans, weights.tolist(), strict=False)
    )


def gradient_times_input(
    model: NeuralClassifier, ids: Int64[np.ndarray, " tokens"], label: int
) -> Float64[np.ndarray, " tokens"]:
    """Return the gradient of a label's log-odds with respect to each embedding, dotted with it."""
    model.eval()
    network = cast(nn.Module, model.network)
    tables = {name: table.detach() for name, table in network.named_parameters() if name in TABLES}
    read = {name: table[torch.from_numpy(ids)].requires_grad_() for name, table in tables.items()}
    # To get a gradient for each token and not for each row of the vocabulary, the table is extended
    # by one row per token of the document, and the document reads those rows.
    longer = {name: torch.cat([table, read[name]]) for name, table in tables.items()}
    first = len(next(iter(tables.values())))
    places = torch.arange(first, first + len(ids))[None]
    if not len(ids):
        return np.zeros(0)
    logits = functional_call(network, longer, (places, torch.tensor([len(ids)])))[0]
    odds = _log_odds(logits, label, model.classes.multilabel)
    gradients = torch.autograd.grad(odds, [*read.values()])
    products = [
        (gradient * values.detach()).sum(1)
        for gradient, values in zip(gradients, read.values(), strict=True)
    ]
    return torch.stack(products).sum(0).double().numpy()


def _log_odds(logits: Tensor, label: int, multilabel: bool) -> Tensor:
    """Return the logarithm of p / (1 - p) of a label."""
    if multilabel:
        return logits[label]
    others = logits.clone()
    others[label] = -math.inf
    return logits[label] - torch.logsumexp(others, 0)
