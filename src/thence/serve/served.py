"""A run that is being served: its model, its worker, and what its tokens look like as text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Literal

import numpy as np

from thence.corpus import Documents
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import SettingError, nearest
from thence.runs import Run
from thence.runs.files import Array
from thence.serve.run_entries import stamp_of
from thence.serve.worker import Ids, Worker

FOLLOWED = 4
"""Ids before a token that may tell how it is spaced: as many as a character has bytes."""
LOADED = ("config.toml", "tokenizer.json", "model.safetensors")
"""The files of a run that the server reads when it is started, and not again."""
OnDisk = Literal["unchanged", "changed", "deleted"]
Stamp = tuple[int, int]
BROKEN = "\ufffd"
"""What stands for bytes that are no character."""


@dataclass(frozen=True)
class ServedRun:
    """One model that the server answers for.

    Attributes:
        name: What clients call it.
        run: Its run, opened.
        worker: Does its work.
        made: When the run was made, in seconds since 1970.
    """

    name: str
    run: Run
    worker: Worker
    made: int = field(default=0)
    _stamps: list[Stamp | None] = field(default_factory=list)
    _token_texts: dict[int, str] = field(default_factory=dict)

    @property
    def boundary_id(self) -> int:
        """The id that begins and ends documents."""
        return self.run.tokenizer.vocabulary.boundary_id

    @cached_property
    def token_names(self) -> list[str]:
        """What to call each token, by id."""
        return self.run.tokenizer.vocabulary.names()

    @cached_property
    def is_running_text(self) -> bool:
        """Whether a document sees those before it, so that text goes on after its end."""
        return self.run.recipe.training.carry_context

    @cached_property
    def is_by_lines(self) -> bool:
        """Whether a line of plain text is a document, so that a line end is a boundary."""
        suffix = PurePath(self.run.recipe.text).suffix
        table = suffix in TABLES or self.run.recipe.text.startswith(HUGGING_FACE)
        return self.run.recipe.reading.document == "line" and not table

    def load(self) -> None:
        """Load the model now rather than with the first request.

        Raises:
            RunError: If a file is missing or damaged.
        """
        self._stamps[:] = self._stamps_now()  # Before: what is written meanwhile is a change.
        self.token_names  # noqa: B018 (reads the tokenizer)
        self.run.load()

    def on_disk(self) -> OnDisk:
        """Return what has become of the run's files since they were loaded."""
        now = self._stamps_now()
        if now == self._stamps:
            return "unchanged"
        return "deleted" if None in now else "changed"

    def _stamps_now(self) -> list[Stamp | None]:
        return [stamp_of(self.run.folder / name) for name in LOADED]

    def encode(self, text: str) -> Ids:
        """Return the ids of a text that begins a document.

        Where lines are documents, the end of each is the boundary; empty lines are skipped as
        they are when a file is read. What looks like the name of the boundary is text.
        """
        *lines, rest = text.split("\n") if self.is_by_lines else [text]
        if self.is_by_lines:
            lines = [line.removesuffix("\r") for line in lines]
        if not self.run.recipe.reading.keep_empty:
            lines = [line for line in lines if line]
        store = self.run.tokenizer.encode(Documents.from_strings([*lines, rest]))
        return store.targets[:-1].astype(np.int64)

    def encode_prompt(self, text: str) -> Ids:
        """Return the ids of a prompt: the name of the boundary alone is the boundary.

        So clients such as lm-evaluation-harness send an empty beginning.
        """
        if text == self.token_names[self.boundary_id]:
            return np.array([self.boundary_id])
        return self.encode(text)

    def token_text(self, index: int) -> str:
        """Return the text of one token, or its name if by itself it has none."""
        if (known := self._token_texts.get(index)) is not None:
            return known
        text = self.run.tokenizer.decode([index])
        text = self.token_names[index] if text == "" or BROKEN in text else text
        self._token_texts[index] = text
        return text

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, a line end for each boundary between documents."""
        pieces: list[list[int]] = [[]]
        for index in ids:
            if index == self.boundary_id:
                pieces.append([])
            else:
                pieces[-1].append(int(index))
        return "\n".join(self.run.tokenizer.decode(piece) for piece in pieces)

    def certain_text(self, ids: Sequence[int] | Ids, text: str) -> str:
        """Return the text of ids but for a character at its end of which bytes may yet come."""
        ends_unknown = len(ids) > 0 and ids[-1] == self.run.tokenizer.vocabulary.unknown_id
        return text if ends_unknown else text.removesuffix(BROKEN)


@dataclass
class TextStream:
    """The text of ids that come one by one.

    A token has the text that the whole gains by it: a word its space, and of a character of
    several bytes the last byte has all of it.

    Attributes:
        served: Whose ids they are.
        text: What has come so far.
    """

    served: ServedRun
    text: str = ""
    _ids: list[int] = field(default_factory=list)
    _shown: int = 0
    _spaced: bool = False

    def follow(self, prompt: str, ids: Ids, lacks: bool = False) -> None:
        """Let what comes follow a prompt, without counting it as text that came.

        Args:
            prompt: Its text.
            ids: Its ids.
            lacks: Whether they end within a character, which comes with what follows.
        """
        self._ids = [int(index) for index in ids[-FOLLOWED:]]
        self._shown = len(self.served.decode(self._ids)) - lacks
        self._spaced = self.served.run.tokenizer.ends_in_space(prompt)

    def add(self, index: int) -> str:
        """Take one id; return the text that is certain with it, which may be empty."""
        self._ids.append(index)
        text = self.served.decode(self._ids)
        return self._take(self.served.certain_text(self._ids, text))

    def finish(self) -> str:
        """Return what was held back, a broken character as U+FFFD."""
        return self._take(self.served.decode(self._ids))

    def _take(self, certain: str) -> str:
        gained, self._shown = certain[self._shown :], len(certain)
        if gained and self._spaced:  # The space between two words is there already.
            gained, self._spaced = gained.removeprefix(" "), False
        self.text += gained
        if len(self._ids) > 2 * FOLLOWED:  # What stands further back tells nothing.
            self._ids = self._ids[-FOLLOWED:]
            text = self.served.decode(self._ids)
            self._shown = len(self.served.certain_text(self._ids, text))
        return gained


def choose_served(models: dict[str, ServedRun], name: str | None, classifier: bool) -> ServedRun:
    """Return the model of a name, or the only one of its kind where no name is given.

    Raises:
        UnknownModelError: If there is none, or one of the other kind.
    """
    kind = "classifier" if classifier else "language model"
    fitting = [served for served in models.values() if served.run.kind == kind]
    names = [served.name for served in fitting]
    if name is None:
        if len(fitting) == 1:
            return fitting[0]
        raise UnknownModelError(f'Say which {kind} with "model": {_listed(names)}.')
    if name not in models:
        raise UnknownModelError(
            f"There is no model {name!r} here; the {kind}s are {_listed(names)}."
            + nearest(name, names)
        )
    if models[name] not in fitting:
        other = "/v1/completions" if classifier else "/v1/classify"
        raise UnknownModelError(f"{name!r} is no {kind}; ask for it at {other}.")
    return models[name]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


class UnknownModelError(SettingError):
    """A request names a model that is not served, or not one for what it asks."""


def top_tokens(log_probs: Array, count: int) -> list[int]:
    """Return the ids of the highest log-probabilities, the highest first, the lower id on ties."""
    count = min(count, len(log_probs))
    if count == 0:
        return []
    edge = np.partition(log_probs, len(log_probs) - count)[len(log_probs) - count]
    candidates = np.flatnonzero(log_probs >= edge)
    order = np.argsort(-log_probs[candidates], kind="stable")[:count]
    return [int(index) for index in candidates[order]]
