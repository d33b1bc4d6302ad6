"""``thence import FILE -o RUN``: a run made of another program's model."""  # noqa: N999 (loaded by name)

from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from thence.cli.output import say_json, say_pairs
from thence.cli.streams import print_note
from thence.exchange import import_arpa


def command(
    path: Path,
    /,
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    allow_unnormalized: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make a run of an n-gram model in an ARPA file; it has no text of its own.

    Args:
        path: The ARPA file, plain or compressed.
        output: Run folder to make.
        allow_unnormalized: Import it also if its probabilities add up to more than one.
        json: Print the result as JSON.
    """
    run = import_arpa(path, output, allow_unnormalized)
    order, words = run.recipe.options.order, run.tokenizer.vocabulary
    if json:
        say_json(
            {
                "run": str(run.folder),
                "model": run.recipe.model,
                "order": order,
                "parameters": run.model.num_parameters(),
                "words": len(words.symbols),
                "unknown": words.unknown,
            }
        )
        return
    others = "all others are refused" if words.unknown_id is None else "all others are <unk>"
    say_pairs(
        [
            ("run", str(run.folder)),
            ("model", f"ngram of order {order}, {run.model.num_parameters():,} parameters"),
            ("vocabulary", f"{len(words.symbols):,} words; {others}"),
        ]
    )
    print_note(f"Next: thence evaluate {quote(str(run.folder))} TEXT")
