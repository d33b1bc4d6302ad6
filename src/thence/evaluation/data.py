"""The documents to evaluate on, and what reports on language models and classifiers share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from thence.corpus import (
    Documents,
    LabelledDocuments,
    LabelOptions,
    ReadingOptions,
    Source,
    load,
    load_labelled,
)
from thence.corpus.documents import as_labelled
from thence.corpus.reading import STANDARD_INPUT, inner_suffix
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import SettingError, TextError
from thence.models.base import LanguageModel, static_model
from thence.results import Result
from thence.runs import ClassifierRun
from thence.runs.looks_at_test import count_inherited, describe_looks
from thence.runs.run import Run, Split
from thence.runs.sources import IN_MEMORY, display_name


@dataclass(frozen=True)
class EvaluationData:
    """What to evaluate on.

    Attributes:
        split: A split of the run's text.
        text: Another text instead: its path or name, or the texts themselves.
        reading: How that text is read; by default as UTF-8 with documents like the run's.
        labelling: Where its labels are; by default as in the run's text.
        static: Whether a language model is kept from adapting to it (no caches, no dynamic
            evaluation).
    """

    split: Split = "dev"
    text: Source | None = None
    reading: ReadingOptions | None = None
    labelling: LabelOptions | None = None
    static: bool = False

    def model(self, run: Run) -> LanguageModel:
        """Return the language model to evaluate; where ``static`` is set, its static part.

        Raises:
            SettingError: If ``static`` is set and no part of the model is static.
        """
        model = static_model(run.model) if self.static else run.model
        if model is None:
            raise SettingError(
                f"Nothing is left of {run.name} with `static`: it knows only what it has read of "
                "the text it is evaluated on. Leave `static` out."
            )
        return model

    @property
    def is_dev_split(self) -> bool:
        """Whether it is the run's dev split, on which the run may have been selected."""
        return self.split == "dev" and self.text is None

    def name(self, run: Run) -> str:
        """Return the name to show: a split of the run's text, or another text."""
        if self.text is None:
            return f"{self.split} split of {run.text_name}"
        if not isinstance(self.text, str | Path):
            return IN_MEMORY["text"]
        return STANDARD_INPUT if str(self.text) == "-" else display_name(str(self.text))

    def is_in_order(self, run: Run) -> bool:
        """Return whether neighbouring documents depend on each other, which widens intervals.

        They do where documents keep the order of their text, or a model carries context across
        them; they do not where the split was drawn at random.
        """
        splitting = run.recipe.splitting
        own_file = self.text is not None or splitting.dev is not None
        own_file = own_file or (self.split == "test" and splitting.test is not None)
        return own_file or splitting.by == "position" or run.recipe.training.carry_context

    def documents(self, run: Run) -> Documents:
        """Return the documents of the split, or of the other text.

        Raises:
            TextError: If there are none.
        """
        if self.text is not None:
            own = run.recipe.reading
            like_own = ReadingOptions(document=own.document, keep_empty=own.keep_empty)
            return load(self.text, self.reading or like_own)
        documents = run.documents(self.split)
        if len(documents) == 0:
            raise TextError(
                f"The {self.split} split of {run.name} is empty "
                f"(`split={run.recipe.splitting.split!r}`); name a file to evaluate on, or train "
                "with another `split`."
            )
        return documents

    def labelled_documents(self, run: ClassifierRun) -> LabelledDocuments:
        """Return the documents with their labels, numbered as the run numbers them.

        Another text is read with the run's own options where ``reading`` or ``labelling`` is None.

        Raises:
            SettingError: If ``static`` is set.
            TextError: If there are none, or a document has several labels but the run is not
                multilabel.
        """
        if self.static:
            raise SettingError(
                f"`static` is for language models, but {run.folder} is a classifier, which never "
                "adapts to what it is evaluated on. Leave it out."
            )
        if self.text is None:
            return as_labelled(self.documents(run))
        own = replace(run.recipe.reading, encoding="utf-8")
        how = self.labelling or run.recipe.labelling or LabelOptions()
        if not _has_columns(self.text):  # The columns of the run's own table say nothing here.
            own, how = replace(own, column=None), replace(how, label=None)
        documents = load_labelled(self.text, self.reading or own, how).named(run.label_names)
        if documents.labels.multilabel and not run.classes.multilabel:
            raise TextError(
                f"{self.name(run)} has documents with several labels, but {run.name} gives each "
                "exactly one. Evaluate on a text with one label per document."
            )
        labels = replace(documents.labels, multilabel=run.classes.multilabel)
        return LabelledDocuments.of(documents, labels)


def _has_columns(text: Source) -> bool:
    """Return whether a text is a table, or a folder, which may hold tables."""
    if not isinstance(text, str | Path):
        return False
    name = str(text)
    return inner_suffix(name) in TABLES or name.startswith(HUGGING_FACE) or Path(text).is_dir()


class RunReport(Result):
    """Base class of the reports on one run, with the recorded evaluations on its test split.

    Attributes:
        looks: These evaluations; see ``runs/looks_at_test.py``.
    """

    looks: tuple[Mapping[str, str], ...]

    @property
    def test_looks(self) -> int:
        """Number of evaluations on the run's test split, this one included."""
        return len(self.looks)

    @property
    def test_looks_before(self) -> int:
        """Number of these evaluations that were made with the runs that this one is built from."""
        return count_inherited(self.looks)

    def looks_row(self) -> list[tuple[str, str]]:
        """Return a row that lists the evaluations on test; no row if there are none."""
        return [("evaluations on test", describe_looks(self.looks))] if self.looks else []
