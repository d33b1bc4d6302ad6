"""The notebooks run from scratch, without a warning, and what they end a cell with is shown."""

import json
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import thence

from ..processes import COMMANDS, Process, fork_server

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))
by_name = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)

LIBRARY = str(Path(thence.__file__).parents[1])
# Like a notebook: shows the value of each line that is an expression.
RUNNER = """
import ast, sys, warnings

warnings.simplefilter("error")

def show(value):
    if value is not None:
        shown = value._repr_html_()
        assert shown.startswith("<div") and "<script" not in shown
        print("shown:", type(value).__name__, shown)

path = sys.argv[1]
with open(path, encoding="utf-8") as file:
    tree = ast.parse(file.read(), path)
for node in tree.body:
    if isinstance(node, ast.Expr):
        call = ast.Call(ast.Name("show", ast.Load()), [node.value], [])
        node.value = ast.copy_location(call, node.value)
names = {"__name__": "__main__", "show": show}
exec(compile(ast.fix_missing_locations(tree), path, "exec"), names)
"""


@pytest.fixture
def build() -> ModuleType:
    pytest.importorskip("jupytext")
    names: dict[str, Any] = {"__name__": "build", "__file__": str(FOLDER / "build.py")}
    exec((FOLDER / "build.py").read_text("utf-8"), names)
    module = ModuleType("build")
    vars(module).update(names)
    return module


def run_as_script(source: Path, folder: Path, home: Path, **more: str) -> str:
    """Run a notebook in a process of its own, where warnings are errors; return what it shows."""
    environment = {"MPLBACKEND": "agg", "PYTHONPATH": LIBRARY, "THENCE_HOME": str(home), **more}
    process = Process("-c", RUNNER, source, folder=folder, environment=environment)
    shown, said = process.communicate()
    assert process.returncode == 0, said
    return shown


def shortened(text: str) -> str:
    """Return a notebook whose networks are trained, and judged on the way, for a moment only."""
    text = text.replace("steps=STEPS", "steps=20, evaluate_every=10")
    text = re.sub(r"^(small|large) = {", r'\1 = {"steps": 20, ', text, flags=re.M)
    text = text.replace('"filters": 64', '"filters": 64, "steps": 20, "evaluate_every": 10')
    return text.replace("epochs=5, output", "steps=20, output")


def test_there_are_three() -> None:
    assert [source.stem for source in SOURCES] == ["1-names", "2-words", "3-classification"]


@by_name
def test_a_notebook_is_what_jupytext_makes_of_its_source(source: Path, build: ModuleType) -> None:
    made = source.with_suffix(".ipynb").read_text("utf-8")
    assert made == build.built(source), "Build the notebooks again: make notebooks"


@by_name
def test_a_notebook_holds_no_output(source: Path) -> None:
    notebook = json.loads(source.with_suffix(".ipynb").read_bytes())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)


@by_name
def test_prose_stands_before_code_and_fits_the_page(source: Path) -> None:
    cells = re.split(r"^# %%", source.read_text("utf-8"), flags=re.M)[1:]
    assert cells[0].startswith(" [markdown]\n# # ")
    assert all(len(line) <= 100 for cell in cells for line in cell.splitlines())
    assert "# ## Exercises" in cells[-1]


@pytest.mark.slow
@by_name
def test_a_notebook_runs_and_shows_its_results(
    source: Path, tmp_path: Path, shared_home: Path
) -> None:
    short = tmp_path / source.name
    short.write_text(shortened(source.read_text("utf-8")), encoding="utf-8")
    shown = run_as_script(short, tmp_path, shared_home)
    assert len(re.findall(r"^shown: ", shown, re.M)) >= 10
    assert re.search(r"^shown: (Language|Classifier)Run ", shown, re.M)
    if source.stem == "1-names":  # It begins with what is worth looking at.
        assert re.findall(r"^shown: (\w+)", shown, re.M)[:2] == ["Samples", "Plot"]
    # Again, over the runs of the first time, which a person does all the time. The start will do.
    beginning = source.read_text("utf-8").split("\n# ## ", 2)
    again = tmp_path / "again.py"
    again.write_text("\n# ## ".join(beginning[:2]), encoding="utf-8")
    run_as_script(again, tmp_path, shared_home)


@pytest.mark.slow
@pytest.mark.data
def test_the_numbers_of_the_lectures(tmp_path: Path, home: Path) -> None:
    data = Path(os.environ.get("THENCE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "names").exists():
        pytest.skip("there are no data sets here (THENCE_TEST_DATA)")
    # The numbers are of counts, and of how large the networks are: those need no long training.
    source = tmp_path / "1-names.py"
    text = shortened((FOLDER / "1-names.py").read_text("utf-8"))
    source.write_text(text.replace('TEXT = "given-names"', 'TEXT = "names"'), encoding="utf-8")
    shown = run_as_script(source, tmp_path, home, THENCE_DATA=str(data))
    for number in ("2.4533 nats", "2.4529", "3,481", "11,897"):
        assert number in shown


@pytest.mark.slow
def test_a_kernel_shows_results_as_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel")
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    kernel = tmp_path / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    words = [str(COMMANDS / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": words, "display_name": "Python", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    fork_server()
    notebook = nbformat.read(FOLDER / "3-classification.ipynb", as_version=4)
    # Each kind of result has been shown by then; the other test runs the rest.
    notebook.cells = notebook.cells[:17]
    for cell in notebook.cells:
        cell.source = shortened(cell.source)
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [
        output["data"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert len(outputs) >= 6
    assert all("text/html" in data for data in outputs)
