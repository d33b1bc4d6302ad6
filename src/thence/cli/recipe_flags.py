"""Flags made from the settings dataclasses, those of the chosen model among them.

The flags of a model exist only when that model is chosen, so the arguments are looked at twice:
once for ``--model`` and ``--config``, then with all flags known.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Group, Parameter, UnknownOptionError
from cyclopts.config import Dict as DictConfig

from thence.cli.arguments import convert_argument
from thence.cli.streams import result_console
from thence.errors import SettingError
from thence.models.registry import (
    DEFAULT_CLASSIFIER,
    DEFAULT_MODEL,
    get_family,
    summaries,
)
from thence.recipes.recipe import (
    FROM_RUN,
    GROUPS,
    Recipe,
    groups_of,
    hint_for_unknown,
    make_recipe,
    read_settings,
)
from thence.runs.run import Run
from thence.settings import as_in_file
from thence.training.finetuning import (
    DURATION_SETTINGS,
    TEXT_SETTINGS,
    is_same_text,
    settings_from_run,
)

TITLES = {
    "reading": "Reading",
    "splitting": "Splits",
    "tokens": "Tokens",
    "training": "Training",
    "labelling": "Labels",
}
"""What the help calls the groups of settings."""
FLAG_NAMES = re.compile("^(?!encoder$)")
"""What no setting is called that is filled in when training start."""
TEXT_HELP = "File, folder, - for standard input, or a named text (thence data list)."
FROM_HELP = (
    "A run of a network to train on: begin with its best weights, and with its tokens, text and "
    "settings where no others are given."
)
TEXT_GROUPS = ("reading", "splitting")
"""Groups of settings that belong to a text."""
HELP_FLAGS = ("--help", "-h")


def parse_recipe_command(
    name: str, run: Callable[..., None], summary: str, arguments: Sequence[str]
) -> None:
    """Run a command whose flags are its own, those of a recipe, and those of the model.

    Args:
        name: Of the command.
        run: Takes the recipe first and the command's own flags as keywords; its signature and
            docstring make their help.
        summary: Shown on top of the help.
        arguments: What came after the command.
    """
    config, model = _value_of("--config", arguments), _value_of("--model", arguments)
    own = _read_config(Path(config), model) if config is not None else {}
    given, start = _with_parent_run(own, model, arguments)
    labelled = "label" in given or _value_of("--label", arguments) is not None
    default = DEFAULT_CLASSIFIER if labelled else DEFAULT_MODEL
    model = model or given.get("model")
    asks_help = any(flag in arguments for flag in HELP_FLAGS)
    choices = "\n\n".join(summaries() if asks_help else [])
    chosen = None if asks_help and model is None else str(model or default)
    settings = {
        key: value
        for key, value in given.items()
        if key not in ("text", "model", FROM_RUN) and FLAG_NAMES.search(key)
    }
    source = str(config or _value_of("--from", arguments) or given.get(FROM_RUN))
    app = App(
        name=f"thence {name}",
        help=f"{summary}\n\nModels (own flags: thence {name} --model NAME --help):\n\n{choices}",
        help_format="plaintext",
        version_flags=[],
        default_parameter=Parameter(converter=convert_argument),
        config=DictConfig(settings, source=source, use_commands_as_keys=False),
    )
    app.default(with_recipe_flags(run, chosen, start))
    try:
        app(
            _text_flag_as_column(arguments),
            exit_on_error=False,
            print_error=False,
            console=result_console(),
            result_action="return_value",
        )
    except UnknownOptionError as error:
        flag = error.token.keyword or ""
        hint = hint_for_unknown(flag.removeprefix("--").replace("-", "_"), chosen or default)
        if not hint:
            raise
        raise SettingError(f"Unknown option: {flag}.{hint}") from error


def _with_parent_run(
    own: Mapping[str, Any], model: str | None, arguments: Sequence[str]
) -> tuple[Mapping[str, Any], "RecipeStart"]:
    """Return the settings of a config together with those of the run that is trained on, if any.

    Args:
        own: The settings of the config; they come before those of the run.
        model: What ``--model`` says.
        arguments: What was typed.
    """
    parent = _value_of("--from", arguments) or own.get(FROM_RUN)
    if parent is None:
        return own, RecipeStart(own.get("text"))
    durations = [
        name for name in DURATION_SETTINGS if _value_of(f"--{name}", arguments) is not None
    ]
    asked = {} if model is None else {"model": model}
    inherited = settings_from_run(Run(parent), {**own, **dict.fromkeys(durations, ""), **asked})
    given = {name: value for name, value in inherited.items() if name not in durations} | dict(own)
    of_its_text = [
        name
        for name in TEXT_SETTINGS
        if name in inherited and name not in own and _value_of(f"--{name}", arguments) is None
    ]
    return given, RecipeStart(given.get("text"), inherited.get(FROM_RUN), of_its_text)


def _text_flag_as_column(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--column`` for ``--text``, which goes well with ``--label``."""
    return [
        "--column" + argument.removeprefix("--text")
        if argument == "--text" or argument.startswith("--text=")
        else argument
        for argument in arguments
    ]


