"""Latent dimensions, in which a classifier learns from documents without labels too."""

from collections.abc import Callable, Sequence

import numpy as np

from thence.batches.bags import bags_with
from thence.corpus import Documents
from thence.corpus.documents import Labels
from thence.models.base import Classes
from thence.models.labels.design import make_design
from thence.models.labels.latent import latent_directions
from thence.models.labels.linear import Linear, LinearOptions
from thence.tokens import Texts, encode_texts


def test_the_directions_are_the_singular_vectors() -> None:
    random = np.random.default_rng(4)
    sizes = random.integers(3, 9, 40)
    features = np.concatenate([random.choice(30, size, replace=False) for size in sizes])
    bags = bags_with(features.astype(np.int32), sizes.astype(np.int64))
    design = make_design(bags, "binary", np.ones(30, np.float32), 30)
    dense = np.zeros((40, 30))
    dense[np.repeat(np.arange(40), sizes), features] = design.values

    found = latent_directions(design, 4)
    expected = np.linalg.svd(dense)[2][:4]
    assert found.shape == (30, 4)
    # A singular vector may have either sign.
    np.testing.assert_allclose(np.abs(expected @ found), np.eye(4), atol=0.02)
    np.testing.assert_array_equal(found, latent_directions(design, 4))
    assert latent_directions(design, 99).shape == (30, 30)


def _learned(
    read: Callable[[Sequence[str]], Texts], unlabelled: bool
) -> tuple[Linear, Callable[[str], float]]:
    """Learn from two documents; return the classifier, and the probability of the label good."""
    others = ["a b c", "b c", "d e", "d e f", "a b"] * 9
    known = read(["a", "f", *others])
    chosen = known.take(np.arange(2))
    options = LinearOptions(
        ngrams=1, buckets=1 << 10, weighting="tfidf", latent_dimensions=2, strength=30.0
    )
    model = Linear(options, len(known.tokenizer.vocabulary), Classes(2))
    labels = Labels.from_lists([["good"], ["bad"]], multilabel=False).named(["bad", "good"])
    more = known.take(np.arange(2, len(known))) if unlabelled else None
    model.fit(chosen, labels, np.ones(2, np.float32), unlabelled=more)

    def probability(text: str) -> float:
        texts = encode_texts(known.tokenizer, Documents.from_strings([text]))
        return float(np.exp(model.classify(texts)[0, 1]))

    return model, probability


def test_words_without_a_label_are_known_by_those_they_go_with(
    read: Callable[[Sequence[str]], Texts],
) -> None:
    _, probability = _learned(read, unlabelled=True)
    # "a" is good and "f" is bad. "c" and "e" are in no document with a label, and go with those.
    assert probability("c") > 0.7
    assert probability("e") < 0.3
    _, alone = _learned(read, unlabelled=False)
    assert abs(alone("c") - alone("e")) < 1e-6


def test_it_is_saved_as_a_linear_classifier(read: Callable[[Sequence[str]], Texts]) -> None:
    model, _ = _learned(read, unlabelled=True)
    other = Linear(model.options, model.vocabulary_size, model.classes)
    other.load_tensors(model.tensors())
    texts = read(["c", "e", "a"])
    np.testing.assert_array_equal(model.classify(texts), other.classify(texts))


def test_it_is_fitted_again_in_the_same_dimensions(
    read: Callable[[Sequence[str]], Texts],
) -> None:
    model, _ = _learned(read, unlabelled=True)
    texts = read(["a", "f"])
    labels = Labels.from_lists([["good"], ["bad"]], multilabel=False).named(["bad", "good"])
    again = model.refitted(texts, labels, np.ones(2, np.float32))
    for name, tensor in model.tensors().items():
        np.testing.assert_allclose(again.tensors()[name], tensor, rtol=1e-5, atol=1e-6)
