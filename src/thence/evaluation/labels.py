"""Judging runs of classifiers: their labels on a split of their text, or on another."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from thence.batches.labelled import cut_share
from thence.corpus import LabelledDocuments, LabelOptions, ReadingOptions, Source, load_labelled
from thence.corpus.reading import inner_suffix
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import RunError, TextError
from thence.evaluation.classification import MISTAKES, ClassificationReport, are_right, judge_labels
from thence.evaluation.compare_labels import LabelComparison, compare_classifiers
from thence.evaluation.likelihood import judged_name
from thence.models.labels.known import known_of
from thence.models.registry import get_family
from thence.runs import ClassifierRun
from thence.runs.description import choice_on_dev, choices_on_dev
from thence.runs.run import Run, Split
from thence.training.data import labelled


def evaluate_labels(
    run: ClassifierRun,
    split: Split = "dev",
    text: Source | None = None,
    reading: ReadingOptions | None = None,
    labelling: LabelOptions | None = None,
    mistakes: int = MISTAKES,
) -> ClassificationReport:
    """Judge a run's best classifier; see ``evaluate``."""
    documents = labelled_documents(run, split, text, reading, labelling)
    texts = run.texts(documents, "evaluate")
    log_probs, known = run.classifier.classify(texts), known_of(run.classifier, texts)
    looks = tuple(run.test_looks())
    judged = judged_name(run, split, text)
    report = judge_labels(
        run.name, judged, log_probs, documents.labels, documents, looks, mistakes, known
    )
    on_dev = split == "dev" and text is None
    return replace(report, chosen_on_dev=choice_on_dev(run) if on_dev else None)


def compare_labels(
    runs: Sequence[ClassifierRun],
    split: Split = "dev",
    text: Source | None = None,
    reading: ReadingOptions | None = None,
    labelling: LabelOptions | None = None,
) -> LabelComparison:
    """Compare classifiers on the same documents; see ``compare``.

    Raises:
        RunError: If they tell different labels apart.
    """
    first = runs[0]
    for run in runs[1:]:
        if set(run.label_names) != set(first.label_names):
            raise RunError(
                f"{run.name} and {first.name} tell different labels apart, so they cannot be "
                "compared; train both on the same labels."
            )
    documents = labelled_documents(first, split, text, reading, labelling)
    right = {}
    for run in runs:
        if run not in right:
            own = documents.named(run.label_names)
            log_probs = run.classifier.classify(run.texts(own, "compare"))
            right[run] = are_right(log_probs, own.labels)
    judged = judged_name(first, split, text)
    rows = np.stack([right[run] for run in runs])
    compared = compare_classifiers([run.name for run in runs], rows, judged)
    if split == "dev" and text is None:
        remark = f"{compared.remark} {choices_on_dev(runs)}".strip()
        compared = replace(compared, remark=remark)
    return compared


def has_columns(text: Source) -> bool:
    """Return whether a text is a table, or a folder that may hold some."""
    if not isinstance(text, str | Path):
        return False
    name = str(text)
    return inner_suffix(name) in TABLES or name.startswith(HUGGING_FACE) or Path(text).is_dir()


def labelled_documents(
    run: ClassifierRun,
    split: Split,
    text: Source | None,
    reading: ReadingOptions | None = None,
    labelling: LabelOptions | None = None,
) -> LabelledDocuments:
    """Return the documents of a split or of another text, their labels by the run's ids.

    Another text is read as the run's own was, unless it is said how.

    Raises:
        TextError: If there are none, or another text has several labels where the run has one.
    """
    if text is not None:
        own = replace(run.recipe.reading, encoding="utf-8")
        how = labelling or run.recipe.labelling or LabelOptions()
        if not has_columns(text):  # The columns of the run's own table say nothing here.
            own, how = replace(own, column=None), replace(how, label=None)
        documents = load_labelled(text, reading or own, how).named(run.label_names)
        if documents.labels.multilabel and not run.classes.multilabel:
            raise TextError(
                f"{judged_name(run, split, text)} has documents with several labels, but "
                f"{run.name} gives each exactly one. Judge on a text with one label per document."
            )
        labels = replace(documents.labels, multilabel=run.classes.multilabel)
        return LabelledDocuments.of(documents, labels)
    documents = labelled(run.documents(split))
    if len(documents) == 0:
        raise TextError(
            f"The {split} split of {run.name} is empty (`split={run.recipe.splitting.split!r}`); "
            "name a file to judge on, or train with another `split`."
        )
    return documents


def cut_rows(run: Run) -> list[tuple[str, str]]:
    """Return how much of train and dev a classifier that reads only so many tokens never reads."""
    if not get_family(run.recipe.model).truncates:
        return []
    max_length = run.recipe.options.max_length
    splits: tuple[Split, ...] = ("train", "dev")
    rows = []
    for split in splits:
        store = run.store(split)
        share, documents = cut_share(store, max_length)
        if documents:
            which = f"of {documents:,} of {store.num_documents:,} documents"
            value = f"{100 * share:.2f} %, {which} (read up to --max-length {max_length})"
            rows.append((f"{split} tokens cut off", value))
    return rows
