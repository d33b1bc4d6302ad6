import json
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
)

from thence.batches.labelled import cut_share
from thence.corpus import Documents
from thence.corpus.documents import Labels
from thence.evaluation.compare_labels import mcnemar_p
from thence.evaluation.intervals import REPLICATES, percentile_interval, wilson_interval
from thence.evaluation.labels import ClassificationReport, classification_report, truncation_rows
from thence.evaluation.metrics import are_right, calibration_bins, excerpt
from thence.tokens import TokenStore


def judged(
    probabilities: Sequence[Sequence[float]],
    lists: Sequence[Sequence[str]],
    names: Sequence[str],
    multilabel: bool = False,
    texts: Sequence[str] | None = None,
) -> ClassificationReport:
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array(probabilities, np.float32))
    labels = Labels.from_lists(lists, multilabel).named(names)
    documents = Documents.from_strings(texts or [f"text {at}" for at in range(len(lists))])
    return classification_report("run", "dev split", log_probs, labels, documents)


@pytest.fixture(scope="module")
def report() -> ClassificationReport:
    """Five documents; train knows a and b, and the last one has another label."""
    probabilities = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.95, 0.05]]
    texts = ["one", "two\n words", "", "four", "five"]
    return judged(probabilities, ["a", "a", "b", "b", "c"], ["a", "b"], texts=texts)


def test_each_label_by_hand(report: ClassificationReport) -> None:
    # Predicted a b b b a. a: 1 hit, 2 there, 2 predicted; b: 2 hits, 2 there, 3 predicted.
    a, b, c = report.classes
    assert (a.precision, a.recall, a.f1, a.support, a.predicted) == (0.5, 0.5, 0.5, 2, 2)
    assert (b.precision, b.recall, b.support, b.predicted) == (2 / 3, 1, 2, 3)
    assert b.f1 == pytest.approx(4 / 5)  # 2 * 2 / (2 + 3)
    assert (c.label, c.precision, c.recall, c.f1, c.support, c.predicted) == ("c", 0, 0, 0, 1, 0)
    assert report.macro_f1 == pytest.approx((0.5 + 0.8 + 0) / 3)
    assert report.micro_f1 == report.accuracy == 3 / 5
    assert report.confusion is not None
    assert report.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_a_label_that_train_lacks_is_wrong_and_without_nats(report: ClassificationReport) -> None:
    assert (report.unseen, report.train_labels, report.empty) == (1, 2, 1)
    nats = -math.log(0.9 * 0.4 * 0.8 * 0.7) / 4
    assert report.nats_per_document == pytest.approx(nats)
    rows = dict(report.rows())
    assert rows["labels that train lacks"].startswith("1 documents")
    assert rows["empty documents"] == "1"


def test_most_confident_mistakes_come_first(report: ClassificationReport) -> None:
    last, second = report.mistakes
    assert (last.document, last.label, last.predicted, last.text) == (4, "c", "a", "five")
    assert last.probability == pytest.approx(0.95)
    assert (second.document, second.label, second.predicted) == (1, "a", "b")
    assert second.text == "two words"
    assert report.mistakes_table()[1][0] == ["95.00 %", "a", "c", "five"]


def test_several_labels_by_hand() -> None:
    # Predicted {x, y} (a half is a yes), {z} and {y, z}: only the first is wholly right.
    probabilities = [[0.9, 0.5, 0.1], [0.2, 0.3, 0.6], [0.1, 0.8, 0.9]]
    report = judged(probabilities, [["x", "y"], [], ["z"]], "xyz", multilabel=True)
    assert (report.right, report.documents, report.confusion) == (1, 3, None)
    # F1: x 2 * 1 / (1 + 1), y and z 2 * 1 / (1 + 2); together 2 * 3 / (3 + 5).
    assert [score.f1 for score in report.classes] == pytest.approx([1, 2 / 3, 2 / 3])
    assert report.macro_f1 == pytest.approx(7 / 9)
    assert report.micro_f1 == pytest.approx(3 / 4)
    answers = (0.9 * 0.5 * 0.9) * (0.8 * 0.7 * 0.4) * (0.9 * 0.2 * 0.9)
    assert report.nats_per_document == pytest.approx(-math.log(answers) / 3)
    assert [(m.document, m.label, m.predicted) for m in report.mistakes] == [
        (2, "z", "y, z"),
        (1, "no label", "z"),
    ]
    assert report.mistakes[0].probability == pytest.approx(0.8)
    assert report.calibration.count.sum() == 9  # three answers for each of three documents
    assert "accuracy (all labels of a document right)" in dict(report.rows())


