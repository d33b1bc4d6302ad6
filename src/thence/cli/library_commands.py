"""Commands made of library functions: their flags, defaults and help are those of the function.

``LIBRARY_COMMANDS`` is the table. It names for each command the library function and a function
that prints its result. The latter gets

* ``call``: calls the library function with what was typed; further arguments may be added,
* ``given``: what was typed, by the names of the library,

and its keyword-only parameters, such as ``json``, are flags too. The modules are imported when a
command is run, so that ``thence --help`` never waits for torch.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import docstring_parser
from cyclopts import Parameter

from thence.cli.arguments import BadWords, Text

SHORT = {"count": "-n", "output": "-o"}
"""Flags that have a short form too."""
POSITIONAL, FLAG = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.KEYWORD_ONLY
NOT_TYPED = inspect.Parameter.VAR_KEYWORD


@dataclass(frozen=True)
class LibraryCommand:
    """A command and the library function that it calls.

    Attributes:
        function: The library function, as ``module:name`` below ``thence``.
        printer: The function that prints its result, as ``module:name`` below ``thence.cli``.
        positional: Parameters that are typed without a flag, in order.
        hidden: Parameters that are no flags.
        renamed: Flags that have another name than the parameter.
        settings: Dataclasses whose fields are flags for the function's ``**settings``, as
            ``module:Class`` for all fields, or ``module:Class:field,field`` for some.
        opens_run: The function is given the opened run, not its folder.
        left_open: Settings have no default: only those that are typed are passed on.
        help: Help for flags in place of what the function's docstring says.
    """

    function: str
    printer: str
    positional: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    opens_run: bool = True
    left_open: bool = False
    help: Mapping[str, str] = field(default_factory=dict)


RUN_HELP = {"run": "The run folder.", "runs": "The run folders."}
"""Help for what most commands take first."""
TEXT_HELP = "File, folder, - for standard input, or a named text (thence data list)."
LIBRARY_COMMANDS: Mapping[str, LibraryCommand] = {
    "best": LibraryCommand(
        "autopilot:best",
        "training:print_best",
        ("text",),
        hidden=("progress", "watch", "began", "page"),
        settings=(
            "corpus:LabelOptions:label,label_separator",
            "corpus:ReadingOptions",
            "corpus:SplitOptions",
            "tokens:TokenOptions",
            "recipes.options:TrainingOptions:carry_context,seed,threads,device",
        ),
        left_open=True,
        help={
            "text": TEXT_HELP,
            "label": "Column with the labels, to make a classifier (plain text: any name).",
            "by": "Which documents go where (default: by position for running text, else "
            "shuffled).",
            "tokens": "What one token is (default: words for long texts of sentences, else "
            "characters).",
            "carry_context": "Let a document see those before it (default: for running text).",
            "keep_text": "Keep a text from standard input or a pipe in the run, not its hash "
            "alone.",
        },
    ),
    "resume": LibraryCommand(
        "training:resume",
        "training:print_resumed",
        ("folder",),
        hidden=("progress", "logs"),
        renamed={"folder": "run"},
        help={
            "text": "The text again, where the run has only its hash: a file, or - for standard "
            "input."
        },
    ),
    "sweep": LibraryCommand(
        "sweeps:sweep",
        "sweep:print_sweep",
        ("recipe",),
        hidden=("watch", "text", "dev", "test"),
    ),
    "runs": LibraryCommand("runs.listing:list_runs", "runs:print_runs", ("folder",)),
    "evaluate": LibraryCommand(
        "evaluation:evaluate", "evaluating:print_evaluation", ("run", "text"), ("labelling",)
    ),
    "compare": LibraryCommand(
        "evaluation:compare",
        "evaluating:print_comparison",
        ("runs",),
        ("labelling",),
        help={"text": "Another text to evaluate on instead: its path or name."},
    ),
    "mix": LibraryCommand(
        "ensembles.mix:mix",
        "training:print_mixture",
        ("runs",),
        help={"runs": "Two or more run folders, or one and --cache, --neural-cache or --dynamic."},
    ),
    "similar": LibraryCommand("evaluation:similar", "evaluating:print_similar", ("run", "word")),
    "next": LibraryCommand("generation:next_tokens", "generating:print_next", ("run", "text")),
    "complete": LibraryCommand(
        "generation:complete",
        "generating:print_completions",
        ("run", "text"),
        help={
            "length_penalty": "Rank by log-probability / length ** this (default: 0, by "
            "probability)."
        },
    ),
    "fill": LibraryCommand(
        "generation:fill",
        "generating:print_fillings",
        ("run", "text"),
        hidden=("max_exact",),
        renamed={"goes_on": "open"},
        help={
            "among": 'Rank these instead of looking for any: cat,dog,"guinea pig"; may be repeated.'
        },
    ),
    "sample": LibraryCommand(
        "generation:sample",
        "generating:print_samples",
        ("run",),
        settings=("generation:DecodingOptions",),
    ),
    "report": LibraryCommand(
        "reports:report",
        "runs:print_path",
        ("runs",),
        renamed={"path": "output"},
        help={"runs": "The run folder, or that of a sweep, or several to compare."},
    ),
    "plot": LibraryCommand(
        "reports:plot",
        "runs:print_paths",
        ("run",),
        hidden=("formats",),
        renamed={"folder": "output"},
        opens_run=False,
        help={"run": "The run folder, or that of a sweep."},
    ),
    "export": LibraryCommand(
        "exchange:export_checked",
        "runs:print_exported",
        ("run", "path"),
        help={
            "path": "The file or folder to make.",
            "to": "Its format (default: onnx for a file of that suffix, arpa for an n-gram run and "
            "for a file of that suffix, else word2vec, as text).",
        },
    ),
    "import": LibraryCommand("exchange:import_arpa", "runs:print_imported", ("path",)),
}
"""Each command that is a library function, by its name."""


def __getattr__(name: str) -> Callable[..., None]:
    """Return a command by its name: what cyclopts looks for when the command is run."""
    if name not in LIBRARY_COMMANDS:
        raise AttributeError(name)
    return make_command(LIBRARY_COMMANDS[name])


def make_command(entry: LibraryCommand) -> Callable[..., None]:
    """Return the function whose signature has every flag of a command."""
    function, printer = _named(entry.function), _named(f"cli.{entry.printer}")
    own = [item for item in inspect.signature(printer).parameters.values() if item.kind is FLAG]
    settings = list(_settings(entry))
    parameters = sorted(
        [*_parameters(function, entry), *settings, *own], key=lambda item: _place(item, entry)
    )
    signature = inspect.Signature(parameters)
    names = {flag: name for name, flag in entry.renamed.items()}

    def command(*arguments: Any, **flags: Any) -> None:
        bound = signature.bind(*arguments, **flags)
        bound.apply_defaults()
        values = {names.get(name, name): value for name, value in bound.arguments.items()}
        printed = {item.name: values.pop(item.name) for item in own}
        if entry.left_open:
            open_ones = {item.name for item in settings if values[item.name] is None}
            values = {name: value for name, value in values.items() if name not in open_ones}
        if "run" in values and entry.opens_run:
            from thence.runs import open_run

            values["run"] = open_run(values["run"])
        printer(lambda **more: function(**(values | more)), SimpleNamespace(**values), **printed)

    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    command.__doc__ = None
    return command


def _named(path: str) -> Any:
    module, name = path.split(":")[:2]
    return getattr(import_module(f"thence.{module}"), name)


def _place(item: inspect.Parameter, entry: LibraryCommand) -> tuple[int, int]:
    """Return where a parameter stands in the signature: positional ones first, in their order."""
    if item.kind is FLAG:
        return 1, 0
    flags = [entry.renamed.get(name, name) for name in entry.positional]
    return 0, flags.index(item.name)


def _parameters(function: Any, entry: LibraryCommand) -> Iterator[inspect.Parameter]:
    """Yield the parameters of a command for those of a library function."""
    found = docstring_parser.parse(inspect.getdoc(function) or "", docstring_parser.Style.GOOGLE)
    documented = {item.arg_name: item.description or "" for item in found.params}
    signature = inspect.signature(function)
    for item in signature.parameters.values():
        if item.name in entry.hidden or item.kind is NOT_TYPED:
            continue
        flag = entry.renamed.get(item.name, item.name)
        text = {**RUN_HELP, **entry.help}.get(flag) or as_help(
            documented.get(item.name, ""), signature.parameters
        )
        positional = item.name in entry.positional
        kind: Any = POSITIONAL if positional else FLAG
        if flag == "runs":
            kind = inspect.Parameter.VAR_POSITIONAL
        default = inspect.Parameter.empty if flag == "runs" else item.default
        yield _parameter(flag, kind, default, _typed(item), text)


def _settings(entry: LibraryCommand) -> Iterator[inspect.Parameter]:
    """Yield the parameters of a command for fields of dataclasses."""
    for path in entry.settings:
        kind, chosen = _named(path), path.split(":")[2:]
        hints, texts = get_type_hints(kind), field_help(kind)
        for item in fields(kind):
            if not chosen or item.name in chosen[0].split(","):
                default = None if entry.left_open else item.default
                hint = hints[item.name] | None if entry.left_open else hints[item.name]
                text = entry.help.get(item.name) or texts[item.name]
                yield _parameter(item.name, FLAG, default, hint, text)


def field_help(kind: type[Any]) -> dict[str, str]:
    """Return the string below each field of a dataclass, and of those that it is made from."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            parsed = docstring_parser.parse_from_object(each)
            found |= {
                item.arg_name: " ".join((item.description or "").split()) for item in parsed.params
            }
    return found


