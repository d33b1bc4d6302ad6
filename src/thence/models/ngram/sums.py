"""Whether probabilities sum to one: after each context that a model knows, all words together.

    sum(h)  =  sum_w p(w | h)  +  backoff(h) (sum(h') - sum_w p(w | h'))

with w the words that are listed after h, and h' the context without its first word. The models that
are counted here sum to one by construction; files of other programs may hold anything.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from thence.models.ngram.counting import find
from thence.models.ngram.smoothing import OrderTable

TOLERANCE = 0.01
"""A sum may be so far from one, which changes a likelihood by 0.01 nats per token at most: files
that were made with few decimals stay within it, and those of KenLM and SRILM far within."""
ROUNDING = 1e-5
"""And by so much of what was added and taken away: files hold about six digits of each number, and
where a context leaves next to nothing its back-off weight is large."""


@dataclass(frozen=True)
class Sums:
    """The sums of probabilities after the contexts of one length.

    Attributes:
        totals: The sum after each context; of the empty one alone for length 0.
        uncertain: How far each may be from one by rounding.
    """

    totals: Float[np.ndarray, " contexts"]
    uncertain: Float[np.ndarray, " contexts"]

    @property
    def above(self) -> Float[np.ndarray, " contexts"]:
        """How far each is above one, beyond what may be rounding; 0 where it is not."""
        over: Float[np.ndarray, " contexts"] = self.totals - 1
        return np.where(over > self.uncertain, over, 0)

    @property
    def below(self) -> Float[np.ndarray, " contexts"]:
        """How far each is below one, beyond what may be rounding; 0 where it is not."""
        under: Float[np.ndarray, " contexts"] = 1 - self.totals
        return np.where(under > self.uncertain, under, 0)


def sums(tables: list[OrderTable], vocabulary_size: int) -> list[Sums]:
    """Return the sums after contexts of 0, 1, 2, ... words, in order of their numbers."""
    empty = np.exp(tables[0].log_probs.astype(np.float64)).sum(keepdims=True)
    found = [Sums(empty, np.full(1, TOLERANCE))]
    for level in range(1, len(tables)):
        prefixes = tables[level].keys // vocabulary_size
        backoffs = np.exp(tables[level - 1].log_backoffs.astype(np.float64))
        seen, shorter = (
            np.bincount(prefixes, np.exp(log_p.astype(np.float64)), len(backoffs))
            for log_p in (
                tables[level].log_probs,
                shorter_log_probs(tables, level, vocabulary_size),
            )
        )
        below = _sums_below(tables, level, [sums.totals for sums in found], vocabulary_size)
        totals = seen + backoffs * (below - shorter)
        uncertain = TOLERANCE + ROUNDING * (seen + backoffs * (np.abs(below) + shorter))
        found.append(Sums(totals, uncertain))
    return found


def _sums_below(
    tables: list[OrderTable],
    level: int,
    totals: list[Float[np.ndarray, " contexts"]],
    vocabulary_size: int,
) -> Float[np.ndarray, " contexts"]:
    """Return the sum after the shorter context of each context of ``level`` words.

    One that is not listed backs off without a weight.
    """
    spelled = spell(tables, level - 1, vocabulary_size)
    below = np.full(len(spelled), totals[0][0])
    for length in range(1, level):
        numbers = _numbers(tables, spelled[:, level - length :], vocabulary_size)
        below[numbers >= 0] = totals[length][numbers[numbers >= 0]]
    return below


def shorter_log_probs(
    tables: list[OrderTable], level: int, vocabulary_size: int
) -> Float[np.ndarray, " ngrams"]:
    """Return log p(w | h') of each n-gram of an order, by the tables of the orders below."""
    spelled = spell(tables, level, vocabulary_size)
    words = spelled[:, -1]
    log_probs: Float[np.ndarray, " ngrams"] = tables[0].log_probs.astype(np.float64)[words]
    for length in range(1, level):  # contexts of 1, 2, ... words up to h'
        contexts = _numbers(tables, spelled[:, level - length : level], vocabulary_size)
        found = find(tables[length].keys, contexts, words, vocabulary_size)
        known = contexts >= 0
        log_probs[known] += tables[length - 1].log_backoffs[contexts[known]]
        log_probs[found >= 0] = tables[length].log_probs[found[found >= 0]]
    return log_probs


def _numbers(
    tables: list[OrderTable], words: Int64[np.ndarray, "ngrams order"], vocabulary_size: int
) -> Int64[np.ndarray, " ngrams"]:
    """Return the number of each n-gram, -1 where it is not listed."""
    numbers: Int64[np.ndarray, " ngrams"] = words[:, 0]
    for table, word in zip(tables[1:], words.T[1:], strict=False):
        numbers = find(table.keys, numbers, word, vocabulary_size)
    return numbers


def spell(
    tables: list[OrderTable], level: int, vocabulary_size: int
) -> Int64[np.ndarray, "ngrams order"]:
    """Return the words of each n-gram of an order."""
    return words_of(tables, level, np.arange(len(tables[level].keys)), vocabulary_size)


def words_of(
    tables: list[OrderTable],
    level: int,
    numbers: Int64[np.ndarray, " chosen"],
    vocabulary_size: int,
) -> Int64[np.ndarray, "chosen order"]:
    """Return the words of some n-grams of an order."""
    words = []
    for table in reversed(tables[: level + 1]):
        words.append(table.keys[numbers] % vocabulary_size)
        numbers = table.keys[numbers] // vocabulary_size
    return np.stack(words[::-1], axis=1)
