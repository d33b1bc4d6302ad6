"""How far the model of a page is from that of its run, whose weights have more bits.

Texts are drawn from the run's model, since on random ids n-grams are unknown and networks are in
states that no text brings about. The documents for classifiers are words drawn by Zipf's law.
"""

from collections.abc import Sequence

import numpy as np

from thence.array_types import Float
from thence.corpus import Documents
from thence.models.base import Classifier, LanguageModel
from thence.tokens import Texts, Tokenizer, encode_texts

TEXTS, TOKENS = 8, 64
"""Texts that are drawn side by side, and how many tokens of each."""
DOCUMENTS, LONGEST = 64, 200
"""Documents that are classified, and the most words of one."""
LEAST = 1e-6
"""Probability from which on a token counts: of rarer ones only the order of size is known."""


def of_language(model: LanguageModel, other: LanguageModel) -> float:
    """Return the greatest difference of log-probabilities, in nats."""
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


def of_labels(model: Classifier, other: Classifier, tokenizer: Tokenizer) -> float:
    """Return the greatest difference of the log-probabilities of labels, in nats."""
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
