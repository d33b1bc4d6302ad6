"""Learning tokenizers from the train split or from counts, and reading ``tokenizer.json``."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from thence.allocator import trim
from thence.array_types import Int32
from thence.corpus import Documents
from thence.errors import RunError, SettingError
from thence.mapped import is_mapped
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
from thence.tokens.vocabulary import UNKNOWN, Vocabulary, choose_symbols, read_word_list
from thence.tokens.word_counts import CountedWords, WordCounter, count_words
from thence.tokens.word_splitting import LATEST, Edition, FoundWords, find_words, hash_strings
from thence.tokens.words import WordTokenizer

FORMATS: tuple[Edition, ...] = (1, 2)
"""Format numbers of ``tokenizer.json``: 2 for the second edition of the word-splitting rules."""
MOST_LEFT_OUT = 20_000
"""Symbols without an id that a tokenizer keeps, to learn the spelling of unknown words from: about
as many as a usual vocabulary has, in less than half a megabyte."""
LARGEST_AT_ONCE = 1 << 28
"""Bytes of text up to which the words found while learning the vocabulary are kept to encode the
text, so that it is split only once."""
LARGE_DEFINITION = 1 << 20
"""Bytes of a ``tokenizer.json`` from which its symbols are parsed in parts, to save memory."""
FIRST_SYMBOL, LAST_SYMBOL = b'"symbols": ["', (b'"], "left_out": ["', b'"]}')
"""The bytes before the first and after the last symbol in a file by ``Tokenizer.parts``."""
UNUSABLE = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError,
    SettingError,
)  # fmt: skip
"""Errors that reading a damaged ``tokenizer.json`` may raise."""


def make_tokenizer(train: Documents, options: TokenOptions, memory: int | None = None) -> Tokenizer:
    """Learn a tokenizer from the train split, with the options' list of symbols if there is one.

    Args:
        train: Its documents.
        options: How text becomes tokens.
        memory: About how many bytes to count words in, which are then on disk; None: no bound.

    Raises:
        SettingError: If the options contradict each other.
        TextError: If the list cannot be read.
    """
    _check_list(options)
    if options.tokens == "words" and options.vocabulary is None:
        return _word_tokenizer(_counted_words(train, options, memory), options)[0]
    if options.tokens in COUNTED:
        return tokenizer_from_counts(count_symbols(train, options), options)
    level = learned(options.tokens, "make")(normalized_chunks(train, options), options)
    return Tokenizer(level, options)


def count_symbols(train: Documents, options: TokenOptions) -> dict[str, int]:
    """Return the counts of words or characters to choose a vocabulary from; empty for bytes."""
    if options.tokens == "bytes":
        return {}
    if options.tokens == "words":
        return _counted_words(train, options).counts()
    return count_characters(normalized_chunks(train, options))


def tokenizer_from_counts(counts: Mapping[str, int], options: TokenOptions) -> Tokenizer:
    """Return a tokenizer of bytes, characters or words; the order of the counts does not matter."""
    if options.tokens == "bytes":
        return Tokenizer(ByteTokenizer(), options)
    if options.vocabulary is not None:
        symbols = _listed(options.vocabulary, options)
    else:
        symbols = choose_symbols(counts, options.max_size, options.min_count, options.unknown)
    return tokenizer_of(symbols, options, left_out=choose_left_out(counts, symbols))


def _check_list(options: TokenOptions) -> None:
    """Raise SettingError for options that contradict a list of symbols."""
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
    """Return the symbols of a file of words or characters; SettingError if they are the other."""
    symbols = read_word_list(path)
    if options.tokens == "characters" and (long := next((s for s in symbols if s[1:]), None)):
        raise SettingError(
            f"The list {path} holds {long!r}, which is no character; is it one of words "
            "(`tokens` words)?"
        )
    return symbols


def learn_tokens(
    train: Documents, options: TokenOptions, memory: int | None = None
) -> tuple[Tokenizer, TokenStore]:
    """Return a tokenizer learned from the train split, and the tokens of that split.

    The words of texts up to ``LARGEST_AT_ONCE`` are found only once.
    """
    once = options.tokens == "words" and options.unknown == "symbol"
    once = once and options.vocabulary is None and memory is None
    if not once or train.num_bytes >= LARGEST_AT_ONCE:
        trim()  # Return the memory that reading took,
        tokenizer = make_tokenizer(train, options, memory)
        trim()  # and the memory that counting took.
        return tokenizer, tokenizer.encode(train)
    counter, parts = WordCounter(), []
    for found, *sizes in _found_words(train, options):
        parts.append((counter.add(found), found.lengths, *sizes))
    counted = counter.counted()
    tokenizer, kept = _word_tokenizer(counted, options)
    of_number = np.full(len(counted), tokenizer.vocabulary.unknown_id or 0, np.int32)
    of_number[kept] = np.arange(len(kept))
    boundary, dtype = tokenizer.vocabulary.boundary_id, tokenizer.vocabulary.dtype
    encoded = []
    for numbers, lengths, *sizes in parts:
        targets = insert_boundaries(of_number[numbers], lengths, boundary, dtype)
        encoded.append(EncodedChunk(targets, lengths + 1, *sizes))
    return tokenizer, store_of(tokenizer, encoded)


def _counted_words(
    train: Documents, options: TokenOptions, memory: int | None = None
) -> CountedWords:
    return count_words((found for found, *_ in _found_words(train, options)), memory)


def _word_tokenizer(
    counted: CountedWords, options: TokenOptions
) -> tuple[Tokenizer, Int32[np.ndarray, " kept"]]:
    """Return a tokenizer of counted words, and the counter's number of each word by id."""
    kept, left = counted.choose(options.max_size, options.min_count, options.unknown)
    left_out = counted.spread(left, MOST_LEFT_OUT) if options.unknown == "symbol" else []
    words = counted.words.in_order(kept)
    words = words if is_mapped(words.text) else words.compact()
    return tokenizer_of(words, options, left_out=tuple(left_out)), kept


