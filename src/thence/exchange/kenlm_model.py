"""N-gram models in hash tables, as KenLM asks them, from ARPA files, binary files and runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np

from thence.corpus.opening import refuse_odd
from thence.errors import TextError
from thence.exchange.arpa import check_model
from thence.exchange.arpa_reader import arpa_sections
from thence.exchange.arpa_writer import END, LN_10, NEVER, START, check_no_crossing, written_names
from thence.exchange.kenlm_file import is_kenlm_file, read_kenlm
from thence.models.ngram import NGram
from thence.models.ngram.hashed import HashedNGrams, murmurs
from thence.models.ngram.hashing import Listed, hashed_ngrams
from thence.models.ngram.pruning import words_of
from thence.runs.run import Run, open_run


def read_hashed(path: Path, mapped: bool = False) -> HashedNGrams:
    """Read an n-gram model: an ARPA file, a binary file of KenLM, or a run.

    Args:
        path: The file or folder.
        mapped: Memory-map hash tables of KenLM; see ``read_kenlm``.

    Raises:
        TextError: If the file is none or broken.
        RunError: If the run is of another model.
        SettingError: If an ARPA file could not say the run.
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
    """Return the model of a run as its ARPA file would be read, and its words in order of ids.

    The word ``<unk>``, whose id is 0, stands at any place among them.

    Raises:
        RunError: If the run is of another model.
        SettingError: If an ARPA file could not say it.
    """
    check_model(run)
    tables, vocabulary = cast(NGram, run.model).tables, run.tokenizer.vocabulary
    check_no_crossing(tables, vocabulary)
    names = [name.encode() for name in [*written_names(vocabulary), START]]
    start, boundary, size = len(names) - 1, vocabulary.boundary_id, len(vocabulary)

    def listed() -> Iterator[Listed]:
        for level, table in enumerate(tables):
            words = words_of(tables, level, np.arange(len(table.keys)), size)
            words[:, :-1][words[:, :-1] == boundary] = start
            log_probs = np.clip(table.log_probs / LN_10, NEVER, 0)
            backoffs = np.zeros(len(table.keys))
            backoffs[: len(table.log_backoffs)] = np.maximum(table.log_backoffs / LN_10, NEVER)
            if not level:  # One symbol here, two words there.
                words = np.append(words, [[start]], 0)
                log_probs = np.append(log_probs, NEVER)
                backoffs = np.append(backoffs, backoffs[boundary])
                backoffs[boundary] = 0
            yield Listed(words, log_probs, backoffs)

    assert names[boundary] == END.encode()
    return hashed_ngrams(murmurs(names), list(listed())), names
