"""Make the .ipynb files from the .py files, which are the ones to change: ``make notebooks``.

They hold no output, and the same bytes come out each time, so that a change of one shows as such.
"""

from pathlib import Path

import jupytext

HERE = Path(__file__).parent


def sources() -> list[Path]:
    """Return the notebooks in order, as Python files."""
    return sorted(HERE.glob("[0-9]*.py"))


def built(source: Path) -> str:
    """Return a notebook in Jupyter's form."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # By default they are drawn at random.
    return str(jupytext.writes(notebook, fmt="ipynb"))


if __name__ == "__main__":
    for source in sources():
        source.with_suffix(".ipynb").write_text(built(source), encoding="utf-8")
