"""The training functions: their arguments, as the package ``fasttext`` has them, and errors."""

import numpy as np
import pytest

from thence.fasttext.autotune import metric_of
from thence.fasttext.evaluation import LabelScores

QUICK = {"dim": 4, "verbose": 0}


def test_arguments_are_shown(model):
    shown = {name: getattr(model, name) for name in ("lr", "epoch", "minn", "maxn", "t", "label")}
    assert shown == {
        "lr": 0.5, "epoch": 10, "minn": 2, "maxn": 3, "t": 1e-4, "label": "__label__",
    }  # fmt: skip
    assert (model.minCount, model.minCountLabel, model.lrUpdateRate) == (1, 0, 100)
    assert model.loss.name == "softmax" and model.pretrainedVectors == ""


def test_other_names_of_arguments(fasttext, train_file):
    model = fasttext.train_supervised(
        str(train_file), word_ngrams=2, min_count=2, bucket=9, **QUICK
    )
    assert (model.wordNgrams, model.minCount) == (2, 2)
    assert fasttext.train_supervised(str(train_file), 0.7, 4, verbose=0).lr == 0.7
    assert (
        fasttext.train_unsupervised(str(train_file), "cbow", bucket=9, **QUICK)
        .f.getArgs()
        .model.name
        == "cbow"
    )


def test_no_buckets_where_nothing_is_hashed(fasttext, train_file):
    model = fasttext.train_supervised(str(train_file), **QUICK)
    assert model.bucket == 0
    assert model.get_input_matrix().shape == (len(model.words), 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"loss": "mse"}, "Unrecognized loss name"),
        (
            {"minCount": 10_000, "minCountLabel": 10_000},
            "Empty vocabulary. Try a smaller -minCount",
        ),
        ({"label": "#"}, "no labels: each line needs .* begins with #"),
        ({"dim": 0}, "`dim` is 0"),
        ({"pretrainedVectors": "nowhere.vec"}, "nowhere.vec cannot be opened"),
        ({"autotuneValidationFile": "x", "autotuneMetric": "auc"}, "Unknown metric 'auc'"),
        ({"autotuneValidationFile": "x", "autotuneModelSize": "2M"}, "then call model.quantize"),
    ],
)
def test_what_is_wrong_is_a_value_error(fasttext, train_file, given, said):
    with pytest.raises(ValueError, match=said):
        fasttext.train_supervised(str(train_file), **QUICK | given)


def test_errors_of_arguments_and_files(fasttext, train_file, tmp_path):
    with pytest.raises(TypeError, match="unexpected keyword argument 'epochs'"):
        fasttext.train_supervised(str(train_file), epochs=2)
    with pytest.raises(TypeError, match="multiple values for argument 'wordNgrams'"):
        fasttext.train_supervised(str(train_file), word_ngrams=2, wordNgrams=3)
    for train in (fasttext.train_supervised, fasttext.train_unsupervised):
        with pytest.raises(ValueError, match=r"nowhere.txt cannot be opened for training!"):
            train("nowhere.txt")
    with pytest.raises(ValueError, match="Unrecognized model name"):
        fasttext.train_unsupervised(str(train_file), model="glove")
    empty = tmp_path / "empty.txt"
    empty.touch()
    with pytest.raises(ValueError, match="Empty vocabulary"):
        fasttext.train_supervised(str(empty), **QUICK)
    with pytest.raises(RuntimeError, match=r"Encountered NaN\. .* learning rate 1e\+20"):
        fasttext.train_supervised(str(train_file), lr=1e20, **QUICK)


def test_progress(fasttext, train_file, capsys):
    fasttext.train_supervised(str(train_file), dim=4)
    said = capsys.readouterr().err
    assert "Number of words:  120\nNumber of labels: 3\n" in said
    assert "Progress: 100.0% lr:  0.000000 avg.loss:" in said
    fasttext.train_supervised(str(train_file), dim=4, verbose=0)
    assert capsys.readouterr().err == ""


def test_the_same_seed(fasttext, train_file):
    one, same, other = (
        fasttext.train_supervised(str(train_file), seed=seed, thread=threads, **QUICK)
        for seed, threads in ((1, 1), (1, 8), (2, 1))
    )
    assert np.array_equal(one.get_input_matrix(), same.get_input_matrix())
    assert not np.array_equal(one.get_input_matrix(), other.get_input_matrix())


