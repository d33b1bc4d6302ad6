"""No module imports another in a circle or from above: lazily, for types only, or by its name."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import thence

SOURCE = Path(thence.__file__).parent
PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def modules(folder: Path = SOURCE) -> dict[str, Path]:
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
NAMED = re.compile(r"([\w.]+)(:\w[\w:,]*)?")
Trees = dict[str, ast.Module]
Imports = Callable[[str, ast.AST], Iterator[str]]


def written_imports(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield what ``import`` statements name, wherever they stand in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def imports_by_name(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield the modules that strings of a file name, where it imports by name.

    Such strings are ``module`` or ``module:attribute``, in full or after the package that the file
    adds: its own, or ``thence``.
    """
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    functions = {getattr(call.func, "id", "") for call in calls}
    groups = {id(call.args[0]) for call in calls if getattr(call.func, "id", "") == "Plugins"}
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        found = NAMED.fullmatch(node.value)
        if found is None or id(node) in groups:
            continue
        if not found[2] and "import_module" not in functions:
            continue
        name = found[1]
        names = {name, f"{package}.{name}"} | ({f"thence.{name}"} if found[2] else set())
        yield from names & MODULES.keys() - {"thence"}


@pytest.fixture(scope="module")
def trees() -> Trees:
    return {module: ast.parse(path.read_text("utf-8")) for module, path in MODULES.items()}


def edges(trees: Trees, find: Sequence[Imports]) -> dict[str, set[str]]:
    found = {}
    for module, tree in trees.items():
        named = {name for one in find for name in one(module, tree)}
        found[module] = {name for name in named if name in MODULES and name != module}
    return found


@pytest.mark.slow
def test_no_imports_go_in_a_circle(trees: Trees) -> None:
    graph = edges(trees, [written_imports, imports_by_name])
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.slow
def test_imports_by_name_go_down_too(trees: Trees) -> None:
    contracts = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = [layer.split(" | ") for layer in contracts[0]["layers"]]
    place = {name: number for number, layer in enumerate(layers) for name in layer}

    def layer_of(module: str) -> int:
        return place[".".join(module.split(".")[:2])]

    found = edges(trees, [imports_by_name])
    assert found["thence"]  # The table of public functions, which stands above all layers.
    wrong = [
        (module, name)
        for module, names in found.items()
        for name in names
        if module != "thence" and layer_of(module) > layer_of(name)
    ]
    assert wrong == []
