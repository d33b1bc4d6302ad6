"""The command ``thence``: finds the sub-command, and turns errors into one line and code 2.

Sub-commands are named as ``module:function`` and imported only when run, so that
``thence --help`` never waits for torch.
"""

import atexit
import gc
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from thence.cli.arguments import convert_argument, shield_standard_input
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
from thence.processes import local_number
from thence.signals import exit_code, signal_number, signals_as_exceptions

COMMANDS = {
    "train": "Train a model on a text.",
    "best": "Make the best model of a text that a given time allows.",
    "resume": "Go on with a training that was stopped.",
    "find-lr": "Find a good learning rate.",
    "sweep": "Train with many settings and keep the best.",
    "runs": "List the runs in a folder.",
    "evaluate": "Judge a run on its dev or test split, or on a text.",
    "compare": "Judge several runs on the same text, with intervals of all differences.",
    "mix": "Average the models of several runs, with weights from dev.",
    "score": "Give the log-probability of texts; say which of several is likelier.",
    "classify": "Give the label of each text; explain it.",
    "similar": "Show the words that a model takes for nearest to a word.",
    "next": "Show the most probable next tokens after a text.",
    "complete": "Go on with a text, in the likeliest ways or in drawn ones.",
    "fill": "Fill the blanks of a text.",
    "sample": "Draw texts from a model.",
    "serve": "Answer over HTTP, and show a page to see models with.",
    "report": "Write a run's report.html.",
    "plot": "Write a run's pictures as PNG and SVG.",
    "export": "Write a run for other programs: ARPA, word2vec, ONNX, Hugging Face.",
    "import": "Make a run of an ARPA file.",
    "data": "List and fetch named texts.",
}
"""The table of sub-commands with the line that help shows, in the order that help has them."""

LONGEST_MESSAGE = 1500
RECIPE_COMMANDS = {"train": "thence.cli.training:train", "find-lr": "thence.cli.training:find_lr"}
"""Commands whose flags depend on the model, which parse their own arguments."""
OTHER_COMMANDS = {
    "score": "thence.cli.evaluating:score_texts",
    "classify": "thence.cli.evaluating:classify_texts",
    "serve": "thence.cli.serve:command",
    "data": "thence.cli.data:app",
}
"""Commands with flags of their own; the others are made of library functions."""


def build_app() -> App:
    """Return the command-line application."""
    app = App(
        name="thence",
        help="Train, judge, compare and sample small language models on your own text.",
        version=_version,
        help_format="plaintext",
        default_parameter=Parameter(converter=convert_argument),
    )
    for place, (name, summary) in enumerate(COMMANDS.items()):
        if name in RECIPE_COMMANDS:
            raw = App(name=name, help=summary, help_flags=[], version_flags=[], sort_key=place)
            raw.default(_raw(RECIPE_COMMANDS[name]))
            app.command(raw)
        else:
            target = OTHER_COMMANDS.get(name, f"thence.cli.library_commands:{name}")
            app.command(target, name=name, help=summary, sort_key=place)
    return app


def _version() -> str:
    from thence import __version__  # Looked up only where it is shown, since that takes time.

    return __version__


def _raw(target: str) -> Callable[..., None]:
    module, function = target.split(":")

    def run(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> None:
        getattr(import_module(module), function)(shield_standard_input(arguments))

    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``thence``.

    Raises:
        SystemExit: With code 2 for what the user can mend; after a signal with 128 and its number
            (130 for Ctrl-C).
    """
    prepare_streams()
    atexit.register(gc.freeze)  # To look for garbage when all ends takes half a second with torch.
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
        _exit_with(f"{explain(error, *given[:1])} (see: {' '.join(_command(given))} --help)")
    except BrokenPipeError:
        drop_output()  # The reader of our output has gone: nothing is left to say to it.
        sys.exit(141)
    except KeyboardInterrupt as error:
        _exit_with("Interrupted.", exit_code(signal_number(error)))


def _run(arguments: Sequence[str]) -> None:
    build_app()(
        shield_standard_input(arguments),
        exit_on_error=False,
        print_error=False,
        console=result_console(),
        result_action="return_value",
    )


def _command(arguments: Sequence[str]) -> list[str]:
    """Return the part of the arguments that names the command, for a hint at its help."""
    named = ["thence"]
    if arguments and arguments[0] in COMMANDS:
        named.append(arguments[0])
        if arguments[0] == "data" and arguments[1:2] in (["list"], ["get"]):
            named.append(arguments[1])
    return named


def _exit_with(message: str, code: int = 2) -> None:
    if local_number() != 0:  # Of several that train together, one on each machine says it.
        sys.exit(code)
    line = " ".join(message.split())
    if len(line) > LONGEST_MESSAGE:  # It repeats a value that is no reading for people.
        line = f"{line[: LONGEST_MESSAGE // 2]} ... {line[-LONGEST_MESSAGE // 2 :]}"
    print_note(f"thence: {line}")
    sys.exit(code)