def test_several_labels_that_train_lacks() -> None:
    report = judged([[0.9], [0.1]], [["x", "new"], []], ["x"], multilabel=True)
    assert (report.unseen, report.right) == (1, 1)
    assert report.nats_per_document == pytest.approx(-math.log(0.9))
    (mistake,) = report.mistakes  # Its one answer was right: it is the missing label that is not.
    assert (mistake.label, mistake.predicted, mistake.probability) == ("x, new", "x", 0)


def test_certain_answers() -> None:
    assert judged([[1, 0]], ["a"], "ab").nats_per_document == 0
    wrong = judged([[1, 0]], ["b"], "ab")
    assert (wrong.nats_per_document, wrong.to_json()["nats_per_document"]) == (math.inf, None)
    assert judged([[1.0], [0.0]], [["x"], []], "x", True).nats_per_document == 0
    assert judged([[1.0], [0.0]], [[], ["x"]], "x", True).nats_per_document == math.inf


def test_one_document_has_no_interval_of_f1() -> None:
    report = judged([[0.8, 0.2]], ["a"], "ab")
    assert report.accuracy == report.macro_f1 == 1  # b, neither there nor predicted, is no part.
    assert "too few" in dict(report.rows())["macro F1"]
    assert report.to_json()["macro_f1_interval"] == [None, None]
    assert "1 (not in macro F1)" in str(report)


def test_no_label_of_train() -> None:
    report = judged([[0.8, 0.2]], ["c"], "ab")
    assert math.isnan(report.nats_per_document)
    assert dict(report.rows())["nats per document"].startswith("none")
    json.dumps(report.to_json(), allow_nan=False)


