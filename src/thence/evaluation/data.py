"""What evaluations of all runs share: the documents, and the looks at the test split."""

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
from thence.corpus.reading import inner_suffix
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import SettingError, TextError
from thence.models.base import LanguageModel, static_model
from thence.results import Result
from thence.runs import ClassifierRun
from thence.runs.looks_at_test import count_inherited, describe_looks
from thence.runs.run import Run, Split
from thence.runs.sources import IN_MEMORY


@dataclass(frozen=True)
class EvaluationData:
    """What to evaluate on.

    Attributes:
        split: A split of the run's text.
        text: Another text instead: its path or name, or the texts themselves.
        reading: How that text is read; by default as UTF-8 with documents like the run's.
        labelling: Where its labels are; by default as in the run's text.
        static: Whether a language model is kept from adapting to it.
    """

    split: Split = "dev"
    text: Source | None = None
    reading: ReadingOptions | None = None
    labelling: LabelOptions | None = None
    static: bool = False

    def model(self, run: Run) -> LanguageModel:
        """Return the language model to evaluate.

        Raises:
            SettingError: If it is to be static, and nothing is left of it.
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
        return str(self.text) if isinstance(self.text, str | Path) else IN_MEMORY["text"]

    def is_in_order(self, run: Run) -> bool:
        """Return whether the documents stand as in their text, or depend on those before them."""
        splitting = run.recipe.splitting
        own_file = self.text is not None or splitting.dev is not None
        own_file = own_file or (self.split == "test" and splitting.test is not None)
        return own_file or splitting.by == "position" or run.recipe.training.carry_context

    def documents(self, run: Run) -> Documents:
        """Return the documents.

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
        """Return the documents with their labels by the run's ids.

        Another text is read as the run's own was, unless it is said how.

        Raises:
            SettingError: If it is to be static.
            TextError: If there are none, or another text has several labels where the run has one.
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
    """Return whether a text is a table, or a folder that may hold some."""
    if not isinstance(text, str | Path):
        return False
    name = str(text)
    return inner_suffix(name) in TABLES or name.startswith(HUGGING_FACE) or Path(text).is_dir()


class RunReport(Result):
    """What the reports on one run share: the looks at its test split."""

    looks: tuple[Mapping[str, str], ...]

    @property
    def test_looks(self) -> int:
        """How often the run's test split has been evaluated, this time included."""
        return len(self.looks)

    @property
    def test_looks_before(self) -> int:
        """How many of the looks came with the runs that this one was made of."""
        return count_inherited(self.looks)

    def looks_row(self) -> list[tuple[str, str]]:
        """Return the looks in words, if there are any."""
        return [("evaluations on test", describe_looks(self.looks))] if self.looks else []
