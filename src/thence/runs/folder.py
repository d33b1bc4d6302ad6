"""What the small files of a run folder say: config, metrics, looks at the test split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from thence.errors import TextError
from thence.models.base import Classifier, LanguageModel
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.runs.files import is_finished
from thence.runs.looks_at_test import TEST_LOOKS, read_test_looks
from thence.runs.metrics import read_metrics
from thence.runs.provenance import CLUSTER, FROM, KEPT, config_checksum
from thence.runs.sources import Sources, display_name, kept_sources

Kind = Literal["language model", "classifier"]


class RunFolder:
    """A run folder whose config was read; see ``Run`` for what all runs can do.

    Attributes:
        kind: What the run has learned.
        loss_unit: What its losses are means over.
        folder: The run folder.
        recipe: All settings of the training, resolved.
        provenance: Where the run came from: the table ``[provenance]`` of its config.
    """

    kind: ClassVar[Kind]
    loss_unit: ClassVar[Literal["token", "document"]]
    folder: Path
    recipe: Recipe
    provenance: Mapping[str, Any]
    _settings: dict[str, Any]
    """The recipe as the config has it, without settings that came with later versions."""

    def load(self) -> LanguageModel | Classifier:
        """Return the model or the classifier, whichever the run has; it is read only once."""
        raise NotImplementedError

    @property
    def num_parameters(self) -> int:
        """How many numbers the run has learned or counted."""
        return self.load().num_parameters()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def text_name(self) -> str:
        """The name, for messages, of the text that the run was trained on."""
        return display_name(self.recipe.text)

    @property
    def imported(self) -> bool:
        """Whether the run was made from a file of another program, and so has no text."""
        return "arpa" in self.provenance["sha256"]

    def check_text(self) -> None:
        """Refuse an imported run where its own text is needed.

        Raises:
            TextError: If the run was imported.
        """
        if self.imported:
            raise TextError(
                f"The run {self.folder} was imported from {Path(self.recipe.text).name} and has no "
                "text of its own; judge it on another (thence evaluate RUN TEXT, thence compare "
                "--text TEXT)."
            )

    @property
    def kept_texts(self) -> Mapping[str, str]:
        """The files of the run that keep texts that can be read only once.

        By the setting that names the text: ``text``, ``dev`` or ``test``. The name is empty if the
        run has only the hash of the text.
        """
        found: Mapping[str, str] = self.provenance.get(KEPT, {})
        return found

    @property
    def sources(self) -> Sources:
        """Texts that the run keeps, which are read in place of those that the recipe names."""
        kept = self.kept_texts
        return Sources(kept_sources(self.folder, self.recipe, kept), all(kept.values()))

    @property
    def has_text(self) -> bool:
        """Whether the documents can be read; not if imported, or if only a hash is kept."""
        return not self.imported and (self.sources.keep or "splits" in self.__dict__)

    @property
    def cluster_counts(self) -> Mapping[str, int] | None:
        """How much a run that was counted on a cluster has read there; None for other runs."""
        found: Mapping[str, int] | None = self.provenance.get(CLUSTER)
        return found

    @property
    def has_train_text(self) -> bool:
        """Whether ``documents("train")`` can be read; not after counting on a cluster."""
        return self.has_text and self.cluster_counts is None

    @property
    def identity(self) -> str:
        """The hash of recipe, tokenizer and text, which its files of weights carry too.

        The recipe counts as the config says it, without settings that came with later versions.
        """
        parts = {"tokenizer": self.provenance["tokenizer"], "sha256": self.provenance["sha256"]}
        parts |= {FROM: self.provenance[FROM]} if FROM in self.provenance else {}
        return config_checksum(self._settings | parts)

    @property
    def finished(self) -> bool:
        """Whether the training came to its end; always, if it took a single step."""
        return is_finished(self.folder, self.recipe.model)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of ``metrics.jsonl``; an unfinished last line is left out."""
        trained = get_family(self.recipe.model).method == "train"
        return read_metrics(self.folder / "metrics.jsonl", trained)

    def test_looks(self) -> list[dict[str, Any]]:
        """Return every recorded look at the test split."""
        return read_test_looks(self.folder / TEST_LOOKS)
