"""A run is a folder: everything about one trained model, never a pickle.

config.toml         the recipe, resolved, and where it came from
tokenizer.json      text to ids and back
model.safetensors   the best weights so far, with a checksum
last/               the newest checkpoint, to resume from
metrics.jsonl       one line per evaluation on dev
curve.jsonl         the train loss at some 200 points
snapshots/          the weights at some steps (see ``snapshots.py``)
test-looks.jsonl    one line per evaluation on the test split
report.html         the report, with charts and tables
text, text.jsonl    a copy of the text, where it cannot be read again (see ``sources.py``)
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast, get_args

from thence.atomic import NOT_ALLOWED, WriteError
from thence.corpus import Documents, Splits
from thence.errors import RunError, SettingError, ThenceError, nearest
from thence.hooks import PackageFunction, repr_html
from thence.models.base import Classes, Classifier, LanguageModel, ScoresText, TextScore
from thence.models.registry import get_family, is_classifier
from thence.recipes.recipe import recipe_of
from thence.runs.description import describe
from thence.runs.files import find_run, no_run_message, refuse_links
from thence.runs.folder import RunFolder, check_splits, read_held_out_splits, read_splits
from thence.runs.looks_at_test import TEST, TEST_LOOKS, Fingerprint
from thence.runs.metrics import append_json_line
from thence.runs.provenance import check_provenance, now, read_config
from thence.runs.snapshots import check_step, snapshot_steps, split_address
from thence.runs.weights import Model, load_model
from thence.settings import as_in_file
from thence.tokens import Texts, Tokenizer, TokenStore, load_tokenizer

if TYPE_CHECKING:
    from thence.models.language.neural import NeuralLanguageModel

Split = Literal["train", "dev", "test"]


class Run(RunFolder):
    """A run folder, opened for reading; weights, tokenizer and documents are loaded on first use.

    ``Run(folder)`` returns a ``LanguageRun`` or a ``ClassifierRun``, whichever the folder holds,
    and ``Run(run)`` returns the same run. The functions of ``thence`` that take a run are methods
    of it as well: ``run.evaluate("test")`` is ``thence.evaluate(run, "test")``.

    Args:
        folder: The run folder, or its name in ``runs``.

    Attributes:
        kind: What the run has learned: ``language model`` or ``classifier``.
        loss_unit: What its losses are means over: ``token`` or ``document``.
        folder: The run folder.
        recipe: All settings of the training, resolved.
        provenance: Versions, hashes and origin: the table ``[provenance]`` of its config.

    Raises:
        RunError: If it is no run folder, or of a format that is not known, or holds a link.
        SettingError: If the run is of the other kind than this class.
    """

    _instead: ClassVar[str]
    """End of the error message where a run of the other kind is needed."""
    _repr_html_ = repr_html

    evaluate = PackageFunction("evaluate")
    next = PackageFunction("next_tokens")
    next_tokens = PackageFunction("next_tokens")
    sample = PackageFunction("sample")
    complete = PackageFunction("complete")
    fill = PackageFunction("fill")
    score = PackageFunction("score")
    look = PackageFunction("look")
    rank = PackageFunction("rank")
    rescore = PackageFunction("rescore")
    pairs = PackageFunction("pairs")
    surprisal = PackageFunction("surprisal")
    similar = PackageFunction("similar")
    classify = PackageFunction("classify")
    explain = PackageFunction("explain")
    verdict = PackageFunction("verdict")
    plot = PackageFunction("plot")
    report = PackageFunction("report")
    export = PackageFunction("export")
    resume = PackageFunction("resume")

    def __new__(cls, folder: "str | Path | Run") -> Self:
        """Open the run in a folder; a run that is open already is returned unchanged."""
        run = folder if isinstance(folder, Run) else _open(folder)
        if not isinstance(run, cls):
            raise SettingError(run._wrong_kind_message())
        return run

    def __getnewargs__(self) -> tuple[Path]:
        return (self.folder,)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickling, without ``text_scorer`` and the tokens of train."""
        left_out = ("text_scorer", "_train_store")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {describe(self)})"

    def _wrong_kind_message(self) -> str:
        """Return the error message where a run of the other kind is needed."""
        return f"The run {self.folder} is a {self.kind} ({self.recipe.model}){self._instead}"

    @property
    def model(self) -> LanguageModel:
        """The best language model of the run.

        Raises:
            SettingError: If it is a classifier.
        """
        raise SettingError(self._wrong_kind_message())

    @property
    def classifier(self) -> Classifier:
        """The best classifier of the run.

        Raises:
            SettingError: If it is a language model.
        """
        raise SettingError(self._wrong_kind_message())

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer: encodes text to ids and decodes ids to text.

        Raises:
            RunError: If its hash is not the one in the provenance.
        """
        path = self.folder / "tokenizer.json"
        tokenizer = load_tokenizer(path)
        # The hash of the file, or of its content if only the formatting of the JSON was changed.
        hashes = (sha256(path.read_bytes()).hexdigest, tokenizer.content_hash)
        if all(one() != self.provenance["tokenizer"] for one in hashes):
            raise RunError(
                f"{path} is not the tokenizer that the run was made with: it is damaged or was "
                "changed. Restore it from a copy or train again."
            )
        return tokenizer

    @cached_property
    def splits(self) -> Splits:
        """The documents of the run, read again and checked to be the same.

        Raises:
            TextError: If the text is gone or is not what the run was trained on, or if the run was
                imported and has none.
        """
        return read_splits(self)

    def set_splits(self, splits: Splits) -> None:
        """Supply the documents of a run that kept only their hashes.

        Raises:
            TextError: If they are not what the run was trained on.
        """
        self.__dict__["splits"] = check_splits(self, splits)

    @property
    def snapshots(self) -> list[tuple[int, Self]]:
        """The steps of the snapshots, each with the run at this step; weights are read on use."""
        return [(step, self.at(step)) for step in snapshot_steps(self.folder)]

    def at(self, step: int) -> Self:
        """Return the run with the weights of a snapshot, as ``open_run("RUN@STEP")`` does.

        Raises:
            RunError: If there is no snapshot of that step.
        """
        check_step(self.folder, step)
        found = object.__new__(type(self))
        of_weights = ("model", "network", "classifier", "text_scorer")
        found.__dict__ = {k: v for k, v in self.__dict__.items() if k not in of_weights}
        found.step = step
        return found

    def documents(self, split: Split) -> Documents:
        """Return the documents of a split.

        Raises:
            SettingError: If there is no split of that name.
        """
        names = get_args(Split)
        if split not in names:
            raise SettingError(
                f"There is no split {split!r}; choose one of {', '.join(names)}."
                + nearest(str(split), names)
            )
        if self.cluster_counts is not None and split != "train":
            return self._held_out[split]
        documents: Documents = getattr(self.splits, split)
        return documents

    @cached_property
    def _held_out(self) -> Mapping[str, Documents]:
        """Dev and test of a run that was counted on a cluster: they are files on this machine."""
        return read_held_out_splits(self)

    def store(self, split: Split) -> TokenStore:
        """Return the tokens of a split; for test, this is recorded as an evaluation."""
        if split == "train":
            return self._train_store
        return self.encode(self.documents(split), "store")

    @cached_property
    def _train_store(self) -> TokenStore:
        """The tokens of the train split, which a report reads again and again."""
        return self.tokenizer.encode(self.documents("train"))

    def encode(self, documents: Documents, command: str) -> TokenStore:
        """Return the tokens of documents to evaluate on.

        Every evaluation gets its tokens here or from ``texts``: an evaluation on the test split is
        recorded here, whatever way its documents came.

        Args:
            documents: Any documents.
            command: Name of the evaluation, for the record.

        Raises:
            UnknownSymbolError: If the vocabulary is closed and a text leaves it.
            RunError: If an evaluation on test cannot be recorded.
        """
        store = self.tokenizer.encode(documents)
        self.record_if_test(documents, command)
        return store

    def texts(self, documents: Documents, command: str) -> Texts:
        """Return documents to evaluate on as the input of a classifier; see ``encode``."""
        return Texts(self.encode(documents, command), documents, self.tokenizer)

    def record_if_test(self, documents: Documents, command: str) -> None:
        """Record an evaluation on test, if these are the documents of the test split."""
        if self.is_test_split(documents):
            self.record_test_look(command)

    def is_test_split(self, documents: Documents) -> bool:
        """Return whether these are the documents of the test split, in any order."""
        if not documents.num_bytes:
            return False
        if self._test is not None:
            return self._test.matches(documents)
        return bool(documents.content_hash() == self.provenance["sha256"].get(TEST))

    def may_be_test_split(self, documents: int, num_bytes: int) -> bool:
        """Return whether documents of this number and size may be the test split; no text is read.

        Args:
            documents: Number of documents that are not empty.
            num_bytes: Their UTF-8 bytes.
        """
        test = self._test
        return test is None or (test.documents, test.bytes) == (documents, num_bytes)

    @cached_property
    def _test(self) -> Fingerprint | None:
        """The fingerprint of the test split; None if the run has none."""
        found = self.provenance.get(TEST)
        return None if found is None else Fingerprint(**found)

    def record_test_look(self, command: str) -> int:
        """Record an evaluation on the test split; return how many there have been."""
        try:
            append_json_line(self.folder / TEST_LOOKS, {"time": now(), "command": command})
        except WriteError as error:
            if error.error.errno not in NOT_ALLOWED:
                raise
            raise RunError(
                f"The look at the test split of {self.folder} cannot be recorded, as you may not "
                "write there. Copy the run to a folder of your own, and evaluate the copy."
            ) from error
        return len(self.test_looks())


def _load(run: Run, make: Callable[[Any, int], Model]) -> Model:
    """Return ``make(options, vocabulary size)`` with the weights of the run loaded."""
    options, size = run.recipe.options, len(run.tokenizer.vocabulary)
    return load_model(run.weights, run.recipe, run.identity, lambda: make(options, size))


class LanguageRun(Run):
    """A run of a language model, which gives the probability of each next token."""

    kind = "language model"
    loss_unit = "token"
    _instead = ", not a classifier. Train one with thence train TEXT --label COLUMN."

    @cached_property
    def model(self) -> LanguageModel:
        """The best language model of the run."""
        make = get_family(self.recipe.model).language_model
        return _load(self, lambda options, size: make(options, size, inference=True))

    @cached_property
    def network(self) -> "NeuralLanguageModel":
        """The best language model as a torch module; only for networks.

        ``model`` gives the same log-probabilities, computed in NumPy where possible.
        """
        model = _load(self, get_family(self.recipe.model).language_model)
        return cast("NeuralLanguageModel", model)

    def load(self) -> LanguageModel:
        """Return ``model``."""
        return self.model

    @cached_property
    def text_scorer(self) -> Callable[[str], TextScore | None] | None:
        """A function that scores one text without a token store; None if the model has none.

        The function returns None for a text that it cannot score.
        """
        model = self.model
        return model.text_scorer(self.tokenizer) if isinstance(model, ScoresText) else None


class ClassifierRun(Run):
    """A run of a classifier, which gives the probability of each label of a document."""

    kind = "classifier"
    loss_unit = "document"
    _instead = (
        ", which knows labels but not what comes next. Use thence classify or thence evaluate with "
        "it."
    )

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that the classifier can predict, by id."""
        return tuple(self.provenance["labels"])

    @property
    def classes(self) -> Classes:
        """The number of labels, and whether a document may have several."""
        return Classes(len(self.label_names), bool(self.provenance["multilabel"]))

    @cached_property
    def classifier(self) -> Classifier:
        """The best classifier of the run."""
        make, classes = get_family(self.recipe.model).classifier, self.classes
        return _load(self, lambda options, size: make(options, size, classes, inference=True))

    def load(self) -> Classifier:
        """Return ``classifier``."""
        return self.classifier

    @cached_property
    def _test(self) -> Fingerprint | None:
        found = self.provenance.get(TEST)
        if found is not None:
            return Fingerprint(**found)
        with suppress(ThenceError):  # Runs of 0.1 have only a hash of texts and labels together.
            return Fingerprint.of(self.documents("test"))
        return None


