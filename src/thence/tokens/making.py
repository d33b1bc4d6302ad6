"""Making tokenizers: from the train split, from counts, and from a ``tokenizer.json``."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thence.allocator import trim
from thence.array_types import Int32
from thence.corpus import Documents
from thence.errors import RunError, SettingError
from thence.tokens.characters import (
    ByteTokenizer,
    CharacterTokenizer,
    character_counts,
    count_characters,
)
from thence.tokens.options import COUNTED, TokenOptions, learned
from thence.tokens.parallel import in_threads
from thence.tokens.store import TokenStore, insert_boundaries
from thence.tokens.symbols import Symbols, pack, symbols_of
from thence.tokens.tokenizer import (
    CHUNK,
    EncodedChunk,
    Sizes,
    Tokenizer,
    chunks_of,
    normalized,
    normalized_chunks,
    store_of,
)
from thence.tokens.vocabulary import UNKNOWN, Vocabulary, choose_symbols
from thence.tokens.word_list import read_word_list
from thence.tokens.word_splitting import LATEST, Edition, FoundWords, find_words, hash_strings
from thence.tokens.words import WordCounter, WordTokenizer, count_words

FORMATS: tuple[Edition, ...] = (1, 2)
"""Of ``tokenizer.json``: 2 if its words are found by the second edition of the rules, else 1."""
MOST_LEFT_OUT = 20_000
"""Symbols without an id that a tokenizer keeps: as many again as there are words in a usual
vocabulary teach how unknown words are spelled; their file stays below half a megabyte."""
LARGEST_AT_ONCE = 1 << 28
"""Bytes of text up to which the words found to learn the vocabulary are kept for the tokens."""
LARGE_DEFINITION = 1 << 20
"""Bytes of a ``tokenizer.json`` from which on its symbols are read some at a time."""
FIRST_SYMBOL, LAST_SYMBOL = b'"symbols": ["', (b'"], "left_out": ["', b'"]}')
"""What stands around the first and the last symbol there, as ``Tokenizer.parts`` writes it."""
UNUSABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError,
    SettingError,
)  # fmt: skip
"""What reading a damaged ``tokenizer.json`` may raise."""


def make_tokenizer(train: Documents, options: TokenOptions) -> Tokenizer:
    """Make a tokenizer from the train split, and from nothing else but a list of symbols.

    Raises:
        SettingError: If the options do not go together.
        TextError: If the list cannot be read.
    """
    _check_list(options)
    if options.tokens == "words" and options.vocabulary is None:
        return _word_tokenizer(
            count_words(found for found, _ in _found_words(train, options)), options
        )[0]
    if options.tokens in COUNTED:
        return tokenizer_from_counts(count_symbols(train, options), options)
    level = learned(options.tokens, "make")(normalized_chunks(train, options), options)
    return Tokenizer(level, options)


def count_symbols(train: Documents, options: TokenOptions) -> dict[str, int]:
    """Count the words or characters that a vocabulary is chosen from; bytes need no counts."""
    if options.tokens == "bytes":
        return {}
    if options.tokens == "words":
        return _counted_words(train, options).counts()
    return count_characters(normalized_chunks(train, options))


def tokenizer_from_counts(counts: Mapping[str, int], options: TokenOptions) -> Tokenizer:
    """Make a tokenizer of bytes, characters or words; the order of the counts does not matter."""
    if options.tokens == "bytes":
        return Tokenizer(ByteTokenizer(), options)
    if options.vocabulary is not None:
        symbols = _listed(options.vocabulary, options)
    else:
        symbols = choose_symbols(counts, options.max_size, options.min_count, options.unknown)
    return tokenizer_of(symbols, options, left_out=choose_left_out(counts, symbols))


def _check_list(options: TokenOptions) -> None:
    """Refuse what says nothing where the symbols are listed."""
    if options.vocabulary is None:
        return
    if options.tokens not in ("words", "characters"):
        raise SettingError(
            f"`vocabulary` is a list of words or characters, but `tokens` is {options.tokens!r}."
        )
    if options.max_size is not None or options.min_count != 1:
        raise SettingError(
            "`vocabulary` names the symbols that get an id; leave out `max_size` and `min_count`."
        )


def _listed(path: str, options: TokenOptions) -> list[str]:
    """Return the symbols of a file."""
    symbols = read_word_list(path)
    if options.tokens == "characters" and (long := next((s for s in symbols if s[1:]), None)):
        raise SettingError(
            f"The list {path} holds {long!r}, which is no character; is it one of words "
            "(`tokens` words)?"
        )
    return symbols


def learn_tokens(train: Documents, options: TokenOptions) -> tuple[Tokenizer, TokenStore]:
    """Make a tokenizer from the train split, and its tokens.

    Words are looked for only once, where the text is not too large to be kept as numbers.
    """
    once = options.tokens == "words" and options.unknown == "symbol"
    once = once and options.vocabulary is None
    if not once or train.num_bytes >= LARGEST_AT_ONCE:
        trim()  # What reading took.
        tokenizer = make_tokenizer(train, options)
        trim()  # What counting took.
        return tokenizer, tokenizer.encode(train)
    counter, parts = WordCounter(), []
    for found, characters in _found_words(train, options):
        parts.append((counter.add(found), found.lengths, characters))
    tokenizer, kept = _word_tokenizer(counter, options)
    of_number = np.full(len(counter), tokenizer.vocabulary.unknown_id or 0, np.int32)
    of_number[kept] = np.arange(len(kept))
    boundary, dtype = tokenizer.vocabulary.boundary_id, tokenizer.vocabulary.dtype
    encoded = [
        EncodedChunk(
            insert_boundaries(of_number[numbers], lengths, boundary, dtype), lengths + 1, characters
        )
        for numbers, lengths, characters in parts
    ]
    return tokenizer, store_of(tokenizer, train, encoded)


def _counted_words(train: Documents, options: TokenOptions) -> WordCounter:
    return count_words(found for found, _ in _found_words(train, options))


def _word_tokenizer(
    counter: WordCounter, options: TokenOptions
) -> tuple[Tokenizer, Int32[np.ndarray, " kept"]]:
    """Make a tokenizer from counted words; return it and the numbers of its words, in order."""
    kept, left = counter.choose(options.max_size, options.min_count, options.unknown)
    left = counter.ordered(left, by_count=False)[:: -(-len(left) // MOST_LEFT_OUT) or 1]
    left_out = tuple(counter.words.take(left))
    return tokenizer_of(counter.words.take(kept).compact(), options, left_out=left_out), kept


def _found_words(documents: Documents, options: TokenOptions) -> Iterator[tuple[FoundWords, Sizes]]:
    """Yield the words of each chunk, and the characters of each of its documents."""

    def find(chunk: Documents) -> tuple[FoundWords, Sizes]:
        found = find_words(normalized(chunk, options), options.word_split)
        return found, character_counts(chunk)

    return in_threads(find, chunks_of(documents))


def choose_left_out(counts: Mapping[str, int], symbols: Collection[str]) -> tuple[str, ...]:
    """Return the symbols that were not chosen, ``MOST_LEFT_OUT`` from all over the alphabet.

    >>> choose_left_out({"a": 2, "c": 1, "b": 1, "<unk>": 9}, ["a"])
    ('b', 'c')
    """
    left = sorted(set(counts).difference(symbols, [UNKNOWN]))
    return tuple(left[:: -(-len(left) // MOST_LEFT_OUT) or 1])


def tokenizer_of(
    symbols: Iterable[str],
    options: TokenOptions,
    edition: Edition = LATEST,
    left_out: tuple[str, ...] = (),
) -> Tokenizer:
    """Make a tokenizer of characters or words from symbols that are known already.

    Args:
        symbols: The symbols; words in order of id.
        options: How text becomes tokens.
        edition: Of the rules by which words are found.
        left_out: Symbols of the train split that have no id.
    """
    if options.unknown != "symbol":
        left_out = ()  # Nothing is <unk>, so that nothing has to be spelled for it.
    if options.tokens == "words":
        vocabulary = Vocabulary(symbols_of(symbols), options.unknown)
        level = WordTokenizer(vocabulary, options.word_split, edition)
        return Tokenizer(level, options, left_out)
    vocabulary = Vocabulary(tuple(sorted(symbols)), options.unknown)
    return Tokenizer(CharacterTokenizer(vocabulary), options, left_out)


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``.

    Raises:
        RunError: If the file is missing, damaged, or of another format version.
    """
    try:
        if path.exists() and not path.is_file():  # A pipe may never end.
            raise ValueError("it is not a file")
        return tokenizer_from_json(path.read_bytes(), str(path))
    except UNUSABLE as error:
        raise RunError(
            f"The tokenizer {path} cannot be read ({getattr(error, 'strerror', None) or error}); "
            "restore the run folder from a copy or train again."
        ) from error