def _read_config(path: Path, model: str | None) -> dict[str, Any]:
    """Return the settings of a recipe, each known and of its type; flags may still replace them.

    Raises:
        SettingError: If a setting is unknown or of another type; names the file.
    """
    given = read_settings(path)
    settings = {key: value for key, value in given.items() if key not in ("text", "model")}
    default = DEFAULT_CLASSIFIER if "label" in given else DEFAULT_MODEL
    chosen = model or given.get("model", default)
    try:
        make_recipe(given.get("text", ""), chosen, settings)
    except SettingError as error:
        raise SettingError(f"{path}: {as_in_file(error)}") from error
    return given


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == flag and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
    return None


@dataclass(frozen=True)
class RecipeStart:
    """What is known of a recipe before its flags are.

    Attributes:
        text: What is read unless another text is named.
        from_run: The run whose training is gone on with.
        of_its_text: Settings of that run that do not apply to another text.
    """

    text: str | None = None
    from_run: str | None = None
    of_its_text: Sequence[str] = ()


def with_recipe_flags(
    run: Callable[..., None], model: str | None, start: RecipeStart = RecipeStart()
) -> Callable[..., None]:
    """Return ``run`` with one parameter per group of settings in place of the recipe."""
    groups = dict(GROUPS if model is None else groups_of(model))
    if model is not None:
        groups["options"] = get_family(model).options_class()

    def command(text: str | None = None, /, **values: Any) -> None:
        is_other = text is not None and not is_same_text(text, start.text or "")
        text = text or start.text
        if text is None:
            raise SettingError(
                "There is no text to train on: name a file, a folder, - for standard input, or a "
                "bundled text such as given-names (thence data list)."
            )
        chosen = {group: values.pop(group, kind()) for group, kind in groups.items()}
        if is_other:
            chosen |= {group: _without(chosen[group], start.of_its_text) for group in TEXT_GROUPS}
        for read_before in ("model", "config", FROM_RUN):
            values.pop(read_before, None)
        run(Recipe(text, str(model), **chosen, from_run=start.from_run), **values)

    own = list(inspect.signature(run).parameters.values())[1:]
    parameters = [
        _parameter("text", str | None, None, TEXT_HELP, positional=True),
        _parameter("model", str, model or DEFAULT_MODEL, "Which model to train (see above)."),
        _parameter("config", Path | None, None, "A recipe in TOML; flags given here come first."),
        _parameter(FROM_RUN, Path | None, None, FROM_HELP, flag="--from"),
        *own,
    ]
    for group, kind in groups.items():
        title = TITLES.get(group, f"Model {model}")
        flags = Parameter(
            name="*",
            group=Group(title, sort_key=10),
            negative_iterable=(),
            consume_multiple=True,
            parse=FLAG_NAMES,
        )
        parameters.append(_grouped(group, kind, flags))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    command.__doc__ = None
    return command


def _without(settings: Any, names: Sequence[str]) -> Any:
    """Return a group of settings in which some have their defaults."""
    usual = type(settings)()
    ones = {name: getattr(usual, name) for name in names if hasattr(usual, name)}
    return replace(settings, **ones)


def _grouped(name: str, kind: type[Any], flags: Parameter) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=kind(), annotation=Annotated[kind, flags]
    )


def _parameter(
    name: str,
    kind: Any,
    default: Any,
    help_text: str,
    positional: bool = False,
    flag: str | None = None,
) -> inspect.Parameter:
    place = inspect.Parameter.POSITIONAL_ONLY if positional else inspect.Parameter.KEYWORD_ONLY
    annotation = Annotated[kind, Parameter(name=flag, help=help_text)]
    return inspect.Parameter(name, place, default=default, annotation=annotation)
