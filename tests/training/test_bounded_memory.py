"""The memory of a training with a bound does not grow with its text."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from thence import train
from thence.corpus import Documents, documents, reading, splits
from thence.tokens import store, tokenizer

BLOCKS = (
    (reading, "LARGE_FILE", 1),
    (reading, "CHUNK", 1 << 14),
    (documents, "AT_ONCE", 1 << 12),
    (splits, "AT_ONCE", 1 << 12),
    (documents, "FEW", 1 << 10),
    (documents, "PART", 1 << 16),
    (tokenizer, "LARGE_TEXT", 1),
    (store, "BLOCK", 1 << 12),
)
"""What is worked on at once, so small that both texts are many times as large."""


@pytest.mark.slow
def test_a_line_takes_a_few_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shuffling takes 4 bytes a line; one more array of whole numbers would be 8 more."""
    for module, name, value in BLOCKS:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(Documents.chunks, "__defaults__", (1 << 14,))
    monkeypatch.setattr(reading.line_bounds.__wrapped__, "__defaults__", (1 << 14, True))
    words = np.random.default_rng(0).integers(10, 40, (240_000, 3))
    whole, part = (tmp_path / name for name in ("whole.txt", "part.txt"))
    np.savetxt(whole, words, "%d")
    np.savetxt(part, words[:80_000], "%d")
    peaks: list[int] = []
    for text in (part, part, whole):  # The first time, modules are imported.
        tracemalloc.start()
        run = train(
            text, "ngram", order=2, tokens="words", memory="2MB", split="100/0/0",
            output=tmp_path / f"run-{len(peaks)}",
        )  # fmt: skip
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert run.num_parameters > 30 * 30
    assert (peaks[2] - peaks[1]) / 160_000 < 6, peaks
