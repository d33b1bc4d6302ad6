"""Training classifiers, from labelled text to the run."""

import csv
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thence
from thence._core import library
from thence.corpus import Labels
from thence.errors import SettingError, TextError
from thence.evaluation.labels import ClassificationReport
from thence.models.registry import FAMILIES, get_family
from thence.recipes import make_recipe
from thence.runs import Run
from thence.runs.files import load_tensors
from thence.runs.run import Run as AnyRun
from thence.signals import Interrupted
from thence.training import train
from thence.training.callbacks import SilentProgress
from thence.training.data import load_data, sample_weights
from thence.training.dev_evaluation import evaluate_labels, uniform_label_loss
from thence.training.gradient_steps import build_setup
from thence.training.world import World

WORDS = {"fruit": ("apple", "pear", "plum"), "tool": ("saw", "drill", "file")}
FAST: dict[str, dict[str, Any]] = {
    "averaging": {"embedding_size": 4, "buckets": 1 << 12, "ngrams": 1},
    "linear": {"buckets": 1 << 12},
    "convolution": {"embedding_size": 6, "filters": 4, "batch_size": 20, "lr": 0.02},
    "recurrent": {"embedding_size": 6, "hidden_size": 5, "batch_size": 20, "lr": 0.02},
}
NETWORKS = [name for name in FAST if name != "linear"]


def sentences(number: int, seed: int = 0) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    found = []
    for _ in range(number):
        label = draw.choice(list(WORDS))
        rest = [
            draw.choice(["the", "a", "an", "of", "with", "and"]) for _ in range(draw.randrange(9))
        ]
        rest.insert(draw.randrange(len(rest) + 1), draw.choice(WORDS[label]))
        found.append((" ".join(rest), label))
    return found


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("labelled") / "things.csv", sentences(150))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("convolution", "recurrent") else [])
        for name in FAST
    ],
)
def test_every_family_learns_from_a_table(table: Path, tmp_path: Path, name: str) -> None:
    run = train(table, name, output=tmp_path / "run", **FAST[name])
    report = thence.evaluate(run)
    assert isinstance(report, ClassificationReport)
    assert report.accuracy == 1.0
    assert run.finished
    again = Run(run.folder)
    assert again.label_names == ("fruit", "tool")
    assert again.num_parameters == run.num_parameters
    looks = [(-m["dev_accuracy"], m["dev_nats_per_document"]) for m in run.metrics()]
    # Fewest mistakes first; training may be in another precision.
    assert min(looks) == pytest.approx((-1, report.nats_per_document), rel=0.05)


@pytest.mark.parametrize("name", FAST)
def test_the_same_seed_gives_the_same_weights(table: Path, tmp_path: Path, name: str) -> None:
    settings = {**FAST[name]} if name == "linear" else {**FAST[name], "steps": 10}
    one, two = (train(table, name, output=tmp_path / str(n), **settings) for n in range(2))
    assert (one.folder / "model.safetensors").read_bytes() == (
        two.folder / "model.safetensors"
    ).read_bytes()


class Breaker(SilentProgress):
    """Asks to stop at a step."""

    def __init__(self, at: int) -> None:
        self._at = at

    def on_step(self, step: int, tokens: float, share: float) -> None:
        import os
        import signal

        if step == self._at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_stopped_training_goes_on_bit_for_bit(table: Path, tmp_path: Path, name: str) -> None:
    from contextlib import contextmanager

    settings = {**FAST[name], "steps": 24, "dropout": 0.2, "word_dropout": 0.1, "average": "ema"}
    whole = train(table, name, output=tmp_path / "whole", **settings)

    @contextmanager
    def breaking(title: str) -> Any:
        yield Breaker(7)

    with pytest.raises(Interrupted):
        train(table, name, output=tmp_path / "parts", progress=breaking, **settings)
    parts = thence.resume(tmp_path / "parts")
    for file in ("model.safetensors", "last/checkpoint.safetensors"):
        one, two = (load_tensors(run.folder / file)[0] for run in (whole, parts))
        assert one.keys() == two.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, two[key])


def test_a_label_makes_it_a_classifier(table: Path, tmp_path: Path) -> None:
    run = train(table, label="label", output=tmp_path / "run", **FAST["averaging"])
    assert run.recipe.model == "averaging"
    assert run.recipe.tokens.tokens == "words"
    assert run.recipe.tokens.lowercase


def test_a_run_of_labels_is_no_language_model_and_back(
    table: Path, tmp_path: Path, small: Callable[..., AnyRun]
) -> None:
    run = train(table, "linear", output=tmp_path / "labels", **FAST["linear"])
    with pytest.raises(SettingError, match=r"is a classifier .* Use thence classify"):
        _ = run.model
    with pytest.raises(SettingError, match=r"is a language model .* --label COLUMN"):
        _ = small().classifier


