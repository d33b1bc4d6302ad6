"""``thence sample RUN``: draw texts from a model."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.arguments import BadWords, Text
from thence.cli.output import say_json
from thence.cli.prompts import remark_unknown
from thence.cli.streams import print_note, say
from thence.generation import sample
from thence.runs import Run


def command(
    run: Path,
    /,
    *,
    count: Annotated[int, Parameter(name=("--count", "-n"))] = 20,
    prefix: Annotated[Text, Parameter(allow_leading_hyphen=True)] = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: Annotated[bool, Parameter(negative=())] = False,
    max_length: int = 200,
    bad_words: BadWords = (),
    seed: int = 0,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Draw texts from a model and say how many are copies of train documents.

    Args:
        run: The run folder.
        count: How many texts.
        prefix: How each begins.
        temperature: Below 1 likelier tokens are preferred, above 1 all become more alike.
        top_k: Draw from the k likeliest tokens only.
        top_p: Draw from the fewest likeliest tokens that together have this probability.
        greedy: Always take the likeliest token.
        max_length: Tokens to draw at most.
        seed: The same seed gives the same texts.
        bad_words: Words that no text may hold, several after one another; <unk> is the unknown
            symbol.
        json: Print the result as JSON.
    """
    opened = Run(run)
    samples = sample(
        opened,
        count,
        prefix=prefix,
        max_length=max_length,
        bad_words=bad_words,
        seed=seed,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        greedy=greedy,
    )
    remark_unknown(opened, prefix)
    if json:
        say_json(samples.to_json())
        return
    say("\n".join(samples.texts))
    cut = samples.finished.count(False)
    notes = [f"{cut} cut at {max_length} tokens"] if cut else []
    if samples.copies is not None:
        notes.append(f"{samples.copies} of {len(samples.texts)} are copies of train documents")
    if notes:
        print_note("; ".join(notes) + ".")
