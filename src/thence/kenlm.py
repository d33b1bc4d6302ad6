"""KenLM's Python module over this library: its names, arguments and numbers.

A program that uses KenLM needs one other import::

    from thence import kenlm

    model = kenlm.Model("model.arpa")  # or a binary file of KenLM, or the folder of an n-gram run
    model.score("this is a sentence .")

Logarithms are to base 10 and in single precision, as KenLM's. Words stand between white space.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thence._core.hashed import END
from thence.errors import ThenceError
from thence.exchange.kenlm_model import read_hashed

MOST_KEPT = 1 << 17
"""Words after a context whose scores a model remembers (about 40 MB); then it begins anew."""


class LoadMethod:
    """How KenLM brings a file into memory; taken and not heeded."""

    LAZY, POPULATE_OR_LAZY, POPULATE_OR_READ, READ, PARALLEL_READ = range(5)


class ARPALoadComplain:
    """When KenLM says that ARPA files load slowly; taken and not heeded."""

    ALL, EXPENSIVE, NONE = range(3)


class Config:
    """Settings of KenLM, which change no number; taken and not heeded.

    Attributes:
        load_method: One of ``LoadMethod``.
        show_progress: Whether to show it.
        arpa_complain: One of ``ARPALoadComplain``.
    """

    def __init__(self) -> None:
        self.load_method = LoadMethod.POPULATE_OR_READ
        self.show_progress = True
        self.arpa_complain = ARPALoadComplain.ALL


class FullScoreReturn:
    """What is known of a word after a context.

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


_Found = tuple[float, "_Context", int, bool]
"""Of a word: log10 probability, context after it, words of the n-gram, whether it is unknown."""


class _Context(dict[str, _Found]):
    """A context of a model, and what was found of the words after it.

    Contexts refer to those that follow, so that a word which was asked before costs one look-up.

    Args:
        model: The model; None: of no model at hand.
        content: Its words and weights; see ``Context`` in ``models/ngram/hashed.py``.
    """

    __slots__ = ("content", "model", "words")

    def __init__(self, model: "Model | None", content: bytes) -> None:
        self.model, self.content = model, content
        self.words = content[: len(content) // 2]

    def __missing__(self, word: str) -> _Found:
        assert self.model is not None  # BaseScore has seen to it.
        return self.model._read(self, word)


class State:
    """What a model remembers of the words so far; it can be compared, hashed, copied and pickled.

    States are equal if the same words follow with the same probabilities, so far as KenLM knows it.
    Their order is KenLM's: shorter ones first, then by the ids of their words.
    """

    __slots__ = ("_context",)
    _context: _Context

    def __init__(self) -> None:
        self._context = _NOTHING

    @property
    def _order(self) -> tuple[int, bytes]:
        return len(self._context.words), self._context.words

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return self._context is other._context or self._context.words == other._context.words

    def __lt__(self, other: "State") -> bool:
        return self._order < other._order if isinstance(other, State) else NotImplemented

    def __le__(self, other: "State") -> bool:
        return self._order <= other._order if isinstance(other, State) else NotImplemented

    def __gt__(self, other: "State") -> bool:
        return self._order > other._order if isinstance(other, State) else NotImplemented

    def __ge__(self, other: "State") -> bool:
        return self._order >= other._order if isinstance(other, State) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._context.words)

    def __copy__(self) -> "State":
        state = State()
        state._context = self._context
        return state

    def __deepcopy__(self, _: Any = None) -> "State":
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        return _state, (self._context.content,)


_NOTHING = _Context(None, b"")


def _state(content: bytes) -> State:
    """Return the state of a context, which the model it is used with checks."""
    state = State()
    state._context = _Context(None, content)
    return state


