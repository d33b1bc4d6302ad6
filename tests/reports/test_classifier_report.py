"""The report and the pictures of every family of classifiers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import thence
from thence.errors import TextError
from thence.evaluation.embeddings import embedding_table
from thence.evaluation.explain import Contribution, Explanation
from thence.models.labels.linear import Linear
from thence.models.registry import families, get_family
from thence.reports import plot, report
from thence.reports.classifier import MOST_LABELS, causes_of, listed_labels, strongest_section
from thence.reports.content import Note
from thence.reports.markup import to_html
from thence.reports.plots.charts import training_plots
from thence.reports.report import report_html, splits_section
from thence.runs.metrics import best_line

from .conftest import (
    LABELS,
    SCRIPT,
    SCRIPT_LABEL,
    Page,
    run_with,
    train_on,
    train_rows,
    write_table,
)

MakeClassifier = Callable[[str], thence.Run]
STEPS = [
    {
        "step": step,
        "seconds": 0.1 * step,
        "learning_rate": 0.1,
        "train_nats_per_document": 1 / step,
        "dev_nats_per_document": nats,
        "dev_accuracy": accuracy,
    }
    for step, nats, accuracy in ((1, 0.5, 0.7), (2, 0.9, 0.8), (3, 0.8, 0.8), (4, 0.4, 0.75))
]

BY = {"linear": "Strongest words", "ensemble": "Its members"}
"""What the section on what a classifier without embeddings goes by is called."""


@pytest.fixture(params=families("labels"))
def run(request: pytest.FixtureRequest, classifier_of: MakeClassifier) -> thence.Run:
    return classifier_of(str(request.param))


def test_a_space_that_speaks_for_a_label_is_seen() -> None:
    parts = (
        Contribution("I", 0, 1, -0.5),
        Contribution(" ", 1, 2, 2.7),
        Contribution("O", 2, 3, 2.32),
    )
    assert causes_of(Explanation("I O", "Romania", 0.56, parts)) == "␣ +2.70, O +2.32"


def whole_report(run: thence.Run) -> str:
    """Return the report, which is written once."""
    path = run.folder / "report.html"
    return (path if path.exists() else report(run)).read_text("utf-8")


def names_of_pictures(run: thence.Run) -> list[str]:
    is_trained = get_family(run.recipe.model).method == "train"
    curves = ["loss", "accuracy", "learning-rate"] if is_trained else []
    maps = ["embedding-map"] if embedding_table(run) is not None else []
    return [*curves, "confusion", "reliability", *maps]


@pytest.mark.slow
def test_the_report_has_its_sections(run: thence.Run) -> None:
    page = Page(whole_report(run))
    by = "Embeddings" if embedding_table(run) is not None else BY.get(run.recipe.model)
    is_trained = get_family(run.recipe.model).method == "train"
    assert page.headings == [
        "Most confident mistakes",
        "Confusion matrix",
        "Calibration",
        *(["Training"] if is_trained else []),
        *([by] if by else []),
        "Labels",
        "Splits",
        "Model and settings",
    ]
    assert run.recipe.model in page.text and f"{run.num_parameters:,}" in page.text
    assert "of held-out documents their label; always saying" in page.text
    assert page.tags["img"] == 0
    # The confusions are a table; of networks the norm of the gradient is drawn too.
    assert page.tags["svg"] - len(names_of_pictures(run)) in (-1, 0)
    assert run.test_looks() == []


@pytest.mark.slow
def test_the_report_is_harmless_and_shows_labels_and_texts_as_they_are(run: thence.Run) -> None:
    content = whole_report(run)
    page = Page(content)
    assert page.is_harmless()
    assert all(label in page.text for label in LABELS)
    # The document whose label train lacks is a mistake whatever was learned.
    assert f"a surprise {SCRIPT}" in page.text
    assert "its own: <b>new</b>" in page.text
    # The run's bar, and the titles of the figures; none from the text.
    assert page.tags["b"] == 1 + page.tags["figcaption"]
    assert "http://" not in content and "https://" not in content


@pytest.mark.parametrize("run", ["averaging"], indirect=True)
def test_the_splits_section_names_what_train_lacks_and_what_it_shares(run: thence.Run) -> None:
    page = Page(to_html([splits_section(run)]))
    assert "has not been looked at" in page.text
    assert "dev documents that are in train too5 of 6 (83.3%)" in page.text
    assert "test documents that are in train too4 of 4 (100.0%)" in page.text
    assert "dev labels that train lacks, with their documents<b>new</b> (1)" in page.text
    assert "test labels" not in page.text


@pytest.mark.slow
@pytest.mark.parametrize("run", ["linear", "averaging"], indirect=True)
def test_plot_writes_the_pictures(run: thence.Run, tmp_path: Path) -> None:
    written = plot(run, tmp_path, formats=["svg"])
    assert [path.name for path in written] == [f"{name}.svg" for name in names_of_pictures(run)]
    assert not any(b"<script" in path.read_bytes() for path in written)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["linear", "averaging"])
def test_a_run_without_dev_has_a_report(
    model: str, classifier_of: MakeClassifier, tmp_path: Path
) -> None:
    run = classifier_of(model)
    whole = train_on(tmp_path, model, train_rows(), split="100/0/0")
    page = Page(report_html(whole))
    assert page.is_harmless()
    assert "There is no dev split to evaluate on." in page.text
    assert "Calibration" not in page.headings
    drawn = {"loss", "learning-rate", "embedding-map"}.intersection(names_of_pictures(run))
    assert page.tags["svg"] == len(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["linear", "averaging", "ensemble"], indirect=True)
def test_documents_with_several_labels(run: thence.Run, tmp_path: Path) -> None:
    rows = [
        (f"{label};long" if at % 2 else label, text)
        for at, (label, text) in enumerate(train_rows())
    ]
    rows[3] = ("", rows[3][1])
    several = train_on(tmp_path, run.recipe.model, rows, label_separator=";", split="50/25/25")
    page = Page(report_html(several))
    assert page.is_harmless() and SCRIPT_LABEL in page.text
    assert "none is taken for another" in page.text
    assert "any number of them per document" in page.text
    assert page.tags["svg"] == len(names_of_pictures(run)) - 1  # All but the confusions.


@pytest.mark.slow
def test_of_many_labels_the_most_and_least_frequent_are_listed(tmp_path: Path) -> None:
    rows = [(f"label {n:02}", f"text {n} number {at}") for n in range(45) for at in range(2 + n)]
    many = train_on(tmp_path, "linear", rows, split="50/25/25")
    page = Page(report_html(many))
    assert page.is_harmless()
    assert "The 15 most and the 15 least frequent in train of 45 labels." in page.text
    assert "40 most mistaken of 45" in " ".join(str(value) for _, _, value in page.attributes)


def test_labels_are_chosen_by_how_frequent_they_are() -> None:
    assert listed_labels(np.array([2, 5, 2])) == ([1, 0, 2], [])
    shown, (remark,) = listed_labels(np.arange(MOST_LABELS + 10))
    half = MOST_LABELS // 2
    assert shown[:2] == [MOST_LABELS + 9, MOST_LABELS + 8]
    assert shown[half:] == list(range(half - 1, -1, -1))
    assert isinstance(remark, Note) and f"{half} most" in remark.text


def test_the_strongest_words_speak_for_their_label(classifier_of: MakeClassifier) -> None:
    linear = classifier_of("linear")
    assert isinstance(linear.classifier, Linear)
    weights = linear.classifier.token_weights()
    assert weights.shape == (len(linear.tokenizer.vocabulary), 3)
    # What counts are differences: a token's weights have no mean.
    np.testing.assert_allclose(weights.sum(1), 0, atol=1e-5)
    page = Page(to_html([strongest_section(linear)]))
    good, bad = (page.text.split(label)[1].split("   ")[:2] for label in ("good", "bad"))
    assert set(good) == {"fine", "lovely"} and set(bad) == {"dull", "awful"}


def test_of_two_labels_each_has_its_words(tmp_path: Path) -> None:
    rows = [row for row in train_rows() if row[0] != SCRIPT_LABEL]
    linear = train_on(tmp_path, "linear", rows, split="80/20/0")
    assert isinstance(linear.classifier, Linear)
    weights = linear.classifier.token_weights()
    np.testing.assert_allclose(weights[:, 0], -weights[:, 1])
    text = Page(to_html([strongest_section(linear)])).text
    assert text.index("dull") < text.index("fine")


def test_the_most_accurate_evaluation_is_the_best_and_of_equal_ones_the_surest() -> None:
    assert best_line(STEPS)["step"] == 3
    loss, accuracy, *_ = training_plots(run_with(STEPS))
    axes = loss.figure.axes[0]
    assert "most accurate on dev at step 3: 0.800" in loss.title
    assert "nats per document" in axes.get_ylabel()
    axes = accuracy.figure.axes[0]
    assert "highest at step 3: 80.00%" in accuracy.title
    assert list(np.asarray(axes.lines[0].get_ydata())) == [0.7, 0.8, 0.8, 0.75]


def test_a_label_that_changed_is_a_text_that_changed(tmp_path: Path) -> None:
    changed = train_on(tmp_path, "linear", train_rows())
    write_table(tmp_path / "text.csv", [("good", text) for _, text in train_rows()[:-1]])
    with pytest.raises(TextError):
        report(thence.Run(changed.folder))
