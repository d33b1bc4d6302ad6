"""``evaluate``: the metrics of a language model or a classifier on a text."""

from pathlib import Path

from thence.corpus import LabelOptions, ReadingOptions, Source
from thence.evaluation.data import EvaluationData
from thence.evaluation.labels import MISTAKES, ClassificationReport, evaluate_classifier
from thence.evaluation.language import LikelihoodReport, evaluate_language_model
from thence.runs import ClassifierRun
from thence.runs.run import Run, Split, open_run


def evaluate(
    run: Run | str | Path,
    split: Split = "dev",
    text: Source | None = None,
    reading: ReadingOptions | None = None,
    labelling: LabelOptions | None = None,
    mistakes: int = MISTAKES,
    static: bool = False,
) -> LikelihoodReport | ClassificationReport:
    """Evaluate a run's best model on a split of its text, or on another text.

    Args:
        run: The run or its folder.
        split: ``dev``, ``test`` (the look is recorded) or ``train``.
        text: A file, folder or named text to evaluate on instead, or the texts themselves;
            of a classifier, ``LabelledDocuments``.
        reading: How that text is read; by default as UTF-8 with documents like the run's.
        labelling: Where its labels are, for a classifier; by default as in the run's text.
        mistakes: How many of a classifier's most confident mistakes to keep.
        static: Keep a language model from adapting to the text: caches are left out, and nothing
            goes on learning.

    Returns:
        The likelihood for a language model, the report on labels for a classifier.

    Raises:
        TextError: If there is nothing to evaluate on.
        SettingError: If ``static`` leaves nothing of the model, or it is a classifier.
    """
    run, data = open_run(run), EvaluationData(split, text, reading, labelling, static)
    if isinstance(run, ClassifierRun):
        return evaluate_classifier(run, data, mistakes)
    return evaluate_language_model(run, data)
