"""Messages of a command besides its result: wrong arguments, warnings, bugs."""

import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_origin

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from thence.cli.commands import COMMANDS
from thence.cli.flags import chosen_model
from thence.errors import ThenceWarning
from thence.processes import local_rank
from thence.synonyms import synonyms
from thence.terminal import print_note

SETTING = re.compile(r"`([a-z_0-9]+)(?:=(?:'([^`']*)'|([^`]*)))?`")
"""A setting in a message, with or without a value: `tied`, `softmax='adaptive'`, `layers=0`."""
OTHER_FLAGS = {"from_run": "from", "goes_on": "open", "source": "from"}
"""Settings whose flags have other names."""


TRAIN_FLAGS = ("--model", "--config", "--lr", "--epochs", "--batch-size")
"""Flags of ``thence train`` that ``thence best`` does not have, for a better error message."""


def in_flags(message: str) -> str:
    """Return a message with its settings written as flags.

    >>> in_flags("`direct` does not go with `layers=0`; use `tied=False` or `softmax='full'`.")
    '--direct does not go with --layers 0; use --no-tied or --softmax full.'
    """

    def flag(found: re.Match[str]) -> str:
        name = OTHER_FLAGS.get(found[1], found[1]).replace("_", "-")
        value = found[2] if found[3] is None else found[3]
        if value in (None, "True", "False"):
            return f"--no-{name}" if value == "False" else f"--{name}"
        return f"--{name} {value}"

    return SETTING.sub(flag, message)


def explain(error: CycloptsError, arguments: Sequence[str] = ()) -> str:
    """Return a sentence that says what is wrong with the arguments."""
    match error:
        case UnknownOptionError():
            return _unknown_option(error, arguments)
        case UnknownCommandError() if error.unused_tokens and (
            here := synonyms("commands").get(name := error.unused_tokens[0])
        ):
            return f'Unknown command "{name}". Here it is: {here}.'
        case UnusedCliTokensError():
            left = error.unused_tokens or [""]
            files = "To read several files, name a folder with them, or join them: cat A B | ... -"
            way_out = f" {files}." if Path(left[0]).is_file() else ""
            return f"Too many arguments: {' '.join(left)} is left over.{way_out}"
        case CoercionError() if (
            error.token is not None and get_origin(error.target_type) != Literal
        ):
            return _not_of_its_kind(error)
        case RepeatArgumentError():
            return f"{error.token.keyword} is given more than once."
        case MissingArgumentError() if error.argument is not None:
            return _missing(error)
        case _:
            return str(error)


def _unknown_option(error: UnknownOptionError, arguments: Sequence[str]) -> str:
    flag = (error.token.keyword or error.token.value).partition("=")[0]
    if arguments[0] == "best" and flag in TRAIN_FLAGS:
        return (
            f"thence best has no {flag}: it chooses models and their settings itself. Choose them "
            "with thence train."
        )
    places = [one.name for one in error.argument_collection or () if one.index is not None]
    if (place := flag.removeprefix("--").upper()) in places:
        usage = " ".join([arguments[0], *places])
        return f"Unknown option: {flag}. {place} is written without it: thence {usage}."
    entry = COMMANDS.get(arguments[0])
    if entry is not None and entry.takes_recipe:
        from thence.recipes.recipe import hint_for_unknown

        name, model = flag.removeprefix("--").replace("-", "_"), chosen_model(arguments)
        if model is not None and (hint := hint_for_unknown(name, model)):
            return f"Unknown option: {flag}.{hint}"
    return str(error)


def _not_of_its_kind(error: CoercionError) -> str:
    from thence.settings import describe_type  # It loads NumPy.

    assert error.token is not None
    name = error.token.keyword or (error.argument.name if error.argument else "An argument")
    return f"{name} is {error.token.value}; it must be {describe_type(error.target_type)}."


def _missing(error: MissingArgumentError) -> str:
    assert error.argument is not None
    name = error.keyword or error.argument.name
    if error.keyword:
        return f"{name} needs a value after it; one that begins with a hyphen is written {name}=-x."
    return f"{name} is missing."


@contextmanager
def warnings_as_remarks() -> Iterator[None]:
    """Context manager: print each ThenceWarning once, as a remark; other warnings as usual."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", ThenceWarning)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if not issubclass(category, ThenceWarning):
                usual(message, category, *rest, **more)
            elif str(message) not in shown and local_rank() == 0:
                shown.add(str(message))
                print_note(in_flags(str(message)))

        warnings.showwarning = show
        yield


def show_bug(kind: type[BaseException], bug: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug in thence."""
    print_note("".join(traceback.format_exception(kind, bug, trace)).rstrip("\n"))
