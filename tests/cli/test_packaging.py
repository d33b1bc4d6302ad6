"""The wheel that people install holds what it needs, and works without the repository."""

import os
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from .conftest import strict_json

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    call("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


def call(*arguments: object, **options: object) -> str:
    """Run Python and return its standard output."""
    words = [sys.executable, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    source = ROOT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in (source / "thence").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == expected
    for needed in (
        "thence/py.typed",
        "thence/corpus/texts/given-names.txt",
        "thence/corpus/texts/first-sentences.txt",
        "thence/corpus/texts/cities.csv",
        "thence/reports/report_template.html",
    ):
        assert needed in names
    assert not [name for name in names if Path(name).name.startswith(("test_", "conftest"))]
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_installed_wheel_trains(wheel, tmp_path):
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    call("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    options = {"cwd": elsewhere, "env": {**os.environ, "PYTHONPATH": str(target)}}
    home = call("-c", "import thence; print(thence.__file__)", **options).strip()
    assert Path(home).parent == target / "thence"
    assert call("-m", "thence", "--version", **options) == f"{version('thence')}\n"
    flags = ["--model", "bigram-counts", "--split", "100/0/0", "--json"]
    found = strict_json(call("-m", "thence", "train", "first-sentences", *flags, **options))
    assert (elsewhere / found["report"]).exists()


def test_every_module_can_be_imported_without_extras():
    call(Path(__file__).with_name("import_everything.py"))
