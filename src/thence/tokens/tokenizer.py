"""Tokenizers behind one interface: text to ids and back. ``making.py`` learns and loads them."""

import json
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, SupportsIndex, cast

import numpy as np

from thence.allocator import trim
from thence.array_types import Int64, UInt
from thence.atomic import ExistsError, WriteError, new_folder
from thence.corpus import Documents, cache_folder, documents_of
from thence.corpus.documents import bounds
from thence.corpus.opening import free_memory
from thence.errors import RunError, TextError
from thence.mapped import MemoryColumn
from thence.tokens.characters import (
    CharacterTokenizer,
    character_counts,
    strings,
)
from thence.tokens.options import COUNTED, LearnedTokenizer, LevelTokenizer, TokenOptions
from thence.tokens.parallel import in_threads
from thence.tokens.store import TokenStore, insert_boundaries, load_store, write_store_tables
from thence.tokens.symbols import Symbols
from thence.tokens.vocabulary import RefusedError, Vocabulary
from thence.tokens.word_splitting import (
    ASCII_SPACES,
    Edition,
    FoundWords,
    find_words,
)
from thence.tokens.words import WordTokenizer

LARGE_TEXT = 32 << 20
"""Bytes of text from which the ids are streamed to disk, memory-mapped and kept in the cache;
anything smaller is tokenised again in less time than it takes to look it up."""
WORDS_AT_ONCE = 1 << 14
"""Symbols of a large vocabulary that are written at once."""
CHUNK = 1 << 17
"""Bytes of text worked on at once: what is made of them stays in the processor's cache."""
LONG, BYTES_FOR_A_BYTE = 1 << 20, 50
"""Bytes of a document from which on memory is looked at, and what each of them takes (measured)."""

Sizes = Int64[np.ndarray, " documents"]


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back: a normalisation and one of the four levels.

    Attributes:
        level: Does the cutting and holds the vocabulary.
        options: As given when it was made.
        left_out: Words (or characters) of the train split that got no id, each once: those that
            ``min_count`` and ``max_size`` left out, or a sample of them. How unknown words are
            spelled is learned from them too (``models/spelling.py``).
    """

    level: LevelTokenizer
    options: TokenOptions
    left_out: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """Which symbols exist."""
        return self.level.vocabulary

    @property
    def edition(self) -> Edition:
        """Edition of the rules by which words are found; the first where tokens are not words."""
        return self.level.edition if isinstance(self.level, WordTokenizer) else 1

    def find_words(self, chunk: Documents) -> FoundWords:
        """Cut a compact chunk into words, whatever the tokens are; nothing is normalised."""
        return find_words(chunk, self.options.word_split, self.edition)

    def ends_in_space(self, text: str) -> bool:
        """Whether a text of words ends in white space between words, which is no token."""
        return self.options.tokens == "words" and bool(text[-1:]) and self.is_space(text[-1])

    def is_space(self, character: str) -> bool:
        """Whether words end at a character."""
        ascii_only = self.options.word_split == "whitespace" and self.edition > 1
        return character in ASCII_SPACES if ascii_only else character.isspace()

    def encode(self, documents: Documents | Iterable[str]) -> TokenStore:
        """Turn documents into a token store; a single string is one document.

        Large texts are streamed to the cache folder, found again there by the hash of the
        text and of the tokenizer, and memory-mapped.

        Raises:
            UnknownSymbolError: If the vocabulary is closed and a symbol is not in it.
        """
        if not isinstance(documents, Documents):
            documents = documents_of(documents)
        if documents.num_bytes < LARGE_TEXT:
            return encode_in_memory(self, documents)
        return _encode_cached(self, documents)

    def release(self) -> None:
        """Give memory back that encoding took; what it needs is made again when it is needed."""
        if isinstance(self.vocabulary.symbols, Symbols):
            vars(self.level).pop("_ids", None)
            trim()

    def unknown_symbols(self, documents: Documents) -> list[str] | None:
        """Return what ``<unk>`` stands for, target by target, in the order of ``encode``.

        A ``<unk>`` that the text itself holds stands for itself. It is None where that cannot be
        told: for tokenizers of other packages.
        """
        vocabulary = self.vocabulary
        if vocabulary.unknown_id is None:
            return []
        level = self.level
        if not isinstance(level, WordTokenizer | CharacterTokenizer):
            return None
        chunks = normalized_chunks(documents, self.options)
        return [symbol for chunk in chunks for symbol in level.unknown_symbols(chunk)]

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """Return the text of ids, without special symbols."""
        return self.level.decode(map(int, ids))

    def same_tokens(self, other: "Tokenizer") -> bool:
        """Whether the other one gives every text the same ids, whatever its train split was."""
        mine, others = (replace(one, left_out=()).content_hash() for one in (self, other))
        return mine == others

    def to_json(self) -> str:
        """Return everything needed to make this tokenizer again, as JSON."""
        return b"".join(self.parts()).decode("utf-8")

    def parts(self) -> Iterator[bytes]:
        """Yield the parts of the definition that ``to_json`` returns."""
        content: dict[str, Any] = {"format": self.edition, "options": asdict(self.options)}
        del content["options"]["vocabulary"]  # The symbols themselves follow.
        if self.options.tokens in COUNTED:
            content["symbols"] = self.vocabulary.symbols
        else:
            content[self.options.tokens] = cast(LearnedTokenizer, self.level).definition
        if self.left_out:
            content["left_out"] = self.left_out
        opened = "{"
        for name, value in content.items():
            yield f'{opened}"{name}": '.encode()
            yield from _json_parts(value)
            opened = ", "
        yield b"}"

    def content_hash(self) -> str:
        """Return the SHA-256 (hex) of the definition."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        digest = sha256()
        for part in self.parts():
            digest.update(part)
        return digest.hexdigest()