def tokenizer_from_json(text: str | bytes, name: str) -> Tokenizer:
    """Make the tokenizer again of which ``to_json`` gave the definition; the name is for messages.

    Raises:
        RunError: If it has another format version.
        ValueError: If it is damaged; so do KeyError, TypeError and SettingError say.
    """
    content = _parsed(text.encode("utf-8") if isinstance(text, str) else text)
    if content["format"] not in FORMATS:
        formats = " and ".join(map(str, FORMATS))
        raise RunError(f"{name} has format {content['format']}, this thence reads {formats}.")
    options = TokenOptions(**content["options"])
    if options.tokens == "bytes":
        return Tokenizer(ByteTokenizer(), options)
    if options.tokens not in COUNTED:
        level = learned(options.tokens, "load")(content[options.tokens])
        _check_symbols(level.vocabulary.symbols, options)
        return Tokenizer(level, options)
    symbols = content["symbols"]
    if not isinstance(symbols, Symbols) or options.tokens != "words":
        symbols = _check_symbols(symbols, options)
    elif np.any(np.diff(np.sort(hash_strings(symbols))) == 0):
        raise ValueError("a symbol occurs twice")
    left_out = _check_symbols(content.get("left_out", ()), options)
    return tokenizer_of(symbols, options, content["format"], tuple(left_out))


