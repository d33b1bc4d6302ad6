"""One line at a time is answered as several are."""

import json
from pathlib import Path

import numpy as np
import pytest

from thence._core import library
from thence.corpus import Documents
from thence.errors import TextError
from thence.models.fasttext.contents import Arguments, Dense, Dictionary, Entries, FastTextModel
from thence.models.fasttext.files import read_fasttext
from thence.models.fasttext.one_line import OneLine
from thence.models.fasttext.predictions import predict

FILES = Path(__file__).parents[2] / "exchange" / "fasttext_files"
LINES = json.loads((FILES / "expected.json").read_text("utf-8"))["lines"]
pytestmark = pytest.mark.skipif(library() is None, reason="the compiled core is not built")


@pytest.mark.parametrize(
    "name",
    ["softmax.bin", "plain.bin", "hs.bin", "ova.bin", "ns.bin", "pruned.ftz", "quantised.ftz"],
)
def test_one_line_is_as_several(name):
    model = read_fasttext(FILES / name)
    expected, sizes = predict(model, Documents.from_strings(LINES))
    ask = OneLine(model).predict
    found = [ask(line.encode()) for line in LINES]
    assert np.array_equal([scores for scores, _ in found], expected)
    assert [size for _, size in found] == sizes.tolist()
    long = "word " * 3000  # More than there is room for at first.
    scores, size = ask(long.encode())
    several, sizes = predict(model, Documents.from_strings([long]))
    assert scores == pytest.approx(several[0], abs=1e-5)
    assert size == sizes[0]


def a_model(loss: str, value: float) -> FastTextModel:
    dictionary = Dictionary(
        Entries.of([b"</s>", b"a"], [2, 1]), Entries.of([b"__label__x"], [1]), 3
    )
    arguments = Arguments(dim=2, model="supervised", loss=loss, minn=0, maxn=0, bucket=0)
    rows = np.full((2, 2), value, np.float32)
    return FastTextModel(arguments, dictionary, Dense(rows), Dense(rows[:1]))


@pytest.mark.parametrize("loss", ["softmax", "hs", "ova", "ns"])
def test_a_single_label(loss):
    model = a_model(loss, 1.0)
    expected, _ = predict(model, Documents.from_strings(["a"]))
    assert OneLine(model).predict(b"a")[0] == pytest.approx(expected[0], abs=1e-6)


def test_weights_that_are_no_numbers():
    with pytest.raises(TextError, match="no finite number"):
        OneLine(a_model("softmax", np.nan)).predict(b"a")
