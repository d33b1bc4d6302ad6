"""Write the tables of flags, settings and functions into ``docs/reference``, from the code.

    python docs/build_reference.py

A table stands between ``<!-- flags of COMMAND -->``, ``<!-- settings of GROUP -->`` (a group of
settings, or a model), ``<!-- functions of thence -->``, ``<!-- results of thence -->`` or
``<!-- names of MODULE -->``, and ``<!-- end -->``; what is around it is written by hand. Links to
files of the repository get the address that ``pyproject.toml`` names. A test fails if a page is
out of date.
"""

import inspect
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import thence
from thence.cli.flags import field_help
from thence.cli.main import build_app
from thence.corpus import ReadingOptions
from thence.models.language.options import OutputLayerOptions
from thence.models.registry import get_family
from thence.recipes.recipe import CLASSIFIER_GROUPS
from thence.settings import declared_types, describe_type
from thence.tokens import TokenOptions

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
PAGES = [REFERENCE / f"{name}.md" for name in ("commands", "settings", "python")]
PAGES += [DOCS / "notebooks.md"]
TABLE = re.compile(
    r"(<!-- (flags|settings|functions|results|names) of (.*?) -->\n).*?(<!-- end -->)", re.DOTALL
)
FILE_LINK = re.compile(r"(github(?:\.com)?)/[\w.-]+/[\w.-]+(?=/blob/main/)")
"""Of a link to a file of a repository, the part that names the repository."""
GROUPS = {**CLASSIFIER_GROUPS, "tokens": TokenOptions, "output layer": OutputLayerOptions}
READING = ["--" + item.name.replace("_", "-") for item in fields(ReadingOptions)]
FILLED_IN = ("encoder", "members")
"""Settings that no one writes."""


def updated(page: str) -> str:
    """Return a page with its tables as the code has them now."""
    tables = {"flags": flag_rows, "settings": setting_rows}
    tables |= {"functions": function_rows, "results": result_rows}
    tables |= {"names": name_rows}

    def table(found: re.Match[str]) -> str:
        return f"{found[1]}\n{''.join(tables[found[2]](found[3]))}\n{found[4]}"

    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]
    owner_and_name = project["urls"]["Repository"].partition("github.com/")[2]
    return FILE_LINK.sub(rf"\1/{owner_and_name}", TABLE.sub(table, page))


def flag_rows(command: str) -> Iterator[str]:
    """Yield the lines of the table of a command's own flags."""
    yield from _header("flag", "default", "meaning")
    app = build_app()
    for name in command.split():
        app = app[name]
    of_reading = []
    for argument in app.assemble_argument_collection(parse_docstring=True):
        names = ", ".join(map(_code, argument.names))
        is_setting = any(group.name != "Parameters" for group in argument.parameter.group)
        if argument.index is not None or not argument.show or is_setting:
            continue
        if command != "best" and argument.names[0] in READING:
            of_reading.append(names)
            continue
        yield _row(names, _shown(argument.field_info.default), argument.parameter.help)
    if of_reading:
        yield _row(", ".join(of_reading), "", "How the text is read: [settings](settings.md).")


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


def public_functions() -> Iterator[tuple[str, Any]]:
    """Yield the names and functions of ``thence.__all__``."""
    for name in sorted(thence.__all__):
        if inspect.isfunction(found := getattr(thence, name)):
            yield name, found


def function_rows(package: str) -> Iterator[str]:
    """Yield the lines of the table of public functions: what they do and return."""
    yield from _header("function", "does", "returns")
    for name, function in public_functions():
        returned = inspect.formatannotation(get_type_hints(function)["return"])
        short = re.sub(r"\b(?:\w+\.)+", "", returned.replace(" | ", " or "))
        yield _row(_code(f"{package}.{name}"), _first_sentence(function), _code(short))


def result_rows(package: str) -> Iterator[str]:
    """Yield the lines of the table of public classes and their attributes and methods."""
    returned = [get_type_hints(function)["return"] for _, function in public_functions()]
    kinds = {kind for annotation in returned for kind in _classes(annotation)}
    kinds |= {one for name in thence.__all__ if inspect.isclass(one := getattr(thence, name))}
    yield from _header("class", "is", "attributes and methods")
    for kind in sorted(kinds, key=lambda kind: kind.__name__):
        yield _row(_code(kind.__name__), _first_sentence(kind), _members(kind, package))


def name_rows(module: str) -> Iterator[str]:
    """Yield the lines of the table of a module's functions and classes, and what they return."""
    yield from _header("name", "is", "attributes and methods")
    found = {
        f"{module}.{name}": one
        for name, one in sorted(vars(import_module(module)).items())
        if getattr(one, "__module__", "").startswith(module) and not name.startswith("_")
    }
    functions = [one for one in found.values() if inspect.isfunction(one)]
    returned = [get_type_hints(function)["return"] for function in functions]
    kinds = {kind for annotation in returned for kind in _classes(annotation)}
    named = {f"{kind.__module__}.{kind.__name__}": kind for kind in kinds - {*found.values()}}
    for name, one in {**found, **named}.items():
        members = _members(one, module) if inspect.isclass(one) else ""
        yield _row(_code(name), _first_sentence(one), members)


def _members(kind: type, package: str) -> str:
    """Return the public attributes and methods of a class, as far as the package has them."""
    of_fields = [one.name for one in fields(kind)] if is_dataclass(kind) else []
    own = [base for base in kind.__mro__ if base.__module__.startswith(package)]
    names = dict.fromkeys([*of_fields, *(name for base in own for name in vars(base))])
    return ", ".join(_code(name) for name in names if not name.startswith("_"))


def _classes(annotation: Any) -> Iterator[type]:
    """Yield the classes of thence in an annotation."""
    if inspect.isclass(annotation) and annotation.__module__.startswith("thence."):
        yield annotation
    for part in get_args(annotation):
        yield from _classes(part)


def _first_sentence(documented: Any) -> str:
    text = " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())
    return text.replace("\x60\x60", "\x60")


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
    for path in PAGES:
        path.write_text(updated(path.read_text("utf-8")), "utf-8")
