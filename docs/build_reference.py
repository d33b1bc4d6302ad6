"""Write the tables of flags and settings into ``docs/reference``, from the code.

    python docs/build_reference.py

A table stands between ``<!-- flags of COMMAND -->`` or ``<!-- settings of GROUP -->``, a group of
settings or a model, and
``<!-- end -->``; what is around it is written by hand. A test fails if a page is out of date.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args

from thence.cli import training
from thence.cli.library_commands import field_help
from thence.cli.main import RECIPE_COMMANDS, build_app
from thence.cli.recipe_flags import with_recipe_flags
from thence.corpus import ReadingOptions
from thence.models.output_layer import OutputLayerOptions
from thence.models.registry import get_family
from thence.recipes.recipe import CLASSIFIER_GROUPS
from thence.settings import declared_types, describe_type
from thence.tokens import TokenOptions

REFERENCE = Path(__file__).parent / "reference"
TABLE = re.compile(r"(<!-- (flags|settings) of (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
GROUPS = {**CLASSIFIER_GROUPS, "tokens": TokenOptions, "output layer": OutputLayerOptions}
READING = ["--" + item.name.replace("_", "-") for item in fields(ReadingOptions)]
FILLED_IN = ("encoder", "members")
"""Settings that no one writes."""


def updated(page: str) -> str:
    """Return a page with its tables as the code has them now."""

    def table(found: re.Match[str]) -> str:
        rows = flag_rows(found[3]) if found[2] == "flags" else setting_rows(found[3])
        return f"{found[1]}\n{''.join(rows)}\n{found[4]}"

    return TABLE.sub(table, page)


def flag_rows(command: str) -> Iterator[str]:
    """Yield the lines of the table of a command's own flags."""
    yield from _header("flag", "default", "meaning")
    if command in RECIPE_COMMANDS:
        yield from _recipe_flag_rows(command)
        return
    app = build_app()
    for name in command.split():
        app = app[name]
    of_reading = []
    for argument in app.assemble_argument_collection(parse_docstring=True):
        names = ", ".join(map(_code, argument.names))
        if argument.index is not None or not argument.show:
            continue
        if command != "best" and argument.names[0] in READING:
            of_reading.append(names)
            continue
        yield _row(names, _shown(argument.field_info.default), argument.parameter.help)
    if of_reading:
        yield _row(", ".join(of_reading), "", "How the text is read: [settings](settings.md).")


def _recipe_flag_rows(command: str) -> Iterator[str]:
    """Yield the rows of the flags that train and find-lr have besides the settings."""
    run = training.run_training if command == "train" else training.run_lr_finder
    signature = inspect.signature(with_recipe_flags(run, None))
    for name, item in signature.parameters.items():
        parameter = get_args(item.annotation)[1]
        if item.kind is not inspect.Parameter.KEYWORD_ONLY or parameter.name == ("*",):
            continue
        flag = name.replace("_", "-")
        names = list(parameter.name or (f"--{flag}",))
        names += [f"--no-{flag}"] if item.default is True else []
        yield _row(", ".join(map(_code, names)), _shown(item.default), parameter.help)


def setting_rows(group: str) -> Iterator[str]:
    """Yield the lines of the table of a group of settings, or of a model's own."""
    kind: Any = GROUPS[group] if group in GROUPS else get_family(group).options_class()
    types, texts = declared_types(kind), field_help(kind)
    shared = () if kind is OutputLayerOptions else [one.name for one in fields(OutputLayerOptions)]
    yield from _header("flag, setting", "default", "value", "meaning")
    for item in fields(kind):
        if item.name in FILLED_IN or item.name in shared:
            continue
        flag = "--" + item.name.replace("_", "-")
        names = f"{_code(flag)}, {_code(item.name)}" if "_" in item.name else _code(flag)
        yield _row(names, _shown(item.default), describe_type(types[item.name]), texts[item.name])


def _header(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |\n", "|" + "---|" * len(names) + "\n"]


def _row(*cells: str | None) -> str:
    escaped = (" ".join((cell or "").split()).replace("|", r"\|") for cell in cells)
    escaped = (re.sub("<(?=[a-z])", r"\\<", cell) for cell in escaped)
    return f"| {' | '.join(escaped)} |\n".replace("|  |", "| |")


def _code(text: str) -> str:
    return f"`{text}`"


def _shown(default: Any) -> str:
    """Return a default as people write it; nothing where there is none."""
    if isinstance(default, bool):
        return "yes" if default else "no"
    if default is None or default is MISSING or isinstance(default, type) or default == ():
        return ""
    if isinstance(default, Sequence) and not isinstance(default, str):
        return _code(" ".join(map(str, default)))
    return _code(str(default)) if str(default) else ""


if __name__ == "__main__":
    for path in (REFERENCE / "commands.md", REFERENCE / "settings.md"):
        path.write_text(updated(path.read_text("utf-8")), "utf-8")
