import os
import pickle
import signal
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from pickletools import genops
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import thence
from thence.errors import MissingExtraError, SettingError, TrainingError
from thence.sklearn import TextClassifier
from thence.sklearn import classifier as module

Quick = Callable[..., TextClassifier]
MODELS = ("averaging", "linear")


def shouted(texts: list[str]) -> list[str]:
    return [text.upper() for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_what_was_learned_is_predicted(
    model: str, quick: Quick, texts: list[str], labels: list[str]
) -> None:
    estimator = quick(model).fit(texts, labels)
    assert estimator.classes_.tolist() == ["food", "weather"]
    assert estimator.predict(["rain and storm", "bread or rice"]).tolist() == ["weather", "food"]
    assert estimator.score(texts, labels) == 1
    probabilities = estimator.predict_proba(texts)
    assert probabilities.shape == (60, 2)
    assert np.allclose(probabilities.sum(1), 1, rtol=0, atol=1e-12)
    odds = np.log(probabilities[:, 1] / probabilities[:, 0])
    assert np.allclose(estimator.decision_function(texts), odds)
    assert np.allclose(estimator.predict_log_proba(texts), np.log(probabilities))


@pytest.mark.parametrize("model", MODELS)
def test_three_labels(model: str, quick: Quick, three: tuple[list[str], list[str]]) -> None:
    estimator = quick(model).fit(*three)
    assert estimator.score(*three) > 0.9
    assert estimator.decision_function(three[0]).shape == (60, 3)


@pytest.mark.parametrize("kinds", [(3, 7), (False, True), ("x", "y")])
def test_labels_keep_their_type(kinds: tuple[Any, Any], texts: list[str], quick: Quick) -> None:
    labels = np.array([kinds[0]] * 30 + [kinds[1]] * 30)
    predicted = quick().fit(texts, labels).predict(texts)
    assert predicted.dtype == labels.dtype
    assert (predicted == labels).all()


def test_it_is_at_hand() -> None:
    assert thence.TextClassifier is TextClassifier
    assert "TextClassifier" not in dir(thence)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "thence.sklearn")
    monkeypatch.delitem(vars(thence), "TextClassifier", raising=False)  # It was kept there.
    with pytest.raises(MissingExtraError, match=r"pip install 'thence\[eval\]'"):
        _ = thence.TextClassifier