def open_run(run: str | Path | Run) -> LanguageRun | ClassifierRun:
    """Open a run folder; a run that is open already is returned as it is.

    Args:
        run: The folder, its name in ``runs``, or a run. ``RUN@STEP`` is the run with the weights
            of a snapshot.

    Raises:
        RunError: If this is not a run folder, or one of a format this version cannot read, or if
            it holds a link.
    """
    return cast("LanguageRun | ClassifierRun", Run(run))


def _open(folder: str | Path) -> Run:
    """Open a run folder as a ``LanguageRun`` or ``ClassifierRun``, by the model in its recipe."""
    if (address := split_address(folder)) is not None:
        return _open(address[0]).at(address[1])
    place = find_run(folder)
    config = place / "config.toml"
    try:
        if not config.is_file():
            raise RunError(no_run_message(place))
        refuse_links(place)
    except OSError as error:
        raise RunError(f"The run {folder} cannot be opened: {error.strerror}.") from error
    try:
        read = read_config(config)
        recipe = recipe_of(read.content, config)
    except SettingError as error:
        raise RunError(f"The run {place} has an unusable config: {as_in_file(error)}") from error
    labelled = is_classifier(recipe.model)
    run = object.__new__(ClassifierRun if labelled else LanguageRun)
    run.folder, run.recipe = place, recipe
    run.provenance, run._settings = check_provenance(read, labelled), read.settings
    return run
