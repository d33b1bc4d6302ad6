"""The alphabet of an acoustic model: which label is blank, which ends a word.

Labels come as toolkits write them, and are brought to one form here, the same as pyctcdecode's: the
blank is ``""``, the space is ``" "``, and a piece that begins a word has ``▁`` before it.
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
"""Stands before the first piece of a word, as SentencePiece writes it."""
UNK_TOKEN, UNK_BPE_TOKEN = "⁇", "▁⁇▁"
"""What the unknown label is called among characters, and among pieces of words."""
BLANK_TOKEN_PTN = re.compile(r"^[<\[]pad[>\]]$", re.IGNORECASE)
UNK_TOKEN_PTN = re.compile(r"^[<\[]unk[>\]]$", re.IGNORECASE)
"""Labels of toolkits that mean the blank and the unknown label."""
MOST_MISSING = 0.2
"""Share of the characters of the word list that labels may lack before a warning is given."""
_SPECIAL = re.compile(r"^[<\[].+[>\]]$")


@dataclass(frozen=True)
class Alphabet:
    """The labels of an acoustic model in one form.

    Attributes:
        labels: One per column of the logits: blank ``""``, space ``" "``, characters or pieces.
        is_bpe: Whether labels are pieces of words, the first of each word with ``▁`` before it.
    """

    labels: list[str]
    is_bpe: bool

    @classmethod
    def build_alphabet(cls, labels: Iterable[str]) -> "Alphabet":
        """Return the alphabet of labels as NeMo, transformers, ESPnet and others write them.

        ``<pad>``, ``[PAD]`` or, failing these, ``_`` is the blank; without any a blank is appended.
        ``|`` is the space where there is none. Labels with ``▁`` or ``##`` before them are pieces.

        Raises:
            DecodingError: If a label occurs twice, or a space stands in one of several pieces.
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
        """The characters that labels spell."""
        return frozenset("".join(self.labels))

    def check_coverage(self, words: Iterable[str]) -> None:
        """Warn if the words have many characters that no label spells."""
        asked = set("".join(words))
        missing = sorted(asked - self.characters)
        if asked and len(missing) / len(asked) > MOST_MISSING:
            shown = "".join(missing[:20])
            warn(
                f"{len(missing)} of {len(asked)} characters of the word list are in no label "
                f"({shown!r}), so words with them cannot be found: is the case the same?",
                ThenceWarning,
                stacklevel=4,
            )

    def dumps(self) -> str:
        """Return the alphabet as JSON, as pyctcdecode saves it."""
        return json.dumps({"labels": self.labels, "is_bpe": self.is_bpe})

    @classmethod
    def loads(cls, text: str) -> "Alphabet":
        """Return the alphabet that ``dumps`` wrote.

        Raises:
            DecodingError: If it is none.
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
    if any(label.startswith("##") for label in labels):
        labels = [_with_word_start(label) for label in labels]
    labels = ["" if BLANK_TOKEN_PTN.match(label) else label for label in labels]
    if "" not in labels:
        labels.append("")
    return [UNK_BPE_TOKEN if UNK_TOKEN_PTN.match(label) else label for label in labels]


def _with_word_start(label: str) -> str:
    """Return a label of BERT's form, ``##`` before all but the first piece, in the other form."""
    if label.startswith("##"):
        return label[2:]
    is_other = label in ("", BPE_TOKEN, UNK_BPE_TOKEN) or _SPECIAL.match(label)
    return label if is_other else BPE_TOKEN + label
