"""Whether an argument names a text or is one, for the commands that take either.

| argument                                                        | what it is                     |
|-----------------------------------------------------------------|--------------------------------|
| ``-``, ``hf:NAME``, the path of what exists, a bundled text     | a text by its name             |
| one word that looks like a path: ``notes.txt``, ``./x``, ``a/b``| an error, since it is not there|
| in a folder that exists                                         |                                |
| anything else                                                   | the text itself                |
"""

from collections.abc import Sequence
from pathlib import Path

from thence.corpus import BUNDLED
from thence.corpus.loading import exists
from thence.corpus.reading import KNOWN_SUFFIXES, inner_suffix
from thence.corpus.tables import HUGGING_FACE
from thence.errors import SettingError, TextError

PATH_BEGINNINGS = ("/", "./", "../", "~/")
"""How a path may begin that is written out."""


def literal_texts(arguments: Sequence[str]) -> list[str] | None:
    """Return the arguments if they are texts; None where the only one names a text.

    Raises:
        TextError: One looks like a path, and there is no such file; or it is not UTF-8.
        SettingError: There are several, and one of them names a text.
    """
    named = [argument for argument in arguments if is_text_name(argument)]
    if named and len(arguments) > 1:
        raise SettingError(
            f"Several texts are given, and '{named[0]}' names a file or a known text. Give one "
            "file alone, or the texts themselves."
        )
    if named:
        return None
    for argument in arguments:
        check_text(argument)
    return list(arguments)


def is_text_name(argument: str) -> bool:
    """Return whether an argument is the path or the name of a text."""
    is_name = argument in ("-", *BUNDLED) or argument.startswith(HUGGING_FACE)
    return is_name or (argument != "" and exists_as_path(argument))


def exists_as_path(argument: str) -> bool:
    """Return whether there is such a file or folder; a long text is no path at all."""
    try:
        Path(argument).stat()
    except (OSError, ValueError):
        return len(argument) < 256 and "\0" not in argument and exists(Path(argument))
    return True


def check_text(argument: str) -> None:
    """Refuse what is not a text but a path, or holds what is no character.

    Raises:
        TextError: It is.
    """
    one_word = argument and not any(map(str.isspace, argument))
    written_out = argument.startswith(PATH_BEGINNINGS)
    in_a_folder = "/" in argument and exists_as_path(argument.rpartition("/")[0])
    if one_word and (written_out or in_a_folder or inner_suffix(argument) in KNOWN_SUFFIXES):
        raise TextError(
            f"{argument} does not exist. Is the path spelt right? If it is not a path but the text "
            "itself, give it through standard input (-)."
        )
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            f"The text {argument!r} is not UTF-8: character {error.start + 1} cannot be read. Is "
            "the terminal set to another encoding?"
        ) from error
