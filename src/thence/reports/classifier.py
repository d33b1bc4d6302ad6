"""The report of a classifier: metrics on dev, mistakes, confusions, weights and labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from thence.array_types import Float, Int64
from thence.corpus.documents import as_labelled
from thence.ensembles.mix import weights_of
from thence.evaluation.explain import Explanation, explain
from thence.evaluation.labels import (
    MISTAKES,
    ClassificationReport,
    evaluate_classifier,
    truncation_rows,
)
from thence.evaluation.metrics import CalibrationBins, Mistake, excerpt
from thence.models.labels.ensemble import Ensemble
from thence.models.labels.linear import Linear
from thence.reports.colours import BLUE, GREY
from thence.reports.content import (
    Bars,
    Block,
    Cell,
    Chart,
    Folded,
    HeatMap,
    Note,
    Pairs,
    RunningText,
    Section,
    Series,
    Subtitle,
    Table,
    Texts,
)
from thence.reports.explanation import explanation_tokens, weight_legend
from thence.reports.family import embedding_sections
from thence.reports.formatting import symbol_text, visible, without_breaks
from thence.reports.opening import opening_of_labels, opening_without_dev
from thence.reports.training import training_sections
from thence.runs import ClassifierRun

SHOWN_MISTAKES = 20
EXPLAINED_MISTAKES = 8
"""Mistakes that are explained word by word: each takes some hundred classifications."""
EXPLAINED_CHARACTERS = 4000
"""Longest document that is explained, in characters."""
QUICK = frozenset({"linear", "averaging", "fasttext", "ngram-bayes"})
"""Families that are fast enough for mistakes to be explained in a report."""
CAUSES = 5
"""Words named as causes of a mistake."""
MOST_CONFUSED, MOST_WITH_COUNTS = 40, 14
"""Labels in a confusion matrix at most (those most often confused), and in one with counts."""
EXCERPT = 400
"""Characters of a document that are shown."""
MOST_LABELS = 30
"""Labels that are listed at most: half of them the most frequent, half the least frequent."""
STRONGEST = 12
"""Tokens with the largest weights that are shown for each label."""


def classifier_blocks(run: ClassifierRun) -> list[Block]:
    """Return the blocks of the report below its title; dev is evaluated only once."""
    report = evaluate_on_dev(run, SHOWN_MISTAKES) if run.has_text else None
    cut = [Pairs(rows)] if run.has_text and (rows := truncation_rows(run)) else []
    basis = basis_sections(run) if run.has_text else []
    if report is None:
        labels = [labels_section(run)] if run.has_text else []
        return [*opening_without_dev(run), *cut, *labels, *training_sections(run), *basis]
    first = opening_of_labels(run, report)
    return [
        *first,
        Folded("in other units", [Pairs(report.rows())]),
        *cut,
        mistakes_section(run, report),
        Section("Confusion matrix", _confusion(report)),
        Section("Calibration", [reliability_chart(report)]),
        *training_sections(run),
        *basis,
        labels_section(run),
    ]


def evaluate_on_dev(run: ClassifierRun, mistakes: int = MISTAKES) -> ClassificationReport | None:
    """Evaluate a classifier on dev; None where there is no dev split."""
    if len(run.documents("dev")) == 0:
        return None
    report = evaluate_classifier(run, mistakes=mistakes)
    # Only the name of the file: a title has no room for a path.
    return replace(report, text=f"dev split of {Path(run.text_name).name}")


def basis_sections(run: ClassifierRun) -> list[Section]:
    """Return the section on what predictions are based on: words, members, or embeddings."""
    if isinstance(run.classifier, Linear):
        return [strongest_section(run)]
    if isinstance(run.classifier, Ensemble):
        weights = weights_of(run)
        rows = [(name, weight, f"{weight:.3f}") for name, weight in weights]
        explained = (
            "The probabilities of the members are averaged with these weights, found on dev."
        )
        return [Section("Its members", [Note(explained), Bars(rows)])]
    return embedding_sections(run)


def labels_section(run: ClassifierRun) -> Section:
    """Return a table with the number of documents with each label, by split."""
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
    """Return the number of train documents with each label."""
    return as_labelled(run.documents("train")).labels.counts()


def listed_labels(counts: Int64[np.ndarray, " classes"]) -> tuple[list[int], list[Block]]:
    """Return the ids of the labels to list, most frequent first, and a note if not all are."""
    order = np.argsort(-counts, kind="stable").tolist()
    if len(order) <= MOST_LABELS:
        return order, []
    half = MOST_LABELS // 2
    remark = f"The {half} most and the {half} least frequent in train of {len(order):,} labels."
    return order[:half] + order[-half:], [Note(remark)]


def _confusion(report: ClassificationReport) -> list[Block]:
    """Return the confusion matrix, and the table of precision and recall by label."""
    table = Table(*report.table())
    if report.confusion is None:
        absent = f"There are too many labels for a confusion matrix: {len(report.classes):,}."
        if report.multilabel:
            absent = "A document may have several labels, so that none is taken for another."
        return [Note(absent), table]
    confusion = report.confusion
    chosen = most_mistaken(confusion, MOST_CONFUSED)
    names = [report.classes[at].label for at in chosen]
    totals = np.maximum(confusion.sum(axis=1), 1)
    cells = []
    for row, true in enumerate(chosen):
        for column, predicted in enumerate(chosen):
            count = int(confusion[true, predicted])
            if not count:
                continue
            share = count / totals[true]
            about = f"{count:,} of “{names[row]}” ({share:.1%}) called “{names[column]}”"
            sign = 1 if row == column else -1
            text = f"{count:,}" if len(names) <= MOST_WITH_COUNTS else ""
            cells.append(Cell(row, column, sign * float(share) ** 0.5, about, text))
    every = len(report.classes)
    shown = "" if len(names) == every else f", {len(names)} most mistaken of {every:,} labels"
    title = f"Confusion matrix of {report.text}{shown}"
    said = f"{title}: {report.right:,} of {report.documents:,} documents are right"
    heat_map = HeatMap(title, said, names, names, cells, "predicted", "true label")
    return [heat_map, Subtitle("By label"), table]


def most_mistaken(
    confusion: Int64[np.ndarray, "labels labels"], number: int
) -> Int64[np.ndarray, " shown"]:
    """Return the ids of the labels that are most often confused with others, in ascending order."""
    mistakes = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    return np.sort(np.argsort(-mistakes, kind="stable")[:number])


def reliability_chart(report: ClassificationReport) -> Chart:
    """Return the reliability diagram: accuracy by confidence, against the diagonal."""
    calibration: CalibrationBins = report.calibration
    answers = "answers" if report.multilabel else "predictions"
    points, abouts = [], []
    for sure, right, count in zip(
        calibration.confidence, calibration.accuracy, calibration.count, strict=True
    ):
        if count:
            points.append((100 * float(sure), float(right)))
            abouts.append(f"{right:.1%} right of {count:,} {answers} with confidence {sure:.1%}")
    title = f"Expected calibration error {report.calibration.error:.1%}"
    diagonal = Series("perfect calibration", [(0, 0), (100, 1)], GREY, "dashes")
    series = [diagonal, Series("this run", points, BLUE, "line", abouts)]
    said = f"{title}. " + "; ".join(abouts)
    return Chart(title, said, series, "confidence (%)", "accuracy", in_percent=True, limits=(0, 1))


def mistakes_section(run: ClassifierRun, report: ClassificationReport) -> Section:
    """Return the section with the most confident mistakes on dev, explained where fast enough."""
    title = "Most confident mistakes"
    if not report.mistakes:
        return Section(title, [Note("There are no mistakes on dev.")])
    documents = run.documents("dev")
    of = " of a wrong answer" if report.multilabel else ""  # Then not all answers are wrong.
    can_explain = is_quick(run) and not report.multilabel
    blocks: list[Block] = []
    for place, mistake in enumerate(report.mistakes):
        text = documents[mistake.document]
        about = (
            f"predicted: {mistake.predicted} ({100 * mistake.probability:.2f} % sure{of}); "
            f"its own: {mistake.label}"
        )
        short = excerpt(without_breaks(text), EXCERPT)
        if can_explain and place < EXPLAINED_MISTAKES and len(text) <= EXPLAINED_CHARACTERS:
            blocks.append(_explained(run, mistake, text, short, about))
        else:
            blocks.append(Texts([RunningText([short], about=about)]))
    explained = "The most confident come first. Check whether their own labels are right."
    if can_explain:
        explained += " Open one to see which words spoke for the wrong label."
        blocks.insert(0, weight_legend())
    return Section(title, [Note(explained), *blocks])


def is_quick(run: ClassifierRun) -> bool:
    """Return whether a classifier, or each member of an ensemble, is of a ``QUICK`` family."""
    members = getattr(run.recipe.options, "members", ())
    return {member.model for member in members} | {run.recipe.model} <= QUICK | {"ensemble"}


def _explained(run: ClassifierRun, mistake: Mistake, text: str, short: str, about: str) -> Folded:
    """Return a mistake that unfolds to show its words, coloured by weight for the wrong label."""
    found = explain(run, text, mistake.predicted)
    tokens = [
        without_breaks(token, "\n") if isinstance(token, str) else token
        for token in explanation_tokens(found)
    ]
    causes = causes_of(found)
    because = f". For “{mistake.predicted}” most (nats): {causes}" if causes else ""
    return Folded(short, [RunningText(tokens)], f"{about}{because}")


def causes_of(found: Explanation) -> str:
    """Return the words with the largest weights for a label, as text; a space is shown as ␣."""
    parts = sorted(found.tokens, key=lambda part: -part.weight)[:CAUSES]
    return ", ".join(
        f"{part.text.strip() or '␣'} {part.weight:+.2f}" for part in parts if part.weight > 0
    )


def strongest_section(run: ClassifierRun) -> Section:
    """Return the tokens with the largest weights for each label of a linear classifier."""
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
    """Return the tokens with the largest positive weights, largest first, as text."""
    order = np.argsort(-weights, kind="stable")[:STRONGEST]
    return "   ".join(visible(symbol_text(run.tokenizer, at)) for at in order if weights[at] > 0)