def _found_words(
    documents: Documents, options: TokenOptions
) -> Iterator[tuple[FoundWords, Sizes, Sizes]]:
    """Yield the words of each chunk, and the numbers of characters and bytes of its documents."""

    def find(chunk: Documents) -> tuple[FoundWords, Sizes, Sizes]:
        found = find_words(normalized(chunk, options), options.word_split)
        return found, character_counts(chunk), chunk.ends - chunk.starts

    return in_threads(find, chunks_of(documents))


def choose_left_out(counts: Mapping[str, int], symbols: Collection[str]) -> tuple[str, ...]:
    """Return the symbols that were not chosen; of more than ``MOST_LEFT_OUT`` an even sample.

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
    """Return a tokenizer of characters or words with the given symbols.

    Args:
        symbols: The symbols; words in order of id.
        options: The settings of tokens.
        edition: Edition of the word-splitting rules.
        left_out: Symbols of the train split that have no id.
    """
    if options.unknown != "symbol":
        left_out = ()  # Without <unk>, the spelling of unknown words is never asked for.
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
        if path.exists() and not path.is_file():  # Reading a pipe may never end.
            raise ValueError("it is not a file")
        return tokenizer_from_json(path.read_bytes(), str(path))
    except UNUSABLE as error:
        raise RunError(
            f"The tokenizer {path} cannot be read ({getattr(error, 'strerror', None) or error}); "
            "restore the run folder from a copy or train again."
        ) from error


def tokenizer_from_json(text: str | bytes, name: str) -> Tokenizer:
    """Return the tokenizer that ``Tokenizer.to_json`` wrote; ``name`` is for messages.

    Raises:
        RunError: If it has another format version.
        ValueError, KeyError, TypeError, SettingError: If it is damaged.
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
    """Return the parsed JSON of a tokenizer; many symbols are parsed in parts, as ``Symbols``."""
    first = text.find(FIRST_SYMBOL)
    last = next((at for at in map(text.rfind, LAST_SYMBOL) if at >= 0), -1)
    if len(text) < LARGE_DEFINITION or not 0 <= first < last:
        return dict(json.loads(text))
    first += len(FIRST_SYMBOL) - 1

    def parts() -> Iterator[list[str]]:
        begin = first
        while begin < last:
            # No word has a space, so this can only be the end of a symbol.
            end = text.find(b'", "', min(begin + CHUNK, last), last)
            end = end if end >= 0 else last
            yield _check_texts(json.loads(b"[%b]" % text[begin : end + 1]))
            begin = end + len(b'", ')

    rest = json.loads(text[:first] + text[last + 1 :])
    return {**rest, "symbols": symbols_of(pack(parts()))}


def _check_texts(symbols: Iterable[Any]) -> list[str]:
    found = list(symbols)
    if not (all(found) and set(map(type, found)) <= {str}):
        raise ValueError("a symbol is not text")
    "".join(found).encode("utf-8")  # Raises for lone surrogates.
    return found


def _check_symbols(symbols: Any, options: TokenOptions) -> list[str]:
    found = _check_texts(symbols)
    if options.tokens == "characters" and any(len(symbol) != 1 for symbol in found):
        raise ValueError("a symbol is not one character")
    if len(set(found)) != len(found):
        raise ValueError("a symbol occurs twice")
    return found
