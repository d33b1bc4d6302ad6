"""Conversion of our tokenizers to Hugging Face's ``tokenizers`` library, with the same ids.

    characters   a split after every character and WordLevel; with bytes for unknown characters,
                 BPE without merges, with byte fallback
    bytes        byte-level BPE without merges
    words        a split by a regular expression over our classes of characters, and WordLevel
    subwords     byte-level BPE, as it is

The boundary is added before a text, as special tokens are, but not after it, so that a model
continues the text. Its name has a space, so that no word of a text can be equal to it.
"""

import copy
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from thence.array_types import Bool
from thence.errors import SettingError
from thence.tokens import Tokenizer as OurTokenizer
from thence.tokens.options import TokenOptions
from thence.tokens.vocabulary import UNKNOWN, Vocabulary
from thence.tokens.word_splitting import (
    APOSTROPHE,
    ASCII_SPACE,
    COMBINING,
    LATEST,
    LETTER,
    SPACE,
    SYMBOLS,
    Edition,
    WordSplit,
    class_table,
)

BOUNDARY_TOKEN = "<document boundary>"
CODE_POINTS = 0x110000


def tokenizer_file(tokenizer: OurTokenizer) -> Tokenizer:
    """Return a tokenizer of the ``tokenizers`` library with the same ids.

    Raises:
        SettingError: If the library has no such tokenizer.
    """
    options, vocabulary = tokenizer.options, tokenizer.vocabulary
    if options.tokens == "words":
        theirs = _words(vocabulary, options.word_split, tokenizer.edition)
    elif options.tokens == "subwords":
        theirs = _subwords(vocabulary, tokenizer.level.definition)  # type: ignore[attr-defined]
    elif options.tokens == "bytes":
        theirs = _bytes(vocabulary)
    elif options.tokens == "characters":
        theirs = _characters(vocabulary)
    else:
        raise SettingError(
            f"The tokenizers library has no {options.tokens!r}, so the run cannot be exported as "
            "one with its tokenizer; use `to='onnx'`."
        )
    theirs.normalizer = _normalizer(options)
    theirs.post_processor = processors.TemplateProcessing(
        single=[BOUNDARY_TOKEN, "$A"],
        special_tokens=[(BOUNDARY_TOKEN, vocabulary.boundary_id)],
    )
    return theirs


def _normalizer(options: TokenOptions) -> Any:
    steps: list[Any] = []
    if options.lowercase:
        # The library lowercases each character alone, and so misses the final sigma of Greek.
        steps += [normalizers.Replace(Regex(final_sigma()), "ς"), normalizers.Lowercase()]
    if options.nfc:
        steps.append(normalizers.NFC())
    return normalizers.Sequence(steps) if steps else None


def _table(names: Iterable[str], boundary_id: int) -> dict[str, int]:
    """Return a dictionary from names to ids, in order, with the boundary added."""
    return {name: index for index, name in enumerate(names)} | {BOUNDARY_TOKEN: boundary_id}


def _characters(vocabulary: Vocabulary) -> Tokenizer:
    """Return a character tokenizer; see the top of this module."""
    if vocabulary.unknown == "bytes":
        # Byte fallback looks up the names <0x00> to <0xFF>, which our vocabulary has.
        table = _table(vocabulary.names()[:-1], vocabulary.boundary_id)
        theirs = Tokenizer(models.BPE(vocab=table, merges=[], byte_fallback=True))
        theirs.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
        return theirs
    theirs = Tokenizer(_word_level(vocabulary))
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    theirs.decoder = decoders.Fuse()
    return theirs


def _word_level(vocabulary: Vocabulary) -> models.WordLevel:
    """Return a WordLevel model; if ``<unk>`` is not in it, an unknown symbol is an error."""
    return models.WordLevel(_table(vocabulary.spelled, vocabulary.boundary_id), unk_token=UNKNOWN)


