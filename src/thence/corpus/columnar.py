"""Tables that need an optional library: Parquet files and data sets of Hugging Face.

| source                        | extra  | rows                                                   |
|-------------------------------|--------|--------------------------------------------------------|
| `.parquet`                    | `data` | those of the file                                      |
| `hf:NAME`                     | `hf`   | those of its split `train`                             |
| `hf:NAME:SPLIT`               | `hf`   | those of the split, such as `hf:ag_news:test`          |
| `hf:NAME:CONFIGURATION:SPLIT` | `hf`   | of a set with several, such as `hf:glue:sst2:train`    |

Rows are numbered from 1. Class labels of Hugging Face, stored as numbers, become their names.
"""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from thence.corpus.decoding import Bytes, Errors
from thence.corpus.tables import Choose, Row, usable_text
from thence.errors import DownloadError, MissingExtraError, TextError

HUGGING_FACE = "hf:"


def import_extra(module: str, extra: str, purpose: str) -> Any:  # as untyped as the libraries are
    """Import a module of an optional library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {library}, which is not installed: pip install 'thence[{extra}]'"
        ) from None


def parquet_rows(data: Bytes, name: str, choose: Choose, errors: Errors) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        TextError: The file is not Parquet or broken, lacks a column, or a text is not a string.
    """
    arrow = import_extra("pyarrow", "data", f"reading {name}")
    parquet = import_extra("pyarrow.parquet", "data", f"reading {name}")
    number = 0
    try:
        file = parquet.ParquetFile(arrow.py_buffer(data))
        columns = choose(file.schema_arrow.names, name)
        for batch in file.iter_batches(columns=list(columns)):
            cells = (batch.column(column).to_pylist() for column in columns)
            for of_text, *others in zip(*cells, strict=True):
                number += 1
                place = f"{name}, row {number}: column '{columns[0]}'"
                yield number, usable_text(of_text, place, errors), others
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise TextError(
            f"{name} is not a Parquet file, or broken ({error}). Was it copied or downloaded whole?"
        ) from None


def hugging_face_rows(source: str, choose: Choose, errors: Errors) -> Iterator[Row]:
    """Yield the rows of a data set of Hugging Face, spelt as in the module's head.

    Raises:
        MissingExtraError: datasets is not installed.
        DownloadError: There is no such set, configuration or split, or it cannot be fetched.
        TextError: It lacks a column, or a text is not a string.
    """
    datasets = import_extra("datasets", "hf", f"reading {source}")
    name, *rest = source.removeprefix(HUGGING_FACE).split(":")
    *configuration, split = rest or ["train"]
    try:
        data = datasets.load_dataset(name, *configuration, split=split)
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{source} cannot be loaded ({error}). Write hf:NAME, hf:NAME:SPLIT or "
            "hf:NAME:CONFIGURATION:SPLIT, spelt as on huggingface.co."
        ) from None
    columns = choose(data.column_names, source)
    classes = [class_names(data.features[column]) for column in columns]
    for number, row in enumerate(data.select_columns(list(columns)), 1):
        place = f"{source}, row {number}"
        of_text, *others = (
            named(row[column], names, f"{place}: column '{column}'") if names else row[column]
            for column, names in zip(columns, classes, strict=True)
        )
        yield number, usable_text(of_text, f"{place}: column '{columns[0]}'", errors), others


def class_names(feature: Any) -> Sequence[str]:
    """Return the names of a class-label feature, or of a list of them; () for other features."""
    return getattr(getattr(feature, "feature", feature), "names", ())


def named(value: object, names: Sequence[str], place: str) -> object:
    """Return the name of a class label that is stored as a number; of each in a list.

    Raises:
        TextError: The number is not that of a class, such as -1 in a test set without labels.
    """
    if isinstance(value, list):
        return [named(one, names, place) for one in value]
    if isinstance(value, int) and not 0 <= value < len(names):
        raise TextError(
            f"{place} is {value}, not the number of one of the {len(names)} labels. Has this "
            "split no labels? Use another, with hf:NAME:SPLIT."
        )
    return names[value] if isinstance(value, int) else value
