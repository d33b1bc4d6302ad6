"""Tokenizers behind one interface: text to ids and back. ``making.py`` learns and loads them."""

import json
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
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
from thence.tokens.characters import (
    CharacterTokenizer,
    character_counts,
    strings,
)
from thence.tokens.options import COUNTED, LearnedTokenizer, LevelTokenizer, TokenOptions
from thence.tokens.parallel import in_threads
from thence.tokens.store import (
    TokenStore,
    insert_boundaries,
    load_store,
    store_files,
    write_store_meta,
)
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
smaller texts are tokenized again in less time than hashing and opening the cache take."""
WORDS_AT_ONCE = 1 << 14
"""Symbols of a large vocabulary that are converted to JSON at a time."""
CHUNK = 1 << 17
"""Bytes of text processed at a time: their arrays stay in the processor's cache."""
LONG, BYTES_FOR_A_BYTE = 1 << 20, 50
"""Free memory is checked for documents of more than ``LONG`` bytes; tokenizing one takes about
``BYTES_FOR_A_BYTE`` times its size (measured)."""

Sizes = Int64[np.ndarray, " documents"]


@dataclass(frozen=True)
class Tokenizer:
    """Text to ids and back: a normalisation, and a tokenizer of one kind of token.

    Attributes:
        level: The tokenizer of normalised text, with the vocabulary.
        options: The settings it was made with.
        left_out: Distinct words (or characters) of the train split without an id, because of
            ``min_count`` or ``max_size``, or a sample of them. The spelling of unknown words is
            learned from them too (``models/spelling.py``).
    """

    level: LevelTokenizer
    options: TokenOptions
    left_out: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> Vocabulary:
        """The symbols and their ids."""
        return self.level.vocabulary

    @property
    def edition(self) -> Edition:
        """Edition of the word-splitting rules; 1 if tokens are not words."""
        return self.level.edition if isinstance(self.level, WordTokenizer) else 1

    def find_words(self, chunk: Documents) -> FoundWords:
        """Return the words of a compact chunk, whatever the tokens are, without normalisation."""
        return find_words(chunk, self.options.word_split, self.edition)

    def ends_in_space(self, text: str) -> bool:
        """Return whether tokens are words and the text ends in white space, which is no token."""
        return self.options.tokens == "words" and bool(text[-1:]) and self.is_space(text[-1])

    def is_space(self, character: str) -> bool:
        """Return whether a character is white space that separates words."""
        ascii_only = self.options.word_split == "whitespace" and self.edition > 1
        return character in ASCII_SPACES if ascii_only else character.isspace()

    def encode(self, documents: Documents | Iterable[str]) -> TokenStore:
        """Return the token store of documents; a single string is one document.

        Ids of large texts are streamed to the cache folder and memory-mapped; they are found there
        again by the hashes of the text and the tokenizer.

        Raises:
            UnknownSymbolError: If the vocabulary is closed and a symbol is not in it.
        """
        if not isinstance(documents, Documents):
            documents = documents_of(documents)
        if documents.num_bytes < LARGE_TEXT:
            return encode_in_memory(self, documents)
        return _encode_cached(self, documents)

    def release(self) -> None:
        """Free the look-up table of a large vocabulary; it is rebuilt when it is needed."""
        if isinstance(self.vocabulary.symbols, Symbols):
            vars(self.level).pop("_ids", None)
            trim()

    def unknown_symbols(self, documents: Documents) -> list[str] | None:
        """Return the symbol behind each ``<unk>`` among the targets, in the order of ``encode``.

        A literal ``<unk>`` of the text stands for itself. For tokenizers of other packages the
        symbols are not known: None.
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
        """Return whether the other tokenizer encodes every text to the same ids."""
        mine, others = (replace(one, left_out=()).content_hash() for one in (self, other))
        return mine == others

    def to_json(self) -> str:
        """Return the complete tokenizer as JSON; see ``tokenizer_from_json``."""
        return b"".join(self.parts()).decode("utf-8")

    def parts(self) -> Iterator[bytes]:
        """Yield the JSON of ``to_json`` in parts, as it may be large."""
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
        """Return the SHA-256 (hex) of the JSON."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        digest = sha256()
        for part in self.parts():
            digest.update(part)
        return digest.hexdigest()


def _json_parts(value: Any) -> Iterator[bytes]:
    """Yield the JSON of a value in parts, that of ``Symbols`` some at a time."""
    if not isinstance(value, Symbols):
        yield json.dumps(value, ensure_ascii=False).encode("utf-8")
        return
    yield b"["
    for first in range(0, len(value), WORDS_AT_ONCE):
        some = json.dumps(value[first : first + WORDS_AT_ONCE], ensure_ascii=False)
        yield ((", " if first else "") + some[1:-1]).encode("utf-8")
    yield b"]"


def chunks_of(documents: Documents) -> Iterator[Documents]:
    """Return an iterator of chunks of whole documents.

    Raises:
        TextError: If there is not enough memory for the longest document.
    """
    longest, place, before = 0, 0, 0
    for sizes in documents.sizes():
        if sizes.max() > longest:
            longest, place = int(sizes.max()), before + int(sizes.argmax())
        before += len(sizes)
    needed = longest * BYTES_FOR_A_BYTE
    if longest > LONG and needed > free_memory():
        raise TextError(
            f"Document {place + 1:,} alone has {longest / 1e6:,.0f} MB, and to "
            f"tokenise it takes about {needed / 1e9:,.1f} GB of memory, more than is free. A "
            "document is a line of plain text: are there line ends? Cut it into shorter ones."
        )
    return documents.chunks(CHUNK)


