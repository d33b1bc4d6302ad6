"""The compiled library: that it is built, what is said where it is not, and its memory accesses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thence import _core

ROOT = Path(__file__).parents[2]
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")


@pytest.mark.skipif(os.environ.get(_core.VARIABLE) == "none", reason="NumPy does all work")
def test_the_library_is_built():
    assert _core.why_missing() is None, "run `make core`"


def version(environment, code="from thence.cli.main import main; main(['--version'])"):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_version_says_that_numpy_does_the_work():
    assert "(" not in version({})
    said = version({_core.VARIABLE: "none"})
    assert "without the compiled core, as THENCE_CORE=none says" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no compiler was found"), (b"no library", "not of this version")],
)
def test_a_library_that_cannot_be_used_is_not(tmp_path, content, said):
    copy = tmp_path / "thence"
    shutil.copytree(ROOT / "src" / "thence", copy, ignore=shutil.ignore_patterns("core.*"))
    if content is not None:
        (copy / "_core" / f"core.{_core.SUFFIX}").write_bytes(content)
    assert said in version({"PYTHONPATH": str(tmp_path)})


def runtime_of(compiler):
    """Return the library of the address sanitizer, which must be loaded before Python; or None."""
    if compiler is None:
        return None
    asked = [compiler, "-print-file-name=libasan.so"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return found if os.path.isabs(found) else None  # noqa: PTH117 (a name alone is not found)


@pytest.mark.slow
def test_no_kernel_leaves_its_arrays(tmp_path):
    """All tests of kernels pass under the sanitizers of addresses and of undefined behaviour."""
    compiler = shutil.which("gcc")
    runtime = runtime_of(compiler)
    if runtime is None:
        pytest.skip("gcc and its address sanitizer are not installed")
    source = tmp_path / "project"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("core.so"))
    shutil.copy(ROOT / "hatch_build.py", source)
    build = f"import hatch_build; hatch_build.compile_library(flags={SANITIZERS!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=source, check=True, env=os.environ | {"CC": "gcc"}
    )
    environment = os.environ | {
        "PYTHONPATH": str(source / "src"),
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself frees little at its end.
        "PYTHONMALLOC": "malloc",  # Else a read beyond an object of Python is not noticed.
    }
    tests = sorted(str(path) for path in Path(__file__).parent.glob("test_*.py"))
    tests.remove(str(Path(__file__)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "passed" in done.stdout
