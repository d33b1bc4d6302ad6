"""The alphabet of an acoustic model: the labels of its columns, and which is blank or space.

Toolkits write labels in different forms, which become one form here, that of pyctcdecode: the blank
is ``""``, the space is ``" "``, and a subword that begins a word has the prefix ``▁``.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from warnings import warn

from thence.ctc.errors import DecodingError
from thence.errors import ThenceWarning

BPE_TOKEN = "▁"
"""Prefix of the first subword of a word, as in SentencePiece."""
UNK_TOKEN, UNK_BPE_TOKEN = "⁇", "▁⁇▁"
"""The unknown label among characters, and among subwords."""
BLANK_TOKEN_PTN = re.compile(r"^[<\[]pad[>\]]$", re.IGNORECASE)
UNK_TOKEN_PTN = re.compile(r"^[<\[]unk[>\]]$", re.IGNORECASE)
"""Patterns of the blank and the unknown label in other toolkits."""
MOST_MISSING = 0.2
"""Share of the characters of the word list without a label above which there is a warning."""
_SPECIAL = re.compile(r"^[<\[].+[>\]]$")


@dataclass(frozen=True)
class Alphabet:
    """The labels of an acoustic model in one form.

    Attributes:
        labels: One per column of the logits: blank ``""``, space ``" "``, characters or subwords.
        is_bpe: Whether labels are subwords, with the prefix ``▁`` at the beginning of a word.
    """

    labels: list[str]
    is_bpe: bool

    @classmethod
    def build_alphabet(cls, labels: Iterable[str]) -> "Alphabet":
        """Return the alphabet of labels in the form of NeMo, transformers, ESPnet and others.

        ``<pad>``, ``[PAD]`` or else ``_`` is the blank; without any, a blank is appended. ``|`` is
        the space if there is none. Labels with the prefix ``▁`` or ``##`` are subwords.

        Raises:
            DecodingError: If a label occurs twice, or a subword has a space.
        """
        labels = list(labels)
        twice = next((one for place, one in enumerate(labels) if one in labels[:place]), None)
        if twice is not None:
            raise DecodingError(f"The label {twice!r} occurs twice in the alphabet.")
        is_bpe = any(label.startswith((BPE_TOKEN, "##")) for label in labels)
        if not is_bpe:
            return cls(_characters(labels), is_bpe)
        spaced = next((label for label in labels if " " in label), None)
        if spaced is not None:
            raise DecodingError(
                f"The label {spaced!r} has a space, but other labels are pieces of words "
                f"({BPE_TOKEN} or ## before them), where a space is no label."
            )
        return cls(_pieces(labels), is_bpe)

    @cached_property
    def characters(self) -> frozenset[str]:
        """The characters in the labels."""
        return frozenset("".join(self.labels))

    def check_coverage(self, words: Iterable[str]) -> None:
        """Warn if the words have many characters that no label has."""
        characters = set("".join(words))
        missing = sorted(characters - self.characters)
        if characters and len(missing) / len(characters) > MOST_MISSING:
            shown = "".join(missing[:20])
            warn(
                f"{len(missing)} of {len(characters)} characters of the word list are in no label "
                f"({shown!r}), so words with them cannot be found: is the case the same?",
                ThenceWarning,
                stacklevel=4,
            )

    def dumps(self) -> str:
        """Return the alphabet as JSON, in the format of pyctcdecode."""
        return json.dumps({"labels": self.labels, "is_bpe": self.is_bpe})

    @classmethod
    def loads(cls, text: str) -> "Alphabet":
        """Return the alphabet from the JSON of ``dumps``.

        Raises:
            DecodingError: If it is no such JSON.
        """
        try:
            read = json.loads(text)
        except ValueError as error:
            raise DecodingError(f"The alphabet is not JSON: {error}.") from None
        kinds = {"labels": list, "is_bpe": bool}
        if not isinstance(read, dict) or {name: type(it) for name, it in read.items()} != kinds:
            raise DecodingError(
                "An alphabet in JSON has 'labels', a list, and 'is_bpe'; this has not."
            )
        return cls(list(map(str, read["labels"])), read["is_bpe"])


def _characters(labels: list[str]) -> list[str]:
    """Return labels of characters with blank, space and unknown in the common form."""
    if "|" in labels and " " not in labels:
        labels[labels.index("|")] = " "
    labels = ["" if BLANK_TOKEN_PTN.match(label) else label for label in labels]
    if "" not in labels:
        if "_" in labels:
            labels[labels.index("_")] = ""
        else:
            labels.append("")
    return [UNK_TOKEN if UNK_TOKEN_PTN.match(label) else label for label in labels]


def _pieces(labels: list[str]) -> list[str]:
    """Return labels of subwords with blank and unknown in the common form."""
    if any(label.startswith("##") for label in labels):
        labels = [_with_word_start(label) for label in labels]
    labels = ["" if BLANK_TOKEN_PTN.match(label) else label for label in labels]
    if "" not in labels:
        labels.append("")
    return [UNK_BPE_TOKEN if UNK_TOKEN_PTN.match(label) else label for label in labels]


def _with_word_start(label: str) -> str:
    """Return a label of BERT's form (``##`` before all but the first subword) in that of ``▁``."""
    if label.startswith("##"):
        return label[2:]
    is_other = label in ("", BPE_TOKEN, UNK_BPE_TOKEN) or _SPECIAL.match(label)
    return label if is_other else BPE_TOKEN + label