def test_other_marks_of_labels(fasttext, tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("#a x y\n#b z w\n" * 20)
    model = fasttext.train_supervised(str(path), label="#", lr=1, epoch=20, **QUICK)
    assert model.predict("x y")[0] == ("#a",)
    assert model.test(str(path)) == (40, 1.0, 1.0)


def test_pretrained_vectors(fasttext, train_file, tmp_path):
    path = tmp_path / "some.vec"
    path.write_text("2 4\nsaw 1 2 3 4\nlathe 5 6 7 8\n")
    model = fasttext.train_supervised(
        str(train_file), pretrainedVectors=str(path), lr=1e-9, **QUICK
    )
    assert model["lathe"].tolist() == [5, 6, 7, 8]
    assert model["saw"] == pytest.approx([1, 2, 3, 4], abs=1e-3)
    with pytest.raises(ValueError, match=r"Dimension of pretrained vectors \(4\) does not match"):
        fasttext.train_supervised(str(train_file), pretrainedVectors=str(path), dim=5, verbose=0)
    path.write_text("1 4\nsaw 1 2 x 4\n")
    with pytest.raises(ValueError, match="cannot be opened for loading"):
        fasttext.train_supervised(str(train_file), pretrainedVectors=str(path), **QUICK)


def test_quantize(fasttext, train_file, tmp_path):
    def made():
        return fasttext.train_supervised(
            str(train_file), dim=8, lr=0.5, epoch=10, wordNgrams=2, bucket=5000, verbose=0
        )

    model = made()
    model.save_model(str(tmp_path / "model.bin"))
    model.quantize()
    assert model.is_quantized() and model.lr == 0.5
    assert model.test(str(train_file))[1] == 1.0
    with pytest.raises(ValueError, match="Can't get quantized Matrix"):
        model.get_input_matrix()
    with pytest.raises(ValueError, match="already quantized"):
        model.quantize()
    small = made()
    with pytest.raises(ValueError, match="Need input file path"):
        small.quantize(retrain=True, cutoff=300)
    small.quantize(str(train_file), cutoff=300, retrain=True, epoch=5, qnorm=True, dsub=4)
    small.save_model(str(tmp_path / "model.ftz"))
    assert small.test(str(train_file))[1] == 1.0
    sizes = [(tmp_path / f"model.{end}").stat().st_size for end in ("bin", "ftz")]
    assert sizes[1] < sizes[0] / 10
    of_file = fasttext.load_model(str(tmp_path / "model.bin"))  # Its matrices cannot be written.
    of_file.quantize(str(train_file), cutoff=300, retrain=True, epoch=5)
    assert of_file.test(str(train_file))[1] == 1.0
    again = fasttext.load_model(str(tmp_path / "model.ftz"))
    assert again.predict("we use a saw", k=-1)[0] == small.predict("we use a saw", k=-1)[0]
    with pytest.raises(ValueError, match="Matrix too small for quantization"):
        fasttext.train_supervised(str(train_file), **QUICK).quantize()


def test_autotune(fasttext, train_file, capsys):
    model = fasttext.train_supervised(
        str(train_file), dim=4, epoch=1, autotuneValidationFile=str(train_file),
        autotuneDuration=0.3,
    )  # fmt: skip
    said = capsys.readouterr().err
    assert said.startswith("autotune: ") and "f1" in said
    assert (model.dim, model.epoch) == (4, 1)  # What was given stays.


def test_metrics():
    scores = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]], np.float32)
    found = LabelScores(scores, np.array([[True, False], [False, True], [True, True]]))
    labels = ["__label__a", "__label__b"]
    # Three labels are predicted, two of them right, of four: 2 x 2 / (3 + 4).
    assert metric_of("f1", 1)(found, labels) == pytest.approx(4 / 7)
    assert metric_of("f1:__label__a", 1)(found, labels) == pytest.approx(0.5)
    assert metric_of("precisionAtRecall:60:__label__a", 1)(found, labels) == pytest.approx(2 / 3)
    assert metric_of("recallAtPrecision:10", 1)(found, labels) == 1