def test_one_label_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "one.csv", [(f"text {n}", "only") for n in range(20)])
    with pytest.raises(TextError, match=r"nothing to distinguish: of the 16 .* the label 'only'"):
        train(path, "averaging", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_label_at_all_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text("".join(json.dumps({"text": f"t {n}", "label": []}) + "\n" for n in range(20)))
    with pytest.raises(TextError, match=r"nothing to distinguish: .* none has a label"):
        train(path, "linear", output=tmp_path / "run")


def test_a_label_with_one_example_is_in_train(tmp_path: Path) -> None:
    rows = [*sentences(60), ("a very odd thing", "rare")]
    run = train(write(tmp_path / "t.csv", rows), "linear", output=tmp_path / "r", **FAST["linear"])
    assert run.label_names == ("fruit", "rare", "tool")


def test_dev_may_have_labels_that_train_lacks(tmp_path: Path) -> None:
    dev = write(tmp_path / "dev.csv", [*sentences(20, seed=1), ("apple saw", "unheard")])
    path = write(tmp_path / "train.csv", sentences(80))
    for name in FAST:
        steps = {} if name == "linear" else {"steps": 5}
        run = train(path, name, output=tmp_path / name, dev=str(dev), **steps, **FAST[name])
        report = thence.evaluate(run)
        assert isinstance(report, ClassificationReport)
        assert (report.unseen, report.train_labels) == (1, 2)
        assert run.metrics()[-1]["dev_accuracy"] <= 20 / 21


def test_settings_of_language_models_are_refused(table: Path) -> None:
    with pytest.raises(SettingError, match="`carry_context` is for language models; averaging"):
        train(table, "averaging", carry_context=True)


def test_looks_find_mistakes_first_and_likelihood_second() -> None:
    labels = Labels(("a", "b", "c"), np.array([0, 1, 2]), np.arange(4))
    log_probs = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]))
    result = evaluate_labels(log_probs, labels)
    # One of three is right: b is taken for a, and c is not known. Nats: (-ln .9 - ln .4) / 2.
    assert result.metrics == {"dev_accuracy": pytest.approx(1 / 3)}
    assert result.nats == pytest.approx((-np.log(0.9) - np.log(0.4)) / 2)
    surer = evaluate_labels(np.log(np.array([[0.99, 0.01], [0.6, 0.4], [0.5, 0.5]])), labels)
    assert 0 < result.selection_loss - surer.selection_loss < 1 / 3
    assert result.selection_loss == pytest.approx(2 / 3, abs=0.01)


def test_looks_at_several_labels_add_up_their_nats() -> None:
    labels = Labels(("a", "b"), np.array([0, 0, 1]), np.array([0, 1, 3, 3]), multilabel=True)
    log_probs = np.log(np.array([[0.8, 0.1], [0.7, 0.6], [0.2, 0.7]]))
    result = evaluate_labels(log_probs, labels)
    # .8 (1 - .1), .7 x .6, (1 - .2)(1 - .7); the third is wrong about b.
    expected = -np.mean(np.log([0.8 * 0.9, 0.7 * 0.6, 0.8 * 0.3]))
    assert result.nats == pytest.approx(expected)
    assert result.metrics == {"dev_accuracy": pytest.approx(2 / 3)}


def test_to_know_nothing() -> None:
    from thence.models.base import Classes

    assert uniform_label_loss(Classes(4)) == pytest.approx(np.log(4))
    assert uniform_label_loss(Classes(3, multilabel=True)) == pytest.approx(3 * np.log(2))


def test_class_weights_make_labels_count_the_same() -> None:
    labels = Labels(("a", "b"), np.array([0, 0, 0, 1]), np.arange(5))
    # Four documents, two labels: a document of a counts 4 / (2 x 3), one of b 4 / (2 x 1).
    assert sample_weights(labels, True).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert sample_weights(labels, False).tolist() == [1, 1, 1, 1]


def test_class_weights_of_several_labels() -> None:
    labels = Labels(("a", "b"), np.array([0, 0, 1]), np.array([0, 1, 3, 3]), multilabel=True)
    # Three labels in all: a counts 3 / (2 x 2), b 3 / (2 x 1); none counts 1.
    assert sample_weights(labels, True).tolist() == pytest.approx([0.75, (0.75 + 1.5) / 2, 1])


