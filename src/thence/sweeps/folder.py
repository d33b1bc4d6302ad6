"""The folder of a sweep, and the recipe in it, which stays the same for as long as it lives.

sweep.toml       what is tried, and the name of the study
study.log        the study: every trial with its fields and how it came out
trial-0007/      a run
locks/           who works on what
sweep.json       the result
best/            the best run
"""

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from thence.atomic import cannot_write, clear_leftovers, write_atomically
from thence.errors import RunError, SettingError
from thence.recipes.recipe import read_toml
from thence.recipes.validation import check_type
from thence.runs.files import check_ordinary, refuse_links
from thence.sweeps.locks import LOCKS, FileLock
from thence.sweeps.options import SweepOptions
from thence.sweeps.recipe import SweepRecipe

CONFIG = "sweep.toml"
FORMAT = 1
MAY_CHANGE = ("trials", "time")


def open_folder(
    folder: Path, recipe: SweepRecipe, in_database: bool, study: str | None = None
) -> str:
    """Make the folder, or see that it is of this recipe.

    Args:
        folder: Where.
        recipe: What is tried.
        in_database: Whether the study is in a database.
        study: The name of the study; by default that of the folder.

    Returns:
        The name of the study.

    Raises:
        RunError: If it holds something else, or was begun with another recipe.
    """
    wanted = content_of(recipe, in_database)
    try:
        if (
            folder.exists()
            and not (folder / LOCKS).is_dir()
            and (not folder.is_dir() or any(folder.iterdir()))
        ):
            raise RunError(
                f"{folder} exists already and is no sweep; it is left as it is. Choose another "
                "--output."
            )
        (folder / LOCKS).mkdir(parents=True, exist_ok=True)
        refuse_links(folder)
        with FileLock(folder / LOCKS / "study"):
            clear_leftovers(folder)
            if not (folder / CONFIG).exists():
                name = study or (folder.resolve().name if in_database else "sweep")
                content = {"format": FORMAT, "study": name, **wanted}
                write_atomically(folder / CONFIG, tomli_w.dumps(content).encode("utf-8"))
            check_ordinary(folder / CONFIG)
            content = read_toml(folder / CONFIG)
            check_type("study", content.get("study"), str)
    except OSError as error:
        raise cannot_write(folder, error) from error
    except SettingError as error:
        raise RunError(f"{folder / CONFIG} is damaged: {error}") from error
    _check_same(folder, content, wanted)
    if study is not None and content["study"] != study:
        raise RunError(
            f"The sweep {folder} is of the study '{content['study']}', not of '{study}'; leave "
            "--study out, or choose another --output."
        )
    return str(content["study"])


def content_of(recipe: SweepRecipe, in_database: bool) -> dict[str, Any]:
    """Return what must stay the same, as TOML has it."""
    text = Path(recipe.text)
    options = [item.name for item in fields(SweepOptions) if item.name not in MAY_CHANGE]
    settings = {name: _plain(value) for name, value in recipe.settings.items()}
    content = {
        "text": str(text.resolve()) if text.exists() else recipe.text,
        "model": recipe.model,
        "storage": "database" if in_database else "file",
        "settings": settings,
        "options": {name: getattr(recipe.options, name) for name in options},
        "space": {name: _plain(dimension.to_toml()) for name, dimension in recipe.space.items()},
    }
    return tomllib.loads(tomli_w.dumps(content))


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _check_same(folder: Path, content: dict[str, Any], wanted: dict[str, Any]) -> None:
    if content.get("format") != FORMAT:
        raise RunError(
            f"The sweep {folder} has format {content.get('format')}, this thence reads {FORMAT}; "
            "use the version that made it."
        )
    if (what := difference(content, wanted)) is not None:
        raise RunError(
            f"The sweep {folder} was begun with another recipe: {what}. Only trials and time may "
            "change; choose another --output for another sweep."
        )


def difference(content: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Return in words what is not as it was; None where all is."""
    for part, new in wanted.items():
        old = content.get(part)
        if old == new:
            continue
        what = f"its {part} was {old} and is now {new}"
        if isinstance(old, dict) and isinstance(new, dict):
            name = next(key for key in [*old, *new] if old.get(key) != new.get(key))
            before, after = (d.get(name, "not given") for d in (old, new))
            where = {"space": "the space of ", "options": "[sweep] "}.get(part, "")
            what = f"{where}'{name}' was {before} and is now {after}"
        elif part == "storage":
            what = f"its study is in a {old}, and now one in a {new} is asked for"
        return what
    return None
