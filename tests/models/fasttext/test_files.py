"""Files of fastText: what it predicts, we predict; what is broken is refused.

The files in ``fasttext_files`` were trained by fastText 0.9.2 on a hundred lines of nonsense in
three languages; ``expected.json`` has what it says of some lines and words.
"""

import json
import random
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thence import _core
from thence.corpus import Documents
from thence.errors import SettingError, TextError
from thence.models.fasttext import features, predictions
from thence.models.fasttext.contents import FastTextModel, Quantised
from thence.models.fasttext.features import subwords
from thence.models.fasttext.files import is_fasttext, read_fasttext, vectors_in, write_fasttext
from thence.models.fasttext.predictions import predict, sentence_vectors, word_vectors
from thence.training import train

FILES = Path(__file__).parents[2] / "exchange" / "fasttext_files"
EXPECTED = json.loads((FILES / "expected.json").read_text("utf-8"))
MODELS: dict[str, Any] = EXPECTED["models"]
LINES: list[str] = EXPECTED["lines"]
CLASSIFIERS = [name for name, found in MODELS.items() if "predictions" in found]
CLOSE = 1e-6


@pytest.fixture(params=["core", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let the compiled core do the work, or NumPy."""
    if request.param == "numpy":
        for module in (features, predictions):
            monkeypatch.setattr(module, "library", lambda: None)
    elif _core.library() is None:
        pytest.skip("the compiled core is not built")
    yield request.param


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_and_probabilities_are_fasttexts(name: str, way: str) -> None:
    model = read_fasttext(FILES / name)
    found, sizes = predict(model, Documents.from_strings(LINES))
    names = model.dictionary.labels.names()
    for row, size, (labels, chances) in zip(found, sizes, MODELS[name]["predictions"], strict=True):
        if not labels:
            assert size == 0
            continue
        assert row[names.index(labels[0])] == row.max()  # Several may have as much.
        assert [row[names.index(label)] for label in labels] == pytest.approx(chances, abs=CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_vectors_are_fasttexts(name: str, way: str) -> None:
    model = read_fasttext(FILES / name)
    words, expected = zip(*MODELS[name]["words"].items(), strict=True)
    assert word_vectors(model, words) == pytest.approx(np.array(expected), abs=CLOSE)
    # Of labels among the words of a sentence, fastText reads rows that are not there.
    kept = [place for place, line in enumerate(LINES) if "__label__" not in line]
    sentences = sentence_vectors(model, Documents.from_strings([LINES[place] for place in kept]))
    theirs = np.array(MODELS[name]["sentences"])[kept]
    assert sentences == pytest.approx(theirs, abs=CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_subwords_are_fasttexts(name: str) -> None:
    model = read_fasttext(FILES / name)
    for word, (strings, rows) in MODELS[name]["subwords"].items():
        found, ids = subwords(model, word)
        assert (found, ids.tolist()) == (strings, rows)


@pytest.mark.parametrize("name", MODELS)
def test_a_file_is_written_as_it_was(name: str, tmp_path: Path) -> None:
    write_fasttext(read_fasttext(FILES / name), tmp_path / name)
    assert (tmp_path / name).read_bytes() == (FILES / name).read_bytes()


def test_a_quantised_output_needs_a_quantised_input(tmp_path: Path) -> None:
    quantised, plain = (read_fasttext(FILES / name) for name in ("quantised.ftz", "plain.bin"))
    assert isinstance(quantised.input, Quantised)
    output = Quantised(
        quantised.input.codes[:4], quantised.input.centroids, 5, quantised.input.part_size
    )
    both = FastTextModel(quantised.arguments, quantised.dictionary, quantised.input, output)
    write_fasttext(both, tmp_path / "both.ftz")
    again = read_fasttext(tmp_path / "both.ftz")
    assert isinstance(again.output, Quantised)
    texts = Documents.from_strings(LINES)
    assert np.array_equal(predict(again, texts)[0], predict(both, texts)[0])
    with pytest.raises(SettingError, match="quantises no output"):
        write_fasttext(
            FastTextModel(plain.arguments, plain.dictionary, plain.input, output), tmp_path / "a"
        )


def test_of_the_older_version_classifiers_have_no_runs_of_characters(tmp_path: Path) -> None:
    data = bytearray((FILES / "softmax.bin").read_bytes())
    data[4:8] = struct.pack("<i", 11)
    (tmp_path / "older.bin").write_bytes(data)
    assert read_fasttext(tmp_path / "older.bin").arguments.maxn == 0


def test_a_matrix_without_buckets_reads_no_further(tmp_path: Path) -> None:
    found = word_vectors(read_fasttext(FILES / "plain.bin"), ["__label__en"])
    assert not found.any()  # The id of a label is no row here.


def test_vectors_to_begin_a_training_with(tmp_path: Path) -> None:
    words = ["boat", "boats", "<unk>", "<boundary>"]
    found = vectors_in(FILES / "cbow.bin", words, 2)
    expected = [MODELS["cbow.bin"]["words"][word] for word in words[:2]]
    assert found.matrix[:2] == pytest.approx(np.array(expected), abs=CLOSE)
    assert found.found.tolist() == [True, True, False, False] and not found.matrix[2:].any()
    text = [f"__label__{name} {word}" for name, word in [("a", "boat"), ("b", "möwe")] * 8]
    (tmp_path / "text.txt").write_text("\n".join(text), encoding="utf-8")
    settings: dict[str, Any] = {"vectors": str(FILES / "cbow.bin"), "embedding_size": 5}
    run = train(tmp_path / "text.txt", "averaging", output=tmp_path / "run", steps=2, **settings)
    assert "2" in run.provenance["vectors"]


def broken(data: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.bin"
    path.write_bytes(data)
    with pytest.raises(TextError, match=problem):
        read_fasttext(path)


@pytest.mark.parametrize(
    ("place", "number", "problem"),
    [
        (0, 1, "does not begin as they do"),
        (4, 13, "version 13"),
        (8, 0, "`dim` is 0"),
        (8, 6, "input matrix"),
        (28, 1000, "`word_ngrams` is 1000"),
        (32, 5, "loss is number 5"),
        (36, 0, "model number 0"),
        (40, -1, "`bucket` is -1"),
        (40, 1 << 30, "input matrix"),
        (48, 1000, "`maxn` is 1000"),
        (64, 1 << 30, "of its 1,073,741,824 entries"),
        (68, -1, "entries -1 are words"),
    ],
)
def test_numbers_that_lie_are_refused(
    place: int, number: int, problem: str, tmp_path: Path
) -> None:
    data = bytearray((FILES / "softmax.bin").read_bytes())
    data[place : place + 4] = struct.pack("<i", number)
    broken(bytes(data), problem, tmp_path)


def test_what_is_no_file_of_fasttext_is_refused(tmp_path: Path) -> None:
    broken(b"", "needs 8 bytes more where 0 are left", tmp_path)
    broken(b"2 3\nthe 0.1 0.2 0.3\n", "does not begin as they do", tmp_path)
    with pytest.raises(TextError, match="cannot be read"):
        read_fasttext(tmp_path / "none.bin")
    assert not is_fasttext(tmp_path) and not is_fasttext(tmp_path / "none.bin")
    assert is_fasttext(FILES / "hs.bin")


@pytest.mark.parametrize("name", ["softmax.bin", "pruned.ftz", "skipgram.bin"])
def test_a_file_that_is_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    data = (FILES / name).read_bytes()
    places = random.Random(name).sample(range(len(data)), 30)
    for size in (*range(0, 100, 7), *places, len(data) - 1):
        broken(data[:size], "no file of fastText, or damaged", tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_a_damaged_file_never_does_harm(name: str, tmp_path: Path) -> None:
    """Whatever is in it, it is refused in words, or is a model that answers."""
    data, drawn = (FILES / name).read_bytes(), random.Random(name)
    numbers = (0, 1, -1, 2**31 - 1, -(2**31), 255, 256)
    texts, path = Documents.from_strings(LINES[:6]), tmp_path / name
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(drawn.choice((1, 1, 2, 8))):
            place = drawn.randrange(drawn.choice((120, len(data) - 4)))
            damaged[place : place + 4] = struct.pack("<i", drawn.choice(numbers))
        path.write_bytes(damaged)
        try:
            model = read_fasttext(path)
        except TextError:
            continue
        with np.errstate(all="ignore"), suppress(TextError):  # Of numbers that are not finite.
            assert len(word_vectors(model, ["boat", "é"])) == 2
            if model.arguments.model == "supervised":
                assert len(predict(model, texts)[0]) == len(texts)
