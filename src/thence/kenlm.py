"""KenLM's Python module over this library: its names, arguments and numbers.

A program that uses KenLM needs one other import::

    from thence import kenlm

    model = kenlm.Model("model.arpa")  # or a binary file of KenLM, or the folder of an n-gram run
    model.score("this is a sentence .")

Logarithms are to base 10 and in single precision, as KenLM's. Words stand between white space.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from thence._core.hashed import END, NO_FIT, Context, Found
from thence.errors import ThenceError
from thence.exchange.kenlm_model import read_hashed

MOST_KEPT = 1 << 16
"""Words for which ``word in model`` is cached (about 10 MB): beam searches ask for the same words
again and again."""
_encoded = str.encode


class LoadMethod:
    """How a file is loaded: the lazy methods memory-map KenLM's hash tables, all others read it.

    A mapped file must not be overwritten: the system would kill the process that reads it (SIGBUS).
    """

    LAZY, POPULATE_OR_LAZY, POPULATE_OR_READ, READ, PARALLEL_READ = range(5)


LAZY_METHODS = LoadMethod.LAZY, LoadMethod.POPULATE_OR_LAZY


class ARPALoadComplain:
    """When KenLM warns that ARPA files load slowly; accepted and ignored."""

    ALL, EXPENSIVE, NONE = range(3)


class Config:
    """Settings of KenLM, which change no number.

    Attributes:
        load_method: One of ``LoadMethod``.
        show_progress: Accepted and ignored.
        arpa_complain: One of ``ARPALoadComplain``; accepted and ignored.
    """

    def __init__(self) -> None:
        self.load_method = LoadMethod.POPULATE_OR_READ
        self.show_progress = True
        self.arpa_complain = ARPALoadComplain.ALL


class FullScoreReturn:
    """The score of a word after a context.

    Attributes:
        log_prob: Its log10 probability.
        ngram_length: Words of the longest n-gram that was found.
        oov: Whether the word is unknown.
    """

    __slots__ = ("log_prob", "ngram_length", "oov")

    def __init__(self, log_prob: float, ngram_length: int, oov: bool) -> None:
        self.log_prob, self.ngram_length, self.oov = log_prob, ngram_length, oov

    def __repr__(self) -> str:
        values = self.log_prob, self.ngram_length, self.oov
        return f"{type(self).__name__}({', '.join(map(repr, values))})"


class State(Context):
    """The context that a model keeps; it can be compared, hashed, copied and pickled.

    States are equal if they keep the same words; all further scores are then the same. They are
    ordered as KenLM orders them: shorter ones first, then by the ids of their words.
    """

    __slots__ = ()

    @property
    def _order(self) -> tuple[int, bytes]:
        return self.length, bytes(self)[WORDS_AT : WORDS_AT + 4 * self.length]

    def __eq__(self, other: object) -> bool:
        return self._order == other._order if isinstance(other, State) else NotImplemented

    def __lt__(self, other: "State") -> bool:
        return self._order < other._order if isinstance(other, State) else NotImplemented

    def __le__(self, other: "State") -> bool:
        return self._order <= other._order if isinstance(other, State) else NotImplemented

    def __gt__(self, other: "State") -> bool:
        return self._order > other._order if isinstance(other, State) else NotImplemented

    def __ge__(self, other: "State") -> bool:
        return self._order >= other._order if isinstance(other, State) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._order)


WORDS_AT: int = State.words.offset
"""Offset in bytes of the words in a state."""
_NOTHING = State()


class Model:
    """An n-gram model.

    Args:
        path: An ARPA file, plain or compressed, a binary file of KenLM, or the folder of a run of
            the model ``ngram``, which scores like the ARPA file exported from it.
        config: Whether to memory-map the file.

    Raises:
        OSError: If the file cannot be read; the message says why.
    """

    path: bytes

    def __init__(self, path: "str | bytes | Path", config: Config | None = None) -> None:
        name = os.fsencode(path) if isinstance(path, Path) else _bytes(path)
        self.path = os.path.abspath(name)  # noqa: PTH100 (bytes)
        mapped = config is not None and config.load_method in LAZY_METHODS
        try:
            self._hashed = hashed = read_hashed(Path(os.fsdecode(self.path)), mapped)
        except ThenceError as error:
            raise OSError(f"Cannot read model '{os.fsdecode(name)}' ({error})") from error
        self._score, self._step, self._begin = hashed.score, hashed.step, hashed.begin
        self._knows = lru_cache(MOST_KEPT)(self._look_up)

    @property
    def order(self) -> int:
        """The order n: words of the longest n-grams."""
        return self._hashed.order

    def score(self, sentence: str | bytes, bos: bool = True, eos: bool = True) -> float:
        """Return the log10 probability of a sentence: log10 p(sentence </s> | <s>).

        Args:
            sentence: Words between white space, without ``<s>``.
            bos: Whether it follows ``<s>``.
            eos: Whether ``</s>`` follows it.
        """
        text = sentence.encode() if isinstance(sentence, str) else _bytes(sentence)
        if bos and eos and b"\0" in text:
            text = text.partition(b"\0")[0]  # KenLM reads a C string here, which ends at a NUL.
        return self._score(self._begin if bos else _NOTHING, text, END if eos else 0)

    def perplexity(self, sentence: str | bytes) -> float:
        """Return the perplexity of a sentence per word; ``</s>`` counts as one."""
        words = len(_bytes(sentence).split()) + 1
        return float(10.0 ** (-self.score(sentence) / words))

    def full_scores(
        self, sentence: str | bytes, bos: bool = True, eos: bool = True
    ) -> Iterator[tuple[float, int, bool]]:
        """Yield for each word its log10 probability, the length of the n-gram found, and its OOV.

        The arguments are those of ``score``.
        """
        context, flags = self._begin if bos else _NOTHING, END if eos else 0
        founds = self._hashed.words_of(context, _bytes(sentence), flags)
        for place, (log_prob, length, word) in enumerate(founds, 1):
            yield log_prob, length, word == 0 and not (eos and place == len(founds))

    def BeginSentenceWrite(self, state: State) -> None:  # noqa: N802 (KenLM's name)
        """Overwrite a state with that of the beginning of a sentence (``<s>``)."""
        state.become(self._begin)

    def NullContextWrite(self, state: State) -> None:  # noqa: N802
        """Overwrite a state with that of an empty context."""
        state.become(_NOTHING)

    def BaseScore(self, in_state: State, word: str, out_state: State) -> float:  # noqa: N802
        """Return the log10 probability of a word after ``in_state``; overwrite ``out_state``."""
        log_prob = self._step(in_state, _encoded(word), out_state, None)
        if log_prob != log_prob:
            raise ValueError(NO_FIT)
        return log_prob

    def BaseFullScore(  # noqa: N802
        self, in_state: State, word: str, out_state: State
    ) -> FullScoreReturn:
        """Return a word's score, n-gram length and OOV after a state; overwrite ``out_state``."""
        found = Found()
        log_prob = self._step(in_state, _encoded(word), out_state, found)
        if log_prob != log_prob:
            raise ValueError(NO_FIT)
        return FullScoreReturn(log_prob, found.order, found.id == 0)

    def __contains__(self, word: str | bytes) -> bool:
        return self._knows(word)

    def _look_up(self, word: str | bytes) -> bool:
        found = Found()
        self._step(_NOTHING, _bytes(word), State(), found)
        return bool(found.id)

    def __repr__(self) -> str:
        return f"<Model from {self.path.rpartition(os.fsencode(os.sep))[2]!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)


class LanguageModel(Model):
    """KenLM's older name of ``Model``."""


def _bytes(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode()
    raise TypeError(f"Cannot convert {type(text)} to string")
