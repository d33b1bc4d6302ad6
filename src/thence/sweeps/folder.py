"""The folder of a sweep, whose recipe must not change between calls.

sweep.toml       the recipe with its search space, and the name of the study
study.log        the study: every trial with its settings and its outcome
trial-0007/      the run folder of a trial
locks/           lock files: which process works on which trial
text ...         copies of texts that can be read only once, such as standard input
sweep.json       the result
best/            the best run
"""

import filecmp
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import tomli_w

from thence.atomic import WriteError, clear_leftovers, whole_file, write_atomically
from thence.corpus import load_splits
from thence.errors import RunError, SettingError, TextError
from thence.recipes.recipe import read_toml
from thence.runs.files import check_ordinary, refuse_links
from thence.runs.sources import keep_sources, readable_sources
from thence.settings import as_in_file, validate
from thence.sweeps.locks import LOCKS, FileLock
from thence.sweeps.recipe import SweepOptions, SweepRecipe

if TYPE_CHECKING:
    import optuna

CONFIG = "sweep.toml"
FORMAT = 1
MAY_CHANGE = ("trials", "time")
"""Options that may differ when a sweep is continued."""
RECIPE, TEXT = "recipe", "text"
"""Attributes of a study in a database: the content of ``sweep.toml``, and the SHA-256 of its
splits."""


def open_folder(
    folder: Path, recipe: SweepRecipe, in_database: bool, study: str | None = None
) -> str:
    """Create the folder, or check that it belongs to this recipe.

    Returns:
        The name of the study.

    Raises:
        RunError: If it holds something else, or was started with another recipe.
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
                "`output`."
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
            validate("study", content.get("study"), str)
    except OSError as error:
        raise WriteError(folder, error) from error
    except SettingError as error:
        raise RunError(f"{folder / CONFIG} is damaged: {as_in_file(error)}") from error
    _check_same(folder, content, wanted)
    if study is not None and content["study"] != study:
        raise RunError(
            f"The sweep {folder} is of the study '{content['study']}', not of '{study}'; leave "
            "`study` out, or choose another `output`."
        )
    return str(content["study"])


def content_of(recipe: SweepRecipe, in_database: bool) -> dict[str, Any]:
    """Return the part of ``sweep.toml`` that must not change, in types that TOML has."""
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
            f"The sweep {folder} was started with another recipe: {what}. Only trials and time may "
            "change; choose another `output` for another sweep."
        )


def difference(content: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Return a phrase that says which setting has changed; None where none has."""
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


def check_joined(study: "optuna.Study", recipe: SweepRecipe) -> None:
    """Record the recipe and the text in a new study of a database; check an older one against them.

    Raises:
        RunError: If the study was started with another recipe.
        TextError: If it was started with another text.
    """
    # Paths may differ between machines, so the text is compared by the hash of its content.
    wanted = {
        name: part
        for name, part in content_of(recipe, in_database=True).items()
        if name not in ("text", "storage")
    }
    one = recipe.any_recipe()
    splits = load_splits(one.text, one.reading, one.splitting, labelling=one.labelling)
    hashes = splits.hashes()
    attributes = study.user_attrs
    if RECIPE not in attributes:
        study.set_user_attr(TEXT, hashes)
        study.set_user_attr(RECIPE, wanted)
        return
    if (what := difference(attributes[RECIPE], wanted)) is not None:
        raise RunError(
            f"The database has a study '{study.study_name}' already, of another recipe: {what}. "
            "Only trials and time may change; choose another name with `study`."
        )
    if attributes[TEXT] != hashes:
        raise TextError(
            f"The text {recipe.text} is not the one that the study '{study.study_name}' in the "
            "database was started with. Give this machine the same text, or start another sweep "
            "with another `study`."
        )


@contextmanager
def kept_in_folder(
    recipe: SweepRecipe, folder: Path, held: Mapping[str, Any]
) -> Iterator[tuple[SweepRecipe, Path]]:
    """Context manager: copy the texts of a sweep that can be read only once.

    Yields:
        The recipe, with the future paths of the copies in the folder, and the temporary folder that
        has the copies until ``put_copies`` moves them.
    """
    one = recipe.any_recipe()
    with TemporaryDirectory(prefix="thence-") as made, readable_sources(one, held) as sources:
        kept = keep_sources(Path(made), one, sources)
        paths = {role: str(folder.resolve() / name) for role, name in kept.items()}
        text = paths.pop("text", recipe.text)
        yield replace(recipe, text=text, settings={**recipe.settings, **paths}), Path(made)


def put_copies(copies: Path, folder: Path) -> None:
    """Copy texts into the folder of a sweep, unless they are there already.

    Raises:
        RunError: If the folder has another text of that name, or cannot be written to.
    """
    for copy in sorted(copies.iterdir()):
        place = folder / copy.name
        try:
            if place.exists():
                if not filecmp.cmp(copy, place, shallow=False):
                    raise RunError(
                        f"The sweep {folder} was started with another text than it is given now; "
                        f"it keeps that in {place.name}. Give the same again, or choose another "
                        "`output`."
                    )
                continue
            with copy.open("rb") as source, whole_file(place) as target:
                shutil.copyfileobj(source, target)
        except OSError as error:
            raise WriteError(place, error) from error