def normalized_chunks(documents: Documents, options: TokenOptions) -> Iterator[Documents]:
    """Yield compact chunks of the documents, normalised by the options."""
    for chunk in chunks_of(documents):
        yield normalized(chunk, options)


def normalized(chunk: Documents, options: TokenOptions) -> Documents:
    """Return the documents of a compact chunk, normalised by the options."""
    if not (options.nfc or options.lowercase):
        return chunk
    return Documents.from_strings(normalize(text, options) for text in strings(chunk))


def normalize(text: str, options: TokenOptions) -> str:
    """Return one text, normalised by the options."""
    if options.lowercase:
        text = text.lower()
    # NFC comes last: a small letter may have a composed form that its capital lacks (J with caron).
    return unicodedata.normalize("NFC", text) if options.nfc else text


@dataclass(frozen=True)
class EncodedChunk:
    """The tokens of a chunk of documents, for a token store.

    Attributes:
        targets: Ids, with a boundary after each document.
        target_counts: Number of targets of each document.
        character_counts: Code points of each document before normalisation.
        byte_counts: Its bytes before normalisation.
    """

    targets: UInt[np.ndarray, " targets"]
    target_counts: Int64[np.ndarray, " documents"]
    character_counts: Int64[np.ndarray, " documents"]
    byte_counts: Int64[np.ndarray, " documents"]


def _encode_chunks(tokenizer: Tokenizer, documents: Documents) -> Iterator[EncodedChunk]:
    """Yield the encoded chunks of documents; errors have the document's number in the text."""

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
    return EncodedChunk(targets, lengths + 1, character_counts(chunk), chunk.ends - chunk.starts)


def encode_in_memory(tokenizer: Tokenizer, documents: Documents) -> TokenStore:
    """Return the token store of documents in memory, without the cache, however large."""
    return store_of(tokenizer, list(_encode_chunks(tokenizer, documents)))


def store_of(tokenizer: Tokenizer, encoded: list[EncodedChunk]) -> TokenStore:
    """Return the token store of documents from their encoded chunks."""
    boundary = np.array([tokenizer.vocabulary.boundary_id], tokenizer.vocabulary.dtype)
    ids = np.concatenate([boundary, *(chunk.targets for chunk in encoded)])
    none = np.zeros(0, np.int64)
    target_counts, sizes, characters = (
        np.concatenate([none, *(getattr(chunk, name) for chunk in encoded)])
        for name in ("target_counts", "byte_counts", "character_counts")
    )
    offsets = bounds(target_counts) + 1
    return TokenStore(ids, offsets, sizes, characters, tokenizer.vocabulary.boundary_id)


def _encode_cached(tokenizer: Tokenizer, documents: Documents) -> TokenStore:
    """Return the store of a large text from the cache folder; make it there if necessary."""
    key = sha256((documents.content_hash() + tokenizer.content_hash()).encode()).hexdigest()
    folder = cache_folder() / "tokens" / key[:32]
    while True:
        with suppress(RunError):  # Missing or damaged: it is made below.
            return load_store(folder)
        try:
            with new_folder(folder, wait=True) as new:
                _stream_to(tokenizer, documents, new.path)
        except ExistsError:  # It is damaged, or another process has made it in the meantime.
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
    """Write the store of a text to a folder, one chunk at a time."""
    vocabulary, targets = tokenizer.vocabulary, 1
    with ExitStack() as stack:
        ids, *tables = (stack.enter_context(path.open("wb")) for path in store_files(folder))
        ids.write(np.array([vocabulary.boundary_id], vocabulary.dtype).tobytes())
        tables[0].write(np.ones(1, np.int64).tobytes())
        for chunk in _encode_chunks(tokenizer, documents):
            ids.write(chunk.targets.data)
            offsets = targets + np.cumsum(chunk.target_counts)
            for table, values in zip(
                tables, (offsets, chunk.byte_counts, chunk.character_counts), strict=True
            ):
                table.write(np.ascontiguousarray(values, np.int64).data)
            targets += len(chunk.targets)
    write_store_meta(vocabulary.dtype, vocabulary.boundary_id, folder)


@dataclass(frozen=True)
class Texts:
    """The input of a classifier.

    Attributes:
        store: The documents as tokens.
        documents: The original documents.
        tokenizer: The tokenizer of the store, with the settings of normalisation.
    """

    store: TokenStore
    documents: Documents
    tokenizer: Tokenizer

    def __len__(self) -> int:
        return len(self.documents)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> "Texts":
        """Return the chosen documents, in that order."""
        return Texts(self.store.take(indices), self.documents.take(indices), self.tokenizer)


def encode_texts(tokenizer: Tokenizer, documents: Documents) -> Texts:
    """Return documents with their tokens.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and a symbol is not in it.
    """
    return Texts(tokenizer.encode(documents), documents, tokenizer)
