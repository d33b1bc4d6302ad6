"""The command ``thence``: finds the sub-command, and turns errors into one line and code 2.

Sub-commands are named as ``module:function`` and imported only when run, so that
``thence --help`` never waits for torch.
"""

import sys
from collections.abc import Callable, Sequence

from cyclopts import App, CycloptsError

from thence import __version__
from thence.commands.arguments import shield_standard_input
from thence.errors import ThenceError

COMMANDS = {
    "train": "Train a model on a text.",
    "resume": "Go on with a training that was stopped.",
    "find-lr": "Sweep the learning rate and suggest one.",
    "evaluate": "Judge a run on its dev or test split, or on a file.",
    "compare": "Judge several runs on the same text, with paired intervals.",
    "score": "Give the log-probability of texts, one JSON line each.",
    "next": "Show the most probable next tokens after a text.",
    "sample": "Draw texts from a model.",
    "report": "Write a run's report.html.",
    "plot": "Write a run's pictures as PNG and SVG.",
    "data": "List and fetch named texts.",
}
"""The table of sub-commands with the line that help shows."""

RAW_COMMANDS = ("train", "find-lr")
"""Commands whose flags depend on the model, which parse their own arguments."""


def build_app() -> App:
    """Return the command-line application."""
    app = App(
        name="thence",
        help="Train, judge, compare and sample small language models on your own text.",
        version=__version__,
        help_format="plaintext",
    )
    for name, summary in COMMANDS.items():
        module = name.replace("-", "_")
        if name in RAW_COMMANDS:
            raw = App(name=name, help=summary, help_flags=[], version_flags=[])
            raw.default(_raw(module))
            app.command(raw)
        else:
            target = f"thence.commands.{module}:{'app' if name == 'data' else 'command'}"
            app.command(target, name=name, help=summary)
    return app


def _raw(module: str) -> Callable[..., None]:
    from typing import Annotated

    from cyclopts import Parameter

    def run(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)]) -> None:
        from importlib import import_module

        import_module(f"thence.commands.{module}").command(arguments)

    return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``thence`` and exit: 0 when all went well, 2 for what the user can mend."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    given = shield_standard_input(sys.argv[1:] if arguments is None else arguments)
    try:
        build_app()(given, exit_on_error=False, print_error=False)
    except ThenceError as error:
        _fail(str(error))
    except CycloptsError as error:
        command = f" {given[0]}" if given and given[0] in COMMANDS else ""
        _fail(f"{error} (see: thence{command} --help)")
    except BrokenPipeError:
        sys.stderr.close()  # The reader of our output has gone: nothing is left to say to it.
        sys.exit(141)
    except KeyboardInterrupt:
        _fail("Interrupted.", code=130)


def _fail(message: str, code: int = 2) -> None:
    sys.stderr.write(f"thence: {' '.join(message.split())}\n")
    sys.exit(code)
