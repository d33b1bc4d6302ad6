"""The input files of a filter, and their names in the output."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from thence.atomic import WriteError
from thence.corpus.opening import odd_kind
from thence.corpus.packing import SUFFIXES
from thence.corpus.reading import inner_suffix, is_folder, text_files
from thence.corpus.tables import JSON_LINES, TABLES
from thence.errors import SettingError, TextError
from thence.filtering.parquet import ParquetFile, open_parquet
from thence.filtering.records import LineFile, open_lines
from thence.runs.sources import STANDARD_INPUT, is_read_once

File = LineFile | ParquetFile


@contextmanager
def input_files(
    names: Sequence[str | Path], output: Path
) -> Iterator[list[tuple[Path, str, Path | None]]]:
    """Context manager: the files as (path, name for messages, path within an output folder).

    Standard input and pipes are copied to a temporary file, since they are read twice.

    Raises:
        TextError: If there are no files.
        SettingError: If two have the same name, or the output has another suffix.
    """
    if not names:
        raise TextError("There is no text: give a file, a folder, or - for standard input.")
    path = Path(names[0])
    if len(names) > 1:
        targets = [Path(Path(name).name) for name in names]
        twice = next((one for one in targets if targets.count(one) > 1), None)
        if twice is not None:
            raise SettingError(
                f"Two of the files are called {twice}; name the folder that they are in."
            )
        for name in names:
            if is_folder(Path(name)):
                raise SettingError(f"{name} is a folder; filter it alone, or name its files.")
        yield [(Path(name), str(name), target) for name, target in zip(names, targets, strict=True)]
    elif is_folder(path):
        yield [(file, str(file), file.relative_to(path)) for file in text_files(path)]
    elif is_read_once(str(path)):
        with TemporaryDirectory(prefix="thence-") as folder:
            copy = Path(folder, f"input{inner_suffix(output)}")
            from_stdin = str(path) == STANDARD_INPUT
            with nullcontext(sys.stdin.buffer) if from_stdin else path.open("rb") as stream:
                _copy(stream, copy)
            yield [(copy, "standard input" if from_stdin else str(path), None)]
    else:
        if _kind(path) != _kind(output):
            raise SettingError(
                f"`output` is {output}, but the records kept from {path} stay in its format: "
                "give both names the same ending."
            )
        yield [(path, str(path), None)]


def _copy(stream: Any, copy: Path) -> None:
    try:
        with copy.open("wb") as file:
            shutil.copyfileobj(stream, file)
    except OSError as error:
        raise WriteError(copy, error, "What comes through a pipe is read twice.") from error


def _kind(path: Path) -> tuple[str, str]:
    """Return the format and the compression of a file by its suffixes."""
    inner, outer = inner_suffix(path), path.suffix.lower()
    inner = JSON_LINES[0] if inner in JSON_LINES else inner
    return inner if inner in TABLES else "", outer if outer in SUFFIXES else ""


def open_file(path: Path, name: str, column: str | None) -> File:
    """Return a file of any format after reading its beginning."""
    if odd_kind(path) is None and inner_suffix(path) == ".parquet":
        return open_parquet(path, name, column)
    return open_lines(path, name, column)


def check_score_column(file: File, score_column: str | None) -> None:
    """Raise SettingError if the file has the column already, or has no columns."""
    if score_column is None:
        return
    if not file.columns:
        raise SettingError(
            f"`score_column` is '{score_column}', but {file.name} has no columns. Scores of the "
            "lines of a plain text are printed by: thence score"
        )
    if score_column in file.columns:
        raise SettingError(
            f"{file.name} has a column '{score_column}' already; choose another `score_column`."
        )
    if not score_column.isprintable() or any(sign in score_column for sign in ',"\t'):
        raise SettingError(
            f"`score_column` is {score_column!r}; it may not hold commas, quotes or tabs."
        )
