"""The flags of commands, made from the library functions that ``commands.py`` names."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import docstring_parser
from cyclopts import CoercionError, Group, Parameter, Token, convert

from thence.cli.commands import COMMANDS, Command
from thence.errors import SettingError

STANDARD_INPUT = "standard-input:"
SHORT = {"count": "-n", "output": "-o"}
"""Short forms of flags."""
RUN_PHRASES = {"run or its folder": "run folder", "runs or their folders": "run folders"}
"""Phrases of docstrings that help texts replace: on the command line a run is always a folder."""
SEVERAL = ("runs", "texts")
"""Positional parameters that take any number of arguments."""
TITLES = {
    "reading": "Reading",
    "splitting": "Splits",
    "tokens": "Tokens",
    "training": "Training",
    "labelling": "Labels",
}
"""Headings of the groups of settings in the help of ``thence train``."""
FILLED_IN = ("encoder", "members")
"""Settings that are computed when a training starts, and so are not flags."""
HELP_FLAGS = ("--help", "-h")
POSITIONAL, FLAG = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY


def shield_standard_input(arguments: Iterable[str]) -> list[str]:
    """Return the arguments with ``-`` replaced, which the parser would take for a flag."""
    return [STANDARD_INPUT if argument == "-" else argument for argument in arguments]


def unshield(value: str) -> str:
    """Undo ``shield_standard_input`` for one argument."""
    return "-" if value == STANDARD_INPUT else value


def convert_argument(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert an argument as cyclopts does, but never round a fraction to an integer.

    Raises:
        CoercionError: If the text is not a value of that type.
    """
    tokens = [token.evolve(value=unshield(token.value)) for token in tokens]
    fraction = next((token for token in tokens if "." in token.value), None)
    if fraction is not None and int in (kind, *get_args(kind)):
        raise CoercionError(token=fraction, target_type=int)
    return convert(kind, tokens)


def _as_text(kind: Any, tokens: Sequence[Token]) -> str:
    value = unshield(tokens[0].value)
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SettingError(
            f"The text {value!r} is not UTF-8: character {error.start + 1} cannot be read. Is the "
            "terminal set to another encoding?"
        ) from error
    return value


Text = Annotated[str, Parameter(converter=_as_text)]
"""An argument that is a text for a model, not an option or a path."""
BadWords = Annotated[
    tuple[Text, ...], Parameter(consume_multiple=True, negative_iterable=(), negative=())
]
"""The type of ``--bad-words``: one flag with several words."""


def __getattr__(name: str) -> Callable[..., None]:
    """Return a command by its name; cyclopts imports ``thence.cli.flags:NAME`` to run it."""
    if name not in COMMANDS:
        raise AttributeError(name)
    return make_command(COMMANDS[name])


def make_command(entry: Command, arguments: Sequence[str] = ()) -> Callable[..., None]:
    """Return a function for cyclopts whose signature has every flag of a command.

    Args:
        entry: The command.
        arguments: The user's arguments; they name the model whose settings are flags of a training.
    """
    function, printer = _named(entry.function), _named(f"cli.{entry.printer}")
    own = [item for item in inspect.signature(printer).parameters.values() if item.kind is FLAG]
    of_recipe = _recipe_parameters(entry)
    settings = list(_settings(entry, arguments))
    parameters = [*of_recipe, *_parameters(function, entry, of_recipe), *settings, *own]
    parameters.sort(key=lambda item: _place(item, entry))
    signature = inspect.Signature(parameters)

    def command(*arguments: Any, **flags: Any) -> None:
        bound = signature.bind(*arguments, **flags)
        left_open = {item.name for item in settings} - bound.arguments.keys()
        bound.apply_defaults()
        values = {name: v for name, v in bound.arguments.items() if name not in left_open}
        printed = {item.name: values.pop(item.name) for item in own}
        if entry.takes_recipe:
            from thence.training import recipe_from

            names = [item.name for item in (*of_recipe, *settings)]
            given = {name: values.pop(name) for name in names if name in values}
            values["recipe"] = recipe_from(**given)
        if "run" in values and entry.opens_run:
            from thence.runs import open_run

            values["run"] = open_run(values["run"])
        printer(lambda **more: function(**(values | more)), SimpleNamespace(**values), **printed)

    vars(command)["__signature__"] = signature
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    command.__doc__ = None
    return command


def _named(path: str) -> Any:
    module, name = path.split(":")[:2]
    return getattr(import_module(f"thence.{module}"), name)


def _place(item: inspect.Parameter, entry: Command) -> tuple[int, int]:
    """Return the sort key of a parameter in the signature: positional ones first, in order."""
    return (1, 0) if item.kind is FLAG else (0, entry.positional.index(item.name))


def _recipe_parameters(entry: Command) -> list[inspect.Parameter]:
    if not entry.takes_recipe:
        return []
    from thence.training import recipe_from

    return list(_parameters(recipe_from, entry))


def _parameters(
    function: Any, entry: Command, of_recipe: Sequence[inspect.Parameter] = ()
) -> Iterator[inspect.Parameter]:
    """Yield a parameter of the command for each parameter of a library function."""
    found = docstring_parser.parse(inspect.getdoc(function) or "", docstring_parser.Style.GOOGLE)
    documented = {item.arg_name: item.description or "" for item in found.params}
    signature = inspect.signature(function)
    hidden = {*entry.hidden, *(item.name for item in of_recipe)}
    hidden |= {"recipe"} if of_recipe else set()
    for item in signature.parameters.values():
        if item.kind is inspect.Parameter.VAR_KEYWORD or item.name in hidden:
            continue
        flag, default = entry.renamed.get(item.name, item.name), item.default
        kind: Any = POSITIONAL if item.name in entry.positional else FLAG
        if kind is POSITIONAL and item.name in SEVERAL:
            kind, default = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.empty
        text = entry.help.get(item.name)
        text = text or as_help(documented.get(item.name, ""), signature.parameters)
        yield _parameter(item.name, kind, default, _typed(item), text, flag=flag)


