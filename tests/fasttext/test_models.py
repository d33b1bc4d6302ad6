"""Models are asked as those of the package ``fasttext``: shapes, types, errors."""

import math
import subprocess
import sys

import numpy as np
import pytest

from thence.errors import ThenceError
from thence.fasttext import FastText, evaluation
from thence.fasttext.evaluation import (
    LabelScores,
    Meter,
    by_label,
    precision_and_recall,
    predicted_labels,
)


def test_one_line(model):
    labels, chances = model.predict("we eat a pear")
    assert labels == ("__label__fruit",)
    assert type(labels) is tuple and type(labels[0]) is str
    assert chances.dtype == np.float64 and chances.shape == (1,)
    assert 0.9 < chances[0] < 1.0001


def test_several_lines(model):
    labels, chances = model.predict(["we eat a pear", "we use a saw", ""], k=2)
    assert [found[0] for found in labels[:1]] == ["__label__fruit"]
    assert set(labels[1]) == {"__label__tool", "__label__iron"}
    assert type(labels) is list and type(chances) is list
    assert chances[0].dtype == np.float32 and chances[0].shape == (2,)
    assert model.predict([]) == ([], [])


@pytest.mark.parametrize("text", ["we use a saw", "", "ünknown 😀", "\0", "x " * 5000])
@pytest.mark.parametrize("k", [1, 2, -1])
def test_one_line_is_as_several(model, text, k):
    labels, chances = model.predict(text, k=k, threshold=0.01)
    several = model.predict([text], k=k, threshold=0.01)
    assert [*labels] == several[0][0]
    assert chances == pytest.approx(several[1][0], abs=1e-6)


def test_one_line_without_the_core(model, monkeypatch):
    expected = model.predict("we use a saw", k=-1)
    for kept in ("_one",):
        model.__dict__.pop(kept, None)
    monkeypatch.setattr(FastText, "library", lambda: None)
    found = model.predict("we use a saw", k=-1)
    model.__dict__.pop("_one", None)
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], abs=1e-6)


def test_k_and_threshold(model):
    labels, chances = model.predict("we use a saw", k=-1)
    assert len(labels) == 3
    assert [*chances] == sorted(chances, reverse=True)
    assert model.predict("we use a saw", k=-1, threshold=0.2)[0] == labels[:2]
    assert model.predict("we use a saw", threshold=1.1)[0] == ()
    for k in (0, -2):
        with pytest.raises(ValueError, match="k needs to be 1 or higher!"):
            model.predict("x", k=k)


@pytest.mark.parametrize("ask", ["predict", "get_sentence_vector", "get_line"])
def test_line_ends_are_refused(model, ask):
    with pytest.raises(ValueError, match=r"predict processes one line at a time \(remove '\\n'\)"):
        getattr(model, ask)("a\nb")
    if ask != "get_sentence_vector":
        with pytest.raises(ValueError, match="one line at a time"):
            getattr(model, ask)(["a\nb"])


def test_words_and_labels(model, vectors):
    words, counts = model.get_words(include_freq=True)
    assert words == model.words and words[0] == "we" and counts[0] == 200
    labels, counts = model.get_labels(include_freq=True)
    assert labels == model.labels and counts.tolist() == [100, 100, 100]
    assert "we" in model and "they" not in model and "__label__tool" not in model
    assert vectors.labels == vectors.words
    assert model.get_word_id("we") == 0 and model.get_word_id("they") == -1
    assert model.get_label_id(labels[1]) == 1 and model.get_label_id("we") == -1


def test_vectors(model):
    assert model.get_dimension() == 8
    rows, ids = model.get_subwords("saw")
    assert rows[0] == "saw" and ids[0] == model.get_word_id("saw")
    assert ids[rows.index("<s")] == model.get_subword_id("<s")
    mean = np.mean([model.get_input_vector(row) for row in ids], axis=0)
    assert model.get_word_vector("saw") == pytest.approx(mean, abs=1e-6)
    assert model["saw"].dtype == np.float32
    assert model.get_sentence_vector("we use").shape == (8,)
    assert model.get_input_matrix().shape == (len(model.words) + 2000, 8)
    assert model.get_output_matrix().shape == (3, 8)
    with pytest.raises(IndexError):
        model.get_input_vector(-1)


def test_neighbours_by_hand(vectors):
    """The cosines of all words with a vector, sorted, without the word itself."""
    rows = np.array([vectors[word] for word in vectors.words])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ (vectors["saw"] / np.linalg.norm(vectors["saw"]))
    order = [place for place in np.argsort(-cosines) if vectors.words[place] != "saw"][:4]
    found = vectors.get_nearest_neighbors("saw", k=4)
    assert [word for _, word in found] == [vectors.words[place] for place in order]
    assert [cosine for cosine, _ in found] == pytest.approx(cosines[order].tolist(), abs=1e-6)
    a, b, c = (unit[vectors.words.index(word)] for word in ("saw", "drill", "plum"))
    cosines = unit @ ((a - b + c) / np.linalg.norm(a - b + c))
    left = [place for place in np.argsort(-cosines)
            if vectors.words[place] not in ("saw", "drill", "plum")]  # fmt: skip
    found = vectors.get_analogies("saw", "drill", "plum", k=2)
    assert [word for _, word in found] == [vectors.words[place] for place in left[:2]]
    assert len(vectors.get_nearest_neighbors("unseen", k=1000)) == len(vectors.words)


def test_get_line(model, fasttext):
    line = "__label__tool use a saw __label__unknown"
    assert model.get_line(line) == (["use", "a", "saw", "</s>"], ["__label__tool"])
    assert model.get_line([line, ""]) == (
        [["use", "a", "saw", "</s>"], ["</s>"]], [["__label__tool"], []]
    )  # fmt: skip
    assert fasttext.tokenize("one two\nthree") == ["one", "two", "</s>", "three"]
    assert (fasttext.BOW, fasttext.EOW, fasttext.EOS) == ("<", ">", "</s>")