def test_class_weights_find_rare_labels(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = [(" ".join(draw.choices("pqrst", k=4)), "common") for _ in range(190)]
    rows += [(" ".join([*draw.choices("pqrst", k=3), draw.choice("pqx")]), "rare")] * 10
    path = write(tmp_path / "t.csv", rows)
    recalls = []
    for weighs in (False, True):
        settings = {**FAST["averaging"], "steps": 40, "lr": 0.05}
        run = train(
            path, "averaging", output=tmp_path / f"{weighs}", class_weights=weighs, **settings
        )
        report = thence.evaluate(run, "train")
        assert isinstance(report, ClassificationReport)
        recalls.append({score.label: score.recall for score in report.classes}["rare"])
    assert recalls[1] > recalls[0]


VECTORS = "5 3\n" + "\n".join(
    f"{word} {' '.join(str(x) for x in values)}"
    for word, values in {
        "apple": (1, 0, 0.5), "pear": (1, 0.1, 0.5), "saw": (-1, 0, 0.5), "nothing": (9, 9, 9),
        "drill": (-1, 0.1, 0.5),
    }.items()
)  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_vectors_are_begun_with(table: Path, tmp_path: Path, name: str) -> None:
    vectors = tmp_path / "v.vec"
    vectors.write_text(VECTORS)
    more = {} if name == "averaging" else {"embeddings": "static"}
    settings = {**FAST[name], "lr": 1e-9, "steps": 1, "vectors": str(vectors), **more}
    run = train(table, name, output=tmp_path / "run", **settings)
    assert run.recipe.options.embedding_size == 3
    assert run.recipe.options.vectors == str(vectors.resolve())
    assert run.provenance["vectors"].startswith("4 of ")
    assert thence.similar(run, "apple", 1).words[0][0] == "pear"
    vectors.unlink()  # Needed for the training only.
    Run(run.folder).classifier.tensors()
    assert thence.resume(run.folder).finished


def test_vectors_of_other_words_are_refused(table: Path, tmp_path: Path) -> None:
    vectors = tmp_path / "v.vec"
    vectors.write_text("abc 1 2\nxyz 2 3\n")
    with pytest.raises(TextError, match=r"has a vector for none of the .* of the same language"):
        train(table, "averaging", output=tmp_path / "run", vectors=str(vectors))


def test_without_dev_all_is_learned_from(table: Path, tmp_path: Path) -> None:
    for name in ("averaging", "linear"):  # One that is trained in steps, one that is fitted.
        run = train(table, name, output=tmp_path / name, split="100/0/0", **FAST[name])
        report = thence.evaluate(run, "train")
        assert isinstance(report, ClassificationReport)
        assert report.accuracy > 0.95


@pytest.mark.skipif(library() is None, reason="the compiled core is not built")
@pytest.mark.parametrize("seed", [3, (1 << 32) + 5])
def test_with_and_without_torch_a_recipe_gives_one_model(table: Path, seed: int) -> None:
    from thence.training import setup

    settings = {**FAST["averaging"], "ngrams": 2, "seed": seed, "lr": 0.5, "precision": "float32"}
    recipe = make_recipe(table, "averaging", settings)
    data = load_data(recipe)
    ends = []
    for built in (build_setup(recipe, data), setup.build_setup(recipe, data)):
        learner = built.make_learner(recipe.training, World())
        begun = learner.tensors()
        for step in range(20):
            learner.step([built.batches.at(step)], 0.5, 0.0)
        ends.append((begun, learner.tensors()))
    for by_core, by_torch in zip(*ends, strict=True):
        assert by_core.keys() == by_torch.keys()
        for name, value in by_core.items():
            np.testing.assert_allclose(value, by_torch[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_the_learning_rate_finder_takes_classifiers(table: Path) -> None:
    from thence.training.train import find_learning_rate

    recipe = make_recipe(table, "averaging", FAST["averaging"])
    curve = find_learning_rate(recipe, 1e-3, 10.0, 30)
    # So easy a table is learned at any rate, the higher the sooner.
    assert curve.suggestion == 10 and curve.still_falling
    assert curve.smoothed[-1] < 0.1 * curve.smoothed[0]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("averaging", {"label_separator": ""}, "`label_separator` is empty"),
        ("averaging", {"ngrams": 10**22}, "`ngrams` is a whole number of more than 64 bits"),
        ("linear", {"ngrams": 0}, "`ngrams` is 0; it must be a whole number from 1 to 50"),
        ("linear", {"character_ngrams": (3, 0)}, "`character_ngrams` holds 0"),
        ("linear", {"buckets": 1 << 31}, "`buckets` is 2147483648"),
        ("convolution", {"max_length": 10**12}, "`max_length` is .* to 1,048,576"),
        ("averaging", {"hidden_sizes": (4, 0)}, "`hidden_sizes` holds 0"),
    ],
)
def test_settings_that_cannot_be(
    table: Path, name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        train(table, name, **settings)


def test_too_many_weights_for_the_linear_classifier(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thence.models.labels.linear import Linear

    linear = replace(get_family("linear"), make=partial(Linear, max_weights=10))
    monkeypatch.setitem(FAMILIES, "linear", linear)
    with pytest.raises(SettingError, match="features x 1 labels, too many to keep in memory"):
        train(table, "linear", output=tmp_path / "run", **FAST["linear"])
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_are_numbers(table: Path, tmp_path: Path) -> None:
    run = train(table, "averaging", output=tmp_path / "r", steps=np.int64(3), **FAST["averaging"])
    assert run.metrics()[-1]["step"] == 3


def test_a_run_of_a_table_is_judged_on_marked_lines(table: Path, tmp_path: Path) -> None:
    settings = {"label": "label", "column": "text", **FAST["averaging"]}
    run = train(table, "averaging", output=tmp_path / "run", **settings)
    marked = tmp_path / "marked.txt"
    marked.write_text("__label__fruit an apple\n__label__tool the saw\n")
    report = thence.evaluate(run, text=marked)
    assert isinstance(report, ClassificationReport)
    assert report.documents == 2