def as_help(text: str, names: Iterable[str]) -> str:
    """Return what a docstring says of a parameter as the help of a flag.

    >>> as_help("Text i of a seed does not depend on ``count``.", ["count"])
    'Text i of a seed does not depend on --count.'
    """

    def flag(found: re.Match[str]) -> str:
        return "--" + found[1].replace("_", "-") if found[1] in names else found[1]

    return re.sub("``(.*?)``", flag, " ".join(text.split()))


def _parameter(name: str, kind: Any, default: Any, hint: Any, text: str) -> inspect.Parameter:
    flags: dict[str, Any] = {"help": text}
    if name in SHORT and kind is FLAG:
        flags["name"] = (f"--{name}", SHORT[name])
    if is_dataclass(_first(hint)):
        flags = {"name": "*"}
    if default is False:
        flags["negative"] = ()
    if hint is Text and kind is FLAG:
        flags["allow_leading_hyphen"] = True
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(
        name, kind, default=default, annotation=Annotated[hint, Parameter(**flags)]
    )


def _first(hint: Any) -> Any:
    return next((part for part in get_args(hint) if part is not NoneType), hint)


def _typed(item: inspect.Parameter) -> Any:
    """Return the type that what is typed for a parameter is converted to."""
    from thence.runs import Run

    hint = item.annotation
    kinds = get_args(hint) or (hint,)
    if (
        item.name == "runs"
        or Run in kinds
        or (set(kinds) <= {str, Path, NoneType} and Path in kinds)
    ):
        return Path | None if NoneType in kinds else Path
    if Path in kinds:  # A text: a path, a name, or the texts themselves.
        return str | None if NoneType in kinds else str
    if hint is str:
        return Text
    if get_origin(hint) is Sequence:
        return BadWords
    if Iterable[str] in kinds:
        return Annotated[list[Text] | None, Parameter(negative=())]
    return hint