def _bytes(vocabulary: Vocabulary) -> Tokenizer:
    table = _table(byte_alphabet(), vocabulary.boundary_id)
    theirs = Tokenizer(models.BPE(vocab=table, merges=[]))
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    theirs.decoder = decoders.ByteLevel()
    return theirs


def byte_alphabet() -> list[str]:
    """Return the printable character for each byte in byte-level BPE (Radford et al. 2019).

    Printable bytes of Latin-1 are themselves; the others are characters from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def _subwords(vocabulary: Vocabulary, definition: Mapping[str, Any]) -> Tokenizer:
    content = copy.deepcopy(dict(definition))
    content["model"]["vocab"][BOUNDARY_TOKEN] = vocabulary.boundary_id
    return Tokenizer.from_str(json.dumps(content))


def _words(vocabulary: Vocabulary, split: WordSplit, edition: Edition) -> Tokenizer:
    """Return a word tokenizer: a split by regular expression and WordLevel."""
    if vocabulary.unknown == "bytes":
        raise SettingError(
            "The tokens are words, of which unknown ones are spelled in bytes (`unknown='bytes'`); "
            "a tokenizer of Hugging Face cannot do both. Train with `unknown='symbol'`, or with "
            "`tokens='subwords'`."
        )
    theirs = Tokenizer(_word_level(vocabulary))
    found = Regex(word_pattern(split, edition))
    theirs.pre_tokenizer = pre_tokenizers.Split(found, "removed", invert=True)
    if split == "punctuation":
        theirs.decoder = decoders.Sequence(
            [
                decoders.Replace(Regex(r"\A"), " "),
                decoders.Fuse(),
                decoders.Replace(Regex(r"\A "), ""),
                decoders.Replace(Regex(r" (?=[.,;:!?%)\]}’”])"), ""),
                decoders.Replace(Regex(r"(?<=[(\[{“]) "), ""),
            ]
        )
    return theirs


def word_pattern(split: WordSplit, edition: Edition = LATEST) -> str:
    """Return a regular expression that matches the same words as ``find_words``."""
    space = _characters_of(SPACE)
    if split == "whitespace":
        return f"[^{space if edition == 1 else _characters_of(ASCII_SPACE)}]+"
    plain, letters = _characters_of(LETTER), _characters_of(LETTER | COMBINING)
    apostrophes = _characters_of(APOSTROPHE)
    tag, word = f"<[{plain}]+>", f"[{letters}]+(?:[{apostrophes}][{letters}]+)*"
    alone = f"(?<![^{space}])(?:{'|'.join(map(re.escape, SYMBOLS))})(?![^{space}])|"
    return f"{alone if edition > 1 else ''}{tag}|{word}|[^{space}]"


def _characters_of(kind: int) -> str:
    """Return the characters of a class as ranges for a regular expression's brackets."""
    return _ranges(class_table(CODE_POINTS) & kind != 0)


@cache
def final_sigma() -> str:
    """Return a regular expression for capital sigmas whose lower case is the final sigma.

    They come after a cased letter and not before one, skipping case-ignorable characters (Unicode
    standard, section 3.13, Final_Sigma). Both classes are found by probing ``str.lower``.
    """
    after_one = np.array([f"1{chr(point)}Σ".lower()[-1] == "ς" for point in range(CODE_POINTS)])
    after_two = np.array([f"a{chr(point)}Σ".lower()[-1] == "ς" for point in range(CODE_POINTS)])
    letters, ignored = _ranges(after_one), _ranges(after_two & ~after_one)
    return f"(?<=[{letters}][{ignored}]*)Σ(?![{ignored}]*[{letters}])"


def _ranges(inside: Bool[np.ndarray, " points"]) -> str:
    """Return the code points where ``inside`` is true, as ranges for brackets."""
    inside = np.concatenate([[False], inside, [False]])
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    ranges = zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
    return "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in ranges)
