from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from thence.batches.labelled import LabelledRows
from thence.corpus.documents import Labels
from thence.errors import SettingError
from thence.models.base import Classes
from thence.models.labels.convolution import create
from thence.models.labels.neural import EmbeddingNetwork, init_embedding
from thence.models.labels.options import ConvolutionOptions, EmbeddingOptions, Kind
from thence.recipes.options import TrainingOptions
from thence.tokens import Texts
from thence.training.optimizers import Optimizer


def vectors(rows: int, size: int) -> tuple[Any, Any]:
    """Vectors of every second id."""
    matrix = np.random.default_rng(0).normal(1, 2, (rows, size)).astype(np.float32)
    return matrix, np.arange(rows) % 2 == 0


def test_found_vectors_are_copied_and_others_drawn_with_the_same_variance() -> None:
    torch.manual_seed(0)
    embedding = nn.Embedding(2000, 20)
    matrix, found = vectors(2000, 20)
    init_embedding(embedding, matrix, found)
    weights = embedding.weight.detach().numpy()
    np.testing.assert_array_equal(weights[found], matrix[found])
    drawn = weights[~found]
    bound = np.sqrt(3) * matrix[found].std()
    assert np.abs(drawn).max() <= bound
    # 20 000 draws: their deviation is within a hundredth of that of the law.
    assert drawn.std() == pytest.approx(matrix[found].std(), rel=0.01)


def test_nothing_found_leaves_the_embedding_as_it_was() -> None:
    embedding = nn.Embedding(4, 3)
    before = embedding.weight.detach().clone()
    init_embedding(embedding, np.zeros((4, 3), np.float32), np.zeros(4, bool))
    torch.testing.assert_close(embedding.weight.detach(), before)


def test_vectors_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\), not \(4, 3\)"):
        init_embedding(nn.Embedding(4, 3), np.zeros((4, 2), np.float32), np.ones(4, bool))


@pytest.mark.parametrize("kind", ["static", "multichannel"])
def test_nothing_can_be_kept_where_nothing_is_given(kind: Kind) -> None:
    with pytest.raises(SettingError, match=f"`embeddings='{kind}'` keeps vectors .*`vectors`"):
        ConvolutionOptions(embeddings=kind)
    ConvolutionOptions(embeddings=kind, vectors="glove.txt")


@pytest.mark.parametrize("kind", ["non-static", "static", "multichannel"])
def test_training_changes_only_what_is_not_static(
    kind: Kind, labelled: tuple[Texts, Labels]
) -> None:
    texts, labels = labelled
    size = len(texts.tokenizer.vocabulary)
    options = ConvolutionOptions(embedding_size=4, filters=3, embeddings=kind, vectors="glove.txt")
    model = create(options, size, Classes(2))
    matrix, found = vectors(size, 4)
    network: Any = model.network
    network.load_vectors(matrix, found)
    before = model.tensors()
    optimizer = Optimizer(model, TrainingOptions(weight_decay=0.1))
    for step in range(3):
        batch = LabelledRows(texts.store, labels, 10, 99).at(step)
        model.batch_loss(batch)[0].backward()  # type: ignore[no-untyped-call]
        optimizer.step(0.1)
    kept = {name for name, value in model.tensors().items() if np.array_equal(value, before[name])}
    assert (
        kept
        == {
            "non-static": set(),
            "static": {"network.embedding.weight"},
            "multichannel": {"network.fixed.weight"},
        }[kind]
    )
    for name in kept:
        np.testing.assert_array_equal(before[name][found], matrix[found])
    learned = sum(value.size for name, value in before.items() if name not in kept)
    assert model.num_parameters() == learned


def test_word_dropout_leaves_out_whole_tokens_in_training_only() -> None:
    torch.manual_seed(0)
    network = EmbeddingNetwork(EmbeddingOptions(embedding_size=4, word_dropout=0.25), 10)
    ids, lengths = torch.full((100, 40), 3), torch.full((100,), 40)
    values = network.embed(ids, lengths)
    left_out = (values == 0).all(dim=2)
    # Of 4,000 the share is 0.25, its deviation 0.007.
    assert left_out.float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(values[~left_out], network.embedding(ids)[~left_out])
    torch.testing.assert_close(network.eval().embed(ids, lengths), network.embedding(ids))
