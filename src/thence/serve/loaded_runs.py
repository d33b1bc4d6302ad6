"""The runs that a server has loaded: their models, workers, and tokens as text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from thence.corpus import Documents
from thence.errors import SettingError, nearest
from thence.inspection.spans import split_lines
from thence.inspection.subject import is_by_lines
from thence.models.base import Classifier, LanguageModel
from thence.models.language.inference import InferenceModel
from thence.runs import LanguageRun, Run, open_run
from thence.serve.batching import Ids, Worker
from thence.serve.errors import UnknownModelError
from thence.serve.large_network import LargeNetwork

CONTEXT_IDS = 4
"""Number of previous ids that can change the text of a token: a UTF-8 character has up to 4
bytes."""
LOADED_FILES = ("config.toml", "tokenizer.json", "model.safetensors")
"""The files of a run that the server reads when it starts, and not again."""
MANY_WEIGHTS = 1 << 18
"""Networks with at least this many weights read several ids in PyTorch, whose matrix products are
faster than NumPy's; for smaller networks the overhead of PyTorch's calls is larger than the
gain."""
REPLACEMENT = "\ufffd"
"""U+FFFD, which stands in decoded text for bytes that are not valid UTF-8."""
OnDisk = Literal["unchanged", "changed", "deleted"]
Stamp = tuple[int, int]


def stamp_of(path: Path) -> Stamp | None:
    """Return the modification time (nanoseconds) and size of a file; None if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@dataclass(frozen=True)
class LoadedRun:
    """A run whose model answers requests.

    Attributes:
        name: Its name in requests.
        run: The run.
        worker: The thread of its model.
        token_names: The name of each token, by id.
        created: When the run was made, in seconds since 1970.
        stamps: Stamps of its files when they were loaded.
    """

    name: str
    run: Run
    worker: Worker
    token_names: Sequence[str]
    created: int
    stamps: list[Stamp | None]
    _token_texts: dict[int, str] = field(default_factory=dict)

    @cached_property
    def boundary_id(self) -> int:
        """The id that begins and ends documents."""
        return self.run.tokenizer.vocabulary.boundary_id

    @cached_property
    def is_running_text(self) -> bool:
        """Whether the context carries over from document to document."""
        return self.run.recipe.training.carry_context

    @cached_property
    def is_by_lines(self) -> bool:
        """Whether a line of plain text is a document, so that a line end is a boundary."""
        return is_by_lines(self.run)

    def on_disk(self) -> OnDisk:
        """Return whether the run's files have changed since they were loaded."""
        now = _stamps_of(self.run)
        if now == self.stamps:
            return "unchanged"
        return "deleted" if None in now else "changed"

    def encode(self, text: str) -> Ids:
        """Return the ids of a text that begins a document.

        If lines are documents, each line end is the boundary; empty lines are skipped as they are
        when a file is read. The name of the boundary within a text is text.
        """
        lines = split_lines(text, self.is_by_lines, self.run.recipe.reading.keep_empty)
        store = self.run.tokenizer.encode(Documents.from_strings(lines.texts))
        return store.targets[:-1].astype(np.int64)

    def encode_prompt(self, text: str) -> Ids:
        """Return the ids of a prompt; one that is only the boundary's name is the boundary.

        Clients such as lm-evaluation-harness send that for an empty context.
        """
        if text == self.token_names[self.boundary_id]:
            return np.array([self.boundary_id])
        return self.encode(text)

    def token_text(self, index: int) -> str:
        """Return the text of one token, or its name if it has no text of its own."""
        if (known := self._token_texts.get(index)) is not None:
            return known
        text = self.run.tokenizer.decode([index])
        text = self.token_names[index] if text == "" or REPLACEMENT in text else text
        self._token_texts[index] = text
        return text

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, with a line end for each boundary."""
        pieces: list[list[int]] = [[]]
        for index in ids:
            if index == self.boundary_id:
                pieces.append([])
            else:
                pieces[-1].append(int(index))
        return "\n".join(self.run.tokenizer.decode(piece) for piece in pieces)

    def complete_text(self, ids: Sequence[int] | Ids, text: str) -> str:
        """Return the decoded text of ids without an incomplete character at its end."""
        ends_unknown = len(ids) > 0 and ids[-1] == self.run.tokenizer.vocabulary.unknown_id
        return text if ends_unknown else text.removesuffix(REPLACEMENT)


def open_runs(runs: Iterable[Run | str | Path], batching: bool = True) -> dict[str, LoadedRun]:
    """Open runs and load their models; each gets the name of its folder.

    Args:
        runs: The runs or their folders.
        batching: Whether requests that wait for the same model are read together.

    Raises:
        RunError: If one cannot be opened, or its model is missing or damaged.
        SettingError: If two have the same name.
    """
    models: dict[str, LoadedRun] = {}
    for item in runs:
        run = open_run(item)
        if run.name in models:
            other = models[run.name].run.folder
            if other.resolve() == run.folder.resolve():
                raise SettingError(f"The run {run.folder} is given twice; give it once.")
            raise SettingError(
                f"Two runs are called {run.name}: {other} and {run.folder}. "
                "Rename one of the folders."
            )
        created = int(datetime.fromisoformat(run.provenance["made"]).timestamp())
        stamps = _stamps_of(run)  # Before the loading, so that a write during it is a change.
        worker = Worker(run.name, _quickest_model(run), batching)
        names = run.tokenizer.vocabulary.names()
        models[run.name] = LoadedRun(run.name, run, worker, names, created, stamps)
    return models


def _quickest_model(run: Run) -> LanguageModel | Classifier | LargeNetwork:
    """Return the model of a run in the implementation that answers requests fastest."""
    model = run.load()
    if not isinstance(run, LanguageRun) or not isinstance(model, InferenceModel):
        return model
    is_large = model.num_parameters() >= MANY_WEIGHTS
    return LargeNetwork(model, run.network) if is_large else model


def _stamps_of(run: Run) -> list[Stamp | None]:
    return [stamp_of(run.folder / name) for name in LOADED_FILES]


def find_model(models: dict[str, LoadedRun], name: str | None, classifier: bool) -> LoadedRun:
    """Return the model of a name, or the only one of its kind if no name is given.

    Raises:
        UnknownModelError: If there is none, or it is of the other kind.
    """
    kind = "classifier" if classifier else "language model"
    fitting = [loaded for loaded in models.values() if loaded.run.kind == kind]
    names = [loaded.name for loaded in fitting]
    listed = ", ".join(names) or "none"
    if name is None:
        if len(fitting) == 1:
            return fitting[0]
        raise UnknownModelError(f'Say which {kind} with "model": {listed}.')
    if name not in models:
        raise UnknownModelError(
            f"There is no model {name!r} here; the {kind}s are {listed}." + nearest(name, names)
        )
    if models[name] not in fitting:
        other = "/v1/completions" if classifier else "/v1/classify"
        raise UnknownModelError(f"{name!r} is no {kind}; ask for it at {other}.")
    return models[name]