def _parsed(text: bytes) -> dict[str, Any]:
    """Return what is in a definition; many symbols are read some at a time, as ``Symbols``."""
    first = text.find(FIRST_SYMBOL)
    last = next((at for at in map(text.rfind, LAST_SYMBOL) if at >= 0), -1)
    if len(text) < LARGE_DEFINITION or not 0 <= first < last:
        return dict(json.loads(text))
    first += len(FIRST_SYMBOL) - 1

    def parts() -> Iterator[list[str]]:
        begin = first
        while begin < last:
            end = text.find(b'", "', min(begin + CHUNK, last), last)  # No word has a space.
            end = end if end >= 0 else last
            yield _check_texts(json.loads(b"[%b]" % text[begin : end + 1]))
            begin = end + len(b'", ')

    rest = json.loads(text[:first] + text[last + 1 :])
    return {**rest, "symbols": symbols_of(pack(parts()))}


def _check_texts(symbols: Iterable[Any]) -> list[str]:
    found = list(symbols)
    if not all(isinstance(symbol, str) and symbol for symbol in found):
        raise ValueError("a symbol is not text")
    "".join(found).encode("utf-8")  # Refuses halves of characters.
    return found


def _check_symbols(symbols: Any, options: TokenOptions) -> list[str]:
    found = _check_texts(symbols)
    if options.tokens == "characters" and any(len(symbol) != 1 for symbol in found):
        raise ValueError("a symbol is not one character")
    if len(set(found)) != len(found):
        raise ValueError("a symbol occurs twice")
    return found