def test_always_guessing_the_most_frequent() -> None:
    report = judged([[0.5, 0.5]] * 4, ["b", "a", "b", "b"], "ab")
    assert (report.guess, report.guess_accuracy) == ("b", 0.75)
    multilabel = judged([[0.5] * 9] * 4, [["a"], [], ["a", "i"], []], "abcdefghi", multilabel=True)
    assert (multilabel.guess, multilabel.guess_right) == ("no label", 2)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(0, 2), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_one_label_agrees_with_scikit_learn(seed: int, train: int, more: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    true = generator.integers(0, train + more, size)
    probabilities = generator.dirichlet(np.ones(train), size).astype(np.float32)
    names = tuple(f"label {at}" for at in range(train + more))
    labels = Labels(names, true, np.arange(size + 1))
    documents = Documents.from_strings(["text"] * size)
    report = classification_report("run", "dev", np.log(probabilities), labels, documents)
    predicted, every = probabilities.argmax(axis=1), list(range(train + more))
    expected = precision_recall_fscore_support(true, predicted, labels=every, zero_division=0)
    scores = report.classes
    for at, field in enumerate(("precision", "recall", "f1", "support")):
        np.testing.assert_allclose([getattr(one, field) for one in scores], expected[at])
    macro = f1_score(true, predicted, average="macro", zero_division=0)
    assert report.macro_f1 == pytest.approx(macro)
    assert report.micro_f1 == pytest.approx(f1_score(true, predicted, average="micro"))
    assert report.accuracy == accuracy_score(true, predicted)
    matrix = confusion_matrix(true, predicted, labels=every)
    np.testing.assert_array_equal(report.confusion, matrix)
    np.testing.assert_array_equal(are_right(np.log(probabilities), labels), true == predicted)
    if (true < train).all():
        nats = log_loss(true, probabilities, labels=every[:train])
        assert report.nats_per_document == pytest.approx(nats, rel=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_several_labels_agree_with_scikit_learn(seed: int, classes: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    true = generator.random((size, classes)) < 0.3
    probabilities = generator.random((size, classes)).astype(np.float32)
    names = [f"{at:02}" for at in range(classes)]
    lists = [[names[at] for at in np.flatnonzero(row)] for row in true]
    report = judged(probabilities.tolist(), lists, names, multilabel=True)
    predicted = probabilities >= 0.5
    occurs = np.flatnonzero((true | predicted).any(axis=0))
    if len(occurs):
        # scikit-learn averages over all columns of a matrix; we over those with a yes in them.
        pair = true[:, occurs].astype(int), predicted[:, occurs].astype(int)
        f1 = [
            f1_score(*pair, average=average, zero_division=0)  # type: ignore[misc]
            if len(occurs) > 1
            else f1_score(pair[0][:, 0], pair[1][:, 0], zero_division=0)
            for average in ("macro", "micro")
        ]
        assert [report.macro_f1, report.micro_f1] == pytest.approx(f1)
    assert report.accuracy == pytest.approx((true == predicted).all(axis=1).mean())
    one = np.where(true, probabilities, 1 - probabilities).astype(np.float64)
    assert report.nats_per_document == pytest.approx(-np.log(one).sum() / size, rel=1e-4)


def test_interval_of_macro_f1_is_of_documents_drawn_again() -> None:
    generator = np.random.default_rng(3)
    true, predicted = generator.integers(0, 4, (2, 30))
    probabilities = np.full((30, 4), 0.1)
    probabilities[np.arange(30), predicted] = 0.7
    report = judged(probabilities.tolist(), ["abcd"[at] for at in true], "abcd")
    drawn = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), REPLICATES)
    replicates = []
    for times in drawn:
        t, p = np.repeat(true, times), np.repeat(predicted, times)
        scores = [
            2 * np.sum((t == at) & (p == at)) / (np.sum(t == at) + np.sum(p == at))
            for at in range(4)
            if (t == at).any() or (p == at).any()
        ]
        replicates.append(float(np.mean(scores)))
    assert report.macro_f1_interval == pytest.approx(percentile_interval(np.array(replicates)))


def test_very_many_documents_are_drawn_in_blocks() -> None:
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 2, 5000)
    log_probs = np.log(generator.dirichlet([1, 1], 5000))
    log_probs[np.arange(5000), ids] += 1
    labels = Labels(("a", "b"), ids, np.arange(5001))
    documents = Documents.from_strings(["text"] * 5000)
    report = classification_report("run", "dev", log_probs, labels, documents)
    # Both labels are alike, so macro F1 nearly is the accuracy, and so is its interval.
    assert report.macro_f1_interval == pytest.approx(report.accuracy_interval, abs=0.003)


def test_the_weakest_of_many_labels_are_shown() -> None:
    names = [f"{at:02}" for at in range(40)]
    probabilities = np.full((40, 40), 0.01)
    wrong = np.arange(40)
    wrong[:2] = 1  # The first is taken for the second, and both are weak.
    probabilities[np.arange(40), wrong] = 0.61
    report = judged(probabilities.tolist(), [[name] for name in names], names)
    columns, rows = report.table()
    assert columns[0] == "label (30 weakest of 40 by F1)"
    assert len(rows) == 30
    assert rows[0] == ["00", "0.0000", "0.0000", "0.0000", "1", "0"]
    assert rows[1] == ["01", "0.5000", "1.0000", "0.6667", "1", "2"]


def test_calibration_by_hand() -> None:
    # Fifteen bins are 1 / 15 wide: 0.95 and 0.97 share the last (from 0.933), 0.5 is in the
    # eighth (0.467 to 0.533). Error: 2 / 3 |1 / 2 - 0.96| + 1 / 3 |1 - 0.5| = 1.42 / 3.
    calibration = calibration_bins(np.array([0.95, 0.97, 0.5]), np.array([True, False, True]))
    assert calibration.count.tolist() == [0] * 7 + [1] + [0] * 6 + [2]
    assert calibration.confidence[14] == pytest.approx(0.96)
    assert calibration.accuracy[[7, 14]].tolist() == [1, 0.5]
    assert calibration.error == pytest.approx(1.42 / 3)
    bins = calibration.to_json()["bins"]
    assert [one["count"] for one in bins] == [1, 2]
    assert (bins[1]["from"], bins[1]["to"]) == pytest.approx((14 / 15, 1))


