"""The profile of a text: whether it has words, and whether its documents are running text.

In running text (a book, a newspaper, a log) words are bursty: a word that was just used is likely
to be used again. In a list of names or reviews the order of documents means nothing. So the share
of words that occurred shortly before, in another document, is compared with the same share after
shuffling the documents.
"""

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from thence.corpus import Documents
from thence.models.candidates import TextKind
from thence.training.data import PLACEHOLDERS

SAMPLE = 300_000
"""Characters at the beginning of the text that are examined."""
DISTANCE = 300
"""Distance in words up to which an occurrence counts as shortly before."""
COMMON = 150
"""Number of the most frequent words that are left out, since they occur everywhere."""
BURSTY = 1.15
"""A text is running text if words recur at least this many times as often as in shuffled
documents."""
FEW, LONG = 20, 300.0
"""A text of fewer documents than ``FEW`` with more than ``LONG`` words on average is chapters or
books, which count as running text."""
LONGEST_MEAN_WORD = 20.0
"""A text whose words, split at white space, are longer on average (characters) has no white space
between words."""
LARGE_ALPHABET = 1000
"""Number of different characters from which on they are modelled like words. Latin, Cyrillic and
Indian texts have fewer than 300 symbols, Korean, Japanese and Chinese ones 1,000 to 6,300."""
MOST_LAYOUT = 0.05
"""Largest share of indentation and repeated white space in a text of words. Words drop them, so a
model of words could not write source code. Penn Treebank has 0.0085."""
A_SENTENCE = 4.0
"""Documents with fewer words than this on average are names, not sentences."""


@dataclass(frozen=True)
class TextProfile:
    """The profile of a text.

    Attributes:
        documents: Number of documents.
        words: Estimated number of words, split at white space.
        bursts: How often words recur within ``DISTANCE``, relative to shuffled documents.
        marked: Whether unknown words are marked already (``<unk>``), as in the Penn Treebank.
        spaced: Whether there is white space between words; if not, ``words`` counts characters.
        layout: Share of the bytes that are indentation or repeated white space.
    """

    documents: int
    words: int
    bursts: float
    marked: bool
    spaced: bool = True
    layout: float = 0.0

    @property
    def sentences(self) -> bool:
        """Whether a document is a sentence or more, rather than a name."""
        return self.words >= A_SENTENCE * self.documents

    @property
    def running(self) -> bool:
        """Whether the documents are running text, each the context of the next."""
        books = self.documents < FEW and self.words >= LONG * self.documents
        return books or (self.sentences and self.bursts >= BURSTY)

    @property
    def has_words(self) -> bool:
        """Whether words are possible tokens; names, code and text without spaces are characters."""
        return self.sentences and self.spaced and self.layout <= MOST_LAYOUT

    def kind(self, tokens: str, vocabulary_size: int) -> TextKind:
        """Return the kind of text that models are chosen for: names, characters or words.

        Characters of a large alphabet, such as Chinese, are modelled like words: the embedding is
        as large as the hidden layer, and training uses a sampled softmax.

        Args:
            tokens: The level of the tokens: ``words``, ``characters`` and so on.
            vocabulary_size: Number of ids (V).
        """
        if tokens == "words" or (self.sentences and vocabulary_size >= LARGE_ALPHABET):
            return "words"
        return "characters" if self.sentences else "names"

    def described(self) -> str:
        """Return the profile as a phrase for the report."""
        kind = "running text" if self.running else "documents of their own"
        kind = kind if self.sentences else "short documents, such as names"
        documents = "one document" if self.documents == 1 else f"{self.documents:,} documents"
        units = "words" if self.spaced else "characters, no white space between words"
        layout = f", {100 * self.layout:.0f} % of it indentation and the like"
        layout = layout if self.layout > MOST_LAYOUT else ""
        return f"{documents}, about {self.words:,} {units}: {kind}{layout}"


def profile_text(documents: Documents) -> TextProfile:
    """Return the profile of a text, estimated from its beginning."""
    sample: list[str] = []
    size = 0
    for document in documents:
        sample.append(document)
        size += len(document)
        if size >= SAMPLE:
            break
    sampled = documents.take(np.arange(len(sample)))
    size_in_bytes = max(sampled.num_bytes, 1)
    share, layout = documents.num_bytes / size_in_bytes, sampled.layout_bytes() / size_in_bytes
    cut = [document.split() for document in sample]
    spaced = size <= LONGEST_MEAN_WORD * sum(map(len, cut))
    if not spaced:
        cut = [list(document) for document in sample]
    words = round(sum(map(len, cut)) * share)
    marked = any(symbol in document for symbol in PLACEHOLDERS for document in sample)
    profile = TextProfile(len(documents), words, 1.0, marked, spaced, layout)
    if not profile.sentences:
        return profile
    shuffled = list(cut)
    Random(0).shuffle(shuffled)
    usual = recurrence(shuffled)
    return replace(profile, bursts=recurrence(cut) / usual if usual else 1.0)


def recurrence(documents: list[list[str]]) -> float:
    """Return the share of words that recur: within ``DISTANCE`` words, in another document.

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
