"""``examples``: the pairs of context and target of a text, as a network reads them.

Windows show each target with the tokens before it. Sequences show a batch: rows of tokens, and
their targets, which are the same rows shifted by one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from thence.array_types import Int64
from thence.batches.sequences import Padded, Streams
from thence.batches.windows import windows
from thence.corpus import ReadingOptions, Source, load
from thence.errors import SettingError, nearest
from thence.printable import printable_line, printable_symbol
from thence.results import Listing
from thence.settings import PositiveInt, validate
from thence.tokens import TokenOptions, TokenStore, learn_tokens

ARROW = " ---> "
DOT = "."
"""Shown for the boundary between characters, unless the text has this character."""


@dataclass(frozen=True)
class Examples(Listing[tuple[str, str]]):
    """Contexts and targets of a text; each item is a pair of texts.

    Attributes:
        kind: ``windows`` or ``sequences``.
        inputs: Ids of the contexts (examples, context), or of the rows of a batch (rows, time);
            after the end of a row they are padding.
        targets: Ids of the targets (examples), or of each position of the rows (rows, time); -1
            after the end of a row.
        pairs: The same as text: context and target, or row and shifted row; spaces between
            characters are shown as a visible symbol.
        symbols: The symbol of each id.
        total: Number of examples of the whole text, one per target.
    """

    _listed: ClassVar[str] = "pairs"

    kind: str
    inputs: Int64[np.ndarray, "examples context"]
    targets: Int64[np.ndarray, " examples"] | Int64[np.ndarray, "rows time"]
    pairs: list[tuple[str, str]]
    symbols: Sequence[str]
    total: int

    def __str__(self) -> str:
        if self.kind == "windows":
            return "\n".join(printable_line(f"{one}{ARROW}{other}") for one, other in self.pairs)
        rows = (f"inputs   {one}\ntargets  {other}" for one, other in self.pairs)
        return "\n".join(printable_line(line) for row in rows for line in row.split("\n"))

    def shapes(self) -> str:
        """Return the number of examples and the shapes of the arrays in words."""
        shown = len(self.pairs) if self.kind == "windows" else int((self.targets >= 0).sum())
        return (
            f"{shown:,} of {self.total:,} examples; inputs {self.inputs.shape}, targets "
            f"{self.targets.shape}, {len(self.symbols):,} symbols"
        )


def examples(
    texts: Source,
    *,
    context: int = 3,
    sequences: bool = False,
    window: int = 64,
    carry_context: bool = False,
    rows: int = 20,
    **settings: Any,
) -> Examples:
    """Return the first examples of a text: pairs of a context and the target to predict.

    The text is read in its order, without splitting off dev and test.

    Args:
        texts: A file, a folder, ``-`` for standard input, or the name of a bundled or downloaded
            text; or the texts themselves, each a document.
        context: Tokens before each target.
        sequences: Show a batch of rows with their shifted targets, as recurrent networks and
            transformers read them, instead of windows.
        window: Tokens of each row, with ``sequences``.
        carry_context: Documents are running text: contexts reach into the documents before.
        rows: Number of examples or rows to show.
        **settings: The flags of ``thence examples`` on reading and tokens, with underscores.

    Raises:
        TextError: If the text cannot be read.
        SettingError: If a setting is unknown or invalid.
    """
    for name, number in (("context", context), ("window", window), ("rows", rows)):
        validate(name, number, PositiveInt)
    reading, tokens = (_options(kind, settings) for kind in (ReadingOptions, TokenOptions))
    if settings:
        known = [item.name for kind in (ReadingOptions, TokenOptions) for item in fields(kind)]
        name = min(settings)
        raise SettingError(f"There is no setting `{name}` here." + nearest(name, known, "`"))
    tokenizer, store = learn_tokens(load(texts, reading), tokens)
    names = tokenizer.vocabulary.names()
    cut = _sequences if sequences else _windows
    inputs, targets = cut(store, window if sequences else context, carry_context, rows)
    join = _joined(names, store.boundary_id, tokens.tokens == "characters")
    # Padding after the end of a row is not shown.
    pairs = [
        (join(one[np.broadcast_to(other >= 0, one.shape)]), join(other))
        for one, other in zip(inputs, targets, strict=True)
    ]
    kind = "sequences" if sequences else "windows"
    return Examples(kind, inputs, targets, pairs, names, store.num_targets)


def _options(kind: Any, settings: dict[str, Any]) -> Any:
    """Pop the settings of a dataclass out of ``settings``, and return it with them."""
    names = [item.name for item in fields(kind) if item.name in settings]
    chosen: Mapping[str, Any] = {name: settings.pop(name) for name in names}
    return kind(**chosen)


def _windows(store: TokenStore, context: int, carry_context: bool, rows: int) -> Any:
    """Return contexts (rows, context) and targets (rows)."""
    found = windows(store, context, carry_context).gather(slice(rows))
    return found[:, :-1], found[:, -1]


def _sequences(store: TokenStore, window: int, carry_context: bool, rows: int) -> Any:
    """Return the inputs and the targets (rows, time) of the first batch, -1 where a row ended."""
    batches = Streams(store, rows, window) if carry_context else Padded(store, rows, window)
    batch = batches.at(0)
    valid = np.ones(batch.ids.shape, bool) if batch.valid is None else batch.valid
    return batch.ids, np.where(valid, batch.targets, -1)


def _joined(names: Sequence[str], boundary: int, characters: bool) -> Callable[[Any], str]:
    """Return a function from ids to text: characters without, other tokens with spaces between."""
    shown = [printable_symbol(name) for name in names] if characters else list(names)
    if characters and DOT not in names:
        shown[boundary] = DOT

    def join(ids: Any) -> str:
        found = [shown[index] for index in np.atleast_1d(ids) if index >= 0]
        side_by_side = characters and all(len(one) == 1 for one in found)
        return ("" if side_by_side else " ").join(found)

    return join