def test_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str], labels: list[str]
) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError(f"written: {arguments}")

    monkeypatch.chdir(tmp_path)
    for one_way_to_write in ("_taken", "make_folders"):
        monkeypatch.setattr(f"thence.atomic.{one_way_to_write}", refuse)
    monkeypatch.setattr("thence.runs.metrics.append_json_line", refuse)
    TextClassifier(epochs=1).fit(texts, labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same(
    model: str, quick: Quick, texts: list[str], labels: list[str]
) -> None:
    first, again = (quick(model).fit(texts, labels).predict_proba(texts) for _ in range(2))
    assert (first == again).all()
    other = quick(model, random_state=7).fit(texts, labels).predict_proba(texts)
    assert (first != other).any()


def test_any_random_state_will_do(quick: Quick, texts: list[str], labels: list[str]) -> None:
    of_generators = [
        quick(random_state=np.random.RandomState(5)).fit(texts, labels).predict_proba(texts)
        for _ in range(2)
    ]
    assert (of_generators[0] == of_generators[1]).all()
    assert quick(random_state=None).fit(texts, labels).score(texts, labels) > 0.9


def test_it_trains_as_the_command_does(tmp_path: Path, texts: list[str], labels: list[str]) -> None:
    path = tmp_path / "weather.txt"
    lines = [f"__label__{label} {text}\n" for text, label in zip(texts, labels, strict=True)]
    path.write_text("".join(lines))
    settings = {"buckets": 4096, "steps": 50}
    run = thence.train(
        path, "averaging", output=tmp_path / "run", split="90/10/0", **settings, precision="float32"
    )
    of_run = TextClassifier.from_run(run.folder)
    trained = TextClassifier(settings=settings).fit(texts, labels)
    assert (of_run.predict_proba(texts) == trained.predict_proba(texts)).all()
    assert of_run.settings["steps"] == 50
    again = clone(of_run).fit(texts, labels)
    assert (again.predict_proba(texts) == trained.predict_proba(texts)).all()


def test_in_a_pipeline(quick: Quick, texts: list[str], labels: list[str]) -> None:
    pipeline = make_pipeline(FunctionTransformer(shouted), quick("linear")).fit(texts, labels)
    assert pipeline.predict(["rain"]).tolist() == ["weather"]
    pipeline.set_params(textclassifier__ngrams=1).fit(texts, labels)
    assert pipeline.score(texts, labels) > 0.9


@pytest.mark.slow
def test_in_cross_validation(quick: Quick, texts: list[str], labels: list[str]) -> None:
    for scoring in ("accuracy", "neg_log_loss", "roc_auc", "f1_macro"):
        scores = cross_val_score(quick("linear"), texts, labels, cv=2, scoring=scoring)
        assert (scores > (-0.5 if scoring == "neg_log_loss" else 0.9)).all()


@pytest.mark.slow
def test_in_a_search(quick: Quick, texts: list[str], labels: list[str]) -> None:
    grid = [
        {"model": ["averaging"], "epochs": np.array([1, 2]), "embedding_size": np.array([4])},
        {"model": ["linear"], "ngrams": np.arange(1, 3), "settings": [{"strength": 3.0}, None]},
        {"model": ["averaging"], "lr": np.array([0.1]), "settings": [{"steps": 5}]},
    ]
    search = GridSearchCV(TextClassifier(), grid, cv=2, error_score="raise").fit(texts, labels)
    assert search.best_score_ > 0.9
    assert len(search.cv_results_["params"]) == 7


@pytest.mark.slow
def test_in_calibration(quick: Quick, texts: list[str], labels: list[str]) -> None:
    calibrated = CalibratedClassifierCV(quick("linear"), cv=2).fit(texts, labels)
    assert calibrated.score(texts, labels) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_several_labels(model: str, quick: Quick, sets: tuple[list[str], list[Any]]) -> None:
    texts, labels = sets
    estimator = quick(model, settings={"steps": 300} if model == "averaging" else None)
    estimator.fit(texts, labels)
    predicted = estimator.predict(texts)
    assert estimator.classes_.tolist() == ["food", "weather"]
    assert set(predicted) == set(labels)
    right = [one == other for one, other in zip(predicted, labels, strict=True)]
    assert estimator.score(texts, labels) == np.mean(right) > 0.9
    weights = np.arange(len(texts))
    assert estimator.score(texts, labels, weights) == pytest.approx(
        np.average(right, weights=weights)
    )

    matrix = np.array([["food" in some, "weather" in some] for some in labels]).astype(int)
    by_matrix = clone(estimator).fit(texts, matrix)
    probabilities = by_matrix.predict_proba(texts)
    assert (probabilities == estimator.predict_proba(texts)).all()
    assert (by_matrix.predict(texts) == (probabilities >= 0.5)).all()
    odds = np.log(probabilities / (1 - probabilities))
    assert np.allclose(by_matrix.decision_function(texts), odds, rtol=1e-6)
    assert by_matrix.score(texts, matrix) == estimator.score(texts, labels)
    scores = cross_val_score(quick("linear"), texts, matrix, cv=2, scoring="f1_micro")
    assert (scores > 0.5).all()


@pytest.mark.parametrize("model", MODELS)
def test_weights(model: str, quick: Quick) -> None:
    """The same text with two labels is as probable as they weigh."""
    texts, labels = ["a b", "a b", "c d", "c d"] * 20, ["x", "y", "x", "y"] * 20
    weights = np.array([3.0, 1, 1, 3] * 20)
    estimator = quick(model, dev=0, settings={"steps": 300} if model == "averaging" else {})
    weighed = estimator.fit(texts, labels, sample_weight=weights).predict_proba(["a b", "c d"])
    assert np.allclose(weighed, [[0.75, 0.25], [0.25, 0.75]], atol=0.03)


def test_what_weighs_nothing_is_left_out(quick: Quick, texts: list[str], labels: list[str]) -> None:
    weights = [1] * len(texts) + [0] * 10
    with_more = quick().fit([*texts, *["rain"] * 10], [*labels, *["food"] * 10], weights)
    assert (with_more.predict_proba(texts) == quick().fit(texts, labels).predict_proba(texts)).all()


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_weights_of_labels(model: str, quick: Quick) -> None:
    texts, labels = ["a b"] * 40, ["rare", *["common"] * 3] * 10
    more = {"steps": 300} if model == "averaging" else {}
    for class_weight in ("balanced", {"rare": 3}):
        estimator = quick(model, dev=0, class_weight=class_weight, settings=more)
        assert np.allclose(estimator.fit(texts, labels).predict_proba(["a b"]), 0.5, atol=0.03)


def test_too_few_texts_for_dev_are_all_learned_from(quick: Quick) -> None:
    assert quick().fit(["a", "b"], [1, 2]).predict(["b", "a"]).tolist() == [2, 1]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["one", "sets"])
@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("averaging", {"character_ngrams": [3]}),
        ("averaging", {"hidden_sizes": [4]}),
        ("linear", {}),
        ("convolution", {"steps": 2}),
        ("recurrent", {"steps": 2}),
    ],
)
def test_copies_predict_the_same(
    form: str, model: str, settings: dict[str, Any], quick: Quick, tmp_path: Path,
    texts: list[str], labels: list[str],
) -> None:  # fmt: skip
    y = labels if form == "one" else [(label,) for label in labels]
    estimator = quick(model, settings=settings).fit(texts, y)
    joblib.dump(estimator, tmp_path / "estimator")
    for copy in (
        pickle.loads(pickle.dumps(estimator)),
        deepcopy(estimator),
        joblib.load(tmp_path / "estimator"),
    ):
        assert (copy.predict_proba(texts) == estimator.predict_proba(texts)).all()
        assert list(copy.predict(texts)) == list(estimator.predict(texts))
        assert copy.get_params() == estimator.get_params()


