"""A model goes on answering when its file is written over, as other programs do when they save."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thence.models.fasttext.contents import Dense
from thence.models.fasttext.files import read_fasttext, write_fasttext

FOLDER = Path(__file__).parent
LARGE = 1 << 26
"""Bytes of a file that would be worth to be mapped."""
CHILD = """
import os, sys
from thence import fasttext, kenlm
labels, ngrams = fasttext.load_model(sys.argv[1]), kenlm.Model(sys.argv[2])
before = labels.predict("one two"), ngrams.score("the cat sat")
for path in sys.argv[1:]:
    os.truncate(path, 0)
assert repr((labels.predict("one two"), ngrams.score("the cat sat"))) == repr(before)
"""


@pytest.mark.slow
def test_files_that_are_written_over_after_they_were_read(tmp_path: Path) -> None:
    model = read_fasttext(FOLDER / "exchange" / "fasttext_files" / "softmax.bin")
    assert isinstance(model.input, Dense)
    dim = model.input.shape[1]
    more = np.zeros((LARGE // (4 * dim), dim), np.float32)
    large = replace(
        model,
        arguments=replace(model.arguments, bucket=model.arguments.bucket + len(more)),
        input=Dense(np.concatenate([model.input.values, more])),
    )
    write_fasttext(large, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").stat().st_size > LARGE
    (tmp_path / "b.bin").write_bytes((FOLDER / "exchange" / "kenlm" / "probing.bin").read_bytes())
    files = [str(tmp_path / name) for name in ("a.bin", "b.bin")]
    child = subprocess.run([sys.executable, "-c", CHILD, *files], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr  # -7 where a mapped file has no such page any more.
