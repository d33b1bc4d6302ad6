"""What is said about a text that a person gives a model to go on from."""

from collections.abc import Sequence

from thence.cli.streams import print_note
from thence.generation import unknown_symbols
from thence.runs import Run


def remark_unknown(run: Run, text: str, read: Sequence[str] | None = None) -> None:
    """Say so if the model cannot read all of a text; it is never done silently.

    Args:
        run: Has the vocabulary.
        text: What was given.
        read: The pieces of it that the model reads, where that is not all.
    """
    unknown = sum(unknown_symbols(run, piece) for piece in read or [text])
    if unknown:
        print_note(
            f"{unknown} of the symbols in {text!r} never occur in the train text: read as <unk>."
        )