@pytest.mark.parametrize("tokens", ["characters", "bytes", "subwords"])
def test_copies_of_other_tokens(
    tokens: str, quick: Quick, texts: list[str], labels: list[str]
) -> None:
    estimator = quick(tokens=tokens, settings={"steps": 5}).fit(texts, labels)
    copy = pickle.loads(pickle.dumps(estimator))
    assert (copy.predict_proba(texts) == estimator.predict_proba(texts)).all()


def test_a_pickle_holds_no_code_but_the_estimator(texts: list[str], labels: list[str]) -> None:
    content = pickle.dumps(TextClassifier(epochs=1).fit(texts, labels), protocol=2)
    found = (str(argument) for code, argument, _ in genops(content) if code.name == "GLOBAL")
    named = {name for name in found if name.split()[0] not in ("copy_reg", "__builtin__")}
    ours = {name for name in named if not name.startswith(("numpy", "_codecs"))}
    assert ours == {"thence.sklearn.classifier TextClassifier"}
    assert len(content) < 100_000  # The table of places of four million buckets is made again.


def test_unfitted_it_is_cloned_pickled_and_refused(quick: Quick) -> None:
    estimator = quick(epochs=2)
    for copy in (clone(estimator), pickle.loads(pickle.dumps(estimator))):
        assert copy.get_params() == estimator.get_params()
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            with pytest.raises(NotFittedError):
                getattr(copy, method)(["a text"])


def test_clones_forget_what_was_learned(quick: Quick, texts: list[str], labels: list[str]) -> None:
    with pytest.raises(NotFittedError):
        clone(quick().fit(texts, labels)).predict(texts)


def test_unusable_labels_are_refused(quick: Quick) -> None:
    with pytest.raises(ValueError, match="all are of one class"):
        quick().fit(["a", "b"], [1, 1])
    with pytest.raises(ValueError, match="all are of one class"):
        quick().fit(["a", "b"], [1, 2], [0, 1])
    with pytest.raises(ValueError, match="none has a label"):
        quick().fit(["a", "b"], [(), ()])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(["a", "b"], [1, 2, 3])
    with pytest.raises(ValueError, match="X is empty"):
        quick().fit([], [])
    with pytest.raises(TypeError, match="nan at 1"):
        quick().fit(["a", float("nan")], [1, 2])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": "averging"}, "Did you mean 'averaging'"),
        ({"model": "mlp"}, "no classifier 'mlp'"),
        ({"settings": {"ngram": 2}}, "Did you mean `ngrams`"),
        ({"settings": {"seed": 2}}, "'seed' has a parameter"),
        ({"ngrams": 1, "settings": {"ngrams": 2}}, "'ngrams' has a parameter"),
        ({"settings": {"split": "50/50/0"}}, "'split' is for files"),
        ({"settings": {"label": "kind"}}, "'label' is for files"),
        ({"model": "linear", "embedding_size": 3}, "no setting `embedding_size`"),
        ({"ngrams": 0}, "`ngrams` is 0"),
        ({"ngrams": "two"}, "`ngrams` is 'two'"),
        ({"dev": 1}, "dev is 1"),
        ({"dev": "a tenth"}, "dev is 'a tenth'"),
        ({"tokens": "letters"}, "letters"),
        ({"random_state": -1}, "`seed` is -1"),
    ],
)
def test_unusable_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TextClassifier(**parameters).fit(["a", "b"], [1, 2])


def test_a_language_model_is_no_classifier(tmp_path: Path) -> None:
    run = thence.train("given-names", "mlp", output=tmp_path / "run", steps=1)
    with pytest.raises(SettingError, match="is a language model"):
        TextClassifier.from_run(run)


def test_a_training_that_diverges_is_refused(texts: list[str], labels: list[str]) -> None:
    with pytest.raises(TrainingError, match=r"steps are too large.*Nothing was saved"):
        TextClassifier(lr=1e30, settings={"optimizer": "sgd"}).fit(texts, labels)


def test_interrupting_is_no_failed_candidate(
    monkeypatch: pytest.MonkeyPatch, texts: list[str], labels: list[str]
) -> None:
    """Ctrl-C ends a search, which takes errors of a candidate for a bad score."""
    train = module.train_classifier

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return train(*arguments)

    monkeypatch.setattr(module, "train_classifier", interrupted)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(TextClassifier(), {"epochs": [1, 2]}, cv=2).fit(texts, labels)


def test_starts_from_a_language_model(texts: list[str], labels: list[str], tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    sizes = {"embedding_size": 4, "hidden_size": 6, "steps": 3}
    language = thence.train(
        tmp_path / "lines.txt", "lstm", tokens="words", output=tmp_path / "language", **sizes
    )
    estimator = TextClassifier(
        "finetuned", epochs=1, settings={"start_from": str(language.folder), "head_size": 5}
    )
    assert estimator.fit(texts, labels).predict(texts[:2]).shape == (2,)
