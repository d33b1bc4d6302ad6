"""``thence complete RUN TEXT``: how a text goes on, with probabilities."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thence.cli.arguments import BadWords, Text
from thence.cli.output import say_json
from thence.cli.prompts import remark_unknown
from thence.cli.streams import print_note, say
from thence.generation import complete
from thence.runs import Run


def command(
    run: Path,
    text: Text = "",
    /,
    *,
    count: Annotated[int, Parameter(name=("--count", "-n"))] = 5,
    beam: int | None = None,
    length_penalty: float | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    max_length: int = 200,
    bad_words: BadWords = (),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Go on with a text that begins a document, to its end.

    The likeliest continuations are shown, as a beam search finds them. With any of --temperature,
    --top-k, --top-p and --seed continuations are drawn instead.

    Args:
        run: The run folder.
        text: What has been written so far; nothing asks for whole texts.
        count: How many completions to show.
        beam: Width of the beam (default: 10, or the count if that is more); 1 is greedy.
        length_penalty: Rank by log-probability / length ** this (default: 0, by probability).
        temperature: Draw; below 1 likelier tokens are preferred (default: 1).
        top_k: Draw from the k likeliest tokens only.
        top_p: Draw from the fewest likeliest tokens that together have this probability.
        seed: Draw; the same seed gives the same texts (default: 0).
        max_length: Tokens to add at most.
        bad_words: Words that no text may hold, several after one another; <unk> is the unknown
            symbol.
        json: Print the result as JSON.
    """
    opened = Run(run)
    found = complete(
        opened,
        text,
        count,
        beam=beam,
        length_penalty=length_penalty,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        max_length=max_length,
        bad_words=bad_words,
    )
    remark_unknown(opened, text)
    if json:
        say_json(found.to_json())
        return
    say(str(found))
    cut = sum(not completion.finished for completion in found.completions)
    if cut:
        print_note(f"{cut} cut at {max_length} tokens.")