def test_a_bin_holds_its_upper_bound() -> None:
    # Rounded probabilities may be a little above one.
    confidence = np.array([0, 0.25, 0.26, 1, 1.0000001])
    calibration = calibration_bins(confidence, np.ones(5, bool), bins=4)
    assert calibration.count.tolist() == [2, 1, 0, 2]


@pytest.mark.parametrize(("hits", "number"), [(0, 1), (1, 1), (8, 10), (0, 50), (4999, 5000)])
def test_wilson_agrees_with_scipy(hits: int, number: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(hits, number).proportion_ci(method="wilson")
    assert wilson_interval(hits, number) == pytest.approx(tuple(expected), abs=1e-12)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=100, deadline=None)
def test_mcnemar_is_exact(first: int, second: int) -> None:
    number, fewer = first + second, min(first, second)
    tail = sum(math.comb(number, at) for at in range(fewer + 1))
    exact = min(1.0, 2 * tail / 2**number)
    assert mcnemar_p(first, second) == pytest.approx(exact, rel=1e-11)


def test_mcnemar_of_very_many_documents() -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(499_000, 1_000_000).pvalue
    assert mcnemar_p(499_000, 501_000) == pytest.approx(expected, rel=1e-6)
    assert mcnemar_p(0, 100_000) == 0
    assert mcnemar_p(0, 0) == 1


def test_excerpts() -> None:
    assert excerpt("short") == "short"
    assert excerpt("a" * 100) == "a" * 100
    assert excerpt("a" * 101) == "a" * 99 + "…"
    assert excerpt("a" + " " * 2000 + "b") == "a…"


def test_what_does_not_belong_together_is_refused() -> None:
    labels, documents = Labels.from_lists([["a"]], False), Documents.from_strings(["text"])
    with pytest.raises(ValueError, match="do not belong together"):
        classification_report("run", "dev", np.zeros((2, 1)), labels, documents)
    with pytest.raises(ValueError, match="only 1 have names"):
        classification_report("run", "dev", np.zeros((1, 2)), labels, documents)


def test_report_in_words_and_for_programs(report: ClassificationReport) -> None:
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["accuracy"] == 0.6
    assert content["confusion"] == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert content["classes"][1]["label"] == "b"
    assert content["mistakes"][0]["document"] == 4
    # Wilson, 3 of 5: (0.6 + 0.3841 -+ 1.96 sqrt(0.048 + 0.03841)) / 1.7683 = 0.2307 and 0.8824.
    assert dict(report.rows())["accuracy"] == "60.00 % (95 % interval 23.07 to 88.24 %)"
    assert "evaluations on test" not in dict(report.rows())
    lines = str(report).split("\n")
    assert lines[0].split() == ["evaluated", "on", "dev", "split"]
    assert lines[-2].split() == ["b", "0.6667", "1.0000", "0.8000", "2", "3"]


def run_of(store: TokenStore, dev: TokenStore, **options: int) -> Any:
    """Return what stands for a run."""
    stores = {"train": store, "dev": dev}
    model = "convolution" if options else "linear"  # The one reads a beginning, the other all.
    recipe = SimpleNamespace(model=model, options=SimpleNamespace(**options))
    return SimpleNamespace(recipe=recipe, store=stores.get)


def test_the_share_of_tokens_that_is_cut_by_hand(store_of) -> None:
    # Of 4, 2 and 0 tokens the first loses 1 with 3 read, the first two 3 and 1 with 1 read.
    store = store_of(["abca", "bc", ""])
    assert cut_share(store, 4) == (0, 0)
    assert cut_share(store, 3) == (1 / 6, 1)
    assert cut_share(store, 1) == (4 / 6, 2)
    assert cut_share(store_of([]), 1) == (0, 0)


def test_only_splits_that_lose_something_are_named(store_of) -> None:
    store, dev = store_of(["abca", "bc"]), store_of(["a"])
    assert truncation_rows(run_of(store, dev)) == []
    assert truncation_rows(run_of(store, dev, max_length=4)) == []
    assert truncation_rows(run_of(store, dev, max_length=3)) == [
        ("train tokens cut off", "16.67 %, of 1 of 2 documents (read up to --max-length 3)")
    ]
