"""Splitting lines into words and labels, as fastText does."""

from collections.abc import Sequence

from thence.fasttext.errors import ONE_LINE, FastTextError
from thence.models.fasttext.corpus import read_tokens

EOS, BOW, EOW = "</s>", "<", ">"
"""The word for the end of a line; the characters for the beginning and the end of a word."""
PREFIX = "__label__"


def tokenize(text: str) -> list[str]:
    """Return the words of a text, split at white space; a line end becomes ``</s>``."""
    return [word.decode() for word in read_tokens(text.encode())]


def one_line(text: str) -> str:
    """Return the text; FastTextError if it has a line end."""
    if text.find("\n") != -1:
        raise FastTextError(ONE_LINE)
    return text


def words_and_labels(text: str, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of a line, with ``</s>`` at the end, and its labels."""
    found, known = tokenize(one_line(text)), set(labels)
    words = [word for word in found if word not in known and not word.startswith(PREFIX)]
    return [*words, EOS], [word for word in found if word in known]
