"""Checks what ``make release`` has built: metadata, contents, and that the versions agree."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
NEVER = re.compile(r"__pycache__|\.pyc$|^(\.venv|runs|site|dist)/|\.(env|pem|key)$")
"""Files that no distribution may hold."""
CORE = re.compile(r"thence/_core/core\.(so|dylib|dll)")
IN_SDIST = (
    "hatch_build.py",
    "src/thence/_core/core.c",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "PKG-INFO",
    "tests/conftest.py",
)
IN_WHEEL = ("thence/__init__.py", "thence/py.typed", "thence/corpus/texts/given-names.txt")


def problems(folder: Path) -> list[str]:
    """Return a sentence for each thing that is wrong with the files of a folder."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    there = sorted(path.name for path in folder.iterdir())
    # One wheel fits every Python of a platform, and only of that: it carries the compiled core.
    wheels = [file for file in there if re.fullmatch(rf"{name}-{version}-py3-none-\w+\.whl", file)]
    if there != sorted([f"{name}-{version}.tar.gz", *wheels]) or len(wheels) != 1:
        return [f"{folder} holds {there}, not a sdist and a wheel of {name} {version}"]
    found = []
    newest = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    if newest is None or newest[1] != version:
        found.append(f"CHANGELOG.md begins with another version than {version}")
    with tarfile.open(folder / f"{name}-{version}.tar.gz") as sdist:
        inside = {member.partition("/")[2] for member in sdist.getnames()}
    found += [f"the sdist lacks {file}" for file in IN_SDIST if file not in inside]
    found += [f"the sdist holds {file}" for file in inside if NEVER.search(file)]
    with zipfile.ZipFile(folder / wheels[0]) as wheel:
        inside = set(wheel.namelist())
        about = message_from_bytes(wheel.read(f"{name}-{version}.dist-info/METADATA"))
    found += [f"the wheel lacks {file}" for file in IN_WHEEL if file not in inside]
    if "-any." in wheels[0] or not any(CORE.fullmatch(file) for file in inside):
        found.append("the wheel lacks the compiled core")
    found += [f"the wheel holds {file}" for file in inside if NEVER.search(file)]
    wanted = {"Name": name, "Version": version, "Summary": project["description"]}
    wanted |= {"License-Expression": project["license"]}
    wanted |= {"Requires-Python": project["requires-python"]}
    found += [f"{key} is {about[key]!r}" for key, value in wanted.items() if about[key] != value]
    if about["Description-Content-Type"] != "text/markdown" or not about.get_payload():
        found.append("the metadata has no description: README.md is missing in it")
    if (extras := set(about.get_all("Provides-Extra", []))) != set(
        project["optional-dependencies"]
    ):
        found.append(f"the extras are {sorted(extras)}")
    return found


def main() -> None:
    """Check the folder of the command line."""
    folder = Path(sys.argv[1])
    if find_spec("twine"):
        files = [str(path) for path in folder.iterdir()]
        subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *files], check=True)
    if found := problems(folder):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