def _settings(entry: Command, arguments: Sequence[str]) -> Iterator[inspect.Parameter]:
    """Yield a parameter of the command for each field of its settings."""
    for path in entry.settings:
        kind, chosen = _named(path), path.split(":")[2:]
        names = chosen[0].split(",") if chosen else [item.name for item in fields(kind)]
        yield from _fields(kind, names, entry)
    if entry.takes_recipe:
        taken = set(FILLED_IN)  # A model setting hides a training setting of the same name.
        for title, kind in reversed(_groups(arguments).items()):
            names = [item.name for item in fields(kind) if item.name not in taken]
            taken.update(names)
            yield from _fields(kind, names, entry, Group(title, sort_key=10))


def _fields(
    kind: Any, names: Sequence[str], entry: Command, group: Group | None = None
) -> Iterator[inspect.Parameter]:
    hints, texts = get_type_hints(kind), field_help(kind)
    for item in fields(kind):
        if item.name in names:
            default = item.default if entry.shows_defaults else None
            hint = hints[item.name] if entry.shows_defaults else hints[item.name] | None
            text = entry.help.get(item.name) or texts[item.name]
            yield _parameter(item.name, FLAG, default, hint, text, group)


def _groups(arguments: Sequence[str]) -> dict[str, type[Any]]:
    """Return the settings classes of a training by heading, with those of the chosen model."""
    from thence.recipes.recipe import GROUPS, setting_groups

    model = chosen_model(arguments)
    groups = setting_groups(model) if model else dict(GROUPS)
    options = {f"Model {model}": groups.pop("options")} if model else {}
    return {TITLES[name]: kind for name, kind in groups.items()} | options


def chosen_model(arguments: Sequence[str]) -> str | None:
    """Return the model that the user's arguments name or imply; None for help without a model."""
    from thence.models.registry import is_known
    from thence.recipes.recipe import FROM_RUN, read_settings
    from thence.runs import open_run
    from thence.training import default_model

    config = _value_of("--config", arguments)
    given = {} if config is None else read_settings(Path(config))
    parent = _value_of("--from", arguments) or given.get(FROM_RUN)
    model = _value_of("--model", arguments)
    if model is None and is_known(str(given.get("model"))):  # An unknown model is an error later.
        model = given["model"]
    if model is None and parent is not None:
        return open_run(parent).recipe.model
    if model is not None or any(flag in arguments for flag in HELP_FLAGS):
        return model
    return default_model(given if _value_of("--label", arguments) is None else {"label": ""})


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == flag and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
    return None


@cache
def field_help(kind: type[Any]) -> dict[str, str]:
    """Return the docstring of each field of a dataclass and of its base classes."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            parsed = docstring_parser.parse_from_object(each)
            found |= {
                item.arg_name: " ".join((item.description or "").split()) for item in parsed.params
            }
    return found


def as_help(text: str, names: Iterable[str]) -> str:
    """Return the help of a flag from the description of a parameter in a docstring.

    >>> as_help("Text i of a seed does not depend on ``count``.", ["count"])
    'Text i of a seed does not depend on --count.'
    """

    def flag(found: re.Match[str]) -> str:
        return "--" + found[1].replace("_", "-") if found[1] in names else found[1]

    text = re.sub("``(.*?)``", flag, " ".join(text.split()))
    for phrase, typed in RUN_PHRASES.items():
        text = text.replace(phrase, typed)
    return text


def _parameter(
    name: str,
    kind: Any,
    default: Any,
    hint: Any,
    text: str,
    group: Group | None = None,
    flag: str | None = None,
) -> inspect.Parameter:
    parts = get_args(hint) or (hint,)
    about: dict[str, Any] = {"help": text}
    if kind is FLAG:
        written = f"--{(flag or name).replace('_', '-')}"
        about["name"] = (written, *([SHORT[flag]] if flag in SHORT else ()))
        about["allow_leading_hyphen"] = hint is Text
    elif flag != name:
        about["name"] = flag
    if any(is_dataclass(part) for part in parts):
        about = {"name": "*"}
    if group is not None:
        about |= {"group": group, "consume_multiple": True, "negative_iterable": ()}
        if name == "column":  # It goes well with --label.
            about["name"] = ("--column", "--text")
    elif default is False or any(get_origin(part) is tuple for part in (hint, *parts)):
        about["negative"] = ()
    default = inspect.Parameter.empty if default is MISSING else default
    annotation = Annotated[hint, Parameter(**about)]
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _typed(item: inspect.Parameter) -> Any:
    """Return the type that the argument for a parameter is converted to."""
    from thence.runs import Run

    hint = item.annotation
    kinds = get_args(hint) or (hint,)
    if item.name == "texts" or hint is str:
        return Text
    if item.name == "runs":
        return Path
    if get_origin(hint) is Sequence:
        return BadWords if kinds == (str,) else tuple[Path, ...]
    if Iterable[str] in kinds and Path not in kinds:
        return Annotated[list[Text] | None, Parameter(negative=())]
    if Path in kinds:  # A run or a file is a path; a text may also be a name or the text itself.
        one: Any = Path if Run in kinds or {*kinds} <= {str, Path, NoneType} else str
        return one | None if NoneType in kinds else one
    return Path if Run in kinds else hint
