"""The command ``thence``: runs the sub-command, and turns errors into one line and exit code 2.

Sub-commands are named as ``module:function`` and imported only when run, so that
``thence --help`` never waits for torch.
"""

import atexit
import gc
import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError, Parameter

import thence
from thence.cli.commands import COMMAND_GROUPS, COMMANDS
from thence.cli.flags import HELP_FLAGS, convert_argument, make_command, shield_standard_input
from thence.cli.messages import explain, in_flags, show_bug, warnings_as_remarks
from thence.cli.streams import (
    OutputError,
    drop_output,
    finish_output,
    prepare_streams,
    print_note,
    result_console,
)
from thence.errors import ThenceError
from thence.processes import local_rank
from thence.signals import exit_code, signal_number, signals_as_exceptions

LONGEST_MESSAGE = 1500
"""Characters of an error message that are shown; a longer one quotes an unreadably long value."""


def build_app(arguments: Sequence[str] = ()) -> App:
    """Return the command-line application.

    Args:
        arguments: The user's arguments; the flags of a training depend on the model they name.
    """
    app = App(
        name="thence",
        help="Train, evaluate, compare and sample small language models on your own text.",
        version=_version,
        help_format="plaintext",
        default_parameter=Parameter(converter=convert_argument),
    )
    groups = {"": app}
    for place, (path, entry) in enumerate(COMMANDS.items()):
        group, _, name = path.rpartition(" ")
        if group not in groups:
            groups[group] = App(name=group, help=COMMAND_GROUPS[group], sort_key=place)
            app.command(groups[group])
        target: str | Callable[..., None] = f"thence.cli.flags:{path}"
        summary = entry.summary
        if entry.takes_recipe and arguments[:1] == [path]:
            target = make_command(entry, arguments)
            summary += _models_help(path) if any(flag in arguments for flag in HELP_FLAGS) else ""
        groups[group].command(target, name=name, help=summary, sort_key=place)
    return app


def _version() -> str:
    """Return the version, and the reason if the compiled core is not used."""
    from thence._core import why_missing

    reason = why_missing()
    return thence.__version__ if reason is None else f"{thence.__version__} ({reason})"


def _models_help(command: str) -> str:
    from thence.models.registry import summaries

    models = "\n\n".join(summaries())
    return f"\n\nModels (own flags: thence {command} --model NAME --help):\n\n{models}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``thence``.

    Raises:
        SystemExit: With code 2 for errors that the user can fix; after a signal with 128 plus its
            number (130 for Ctrl-C).
    """
    prepare_streams()
    atexit.register(gc.freeze)  # Garbage collection at exit takes half a second with torch.
    if arguments is None:
        sys.excepthook = show_bug
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with warnings_as_remarks(), signals_as_exceptions():
            _run(given)
        finish_output()
    except OutputError as error:
        drop_output()
        _exit_with(str(error))
    except ThenceError as error:
        _exit_with(in_flags(str(error)), error.exit_code)
    except CycloptsError as error:
        message = in_flags(explain(error, given))
        _exit_with(f"{message} (see: {' '.join(_command(given))} --help)")
    except BrokenPipeError:
        drop_output()  # The reader of the pipe has gone, as after ``| head``.
        sys.exit(141)
    except KeyboardInterrupt as error:
        _exit_with("Interrupted.", exit_code(signal_number(error)))


def _run(arguments: Sequence[str]) -> None:
    build_app(arguments)(
        shield_standard_input(arguments),
        exit_on_error=False,
        print_error=False,
        console=result_console(),
        result_action="return_value",
    )


def _command(arguments: Sequence[str]) -> list[str]:
    """Return the words that name the command, for the hint to its help."""
    for length in (2, 1):
        if " ".join(arguments[:length]) in (*COMMANDS, *COMMAND_GROUPS):
            return ["thence", *arguments[:length]]
    return ["thence"]


def _exit_with(message: str, code: int = 2) -> None:
    if local_rank() != 0:  # With torchrun, one process per machine prints the message.
        sys.exit(code)
    line = " ".join(message.split())
    if len(line) > LONGEST_MESSAGE:
        line = f"{line[: LONGEST_MESSAGE // 2]} ... {line[-LONGEST_MESSAGE // 2 :]}"
    print_note(f"thence: {line}")
    sys.exit(code)