class Model:
    """An n-gram model.

    Args:
        path: An ARPA file, plain or compressed, a binary file of KenLM, or the folder of a run of
            the model ``ngram``, which is asked as the ARPA file that it can be exported to.
        config: Changes nothing; for programs written for KenLM.

    Raises:
        OSError: If the file cannot be read; says why.
    """

    path: bytes

    def __init__(self, path: "str | bytes | Path", config: Config | None = None) -> None:
        name = os.fsencode(path) if isinstance(path, Path) else _bytes(path)
        self.path = os.path.abspath(name)  # noqa: PTH100 (bytes)
        try:
            self._hashed = hashed = read_hashed(Path(os.fsdecode(self.path)))
        except ThenceError as error:
            raise OSError(f"Cannot read model '{os.fsdecode(name)}' ({error})") from error
        self._score, self._step, self._begin = hashed.score, hashed.step, hashed.begin
        self._contexts: dict[bytes, _Context] = {}
        self._kept = 0

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
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
            text = text.partition(b"\0")[0]  # Where KenLM takes a sentence to end.
        return self._score(self._begin if bos else b"", text, END if eos else 0)

    def perplexity(self, sentence: str | bytes) -> float:
        """Return the perplexity of a sentence per word, its end being one."""
        words = len(_bytes(sentence).split()) + 1
        return float(10.0 ** (-self.score(sentence) / words))

    def full_scores(
        self, sentence: str | bytes, bos: bool = True, eos: bool = True
    ) -> Iterator[tuple[float, int, bool]]:
        """Yield log10 probability, words of the n-gram found and whether it is unknown, per word.

        The arguments are those of ``score``.
        """
        context, flags = self._begin if bos else b"", END if eos else 0
        founds = self._hashed.words_of(context, _bytes(sentence), flags)
        for place, (log_prob, length, word) in enumerate(founds, 1):
            yield log_prob, length, word == 0 and not (eos and place == len(founds))

    def BeginSentenceWrite(self, state: State) -> None:  # noqa: N802 (KenLM's name)
        """Make a state that of the beginning of a sentence."""
        state._context = self._context(self._begin)

    def NullContextWrite(self, state: State) -> None:  # noqa: N802
        """Make a state that of no context at all."""
        state._context = self._context(b"")

    def BaseScore(self, in_state: State, word: str, out_state: State) -> float:  # noqa: N802
        """Return the log10 probability of a word after a state; write the state after it."""
        context = in_state._context
        if context.model is not self:
            context = self._context(context.content)
        log_prob, out_state._context, _, _ = context[word]
        return log_prob

    def BaseFullScore(  # noqa: N802
        self, in_state: State, word: str, out_state: State
    ) -> FullScoreReturn:
        """Return all that is known of a word after a state; write the state after it."""
        context = in_state._context
        if context.model is not self:
            context = self._context(context.content)
        log_prob, out_state._context, length, unknown = context[word]
        return FullScoreReturn(log_prob, length, unknown)

    def _context(self, content: bytes) -> _Context:
        """Return the one context of this model that has this content."""
        found = self._contexts.get(content)
        if found is None:
            found = self._contexts[content] = _Context(self, content)
        return found

    def _read(self, context: _Context, word: str) -> _Found:
        """Look up a word after a context, and remember what is found."""
        if not isinstance(word, str):
            raise TypeError(f"Argument 'word' has incorrect type (expected str, got {type(word)})")
        log_prob, length, number, after = self._step(context.content, word.encode())
        if self._kept >= MOST_KEPT:
            self._forget()
        found = context[word] = log_prob, self._context(after), length, number == 0
        self._kept += 1
        return found

    def _forget(self) -> None:
        """Forget what was found; states that are in use go on with contexts of their own."""
        contexts, self._contexts, self._kept = list(self._contexts.values()), {}, 0
        for context in contexts:
            context.model = None
            context.clear()

    def __contains__(self, word: str | bytes) -> bool:
        return self._step(b"", _bytes(word))[2] != 0

    def __repr__(self) -> str:
        return f"<Model from {self.path.rpartition(os.fsencode(os.sep))[2]!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)


class LanguageModel(Model):
    """An older name of ``Model``."""


def _bytes(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return text.encode()
    raise TypeError(f"Cannot convert {type(text)} to string")
