"""``thence data list`` and ``thence data get NAME``: named texts, bundled and to download."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from thence.cli.output import print_json, print_table
from thence.cli.streams import is_at_terminal, print_text
from thence.corpus import BUNDLED, CATALOGUE, get
from thence.errors import DownloadError
from thence.terminal import stderr_console

app = App(name="data", help="List and fetch named texts.")


@app.command(name="list")
def list_texts(*, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """List the texts that can be named in place of a file.

    Args:
        json: Print the list as JSON.
    """
    entries = [
        {"name": name, "where": "bundled", "description": entry.description, "licence": "MIT"}
        for name, entry in BUNDLED.items()
    ] + [
        {
            "name": name,
            "where": "thence data get",
            "description": entry.description,
            "licence": entry.licence,
            "origin": entry.origin,
            "files": [
                {"name": file.name, "role": file.role, **asdict(file.remote)}
                for file in entry.files
            ],
        }
        for name, entry in CATALOGUE.items()
    ]
    if json:
        print_json(entries)
        return
    sizes = {name: f"{entry.download_size / 1e6:,.1f} MB" for name, entry in CATALOGUE.items()}
    columns = ["where", "description", "licence", "origin"]
    rows = [
        [str(entry["name"]), sizes.get(str(entry["name"]), "")]
        + [str(entry.get(column, "")) for column in columns]
        for entry in entries
    ]
    print_table(["name", "size", *columns], rows)


@app.command(name="get")
def get_text(
    name: str,
    /,
    *,
    source: Annotated[Path | None, Parameter(name="--from")] = None,
) -> None:
    """Fetch a named text, check it against its checksum, and say where it is.

    Args:
        name: One of the names of thence data list.
        source: Take a local copy from this folder or file instead of downloading.
    """
    if name in BUNDLED:
        raise DownloadError(
            f"'{name}' comes with thence, so there is nothing to fetch; give its name in place of "
            f"a file, as in: thence train {name}"
        )
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr_console(), disable=not is_at_terminal()) as progress:
        task = progress.add_task(name, total=None)
        folder = get(
            name, source, lambda done, total: progress.update(task, completed=done, total=total)
        )
    print_text(str(folder))
