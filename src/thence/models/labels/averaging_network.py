"""Training of word averaging in torch; the equations are in ``averaging.py``.

Only the rows of E in a batch take part in a step: forward and backward passes are both sums of rows
(``batches/labelled.py``), and the gradient of E is sparse.
"""

import itertools
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from thence.array_types import Bool, Float, Float32
from thence.batches.bags import FeatureTable, bags_of, learn_table, number_of_features
from thence.batches.labelled import BagBatch, LabelledBags
from thence.corpus.documents import Labels
from thence.models.base import Array, Classes, State
from thence.models.labels.averaging import (
    INITIAL_RANGE,
    AveragingOptions,
    classify,
    knows_characters,
)
from thence.models.labels.neural import label_loss
from thence.models.network import NetworkModel
from thence.tokens import Texts


class SumOfRows(torch.autograd.Function):
    """Autograd function: the sum of each document's rows, with a sparse gradient of the table."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, batch: tuple[Tensor, ...], kept: Tensor | None) -> Tensor:
        """Return the sum of each document's rows, weighted by ``kept`` (word dropout)."""
        rows, starts, touched, owners, owner_starts, order = batch
        ctx.size, ctx.back = table.shape, (touched, owners, owner_starts)
        ctx.kept = None if kept is None else kept[order]
        return functional.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the table: for each row, the sum over the documents with it."""
        touched, owners, owner_starts = ctx.back
        values = functional.embedding_bag(
            owners, gradients[0].contiguous(), owner_starts, mode="sum", per_sample_weights=ctx.kept
        )
        gradient = torch.sparse_coo_tensor(
            touched[None], values, ctx.size, is_coalesced=True, check_invariants=False
        )
        return gradient, None, None


class AveragingNetwork(NetworkModel):
    """Word averaging as a torch module.

    Args:
        options: Its settings.
        vocabulary_size: Number of token ids (V).
        classes: The labels that it predicts.
    """

    def __init__(self, options: AveragingOptions, vocabulary_size: int, classes: Classes) -> None:
        super().__init__()
        self.options, self.classes, self.vocabulary_size = options, classes, vocabulary_size
        sizes = (options.embedding_size, *options.hidden_sizes)
        layers = [nn.Linear(size, wider) for size, wider in itertools.pairwise(sizes)]
        self.hidden = nn.ModuleList(layers)
        self.output = nn.Linear(sizes[-1], classes.num_classes)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self._is_trained = False
        self._set_table(np.arange(vocabulary_size))

    def _set_table(self, kept: Array) -> None:
        size = number_of_features(self.vocabulary_size, self.options.bags)
        self.table = FeatureTable(kept.astype(np.int64), size)
        bound = INITIAL_RANGE / self.options.embedding_size
        table = torch.empty(
            len(kept), self.options.embedding_size, device=self.output.weight.device
        )
        self.embeddings = nn.Parameter(table)  # Counted here, before its memory is used.
        nn.init.uniform_(self.embeddings, -bound, bound)

    def batches(
        self,
        texts: Texts,
        labels: Labels,
        sample_weight: Float32[np.ndarray, " documents"],
        rows: int,
        seed: int,
    ) -> LabelledBags:
        """Choose the features that have an embedding; return the training batches."""
        options = self.options
        bags = bags_of(texts, options.bags)
        table = learn_table(bags, self.vocabulary_size, options.bags, options.min_ngram_count)
        before, embeddings = self.table.kept, self.embeddings.detach()
        self._set_table(table.kept)
        if self._is_trained:  # Fine-tuning: keep the embeddings of features that both runs have.
            _, own, others = np.intersect1d(table.kept, before, True, return_indices=True)
            with torch.no_grad():
                self.embeddings[torch.from_numpy(own)] = embeddings[torch.from_numpy(others)]
        return LabelledBags(self.table.rows(bags), labels, sample_weight, rows, seed)

    def load_vectors(
        self, matrix: Float32[np.ndarray, "vocab embedding"], found: Bool[np.ndarray, " vocab"]
    ) -> None:
        """Initialise the embeddings of tokens with pretrained vectors."""
        at = torch.from_numpy(np.flatnonzero(found))
        with torch.no_grad():
            self.embeddings[at] = torch.from_numpy(matrix[found]).to(self.device)

    def batch_loss(self, batch: BagBatch, state: State = None) -> tuple[Float[Tensor, ""], State]:
        """Return the summed loss of a batch in nats, for training; the state is None."""
        *places, sizes, targets, sample_weight = self.to_device(
            batch.rows, batch.starts, batch.touched, batch.owners, batch.owner_starts, batch.order,
            batch.sizes, batch.targets, batch.sample_weight,
        )  # fmt: skip
        kept = None
        if self.training and self.options.word_dropout:  # Kept rows are scaled up, as in dropout.
            share = 1 - self.options.word_dropout
            drawn = torch.full((len(batch.rows),), share, device=self.device)
            kept = torch.bernoulli(drawn) / share
        sums = cast(Tensor, SumOfRows.apply(self.embeddings, places, kept))  # type: ignore[no-untyped-call]
        return label_loss(self._logits(sums, sizes), targets, sample_weight), None

    def _logits(
        self, sums: Float[Tensor, "batch embedding"], sizes: Tensor
    ) -> Float[Tensor, "batch classes"]:
        hidden = sums / sizes.clamp(min=1)[:, None]
        dropout = self.options.dropout
        hidden = functional.dropout(hidden, dropout, self.training)
        for layer in self.hidden:
            hidden = functional.dropout(layer(hidden).relu(), dropout, self.training)
        return cast(Tensor, self.output(hidden))

    def classify(self, texts: Texts) -> Float32[np.ndarray, "documents classes"]:
        """Return the log-probability of each label for each document."""
        return classify(texts, self.options, self.table, super().tensors(), self.classes)

    def knows_characters(self, texts: Texts) -> Bool[np.ndarray, " documents"]:
        """Return whether each document has a character n-gram that occurred in train."""
        return knows_characters(texts, self.options, self.table)

    def tensors(self) -> dict[str, Array]:
        """Return copies of the weights by name, and the features that have an embedding."""
        return {**super().tensors(), "kept": self.table.kept.astype(np.int32)}

    def load_tensors(self, tensors: Mapping[str, Array]) -> None:
        """Set what ``tensors`` returned."""
        if "kept" not in tensors:
            raise ValueError("kept is missing")
        table = self.table.restored(tensors["kept"])
        # If the features are the same, keep the parameter object: an optimizer may hold it.
        if not np.array_equal(table.kept, self.table.kept):
            self._set_table(table.kept)
        super().load_tensors({name: value for name, value in tensors.items() if name != "kept"})
        self._is_trained = True