def _json_parts(value: Any) -> Iterator[bytes]:
    """Yield the parts of a value as JSON, those of many symbols some at a time."""
    if not isinstance(value, Symbols):
        yield json.dumps(value, ensure_ascii=False).encode("utf-8")
        return
    yield b"["
    for first in range(0, len(value), WORDS_AT_ONCE):
        some = json.dumps(value[first : first + WORDS_AT_ONCE], ensure_ascii=False)
        yield ((", " if first else "") + some[1:-1]).encode("utf-8")
    yield b"]"


def chunks_of(documents: Documents) -> Iterator[Documents]:
    """Return the documents some at a time, if there is memory for the longest, which is never cut.

    Raises:
        TextError: If there is not.
    """
    sizes = documents.ends - documents.starts
    longest = int(sizes.max(initial=0))
    needed = longest * BYTES_FOR_A_BYTE
    if longest > LONG and needed > free_memory():
        raise TextError(
            f"Document {int(sizes.argmax()) + 1:,} alone has {longest / 1e6:,.0f} MB, and to "
            f"tokenise it takes about {needed / 1e9:,.1f} GB of memory, more than is free. A "
            "document is a line of plain text: are there line ends? Cut it into shorter ones."
        )
    return documents.chunks(CHUNK)


def normalized_chunks(documents: Documents, options: TokenOptions) -> Iterator[Documents]:
    """Yield compact chunks of the documents, normalised as the options say."""
    for chunk in chunks_of(documents):
        yield normalized(chunk, options)


def normalized(chunk: Documents, options: TokenOptions) -> Documents:
    """Return the documents of a compact chunk, normalised as the options say."""
    if not (options.nfc or options.lowercase):
        return chunk
    return Documents.from_strings(normalize(text, options) for text in strings(chunk))


def normalize(text: str, options: TokenOptions) -> str:
    """Apply the optional normalisation to one text."""
    if options.lowercase:
        text = text.lower()
    # Last, since a small letter may have a composed form that its capital lacks (J and caron).
    return unicodedata.normalize("NFC", text) if options.nfc else text


@dataclass(frozen=True)
class EncodedChunk:
    """What a chunk of documents gives to a token store.

    Attributes:
        targets: Ids, a boundary after each document.
        target_counts: Targets of each document.
        character_counts: Code points of each document before normalisation.
    """

    targets: UInt[np.ndarray, " targets"]
    target_counts: Int64[np.ndarray, " documents"]
    character_counts: Int64[np.ndarray, " documents"]


