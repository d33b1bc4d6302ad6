"""What a text is like: whether it has words, and whether its documents follow one another.

In running text (a book, a newspaper, a log) words come in bursts: a word that was just used is
used again. In a list of names or of reviews the order means nothing. So the share of words that
occurred shortly before is compared with that share after shuffling the documents.
"""

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from thence.corpus import Documents
from thence.models.candidates import TextKind
from thence.training.data import PLACEHOLDERS

SAMPLE = 300_000
"""Characters from the beginning of the text that are examined."""
DISTANCE = 300
"""Words back that count as shortly before."""
COMMON = 150
"""The most frequent words, which are everywhere, do not count: so many."""
BURSTY = 1.15
"""Documents follow one another where words recur this many times as often as in shuffled ones."""
FEW, LONG = 20, 300.0
"""A text of fewer documents, of more words in the mean, is one of chapters or books."""
LONGEST_MEAN_WORD = 20.0
"""Characters of the mean word from which on there is no white space between words."""
LARGE_ALPHABET = 1000
"""Symbols from which on characters are modelled as words are: Latin, Cyrillic and Indian texts have
fewer than 300, Korean, Japanese and Chinese ones 1,000 to 6,300."""
A_SENTENCE = 4.0
"""Words in the mean document below which documents are names, not sentences."""


@dataclass(frozen=True)
class TextProfile:
    """What a text is like.

    Attributes:
        documents: How many there are.
        words: About how many words there are in all, cut at white space.
        bursts: How many times as often words recur within ``DISTANCE`` as in shuffled documents.
        marked: Whether unknown words are marked in it already (``<unk>``), as in the Penn Treebank.
        spaced: Whether there is white space between words; else characters stand for words.
    """

    documents: int
    words: int
    bursts: float
    marked: bool
    spaced: bool = True

    @property
    def sentences(self) -> bool:
        """Whether a document is a sentence or more, rather than a name."""
        return self.words >= A_SENTENCE * self.documents

    @property
    def running(self) -> bool:
        """Whether documents follow one another."""
        books = self.documents < FEW and self.words >= LONG * self.documents
        return books or (self.sentences and self.bursts >= BURSTY)

    @property
    def has_words(self) -> bool:
        """Whether its tokens can be words; those of names and of unspaced text are characters."""
        return self.sentences and self.spaced

    def kind(self, tokens: str, vocabulary_size: int) -> TextKind:
        """Return what is modelled, in tokens of some kind.

        Characters of a large alphabet, such as the Chinese, are modelled as words are: an embedding
        is as large as a hidden layer, and learns from a sample of the symbols at each step.
        """
        if tokens == "words" or (self.sentences and vocabulary_size >= LARGE_ALPHABET):
            return "words"
        return "characters" if self.sentences else "names"

    def described(self) -> str:
        """Return it in words."""
        kind = "running text" if self.running else "documents of their own"
        kind = kind if self.sentences else "short documents, such as names"
        documents = "one document" if self.documents == 1 else f"{self.documents:,} documents"
        units = "words" if self.spaced else "characters, no white space between words"
        return f"{documents}, about {self.words:,} {units}: {kind}"


def profile_text(documents: Documents) -> TextProfile:
    """Return what a text is like, from its beginning."""
    sample: list[str] = []
    size = 0
    for document in documents:
        sample.append(document)
        size += len(document)
        if size >= SAMPLE:
            break
    sampled = documents.take(np.arange(len(sample))).num_bytes
    share = documents.num_bytes / max(sampled, 1)
    cut = [document.split() for document in sample]
    spaced = size <= LONGEST_MEAN_WORD * sum(map(len, cut))
    if not spaced:
        cut = [list(document) for document in sample]
    words = round(sum(map(len, cut)) * share)
    marked = any(symbol in document for symbol in PLACEHOLDERS for document in sample)
    profile = TextProfile(len(documents), words, 1.0, marked, spaced)
    if not profile.sentences:
        return profile
    shuffled = list(cut)
    Random(0).shuffle(shuffled)
    usual = recurrence(shuffled)
    return replace(profile, bursts=recurrence(cut) / usual if usual else 1.0)


def recurrence(documents: list[list[str]]) -> float:
    """Return the share of words that stand in another document at most ``DISTANCE`` words before.

    >>> recurrence([["a", "b"], ["b", "c"]])
    0.25
    """
    counts: dict[str, int] = {}
    for document in documents:
        for word in document:
            counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts, key=lambda word: counts[word], reverse=True)
    common = set(ranked[:COMMON]) if len(ranked) > 10 * COMMON else set()
    last: dict[str, int] = {}
    position = found = total = 0
    for document in documents:
        for at, word in enumerate(document, position):
            if word not in common:
                total += 1
                found += at - last.get(word, at - DISTANCE - 1) <= DISTANCE
        last.update((word, at) for at, word in enumerate(document, position))
        position += len(document)
    return found / max(total, 1)
