"""Making, using, saving and loading tokenizers: the four levels behind one interface."""

import json
import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal, Protocol

import numpy as np

from thence.corpus import Documents, cache_folder
from thence.errors import RunError, SettingError, ThenceError
from thence.tokens.bytes import ByteTokenizer
from thence.tokens.characters import CharacterTokenizer, count_characters
from thence.tokens.store import TokenStore, insert_boundaries, load_store, write_store_tables
from thence.tokens.unknowns import Encoded
from thence.tokens.vocabulary import Unknown, Vocabulary, choose_symbols
from thence.tokens.words import WordSplit, WordTokenizer, count_words

FORMAT = 1
LARGE_TEXT = 32 << 20
"""Bytes of text from which the ids are streamed to disk, memory-mapped and kept in the cache;
anything smaller is tokenised again in less time than it takes to look it up."""

Level = Literal["characters", "bytes", "words", "subwords"]
DEFAULT_SUBWORDS = 4096


@dataclass(frozen=True)
class TokenOptions:
    """How text becomes tokens."""

    tokens: Level = "characters"
    """What one token is: a character, a byte, a word, or a subword (byte-level BPE)."""
    word_split: WordSplit = "punctuation"
    """Words are cut at white space only, or punctuation is set apart too."""
    max_size: int | None = None
    """At most so many symbols of the text get an id (default: all; 4096 for subwords)."""
    min_count: int = 1
    """Symbols that occur less often in the train split are unknown."""
    unknown: Unknown = "symbol"
    """Unknown symbols become <unk>, are spelled in bytes, or are refused (closed vocabulary)."""
    lowercase: bool = False
    """Turn the text into lower case."""
    nfc: bool = False
    """Compose accents and other marks (Unicode normalisation form C)."""

    def __post_init__(self) -> None:
        if self.max_size is not None and self.max_size < 1:
            raise SettingError(f"--max-size is {self.max_size}; it must be at least 1.")
        if self.min_count < 1:
            raise SettingError(f"--min-count is {self.min_count}; it must be at least 1.")


