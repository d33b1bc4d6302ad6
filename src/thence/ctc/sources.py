"""Sources of a decoder's probabilities: runs of any family, ARPA files, and files of KenLM."""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import compress, pairwise
from pathlib import Path
from typing import Any, Protocol

from thence import kenlm
from thence.ctc.readers import Ids, Reader, make_reader
from thence.errors import TextError
from thence.exchange.arpa import arpa_tokenizer
from thence.exchange.kenlm_file import is_kenlm_file, read_ngrams
from thence.models.base import LanguageModel as Model
from thence.models.ngram import NGram
from thence.runs.run import LanguageRun
from thence.tokens import Tokenizer

LN_10 = math.log(10)
IMPOSSIBLE = -100 * LN_10
"""Log-probability of a word that a closed vocabulary lacks: -100 in log10, as in KenLM."""
SPELLED = ("characters", "bytes")
"""Kinds of tokens for which the tokens of a prefix of a word are a prefix of the word's tokens."""


@dataclass(frozen=True)
class TextState:
    """The state of a language model after a text.

    Attributes:
        context: The context of the reader.
        begins: Whether no word was read yet: the first word has no space before it.
    """

    context: Any
    begins: bool


class Source(Protocol):
    """Interface of a model for ``LanguageModel``; log-probabilities are in nats."""

    is_of_words: bool
    """Whether a token is a word, so that unfinished words have no probability."""
    spells: bool
    """Whether unfinished words have a probability."""

    @property
    def order(self) -> int | None:
        """The order n of an n-gram model; None if all tokens before matter."""

    @property
    def vocabulary(self) -> Sequence[str] | None:
        """The words of the vocabulary; None if they cannot be listed."""

    def start(self, boundary: bool) -> Any:
        """Return the context before a text."""

    def read(self, pairs: Sequence[tuple[TextState, str]]) -> list[tuple[float, Any]]:
        """Return the log-probabilities of words after states, and the contexts after them."""

    def ends(self, contexts: Sequence[Any]) -> list[float]:
        """Return the log-probabilities of the end of the text."""

    def forget(self, context: Any) -> None:
        """Free the memory of a context after which nothing will be read any more."""

    def lacks(self, word: str) -> bool:
        """Return whether a word is unknown to the model."""

    def known(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return those of the words that are known to the model."""


class ModelSource:
    """A language model with its tokenizer.

    Args:
        model: A language model of any family.
        tokenizer: Its tokenizer.
    """

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.reader: Reader = make_reader(model)
        self.is_of_words = tokenizer.options.tokens == "words"
        self.spells = tokenizer.options.tokens in SPELLED
        self._ids: dict[tuple[str, bool], Ids | None] = {}
        self._letters: dict[frozenset[str], dict[str, Ids] | None] = {}

    @property
    def order(self) -> int | None:
        """The order n of an n-gram model; None if all tokens before matter."""
        return self.reader.order

    @property
    def vocabulary(self) -> Sequence[str] | None:
        """The words of the vocabulary; None if tokens are no words."""
        return self.tokenizer.vocabulary.symbols if self.is_of_words else None

    @property
    def other_id(self) -> int | None:
        """The id of all words outside the vocabulary; None if they do not share one id."""
        return None if self._words is None else self.tokenizer.vocabulary.unknown_id

    def letters(self, characters: Iterable[str]) -> dict[str, Ids] | None:
        """Return the ids of characters and of the space, if texts encode character by character."""
        several = frozenset({*characters, " "})
        if several not in self._letters:
            self._letters[several] = self._spelled(sorted(several))
        return self._letters[several]

    def _spelled(self, several: Sequence[str]) -> dict[str, Ids] | None:
        options = self.tokenizer.options
        is_simple = not options.nfc and not (options.lowercase and not "".join(several).isascii())
        if not self.spells or not is_simple:
            return None
        ids = dict(zip(several, self._encode(several), strict=True))
        return None if None in ids.values() else {one: some or () for one, some in ids.items()}

    def start(self, boundary: bool) -> Any:
        """Return the context before a text."""
        return self.reader.start(boundary)

    def read(self, pairs: Sequence[tuple[TextState, str]]) -> list[tuple[float, Any]]:
        """Return the log-probabilities of words after states, and the contexts after them."""
        ids = [self.ids_of(text, state.begins) for state, text in pairs]
        readable = [place for place, some in enumerate(ids) if some is not None]
        found = [(IMPOSSIBLE, state.context) for state, _ in pairs]
        read = self.reader.read([(pairs[place][0].context, ids[place] or ()) for place in readable])
        for place, one in zip(readable, read, strict=True):
            found[place] = one
        return found

    def ends(self, contexts: Sequence[Any]) -> list[float]:
        """Return the log-probabilities of the end of the text."""
        end = (self.tokenizer.vocabulary.boundary_id,)
        return [log_prob for log_prob, _ in self.reader.read([(one, end) for one in contexts])]

    def forget(self, context: Any) -> None:
        """Free the memory of a context after which nothing will be read any more."""
        self.reader.forget(context)

    def lacks(self, word: str) -> bool:
        """Return whether a word is unknown to the model."""
        ids = self.ids_of(word, True)
        return ids is None or self.tokenizer.vocabulary.unknown_id in ids

    def known(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return those of the words that are known to the model."""
        if self._words is None:
            keys = [(word, True) for word in words]
            self._ids.update(zip(keys, self._encode(words), strict=True))
        return tuple(word for word in words if not self.lacks(word))

    def ids_of(self, word: str, begins: bool) -> Ids | None:
        """Return the ids of a word or an unfinished word; None if a closed vocabulary lacks it.

        Args:
            word: The word.
            begins: Whether it is the first of a text, without a space before it.
        """
        key = word, begins or self.tokenizer.options.tokens == "words"
        if key not in self._ids:
            if self._words is not None:
                index = self._words.get(word, self.tokenizer.vocabulary.unknown_id)
                self._ids[key] = None if index is None else (index,)
            else:
                self._ids[key] = self._encode([word if key[1] else f" {word}"])[0]
        return self._ids[key]

    @cached_property
    def _words(self) -> dict[str, int] | None:
        """The id of each word; None if a word may be split or changed by the tokenizer."""
        options = self.tokenizer.options
        if options.tokens != "words" or options.word_split != "whitespace":
            return None
        if options.lowercase or options.nfc or options.unknown == "bytes":
            return None
        return {word: index for index, word in enumerate(self.tokenizer.vocabulary.spelled)}

    @cached_property
    def _symbols(self) -> frozenset[str]:
        return frozenset(self.tokenizer.vocabulary.symbols)

    def _encode(self, texts: Sequence[str]) -> list[Ids | None]:
        """Return the ids of texts; None for those with symbols that a closed vocabulary lacks."""
        vocabulary, kind = self.tokenizer.vocabulary, self.tokenizer.options.tokens
        readable = [True] * len(texts)
        if vocabulary.unknown == "refuse" and kind in ("words", "characters"):
            parts = [text.split() if kind == "words" else text for text in texts]
            readable = [self._symbols.issuperset(some) for some in parts]
        store = self.tokenizer.encode(list(compress(texts, readable)))
        targets, ends = store.targets.tolist(), (store.offsets - 1).tolist()
        encoded = (tuple(targets[first : last - 1]) for first, last in pairwise(ends))
        return [next(encoded) if fits else None for fits in readable]


class KenlmSource:
    """A model of KenLM whose words cannot be listed: of its module, or in a file of hash tables.

    Args:
        model: A ``kenlm.Model``, of KenLM's module or of ``thence.kenlm``.
    """

    is_of_words, spells, vocabulary = True, False, None

    def __init__(self, model: Any) -> None:
        self.model, self.order = model, int(model.order)
        is_ours = isinstance(model, kenlm.Model)
        self._new = kenlm.State if is_ours else import_module(type(model).__module__).State

    def start(self, boundary: bool) -> Any:
        """Return the context before a text."""
        state = self._new()
        (self.model.BeginSentenceWrite if boundary else self.model.NullContextWrite)(state)
        return state

    def read(self, pairs: Sequence[tuple[TextState, str]]) -> list[tuple[float, Any]]:
        """Return the log-probabilities of words after states, and the contexts after them."""
        found = []
        for before, word in pairs:
            after = self._new()
            found.append((self.model.BaseScore(before.context, word, after) * LN_10, after))
        return found

    def ends(self, contexts: Sequence[Any]) -> list[float]:
        """Return the log-probabilities of the end of the text."""
        after = self._new()
        return [self.model.BaseScore(context, "</s>", after) * LN_10 for context in contexts]

    def forget(self, context: Any) -> None:
        """Do nothing: a context is small."""

    def lacks(self, word: str) -> bool:
        """Return whether a word is unknown to the model."""
        return word not in self.model

    def known(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return those of the words that are known to the model."""
        return tuple(word for word in words if word in self.model)


def open_source(source: Any) -> Source:
    """Return the source of a run, a file, or a model.

    Args:
        source: A run or its folder, an ARPA file, a binary file of KenLM, a ``kenlm.Model``, or a
            tuple of a model and its tokenizer.

    Raises:
        RunError: If there is no such run.
        TextError: If it is a file without n-grams.
        SettingError: If it is the run of a classifier.
    """
    if isinstance(source, tuple):
        return ModelSource(*source)
    path = source
    if hasattr(source, "BaseScore"):
        path = os.fsdecode(source.path)
    if isinstance(path, str | Path) and Path(path).is_file():
        try:
            return _listed(Path(path))
        except TextError:
            if not is_kenlm_file(Path(path)):
                raise
        # A hash table of KenLM, which does not store its words.
        return KenlmSource(source if hasattr(source, "BaseScore") else kenlm.Model(path))
    run = LanguageRun(path)
    return ModelSource(run.model, run.tokenizer)


def _listed(path: Path) -> ModelSource:
    read = read_ngrams(path)
    return ModelSource(NGram.from_tables(read.tables, len(read.vocabulary)), arpa_tokenizer(read))
