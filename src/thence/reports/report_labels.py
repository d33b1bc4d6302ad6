"""What the report of a classifier shows: its labels, how it does on dev, what it goes by."""

import html

import numpy as np
from jaxtyping import Float, Int64

from thence.ensembles.mix import weights_of
from thence.evaluation.classification import ClassificationReport, Mistake, excerpt
from thence.evaluation.labels import cut_rows
from thence.models.labels.ensemble import Ensemble
from thence.models.labels.linear import Linear
from thence.reports.drawing import symbol_text, visible
from thence.reports.page import embedded, grid, listed, note, section, table
from thence.reports.plot import confusion_picture, judge_on_dev, reliability_picture
from thence.reports.report_training import embedding_section, training_section
from thence.runs import ClassifierRun, Run
from thence.training.data import labelled

MISTAKES = 20
EXCERPT = 400
MOST_LABELS = 30
"""Labels that are listed at most; of more the most and the least frequent ones."""
STRONGEST = 12
"""Tokens that are shown for each label."""


def label_sections(run: ClassifierRun) -> list[str]:
    """Return the sections; dev is judged once for all of them, if the run has its text."""
    if not run.has_text:
        return [training_section(run)]
    judged = judge_on_dev(run, MISTAKES)
    return [
        labels_section(run),
        *([no_score_section()] if judged is None else judged_sections(run, judged)),
        training_section(run, table(cut_rows(run))),
        goes_by_section(run),
    ]


def goes_by_section(run: ClassifierRun) -> str:
    """Return what the classifier goes by: words, other classifiers, or embeddings."""
    if isinstance(run.classifier, Linear):
        return strongest_section(run)
    if isinstance(run.classifier, Ensemble):
        return members_section(run)
    return embedding_section(run)


def members_section(run: ClassifierRun) -> str:
    """Return the members of an ensemble with their weights."""
    rows = [(name, f"{weight:.3f}") for name, weight in weights_of(run)]
    explained = "The probabilities of the members are averaged with these weights, found on dev."
    return section("Members", note(explained) + table(rows))


def labels_section(run: ClassifierRun) -> str:
    """Return how many documents of each split have each label."""
    train = train_counts(run)
    others = {
        name: labelled(documents).labels.counts()
        for name, documents in (("dev", run.documents("dev")), ("test", run.documents("test")))
        if len(documents)
    }
    shown, remark = chosen_labels(train)
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
    return section("Labels", remark + grid(["label", "train", "share of train", *others], rows))


def train_counts(run: Run) -> Int64[np.ndarray, " classes"]:
    """Return how many train documents have each label."""
    return labelled(run.documents("train")).labels.counts()


def chosen_labels(counts: Int64[np.ndarray, " classes"]) -> tuple[list[int], str]:
    """Return the labels to list, most frequent first, and which they are where not all."""
    order = np.argsort(-counts, kind="stable").tolist()
    if len(order) <= MOST_LABELS:
        return order, ""
    half = MOST_LABELS // 2
    remark = f"The {half} most and the {half} least frequent in train of {len(order):,} labels."
    return order[:half] + order[-half:], note(remark)


def no_score_section() -> str:
    """Return that there is nothing to judge on."""
    return section("Score on dev", note("There is no dev split to judge on."))


def judged_sections(run: Run, judged: ClassificationReport) -> list[str]:
    """Return how good the classifier is on dev, and where and how surely it goes wrong."""
    return [
        score_section(judged),
        confusion_section(judged),
        section("How sure it is", embedded(reliability_picture(judged))),
        mistakes_section(run, judged),
    ]


def score_section(judged: ClassificationReport) -> str:
    """Return how good the classifier is on dev, in all and for each label."""
    low, high = judged.accuracy_interval
    best = (
        f'<p class="score"><b>{100 * judged.accuracy:.2f} %</b> of the documents right, '
        f"95 % interval {100 * low:.2f} to {100 * high:.2f} %</p>"
    )
    columns, rows = judged.table()
    by_label = "<h3>By label</h3>" + grid(columns, rows)
    return section("Score on dev", best + table(judged.rows()) + by_label)


def confusion_section(judged: ClassificationReport) -> str:
    """Return which label is taken for which."""
    picture = confusion_picture(judged)
    if picture is not None:
        return section("Confusions", embedded(picture))
    absent = "A document may have several labels, so that none is taken for another."
    if not judged.multilabel:
        absent = f"There are too many labels for a table of confusions: {len(judged.classes):,}."
    return section("Confusions", note(absent))


def mistakes_section(run: Run, judged: ClassificationReport) -> str:
    """Return the dev documents that the classifier was surest and wrong about."""
    title = "Most confident mistakes"
    if not judged.mistakes:
        return section(title, note("There are no mistakes on dev."))
    documents = run.documents("dev")
    items = []
    for mistake in judged.mistakes:
        text = html.escape(excerpt(documents[mistake.document], EXCERPT)) or "&nbsp;"
        about = html.escape(mistake_in_words(mistake, judged.multilabel))
        items.append(f"{text}<small>{about}</small>")
    explained = "The surest come first. See whether their own labels are right."
    # Never in columns: what is said of each is longer than a short text.
    return section(title, note(explained) + listed(items, EXCERPT))


def mistake_in_words(mistake: Mistake, multilabel: bool) -> str:
    """Return what was predicted instead of what."""
    sure = f"{100 * mistake.probability:.2f} % sure"
    if multilabel:  # Then each label is an answer, and not all of them are wrong.
        sure += " of a wrong answer"
    return f"predicted: {mistake.predicted} ({sure}); its own: {mistake.label}"


def strongest_section(run: ClassifierRun) -> str:
    """Return the tokens that speak most for each label, of a linear classifier."""
    assert isinstance(run.classifier, Linear)
    weights = run.classifier.token_weights()
    shown, remark = chosen_labels(train_counts(run))
    rows = [(run.label_names[at], strongest_tokens(run, weights[:, at])) for at in shown]
    kind = run.recipe.tokens.tokens
    explained = (
        f"The {kind} with the largest weights for each label, largest first. Runs of several are "
        "features too, but they are hashed and have no names."
    )
    return section(f"Strongest {kind}", note(explained) + remark + table(rows))


def strongest_tokens(run: Run, weights: Float[np.ndarray, " vocab"]) -> str:
    """Return the tokens with the largest weights above zero, largest first."""
    order = np.argsort(-weights, kind="stable")[:STRONGEST]
    return "   ".join(visible(symbol_text(run.tokenizer, at)) for at in order if weights[at] > 0)
