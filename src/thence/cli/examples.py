"""The command that shows what a text is cut into: examples."""

from collections.abc import Callable
from types import SimpleNamespace

from thence.batches.examples import Examples
from thence.cli.output import Json, print_result
from thence.cli.streams import print_note
from thence.cli.texts import literal_texts


def print_examples(
    call: Callable[..., Examples], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print the examples of a text, and how many there are."""
    texts = literal_texts(given.texts)
    found = call(texts=given.texts[0] if texts is None else texts)
    print_result(found, json)
    if not json:
        print_note(found.shapes())
