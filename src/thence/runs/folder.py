"""``RunFolder``: the config and the small files of a run, and its documents, read and verified."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from thence.corpus import Documents, Splits, load_splits
from thence.errors import TextError
from thence.models.base import Classifier, LanguageModel
from thence.models.registry import get_family
from thence.recipes.recipe import Recipe
from thence.runs.files import check_ordinary, is_finished
from thence.runs.looks_at_test import TEST_LOOKS, read_test_looks
from thence.runs.metrics import read_curve, read_metrics
from thence.runs.provenance import CLUSTER, FROM, IMPORTED, KEPT, config_checksum
from thence.runs.snapshots import snapshot_path
from thence.runs.sources import (
    IN_MEMORY,
    STANDARD_INPUT,
    Sources,
    display_name,
    kept_sources,
    named_sources,
    named_splits,
    read_dev_and_test,
)

Kind = Literal["language model", "classifier"]
CURVE = "curve.jsonl"
"""File with the train loss at about 200 points of a training."""


class RunFolder:
    """A run folder with its parsed config: the base class of ``Run``, without weights and tokens.

    Attributes:
        kind: What the run has learned.
        loss_unit: What its losses are means over.
        folder: The run folder.
        recipe: All settings of the training, resolved.
        provenance: Versions, hashes and origin: the table ``[provenance]`` of its config.
    """

    kind: ClassVar[Kind]
    loss_unit: ClassVar[Literal["token", "document"]]
    folder: Path
    recipe: Recipe
    provenance: Mapping[str, Any]
    step: int | None = None
    """The step of a snapshot whose weights are read; None for the best weights."""
    _settings: dict[str, Any]
    """The recipe as written in the config, without defaults of settings added in later versions."""

    def load(self) -> LanguageModel | Classifier:
        """Return the language model or the classifier of the run; read once, then cached."""
        raise NotImplementedError

    @cached_property
    def num_parameters(self) -> int:
        """Number of parameters or counts."""
        return self.load().num_parameters()

    def set_cached(self, **known: Any) -> None:
        """Set cached properties by name: values that whoever made the run has in memory already."""
        self.__dict__.update(known)

    @property
    def name(self) -> str:
        """Name of the folder, and the step of a snapshot: ``names@120``."""
        return self.folder.resolve().name + self.at_step

    @property
    def at_step(self) -> str:
        """``@STEP`` for a snapshot, else an empty string."""
        return "" if self.step is None else f"@{self.step}"

    @property
    def address(self) -> str:
        """The absolute path of the run, with ``@STEP`` for a snapshot: what settings refer to."""
        return str(self.folder.resolve()) + self.at_step

    @property
    def weights(self) -> Path:
        """The path of the weights file."""
        if self.step is not None:
            return snapshot_path(self.folder, self.step)
        return self.folder / "model.safetensors"

    @property
    def text_name(self) -> str:
        """The name of the text that the run was trained on, for messages."""
        return display_name(self.recipe.text)

    @property
    def imported(self) -> bool:
        """Whether the run was imported from another program's file, and so has no text."""
        return bool(IMPORTED & self.provenance["sha256"].keys())

    def check_text(self) -> None:
        """Raise ``TextError`` for an imported run, where its own text is needed."""
        if self.imported:
            raise TextError(
                f"The run {self.folder} was imported from {Path(self.recipe.text).name} and has no "
                "text of its own; evaluate it on another (thence evaluate RUN TEXT, thence compare "
                "--text TEXT)."
            )

    @property
    def kept_texts(self) -> Mapping[str, str]:
        """The files in the run folder with copies of texts that can be read only once.

        By the setting that names the text: ``text``, ``dev`` or ``test``. The file name is empty if
        the run has only the hash of the text.
        """
        found: Mapping[str, str] = self.provenance.get(KEPT, {})
        return found

    @property
    def sources(self) -> Sources:
        """The texts in the run folder, which are read in place of those that the recipe names."""
        kept = self.kept_texts
        return Sources(kept_sources(self.folder, self.recipe, kept), all(kept.values()))

    @property
    def has_text(self) -> bool:
        """Whether the documents can be read: not if imported, nor if only a hash was kept."""
        return not self.imported and (self.sources.keep or "splits" in self.__dict__)

    @property
    def cluster_counts(self) -> Mapping[str, int] | None:
        """Numbers of files, documents, tokens and bytes counted on a cluster, else None."""
        found: Mapping[str, int] | None = self.provenance.get(CLUSTER)
        return found

    @property
    def has_train_text(self) -> bool:
        """Whether ``documents("train")`` can be read: not after counting on a cluster."""
        return self.has_text and self.cluster_counts is None

    @property
    def identity(self) -> str:
        """The hash of recipe, tokenizer and text; weights files carry it, so none is mixed up.

        The recipe is hashed as written in the config, so that settings added in later versions do
        not change it.
        """
        parts = {"tokenizer": self.provenance["tokenizer"], "sha256": self.provenance["sha256"]}
        parts |= {FROM: self.provenance[FROM]} if FROM in self.provenance else {}
        return config_checksum(self._settings | parts)

    @property
    def finished(self) -> bool:
        """Whether the training is finished; always true for models that are fitted in one step."""
        return is_finished(self.folder, self.recipe.model)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of ``metrics.jsonl``; an unfinished last line is left out."""
        trained = get_family(self.recipe.model).method == "train"
        return read_metrics(self.folder / "metrics.jsonl", trained)

    def curve(self) -> list[dict[str, Any]]:
        """Return the points of the learning curve by step, from the untrained model on.

        Each has the mean train loss over the steps since the previous point; points where dev was
        evaluated have the losses on dev too. See ``curve.jsonl`` in the documentation of the run
        folder. Runs of version 0.1 have only the evaluations.
        """
        return read_curve(self.folder / CURVE, self.metrics())

    def test_looks(self) -> list[dict[str, Any]]:
        """Return the recorded evaluations on the test split."""
        return read_test_looks(self.folder / TEST_LOOKS)


def read_splits(run: RunFolder) -> Splits:
    """Read the documents of a run again.

    Raises:
        TextError: If the text is gone or is not what the run was trained on, or if the run was
            imported and has none.
        RunError: If a text is a pipe or a device.
    """
    run.check_text()
    if run.cluster_counts is not None:
        raise TextError(
            f"The train text of {run.folder} was read on a cluster, "
            f"{run.cluster_counts['files']:,} files at {run.text_name}, and is not read here; "
            "evaluate on dev or test, or on another text."
        )
    _check_sources(run)
    recipe = run.recipe
    splits = load_splits(
        recipe.text,
        recipe.reading,
        recipe.splitting,
        labelling=recipe.labelling,
        replacements=run.sources.replacements,
    )
    return check_splits(run, splits)


def check_splits(run: RunFolder, splits: Splits) -> Splits:
    """Check that documents are those that the run was trained on, by their hashes.

    Returns:
        The documents, with labels numbered as in the run.

    Raises:
        TextError: If a hash differs.
    """
    if FROM in run.provenance and "labels" in run.provenance:
        # A classifier that was fine-tuned from another keeps the label ids of that one.
        splits = named_splits(splits, run.provenance["labels"])
    if splits.hashes() != run.provenance["sha256"]:
        name = run.recipe.text
        text = f"The text {name}" if display_name(name) == name != IN_MEMORY["text"] else "The text"
        raise TextError(
            f"{text} is not what {run.folder} was trained on: it has changed since. Restore the "
            "old text, or evaluate on another file."
        )
    return splits


def _check_sources(run: RunFolder) -> None:
    """Raise an error if a text is missing, or is a device or a pipe that may never end."""
    for role, name in named_sources(run.recipe).items():
        file = run.kept_texts.get(role)
        if file == "" or (file is None and name == STANDARD_INPUT):
            raise TextError(
                f"The run {run.folder} keeps only the hash of its {role}. "
                "Evaluate on another text (thence evaluate RUN TEXT), or give the same again: "
                "thence resume RUN --text TEXT continues it."
            )
        # These paths come from the run folder, perhaps a stranger's: they may name /dev/zero.
        path = run.folder / file if file is not None else Path(name)
        check_ordinary(path)
        is_known = role == "text" and path.is_absolute()
        if (is_known or file is not None) and not path.exists():
            raise TextError(
                f"The {role} that {run.folder} was made with, {path}, is no longer there; "
                "restore it, or evaluate on another text."
            )


def read_held_out_splits(run: RunFolder) -> Mapping[str, Documents]:
    """Read dev and test of a run that was counted on a cluster: they are files on this machine.

    Raises:
        TextError: If one has changed.
        RunError: If one is a pipe or a device.
    """
    splitting = run.recipe.splitting
    for path in (splitting.dev, splitting.test):
        if path is not None:
            check_ordinary(Path(path))
    held_out = read_dev_and_test(run.recipe)
    for name, documents in held_out.items():
        if documents.content_hash() != run.provenance["sha256"][name]:
            raise TextError(
                f"The {name} text {getattr(splitting, name)} is not what {run.folder} was made "
                "with: it has changed since. Restore the old text, or evaluate on another "
                "file."
            )
    return held_out