class LevelTokenizer(Protocol):
    """What each of the four levels provides."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Which symbols exist."""

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all tokens of a compact chunk and how many each document has."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids."""


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back: a normalisation and one of the four levels.

    Attributes:
        level: Does the cutting and holds the vocabulary.
        options: As given when it was made.
    """

    level: LevelTokenizer
    options: TokenOptions

    @property
    def vocabulary(self) -> Vocabulary:
        """Which symbols exist."""
        return self.level.vocabulary

    def encode(self, documents: Documents | Iterable[str]) -> TokenStore:
        """Turn documents into a token store.

        Large texts are streamed to the cache folder, found again there by the hash of the
        text and of the tokenizer, and memory-mapped.

        Raises:
            UnknownSymbolError: If the vocabulary is closed and a symbol is not in it.
        """
        if not isinstance(documents, Documents):
            documents = Documents.from_strings(documents)
        if documents.num_bytes < LARGE_TEXT:
            return _encode_in_memory(self, documents)
        return _encode_cached(self, documents)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, without special symbols."""
        return self.level.decode(ids)

    def to_json(self) -> str:
        """Return everything needed to make this tokenizer again, as JSON."""
        content: dict[str, Any] = {"format": FORMAT, "options": asdict(self.options)}
        if self.options.tokens == "subwords":
            content["subwords"] = json.loads(self.level.definition)  # type: ignore[attr-defined]
        else:
            content["symbols"] = self.vocabulary.symbols
        return json.dumps(content, ensure_ascii=False, indent=1)

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of the definition."""
        return sha256(self.to_json().encode("utf-8")).hexdigest()


def make_tokenizer(train: Documents, options: TokenOptions) -> Tokenizer:
    """Make a tokenizer from the train split, and from nothing else."""
    chunks = normalized_chunks(train, options)
    if options.tokens == "bytes":
        return Tokenizer(ByteTokenizer(), options)
    if options.tokens == "subwords":
        from thence.tokens.subwords import learn_subwords

        size = options.max_size or DEFAULT_SUBWORDS
        return Tokenizer(learn_subwords(chunks, size, options.min_count), options)
    if options.tokens == "words":
        counts: dict[str, int] = count_words(chunks, options.word_split)
    else:
        counts = count_characters(chunks)
    symbols = choose_symbols(counts, options.max_size, options.min_count, options.unknown)
    return _with_symbols(symbols, options)


def _with_symbols(symbols: Iterable[str], options: TokenOptions) -> Tokenizer:
    if options.tokens == "words":
        vocabulary = Vocabulary(tuple(symbols), options.unknown)
        return Tokenizer(WordTokenizer(vocabulary, options.word_split), options)
    return Tokenizer(
        CharacterTokenizer(Vocabulary(tuple(sorted(symbols)), options.unknown)), options
    )


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``.

    Raises:
        RunError: If the file is missing, damaged, or of another format version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise RunError(f"{path} has format {content['format']}, this thence reads {FORMAT}.")
        options = TokenOptions(**content["options"])
        if options.tokens == "bytes":
            return Tokenizer(ByteTokenizer(), options)
        if options.tokens == "subwords":
            from thence.tokens.subwords import SubwordTokenizer

            return Tokenizer(SubwordTokenizer(json.dumps(content["subwords"])), options)
        return _with_symbols(content["symbols"], options)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"The tokenizer {path} cannot be read ({error}); restore the run folder from a copy "
            "or train again."
        ) from error


def normalized_chunks(documents: Documents, options: TokenOptions) -> Iterator[Documents]:
    """Yield compact chunks of the documents, normalised as the options say."""
    for chunk in documents.chunks():
        if options.nfc or options.lowercase:
            yield Documents.from_strings(normalize(text, options) for text in chunk)
        else:
            yield chunk


def normalize(text: str, options: TokenOptions) -> str:
    """Apply the optional normalisation to one text."""
    if options.nfc:
        text = unicodedata.normalize("NFC", text)
    return text.lower() if options.lowercase else text


def _encode_targets(tokenizer: Tokenizer, documents: Documents) -> Iterator[tuple[Any, Any]]:
    vocabulary = tokenizer.vocabulary
    done = 0
    for chunk in normalized_chunks(documents, tokenizer.options):
        try:
            ids, lengths = tokenizer.level.encode_chunk(chunk)
        except ThenceError as error:
            # Positions inside a later chunk would mislead: say where the chunk begins.
            raise type(error)(f"{error} (counted from document {done + 1})") if done else error
        done += len(chunk)
        yield insert_boundaries(ids, lengths, vocabulary.boundary_id, vocabulary.dtype), lengths + 1


def _encode_in_memory(tokenizer: Tokenizer, documents: Documents) -> TokenStore:
    boundary = np.array([tokenizer.vocabulary.boundary_id], tokenizer.vocabulary.dtype)
    encoded = list(_encode_targets(tokenizer, documents))
    ids = np.concatenate([boundary, *(targets for targets, _ in encoded)])
    return _assemble(tokenizer, documents, ids, [counts for _, counts in encoded])


def _encode_cached(tokenizer: Tokenizer, documents: Documents) -> TokenStore:
    key = sha256((documents.content_hash() + tokenizer.content_hash()).encode()).hexdigest()
    folder = cache_folder() / "tokens" / key[:32]
    if (folder / "store.json").exists():
        return load_store(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(mkdtemp(prefix="building-", dir=folder.parent))
    except OSError as error:
        raise RunError(
            f"Tokens cannot be kept in {folder.parent} ({error.strerror}); set THENCE_HOME to a "
            "folder that can be written."
        ) from error
    try:
        _stream_to(tokenizer, documents, building)
        if not (folder / "store.json").exists():
            os.replace(building, folder)
    except OSError as error:
        raise RunError(
            f"Tokens cannot be written to {building} ({error.strerror}); free some space there or "
            "set THENCE_HOME to another folder."
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return load_store(folder)


def _stream_to(tokenizer: Tokenizer, documents: Documents, folder: Path) -> None:
    vocabulary = tokenizer.vocabulary
    counts = []
    with (folder / "ids.bin").open("wb") as file:
        file.write(np.array([vocabulary.boundary_id], vocabulary.dtype).tobytes())
        for targets, target_counts in _encode_targets(tokenizer, documents):
            file.write(targets.data)
            counts.append(target_counts)
    ids = np.memmap(folder / "ids.bin", vocabulary.dtype, mode="r")
    write_store_tables(_assemble(tokenizer, documents, ids, counts), folder)


def _assemble(
    tokenizer: Tokenizer, documents: Documents, ids: Any, target_counts: list[Any]
) -> TokenStore:
    offsets = np.concatenate([np.ones(1, np.int64), *target_counts]).cumsum()
    return TokenStore(
        ids,
        offsets,
        documents.ends - documents.starts,
        documents.character_counts(),
        tokenizer.vocabulary.boundary_id,
    )