def _encode_chunks(tokenizer: Tokenizer, documents: Documents) -> Iterator[EncodedChunk]:
    def encode(chunk: Documents) -> EncodedChunk | RefusedError:
        try:
            return _encode_chunk(tokenizer, chunk)
        except RefusedError as error:
            return error

    done = 0
    for encoded in in_threads(encode, chunks_of(documents)):
        if isinstance(encoded, RefusedError):
            raise encoded.after(done)
        done += len(encoded.target_counts)
        yield encoded


def _encode_chunk(tokenizer: Tokenizer, chunk: Documents) -> EncodedChunk:
    vocabulary = tokenizer.vocabulary
    ids, lengths = tokenizer.level.encode_chunk(normalized(chunk, tokenizer.options))
    targets = insert_boundaries(ids, lengths, vocabulary.boundary_id, vocabulary.dtype)
    return EncodedChunk(targets, lengths + 1, character_counts(chunk))


def encode_in_memory(tokenizer: Tokenizer, documents: Documents) -> TokenStore:
    """Turn documents into a token store that is not kept in the cache, however large."""
    return store_of(tokenizer, documents, list(_encode_chunks(tokenizer, documents)))


def store_of(tokenizer: Tokenizer, documents: Documents, encoded: list[EncodedChunk]) -> TokenStore:
    """Return the store of documents whose chunks were encoded."""
    boundary = np.array([tokenizer.vocabulary.boundary_id], tokenizer.vocabulary.dtype)
    ids = np.concatenate([boundary, *(chunk.targets for chunk in encoded)])
    none = np.zeros(0, np.int64)
    target_counts = np.concatenate([none, *(chunk.target_counts for chunk in encoded)])
    characters = np.concatenate([none, *(chunk.character_counts for chunk in encoded)])
    return _assemble(tokenizer, documents, ids, target_counts, characters)


def _encode_cached(tokenizer: Tokenizer, documents: Documents) -> TokenStore:
    key = sha256((documents.content_hash() + tokenizer.content_hash()).encode()).hexdigest()
    folder = cache_folder() / "tokens" / key[:32]
    while True:
        with suppress(RunError):  # Not there yet, or damaged: what is in its place is made again.
            return load_store(folder)
        try:
            with new_folder(folder, wait=True) as new:
                _stream_to(tokenizer, documents, new.path)
        except ExistsError:  # Damaged, unless another process has made it meanwhile.
            with suppress(RunError):
                return load_store(folder)
            shutil.rmtree(folder)
            continue
        except (OSError, WriteError) as error:
            reason = error.error.strerror if isinstance(error, WriteError) else error.strerror
            raise RunError(
                f"Tokens cannot be kept in {folder.parent} ({reason}); free some space there or "
                "set THENCE_HOME to a folder that can be written."
            ) from error
        return load_store(folder)


def _stream_to(tokenizer: Tokenizer, documents: Documents, folder: Path) -> None:
    vocabulary, size = tokenizer.vocabulary, len(documents)
    target_counts, characters = MemoryColumn(np.int64, size), MemoryColumn(np.int64, size)
    with (folder / "ids.bin").open("wb") as file:
        file.write(np.array([vocabulary.boundary_id], vocabulary.dtype).tobytes())
        for chunk in _encode_chunks(tokenizer, documents):
            file.write(chunk.targets.data)
            target_counts.append(chunk.target_counts)
            characters.append(chunk.character_counts)
    ids = np.memmap(folder / "ids.bin", vocabulary.dtype, mode="r")
    of_documents = target_counts.array(), characters.array()
    write_store_tables(_assemble(tokenizer, documents, ids, *of_documents), folder)


def _assemble(
    tokenizer: Tokenizer,
    documents: Documents,
    ids: UInt[np.ndarray, " positions"],
    target_counts: Sizes,
    characters: Sizes,
) -> TokenStore:
    offsets = bounds(target_counts) + 1
    sizes = documents.ends - documents.starts
    return TokenStore(ids, offsets, sizes, characters, tokenizer.vocabulary.boundary_id)
