"""N-gram models in KenLM's hash tables: read from files and runs, and written as binary files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from thence.atomic import whole_file
from thence.corpus.opening import refuse_odd
from thence.errors import SettingError, TextError
from thence.exchange.arpa import check_model
from thence.exchange.arpa_reader import arpa_sections
from thence.exchange.arpa_writer import END, LN_10, NEVER, START, arpa_names, check_no_crossing
from thence.exchange.kenlm_file import (
    MAGIC,
    PARAMETERS,
    PROBING,
    SANITY,
    is_kenlm_file,
    read_kenlm,
)
from thence.models.ngram import NGram
from thence.models.ngram.hashed import MULTIPLIER, HashedNGrams, murmurs
from thence.models.ngram.hashing import Listed, hashed_ngrams
from thence.models.ngram.pruning import words_of
from thence.runs.run import Run, open_run

UNKNOWN = b"<unk>"
"""The first word of every binary file."""


def read_hashed(path: Path, mapped: bool = False) -> HashedNGrams:
    """Read an n-gram model: an ARPA file, a binary file of KenLM, or a run.

    Args:
        path: The file or folder.
        mapped: Memory-map hash tables of KenLM; see ``read_kenlm``.

    Raises:
        TextError: If the file is not an n-gram model, or damaged.
        RunError: If the run is of another model.
        SettingError: If the run's model cannot be written as an ARPA file.
    """
    if path.is_dir():
        return hashed_run(open_run(path))[0]
    refuse_odd(path)
    if is_kenlm_file(path):
        read = read_kenlm(path, mapped)
        if isinstance(read, HashedNGrams):
            return read
        hashes, listed = read.hashes, list(read.orders)
    else:
        with arpa_sections(path) as sections:
            hashes, listed = murmurs(sections.words), list(sections.orders)
    try:
        return hashed_ngrams(hashes, listed)
    except ValueError as error:
        raise TextError(f"{path}: {error}.") from error


def hashed_run(run: Run) -> tuple[HashedNGrams, list[bytes]]:
    """Return the model of a run as if read from its ARPA file, and its words in order of ids.

    KenLM gives ``<unk>`` the id 0, wherever it is among the words.

    Raises:
        RunError: If the run is of another model.
        SettingError: If the model cannot be written as an ARPA file.
    """
    check_model(run)
    tables, vocabulary = cast(NGram, run.model).tables, run.tokenizer.vocabulary
    check_no_crossing(tables, vocabulary)
    names = [name.encode() for name in [*arpa_names(vocabulary), START]]
    start, boundary, size = len(names) - 1, vocabulary.boundary_id, len(vocabulary)

    def listed() -> Iterator[Listed]:
        for level, table in enumerate(tables):
            words = words_of(tables, level, np.arange(len(table.keys)), size)
            words[:, :-1][words[:, :-1] == boundary] = start
            log_probs = np.clip(table.log_probs / LN_10, NEVER, 0)
            backoffs = np.zeros(len(table.keys))
            backoffs[: len(table.log_backoffs)] = np.maximum(table.log_backoffs / LN_10, NEVER)
            if not level:  # Our boundary is two words in ARPA files: </s>, and <s> as context.
                words = np.append(words, [[start]], 0)
                log_probs = np.append(log_probs, NEVER)
                backoffs = np.append(backoffs, backoffs[boundary])
                backoffs[boundary] = 0
            yield Listed(words, log_probs, backoffs)

    assert names[boundary] == END.encode()
    return hashed_ngrams(murmurs(names), list(listed())), names


def export_kenlm(run: Run, path: Path) -> None:
    """Write an n-gram model as a binary file of KenLM ("probing"), as its ``build_binary`` does.

    Raises:
        RunError: If the run has no n-gram model.
        SettingError: If the format cannot hold the model.
        OSError: If the file cannot be written.
    """
    model, names = hashed_run(run)
    if model.order == 1:
        raise SettingError(
            f"{run.folder} is a model of order 1, and KenLM reads none below 2; write an ARPA file."
        )
    words = [UNKNOWN, *(name for name in names if name != UNKNOWN)]
    with whole_file(path, new=True) as file:
        file.write(_header(model))
        file.write(np.array([0, len(words)], "<u4").tobytes())  # Version, size of the vocabulary.
        file.write(model.words.closed().data)
        file.write(model.unigrams.data)
        for table in model.longer:
            file.write(table.closed().data)
        file.write(b"".join(word + b"\0" for word in words))


def _header(model: HashedNGrams) -> bytes:
    """Return the header, padded to 8 bytes: sanity check, parameters, counts of n-grams."""
    sanity: Any = np.zeros(1, SANITY)
    sanity["magic"], sanity["floats"] = MAGIC, [0, 1, -0.5]
    sanity["words"], sanity["one"] = [1, 0xFFFFFFFF, 0], 1
    parameters: Any = np.zeros(1, PARAMETERS)
    for name, value in (
        ("order", model.order), ("multiplier", MULTIPLIER), ("kind", PROBING), ("has_words", 1),
    ):  # fmt: skip
        parameters[name] = value
    # The count of 1-grams is without <unk>, as for an ARPA file that lacks it.
    counts = np.array([table.count for table in (model.words, *model.longer)], "<u8")
    header: bytes = sanity.tobytes() + parameters.tobytes() + counts.tobytes()
    return header + bytes(-len(header) % 8)
