"""Spelling: the probability of an unknown word's letters, given that the word is unknown.

A model with a closed list of words predicts ``<unk>`` for all others, which says little of the
text: the smaller its vocabulary, the easier that is. The whole text is predicted if each unknown
word is then spelled,

    P(w) = P(<unk> | context) P(spelling of w) / (1 - sum over known words v of P(spelling of v)),

since a known word never stands for ``<unk>``. So models of words of any vocabulary, of characters
and of bytes predict the same text, and their bits per byte can be compared. Only the white space
between words is not predicted, 0.001 (plays) to 0.012 (film reviews) bits per byte.

The spelling model is an n-gram model of UTF-8 bytes, learned from the distinct words of the train
split, in the vocabulary or not. It knows every byte, and its probabilities sum to one over all
strings.

Source: S. Mielke, J. Eisner 2019, "Spell once, summon anywhere: a two-level open-vocabulary
language model", which spells by a network.
"""

from collections.abc import Sequence

import numpy as np

from thence.array_types import Float64
from thence.corpus import Documents
from thence.models.ngram import NGram, NGramOptions
from thence.tokens import UNKNOWN, Tokenizer, TokenOptions, TokenStore, tokenizer_from_counts
from thence.tokens.symbols import documents_of_symbols

ORDER = 7
"""Bytes in the longest n-gram. Orders 4 to 10 were tried on unknown words of a play, of Wikipedia
and of film reviews: 7 needs 1 % fewer bits than 6, longer ones hardly any fewer."""
LARGE, MEMORY = 4 << 20, "256MB"
"""From ``LARGE`` bytes of words on, counting is limited to ``MEMORY``; without a limit it takes
some 50 times their size."""
MOST_KNOWN = 0.999
"""Upper bound of the probability of all known words together, so that rounding cannot make the
divisor zero. The probability is about 0.2 for thousands of words."""


class Spelling:
    """The probability of a word, given that it is unknown.

    Args:
        tokenizer: The spelling is learned from its known words and those in its ``left_out``.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._bytes = tokenizer_from_counts({}, TokenOptions(tokens="bytes"))
        known = documents_of_symbols(tokenizer.vocabulary.symbols)
        words = Documents.join([known, Documents.from_strings(tokenizer.left_out)])
        memory = MEMORY if words.num_bytes > LARGE else None
        options = NGramOptions(order=ORDER, memory=memory)
        self._model = NGram(options, len(self._bytes.vocabulary))
        if len(words):
            self._model.fit(self._bytes.encode(words))
        mass = float(np.sum(np.exp(self._spelled(known))))
        self._log_unknown = np.log1p(-min(mass, MOST_KNOWN))

    def log_probs(self, words: Sequence[str]) -> Float64[np.ndarray, " words"]:
        """Return the log-probability of each unknown word given that it is one, in nats.

        A literal ``<unk>`` is a word of its text (as in the Penn Treebank) and not spelled: 0.
        """
        numbers: dict[str, int] = {}
        places = [numbers.setdefault(word, len(numbers)) for word in words]
        log_probs: Float64[np.ndarray, " words"]
        log_probs = self._spelled(Documents.from_strings(numbers)) - self._log_unknown
        if UNKNOWN in numbers:
            log_probs[numbers[UNKNOWN]] = 0.0
        return log_probs[places]

    def _spelled(self, words: Documents) -> Float64[np.ndarray, " words"]:
        """Return the log-probability of each string of bytes and of its end."""
        found = [np.zeros(0)]
        for chunk in words.chunks():
            store = self._bytes.encode(chunk)
            found.append(store.sum_by_document(self._model.score(store)))
        return np.concatenate(found)


def spelling_costs(
    tokenizer: Tokenizer, documents: Documents, store: TokenStore
) -> Float64[np.ndarray, " targets"]:
    """Return the negative log-probability of each ``<unk>``'s spelling, in nats; else 0.

    Args:
        tokenizer: The tokenizer of the model.
        documents: The text.
        store: The tokens of the text.

    Returns:
        Costs, shape (targets,). Infinite if a tokenizer of another package does not tell which
        words it maps to ``<unk>``.
    """
    costs: Float64[np.ndarray, " targets"] = np.zeros(store.num_targets)
    unknown = np.flatnonzero(tokenizer.vocabulary.are_unknown(store.targets))
    if len(unknown):
        words = tokenizer.unknown_symbols(documents)
        costs[unknown] = np.inf if words is None else -Spelling(tokenizer).log_probs(words)
    return costs