def test_a_labelled_file(model, train_file):
    lines, precision, recall = model.test(str(train_file))
    # Of 200 lines 100 have two labels: 300 labels, of which one a line is predicted.
    assert (lines, precision, recall) == (200, 1.0, pytest.approx(200 / 300))
    assert model.test(str(train_file), k=2)[1:] == (300 / 400, 1.0)
    by_name = model.test_label(str(train_file), k=2)
    assert by_name["__label__iron"] == {"precision": 1.0, "recall": 1.0, "f1score": 1.0}
    assert by_name["__label__fruit"]["recall"] == 1.0
    with pytest.raises(ValueError, match="Test file cannot be opened!"):
        model.test("nowhere.txt")


def test_precision_and_recall_by_hand():
    scores = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], np.float32) + evaluation.ADDED
    gold = np.array([[True, False], [False, True], [True, True]])
    found = LabelScores(scores, gold)
    # Predicted are 0, 0 and 1; right in the first and the last line, of four labels.
    assert precision_and_recall(found, 1, 0.0) == (3, 2 / 3, 0.5)
    assert predicted_labels(scores, 1, 0.65).tolist() == [
        [True, False],
        [False, False],
        [False, True],
    ]
    assert precision_and_recall(found, 1, 0.65) == (3, 1.0, 0.5)
    assert precision_and_recall(found, 2, 0.9)[2] == 0.0
    assert math.isnan(precision_and_recall(found, 2, 0.9)[1])
    assert by_label(found, ["a", "b"], 1, 0.0)["a"] == {
        "precision": 0.5, "recall": 0.5, "f1score": 0.5,
    }  # fmt: skip


def test_the_meter_by_hand():
    """Scores of label a are 0.7, 0.6 and 0.2, of which the first and the last are true.

    Down to 0.7 one of one is right, to 0.6 one of two, to 0.2 two of three.
    """
    scores = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], np.float32)
    gold = np.array([[True, False], [False, True], [True, True]])
    meter = Meter(LabelScores(scores, gold), ["a", "b"], -1)
    told, true = meter.score_vs_true("a")
    assert told == pytest.approx([0.2, 0.6, 0.7]) and true.tolist() == [1, 0, 1]
    precision, recall = meter.precision_recall_curve("a")
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 1])
    assert recall == pytest.approx([1 / 2, 1 / 2, 1, 0])
    assert meter.precision_at_recall(0.6, "a") == pytest.approx(2 / 3)
    assert meter.recall_at_precision(0.9, "a") == pytest.approx(1 / 2)
    assert meter.recall_at_precision(0.1) == 1
    with pytest.raises(ValueError, match="no label 'c'"):
        meter.score_vs_true("c")


def test_files(model, fasttext, tmp_path):
    path = tmp_path / "model.bin"
    model.save_model(str(path))
    again = fasttext.load_model(str(path))
    assert again.predict("we use a saw", k=-1)[0] == model.predict("we use a saw", k=-1)[0]
    assert (again.dim, again.wordNgrams, again.loss) == (8, 2, model.loss)
    assert not hasattr(again, "lr") and again.f.getArgs().lr == 0.05
    with pytest.raises(ValueError, match="cannot be opened for saving!"):
        model.save_model(str(tmp_path / "nowhere" / "model.bin"))
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(ValueError, match="cannot be opened for loading!"):
        fasttext.load_model(str(tmp_path / "other.bin"))
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(ValueError, match="has wrong file format!") as raised:
        fasttext.load_model(str(tmp_path / "text.bin"))
    assert isinstance(raised.value, ThenceError)


def test_what_lies_below_the_class(model):
    assert model.f.getArgs().wordNgrams == 2
    assert model.f.getArgs().model.name == "supervised"
    (chance, label), *_ = model.f.predict("we use a saw\n", 2, 0.0, "strict")
    assert label in ("__label__tool", "__label__iron") and 0 < chance <= 1


def test_models_of_words_predict_no_labels(vectors, train_file):
    for ask in (vectors.predict, vectors.test, vectors.get_meter):
        with pytest.raises(ValueError, match="needs to be supervised"):
            ask(str(train_file))
    with pytest.raises(ValueError, match="only support quantization of supervised"):
        vectors.quantize()


def test_matrices_are_replaced(model, fasttext, tmp_path):
    model.save_model(str(tmp_path / "model.bin"))
    other = fasttext.load_model(str(tmp_path / "model.bin"))
    other.set_matrices(np.zeros_like(other.get_input_matrix()), other.get_output_matrix())
    assert not other["saw"].any()
    other = fasttext.util.reduce_model(fasttext.load_model(str(tmp_path / "model.bin")), 4)
    assert other.get_dimension() == 4 and other["saw"].shape == (4,)
    assert other.predict("we eat a pear")[0] == model.predict("we eat a pear")[0]


def test_util(fasttext):
    rows = np.array([[1, 0], [0.9, 0], [0, 1]])
    assert fasttext.util.find_nearest_neighbor(np.array([1, 0]), rows, {0}) == 1
    with pytest.raises(ThenceError, match="Fetch it from fastText's page"):
        fasttext.util.download_model("en")


@pytest.mark.slow
def test_neither_training_nor_asking_needs_torch(train_file):
    program = (
        "import sys, thence.fasttext as f\n"
        f"m = f.train_supervised({str(train_file)!r}, verbose=0, dim=4)\n"
        "m.predict('x'), m.predict(['x']), m.test(sys.argv[1])\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(train_file)], check=True)
