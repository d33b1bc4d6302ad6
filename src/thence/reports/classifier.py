"""What the report of a classifier shows: labels, its score on dev, what its answers rest on."""

import numpy as np

from thence.array_types import Float, Int64
from thence.corpus.documents import as_labelled
from thence.ensembles.mix import weights_of
from thence.evaluation.labels import ClassificationReport, cut_rows
from thence.evaluation.metrics import excerpt
from thence.models.labels.ensemble import Ensemble
from thence.models.labels.linear import Linear
from thence.reports.content import (
    Block,
    Note,
    Pairs,
    Plots,
    RunningText,
    Score,
    Section,
    Subtitle,
    Table,
    Texts,
)
from thence.reports.formatting import symbol_text, visible
from thence.reports.plots import evaluate_on_dev
from thence.reports.plots.classification import plot_confusion_matrix, plot_reliability
from thence.reports.training import NO_DEV, embedding_section, training_section
from thence.runs import ClassifierRun

MISTAKES = 20
EXCERPT = 400
"""Characters of a document that are shown."""
MOST_LABELS = 30
"""Labels that are listed at most; of more the most and the least frequent ones."""
STRONGEST = 12
"""Tokens that are shown for each label."""


def classifier_sections(run: ClassifierRun) -> list[Section]:
    """Return the sections; dev is evaluated once for all of them, if the run has its text."""
    if not run.has_text:
        return [training_section(run)]
    report = evaluate_on_dev(run, MISTAKES)
    on_dev = [Section("Score on dev", [NO_DEV])] if report is None else dev_sections(run, report)
    training = training_section(run, [Pairs(cut_rows(run))])
    return [labels_section(run), *on_dev, training, basis_section(run)]


def basis_section(run: ClassifierRun) -> Section:
    """Return what the answers rest on: words, other classifiers, or embeddings."""
    if isinstance(run.classifier, Linear):
        return strongest_section(run)
    if isinstance(run.classifier, Ensemble):
        rows = [(name, f"{weight:.3f}") for name, weight in weights_of(run)]
        explained = (
            "The probabilities of the members are averaged with these weights, found on dev."
        )
        return Section("Members", [Note(explained), Pairs(rows)])
    return embedding_section(run)


def labels_section(run: ClassifierRun) -> Section:
    """Return how many documents of each split have each label."""
    train = train_counts(run)
    others = {
        name: as_labelled(documents).labels.counts()
        for name, documents in (("dev", run.documents("dev")), ("test", run.documents("test")))
        if len(documents)
    }
    shown, remark = listed_labels(train)
    documents = len(run.documents("train"))
    rows = [
        [
            run.label_names[at],
            f"{train[at]:,}",
            f"{train[at] / documents:.1%}",
            *(f"{counts[at]:,}" for counts in others.values()),
        ]
        for at in shown
    ]
    table = Table(["label", "train", "share of train", *others], rows)
    return Section("Labels", [*remark, table])


def train_counts(run: ClassifierRun) -> Int64[np.ndarray, " classes"]:
    """Return how many train documents have each label."""
    return as_labelled(run.documents("train")).labels.counts()


def listed_labels(counts: Int64[np.ndarray, " classes"]) -> tuple[list[int], list[Block]]:
    """Return the labels to list, most frequent first, and a note on which they are if not all."""
    order = np.argsort(-counts, kind="stable").tolist()
    if len(order) <= MOST_LABELS:
        return order, []
    half = MOST_LABELS // 2
    remark = f"The {half} most and the {half} least frequent in train of {len(order):,} labels."
    return order[:half] + order[-half:], [Note(remark)]


def dev_sections(run: ClassifierRun, report: ClassificationReport) -> list[Section]:
    """Return how good the classifier is on dev, and where and how surely it goes wrong."""
    low, high = report.accuracy_interval
    about = f"of the documents right, 95 % interval {100 * low:.2f} to {100 * high:.2f} %"
    score = Score(f"{100 * report.accuracy:.2f} %", about)
    by_label = [Subtitle("By label"), Table(*report.table())]
    confusion = plot_confusion_matrix(report)
    absent = f"There are too many labels for a confusion matrix: {len(report.classes):,}."
    if report.multilabel:
        absent = "A document may have several labels, so that none is taken for another."
    return [
        Section("Score on dev", [score, Pairs(report.rows()), *by_label]),
        Section("Confusion matrix", [Note(absent) if confusion is None else Plots([confusion])]),
        Section("Calibration", [Plots([plot_reliability(report)])]),
        mistakes_section(run, report),
    ]


def mistakes_section(run: ClassifierRun, report: ClassificationReport) -> Section:
    """Return the dev documents on which the classifier was surest and wrong."""
    title = "Most confident mistakes"
    if not report.mistakes:
        return Section(title, [Note("There are no mistakes on dev.")])
    documents = run.documents("dev")
    of = " of a wrong answer" if report.multilabel else ""  # Then not all answers are wrong.
    items = [
        RunningText(
            [excerpt(documents[mistake.document], EXCERPT)],
            about=f"predicted: {mistake.predicted} ({100 * mistake.probability:.2f} % sure{of}); "
            f"its own: {mistake.label}",
        )
        for mistake in report.mistakes
    ]
    explained = "The most confident come first. Check whether their own labels are right."
    return Section(title, [Note(explained), Texts(items)])


def strongest_section(run: ClassifierRun) -> Section:
    """Return the tokens that speak most for each label, of a linear classifier."""
    assert isinstance(run.classifier, Linear)
    weights = run.classifier.token_weights()
    shown, remark = listed_labels(train_counts(run))
    rows = [(run.label_names[at], strongest_tokens(run, weights[:, at])) for at in shown]
    kind = run.recipe.tokens.tokens
    explained = (
        f"The {kind} with the largest weights for each label, largest first. N-grams are features "
        "too, but they are hashed and have no names."
    )
    return Section(f"Strongest {kind}", [Note(explained), *remark, Pairs(rows)])


def strongest_tokens(run: ClassifierRun, weights: Float[np.ndarray, " vocab"]) -> str:
    """Return the tokens with the largest weights above zero, largest first."""
    order = np.argsort(-weights, kind="stable")[:STRONGEST]
    return "   ".join(visible(symbol_text(run.tokenizer, at)) for at in order if weights[at] > 0)
