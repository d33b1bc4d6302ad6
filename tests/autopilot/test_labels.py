"""How classifiers are judged and fitted again, of few documents and of more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thence.autopilot import labels as module
from thence.autopilot import networks
from thence.autopilot.autopilot import Autopilot, Budget
from thence.autopilot.candidates import ScheduledCandidate, single
from thence.autopilot.labels import LabelStrategy
from thence.autopilot.networks import Trained
from thence.models.base import Classifier
from thence.recipes import make_recipe
from thence.recipes.recipe import Recipe
from thence.signals import StopEvent
from thence.training.callbacks import silent_progress
from thence.training.data import TrainingData, load_data, with_dev_in_train
from thence.training.fitting import train_classifier

ONLY = ScheduledCandidate("linear", 1.0, {"ngrams": 1, "strength": 3.0})


@pytest.fixture
def strategy(tmp_path: Path) -> Callable[..., LabelStrategy]:
    """Make a strategy for reviews of which a fifth has the wrong label."""
    random = np.random.default_rng(0)
    rows = ["text,label"]
    for name in ("good", "bad") * 60:
        words = [*random.choice(list("abcdefgh"), 3), name]
        wrong = random.random() < 0.2
        rows.append(f"{' '.join(words)},{'bad' if (name == 'good') != wrong else 'good'}")
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(rows) + "\n")

    def make(**settings: bool) -> LabelStrategy:
        recipe = make_recipe(path, "linear", {"label": "label", "split": "60/20/20"})
        budget = Budget(np.inf, 10, 0.0)
        stop = StopEvent()
        autopilot = Autopilot(recipe, load_data(recipe), budget, stop, silent_progress, None)
        return LabelStrategy(autopilot, **settings)

    return make


def spoiled(data: TrainingData) -> TrainingData:
    """Return data whose dev labels are all turned round."""
    dev = data.splits.dev
    labels = replace(dev.labels, ids=1 - dev.labels.ids)  # type: ignore[attr-defined]
    return replace(data, splits=replace(data.splits, dev=replace(dev, labels=labels)))


def test_dev_joins_train_behind_it(strategy: Callable[..., LabelStrategy]) -> None:
    data = strategy().autopilot.data
    both = with_dev_in_train(data)
    assert list(both.splits.train) == [*data.splits.train, *data.splits.dev]
    ids = [data.train_labels.ids, data.dev_labels.ids]
    np.testing.assert_array_equal(both.train_labels.ids, np.concatenate(ids))
    again = data.tokenizer.encode(both.splits.train)
    for name in ("ids", "offsets", "byte_counts", "character_counts"):
        np.testing.assert_array_equal(getattr(both.train, name), getattr(again, name))


def test_few_documents_are_judged_by_cross_validation(
    strategy: Callable[..., LabelStrategy],
) -> None:
    made = strategy()
    [one] = made.train(ONLY, None, None)
    assert len(one.scores) == 96  # Train and dev, 72 and 24 of 120.
    # Weights that had seen these labels would be right about most of those that are wrong.
    assert one.accuracy is not None and one.accuracy < 0.9
    learned = one.model.classify(made.autopilot.data.dev_texts)
    assert not np.allclose(learned, one.scores[72:], atol=1e-3)
    finished = made.finish(made.combine([one]))
    assert finished.refit and finished.nats == one.nats


def test_of_few_documents_no_network_is_trained(strategy: Callable[..., LabelStrategy]) -> None:
    assert {one.family for one in strategy().schedule(60)} == {"linear"}
    assert "convolution" in {one.family for one in strategy(refit=False).schedule(60)}


def test_what_is_fitted_again_learns_from_dev_too(
    strategy: Callable[..., LabelStrategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_DOCUMENTS", 0)
    made = strategy()
    [one] = made.train(ONLY, None, None)
    assert len(one.scores) == 24
    texts = made.autopilot.data.dev_texts
    np.testing.assert_array_equal(one.scores, one.model.classify(texts))
    finished = made.finish(single(one))
    truth = made.autopilot.data.dev_labels.single
    right = [
        float(model.classify(texts)[np.arange(24), truth].mean())
        for model in (one.model, finished.model)
    ]
    assert finished.refit and right[1] > right[0]
    assert finished.nats == one.nats and finished.model.strength == one.model.strength


def test_a_network_that_is_trained_again_learns_from_dev_and_shares_the_weight(
    strategy: Callable[..., LabelStrategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_DOCUMENTS", 0)
    made = strategy()
    found = ScheduledCandidate("averaging", 1.0, {"ngrams": 1}, trains=True)
    [first] = made.train(found, None, 60)
    assert not made.train(replace(found, seed=1), None, None)  # It is in no ensemble yet.
    made.combine([first])
    read: list[int] = []
    train = networks.train

    def reading(recipe: Recipe, data: TrainingData, *others: object) -> Trained | None:
        read.append(data.train.num_documents)
        assert recipe.training.seed == made.autopilot.recipe.training.seed + 1
        return train(recipe, data, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(networks, "train", reading)
    [again] = made.train(replace(found, seed=1), None, None)
    assert read == [96] and (again.judged_as, again.nats) == (first.name, first.nats)
    both = made.combine([first, again])
    assert both.weights == (0.5, 0.5) and both.refit and both.nats == first.nats
    said = [one.model.classify(made.autopilot.data.dev_texts) for one in (first, again, both)]
    np.testing.assert_allclose(np.exp(said[2]), (np.exp(said[0]) + np.exp(said[1])) / 2, atol=1e-5)
    # With a 21st, all would have a weight of 1 / 21, less than 0.05.
    assert not made.train(replace(found, seed=20), None, None) and read == [96]


def test_without_refit_the_labels_of_dev_change_no_weight(
    strategy: Callable[..., LabelStrategy],
) -> None:
    models = []
    for change in (lambda data: data, spoiled):
        made = strategy(refit=False)
        made.autopilot.data = change(made.autopilot.data)
        [one] = made.train(ONLY, None, None)
        finished = made.finish(single(one))
        assert not finished.refit
        models.append(finished.model.tensors())
    for name in models[0]:
        np.testing.assert_array_equal(models[0][name], models[1][name])


def test_a_first_fit_without_time_for_all_learns_from_some(
    strategy: Callable[..., LabelStrategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_DOCUMENTS", 0)
    monkeypatch.setattr(module, "FIRST_DOCUMENTS", 10)
    made = strategy()
    # Six seconds to learn from all, of which half are there.
    monkeypatch.setattr(LabelStrategy, "_seconds_to_fit", lambda self, options: (6.0, 1e3))
    monkeypatch.setattr(Autopilot, "left", lambda self: 3.0)
    read: list[int] = []

    def train(recipe: object, data: TrainingData, should_stop: object) -> Classifier:
        read.append(data.train.num_documents)
        return train_classifier(recipe, data)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_classifier", train)
    assert made.train(ONLY, 3.0, None) and read == [36]  # Half of 72.
    assert not made.train(ONLY, 3.0, None)


def test_of_few_documents_the_words_of_dev_are_known(
    strategy: Callable[..., LabelStrategy],
) -> None:
    few, more = (strategy(refit=refit).autopilot.data for refit in (True, False))
    for documents, data in ((few.splits.train, few), (few.splits.dev, few)):
        words = {word for text in documents for word in text.split()}
        assert words <= set(data.tokenizer.vocabulary.symbols)
    assert len(more.tokenizer.vocabulary) <= len(few.tokenizer.vocabulary)


def test_the_time_of_a_classifier_without_bags_is_that_of_a_part(
    strategy: Callable[..., LabelStrategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_DOCUMENTS", 0)
    monkeypatch.setattr(module, "FIRST_DOCUMENTS", 12)
    made = strategy()
    clock = iter([10.0, 10.5])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    recipe = made._recipe(made.autopilot.recipe, "ngram-bayes", {})
    # Half a second for 12 documents of train and 24 of dev; there are 72 and 24, of 5 targets each.
    assert made._seconds_to_fit(recipe) == (0.5 * 96 / 36, 0.0)


def test_the_first_classifier_is_no_member_once_there_are_others(
    strategy: Callable[..., LabelStrategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FEW_DOCUMENTS", 0)
    made = strategy()
    first = made.first()
    assert first is not None and made.combine([first]).members == (first,)
    [one] = made.train(ONLY, None, None)
    [other] = made.train(ScheduledCandidate("ngram-bayes", 1.0, {"order": 1}), None, None)
    assert first not in made.combine([first, one, other]).members
