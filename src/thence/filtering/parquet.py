"""Parquet files, read in batches of rows, and written again with their schema."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.corpus.tables import choose_column
from thence.errors import TextError, import_extra
from thence.filtering.records import Part, Select, written

ROWS = 1024
"""Rows per batch: few, since texts may be long."""
ROWS_OF_A_GROUP = 1 << 16
"""Largest number of rows of a written row group, which is in memory until it is written."""
BYTES_OF_A_GROUP = 1 << 26
"""A row group is also written when it has this many bytes."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file.

    Attributes:
        path: The file.
        name: Its name, for messages.
        columns: The names of its columns.
        column: The column of the text.
    """

    path: Path
    name: str
    columns: tuple[str, ...]
    column: str

    def parts(self) -> Iterator[tuple[Part, int]]:
        """Yield the texts of all rows in parts, each with the estimated bytes of the file so far.

        Raises:
            TextError: If a text is no string.
        """
        arrow, file = _open(self.path, self.name)
        done, rows = 0, max(file.metadata.num_rows, 1)
        for batch in file.iter_batches(ROWS, columns=[self.column]):
            texts = batch.column(0)
            is_text = arrow.types.is_string(texts.type) or arrow.types.is_large_string(texts.type)
            if not is_text:
                raise TextError(
                    f"{self.name}, rows {done + 1:,} to {done + len(texts):,}: column "
                    f"'{self.column}' holds what is no string ({texts.type}). Name another with "
                    "`column`."
                )
            texts = texts.cast(arrow.large_string()).fill_null("")
            texts.validate(full=True)  # That it is UTF-8.
            ends = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
            data = texts.buffers()[2]
            held = b"" if data is None else data.to_pybytes()[ends[0] : ends[-1]]
            done += len(texts)
            about = (".parquet", (), self.column, self.name, len(texts))
            part = Part(*about, held, (ends[1:] - ends[0]).tobytes())
            yield part, self.path.stat().st_size * done // rows

    def write(self, file: Any, select: Select, score_column: str | None) -> None:
        """Write the selected rows, with the original compression; see ``LineFile.write``."""
        arrow, source = _open(self.path, self.name)
        parquet = import_extra("pyarrow.parquet", "data", f"reading {self.name}")
        schema = source.schema_arrow
        if score_column is not None:
            schema = schema.append(arrow.field(score_column, arrow.float64()))
        with parquet.ParquetWriter(file, schema, compression=_compression(source)) as writer:
            waiting: list[Any] = []
            for batch in source.iter_batches(ROWS):
                kept, perplexities = select(len(batch))
                chosen = batch.filter(arrow.array(kept))
                if score_column is not None:
                    scores = arrow.array(written(perplexities[kept]), arrow.float64())
                    chosen = arrow.RecordBatch.from_arrays([*chosen.columns, scores], schema=schema)
                waiting.append(chosen)
                rows, size = (sum(map(count, waiting)) for count in (len, lambda one: one.nbytes))
                if rows >= ROWS_OF_A_GROUP or size >= BYTES_OF_A_GROUP:
                    writer.write_table(arrow.Table.from_batches(waiting, schema))
                    waiting = []
            if waiting:
                writer.write_table(arrow.Table.from_batches(waiting, schema))


def open_parquet(path: Path, name: str, column: str | None) -> ParquetFile:
    """Return a Parquet file after reading its schema.

    Raises:
        MissingExtraError: If pyarrow is not installed.
        TextError: If it is not a Parquet file, or lacks the column.
    """
    _, file = _open(path, name)
    columns = file.schema_arrow.names
    return ParquetFile(path, name, tuple(columns), choose_column(columns, column, name))


def _open(path: Path, name: str) -> tuple[Any, Any]:
    """Return pyarrow, and the open file."""
    arrow = import_extra("pyarrow", "data", f"reading {name}")
    parquet = import_extra("pyarrow.parquet", "data", f"reading {name}")
    try:
        return arrow, parquet.ParquetFile(path, buffer_size=1 << 20)
    except (arrow.ArrowException, OSError) as error:
        raise TextError(
            f"{name} is not a Parquet file, or broken ({error}). Was it copied or downloaded whole?"
        ) from None


def _compression(source: Any) -> dict[str, str] | str:
    """Return the compression of each column, as in the first row group of a file."""
    if not source.metadata.num_row_groups:
        return "snappy"
    group = source.metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    return {one.path_in_schema: one.compression.lower() for one in columns}
