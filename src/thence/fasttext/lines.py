"""Lines of text as fastText cuts them."""

from collections.abc import Sequence

from thence.fasttext.errors import ONE_LINE, FastTextError
from thence.models.fasttext.corpus import read_tokens

EOS, BOW, EOW = "</s>", "<", ">"
"""The end of a line, as a word; the beginning and the end of a word, as characters."""
PREFIX = "__label__"


def tokenize(text: str) -> list[str]:
    """Return the words of a text, which stand between white space; a line end is ``</s>``."""
    return [word.decode() for word in read_tokens(text.encode())]


def one_line(text: str) -> str:
    """Return the text.

    Raises:
        FastTextError: If there is a line end in it.
    """
    if text.find("\n") != -1:
        raise FastTextError(ONE_LINE)
    return text


def words_and_labels(text: str, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words of a line, ``</s>`` the last, and those that are labels."""
    found, known = tokenize(one_line(text)), set(labels)
    words = [word for word in found if word not in known and not word.startswith(PREFIX)]
    return [*words, EOS], [word for word in found if word in known]
