"""Incremental decoding of tokens to text, and stop sequences."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from thence.serve.batching import Ids
from thence.serve.loaded_runs import CONTEXT_IDS, LoadedRun


@dataclass
class TextStream:
    """Decodes ids one by one.

    The text of a token is what it appends to the whole text: a word with its space; a character of
    several bytes is appended by its last byte.

    Attributes:
        loaded: The run whose ids they are.
        text: The text so far.
    """

    loaded: LoadedRun
    text: str = ""
    _ids: list[int] = field(default_factory=list)
    _shown: int = 0
    _after_space: bool = False

    def follow(self, prompt: str, ids: Ids, incomplete: bool = False) -> None:
        """Start after a prompt, whose text is not part of ``text``.

        Args:
            prompt: The text of the prompt.
            ids: The ids of the prompt.
            incomplete: Whether the ids end within a character, which the next ids complete.
        """
        self._ids = [int(index) for index in ids[-CONTEXT_IDS:]]
        self._shown = len(self.loaded.decode(self._ids)) - incomplete
        self._after_space = self.loaded.run.tokenizer.ends_in_space(prompt)

    def add(self, index: int) -> str:
        """Take one id; return the text that is complete with it, which may be empty."""
        self._ids.append(index)
        text = self.loaded.decode(self._ids)
        return self._take(self.loaded.complete_text(self._ids, text))

    def finish(self) -> str:
        """Return the rest, in which an incomplete character is U+FFFD."""
        return self._take(self.loaded.decode(self._ids))

    def _take(self, complete: str) -> str:
        gained, self._shown = complete[self._shown :], len(complete)
        if gained and self._after_space:  # The prompt has the space between two words already.
            gained, self._after_space = gained.removeprefix(" "), False
        self.text += gained
        if len(self._ids) > 2 * CONTEXT_IDS:  # Earlier ids no longer change the text of new ones.
            self._ids = self._ids[-CONTEXT_IDS:]
            text = self.loaded.decode(self._ids)
            self._shown = len(self.loaded.complete_text(self._ids, text))
        return gained


class StopSequences:
    """Passes text through up to the first stop sequence.

    Args:
        stops: The sequences before which to stop.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.stopped = False

    def add(self, piece: str) -> str:
        """Take more text; return what is certain of it: the beginning of a stop is held back."""
        self._held += piece
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            shown, self._held = self._held[: min(found)], ""
            return shown
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[-keep:] if keep else ""
        return shown

    def finish(self) -> str:
        """Return the text that was held back, as no more comes."""
        shown, self._held = self._held, ""
        return shown


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of a text begin the stop."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
