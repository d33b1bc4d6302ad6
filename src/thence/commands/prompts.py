"""What is said about a text that a person gives a model to go on from."""

from thence.commands.streams import remark
from thence.generation import unknown_symbols
from thence.training import Run


def remark_unknown(run: Run, text: str) -> None:
    """Say so if the model cannot read all of a text; it is never done silently."""
    unknown = unknown_symbols(run, text)
    if unknown:
        remark(
            f"{unknown} of the symbols in {text!r} never occur in the train text: read as <unk>."
        )
