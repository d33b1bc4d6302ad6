"""The quantisation error of a page: the largest difference of its log-probabilities from the run's.

Texts are sampled from the run's model, since random ids are unknown n-grams, and bring networks
into states that no text does. Documents for classifiers are words drawn by Zipf's law.
"""

from collections.abc import Sequence

import numpy as np

from thence.array_types import Float
from thence.corpus import Documents
from thence.models.base import Classifier, LanguageModel
from thence.tokens import Texts, Tokenizer, encode_texts

TEXTS, TOKENS = 8, 64
"""Texts that are sampled as a batch, and tokens of each."""
DOCUMENTS, LONGEST = 64, 200
"""Documents that are classified, and words of the longest."""
LEAST = 1e-6
"""Smallest probability that is compared; those of rarer tokens need not be exact."""


def language_difference(model: LanguageModel, other: LanguageModel) -> float:
    """Return the largest difference of log-probabilities of two language models, in nats."""
    draw = np.random.default_rng(0)
    ids = np.full(TEXTS, model.vocabulary_size - 1)
    state, others = model.start(TEXTS), other.start(TEXTS)
    greatest = 0.0
    for _ in range(TOKENS):
        log_probs, state = model.step(ids, state)
        found, others = other.step(ids, others)
        greatest = max(greatest, _greatest(log_probs, found))
        probs = np.exp(log_probs.astype(np.float64))
        reached = probs.cumsum(axis=1)
        ids = (reached < draw.random((TEXTS, 1)) * reached[:, -1:]).sum(axis=1)
    return greatest


def label_difference(model: Classifier, other: Classifier, tokenizer: Tokenizer) -> float:
    """Return the largest difference of log-probabilities of labels, in nats."""
    texts = _documents(tokenizer)
    return _greatest(model.classify(texts), other.classify(texts))


def _greatest(
    expected: Float[np.ndarray, "rows columns"], found: Float[np.ndarray, "rows columns"]
) -> float:
    counts = expected > np.log(LEAST)
    return float(np.abs(expected[counts] - found[counts]).max(initial=0))


def _documents(tokenizer: Tokenizer) -> Texts:
    draw, size = np.random.default_rng(0), max(tokenizer.vocabulary.boundary_id, 1)
    lengths: Sequence[int] = draw.integers(1, LONGEST, DOCUMENTS).tolist()
    ids = [(size ** draw.random(length)).astype(int) - 1 for length in lengths]
    return encode_texts(tokenizer, Documents.from_strings(map(tokenizer.decode, ids)))
