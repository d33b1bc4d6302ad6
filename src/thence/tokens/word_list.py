"""Reading a vocabulary file: one symbol per line, as other programs write it."""

import re
from pathlib import Path

from thence.corpus.opening import refuse_odd
from thence.errors import TextError
from thence.tokens.vocabulary import BOUNDARY, UNKNOWN

_FIRST = re.compile(r"[ \t]+")
NO_WORDS = frozenset({UNKNOWN, BOUNDARY, "<s>", "</s>"})
"""Special symbols in lists of SRILM and Kaldi, which are skipped."""


def read_word_list(path: str | Path) -> list[str]:
    """Return the distinct symbols of a file in its order; of a table the first column.

    Raises:
        TextError: If it cannot be read, is not UTF-8, or has no symbols.
    """
    refuse_odd(Path(path))
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TextError(f"The list {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise TextError(f"The list {path} is not UTF-8: {error}.") from error
    lines = (line.rstrip("\r") for line in text.split("\n"))
    words = dict.fromkeys(_FIRST.split(line.strip(" \t"))[0] or line[:1] for line in lines if line)
    found = [word for word in words if word not in NO_WORDS]
    if not found:
        raise TextError(f"The list {path} holds no word; it should have one on each line.")
    return found
