"""Writing an n-gram model as KenLM's file of hash tables, as its ``build_binary`` makes it."""

from pathlib import Path
from typing import Any

import numpy as np

from thence.atomic import whole_file
from thence.errors import SettingError
from thence.exchange.kenlm_file import MAGIC, PARAMETERS, PROBING, SANITY
from thence.exchange.kenlm_model import hashed_run
from thence.models.ngram.hashed import MULTIPLIER, HashedNGrams
from thence.runs.run import Run

VOCABULARY_VERSION = 0
UNKNOWN = b"<unk>"
"""The first word of every file."""


def export_kenlm(run: Run, path: Path) -> None:
    """Write an n-gram model as a binary file of KenLM.

    Raises:
        RunError: If the run has none.
        SettingError: If the format cannot say the model.
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
        file.write(
            np.array([0, len(words)], "<u4").tobytes()
        )  # Version and size of the vocabulary.
        file.write(model.words.closed().data)
        file.write(model.unigrams.data)
        for table in model.longer:
            file.write(table.closed().data)
        file.write(b"".join(word + b"\0" for word in words))


def _header(model: HashedNGrams) -> bytes:
    sanity: Any = np.zeros(1, SANITY)
    sanity["magic"], sanity["floats"] = MAGIC, [0, 1, -0.5]
    sanity["words"], sanity["one"] = [1, 0xFFFFFFFF, 0], 1
    parameters: Any = np.zeros(1, PARAMETERS)
    for name, value in (
        ("order", model.order), ("multiplier", MULTIPLIER), ("kind", PROBING), ("has_words", 1),
    ):  # fmt: skip
        parameters[name] = value
    # Of 1-grams without the unknown word, as of an ARPA file that lacks it.
    counts = np.array([table.count for table in (model.words, *model.longer)], "<u8")
    header: bytes = sanity.tobytes() + parameters.tobytes() + counts.tobytes()
    return header + bytes(-len(header) % 8)
