"""``thence best TEXT --time 5m``: the best model that this machine can make in a given time."""

from pathlib import Path
from shlex import quote
from time import monotonic, process_time
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from thence.autopilot import Best, Tried, best
from thence.autopilot.result import COLUMNS, PAGE, about_rows, loss_text, tried_rows
from thence.cli.output import progress_for, say_json, say_pairs, say_table
from thence.cli.streams import print_note, say
from thence.corpus.decoding import Errors
from thence.recipes.options import Device
from thence.tokens.vocabulary import Unknown
from thence.tokens.word_splitting import WordSplit

No = Parameter(negative=())


def command(
    text: str,
    /,
    *,
    time: str | None = None,
    steps: int | None = None,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    label: str | None = None,
    label_separator: str | None = None,
    column: str | None = None,
    document: Literal["line", "file"] | None = None,
    encoding: str | None = None,
    errors: Errors | None = None,
    keep_empty: Annotated[bool | None, No] = None,
    split: str | None = None,
    by: Literal["shuffle", "position"] | None = None,
    split_seed: int | None = None,
    dev: str | None = None,
    test: str | None = None,
    tokens: str | None = None,
    word_split: WordSplit | None = None,
    max_size: int | None = None,
    min_count: int | None = None,
    unknown: Unknown | None = None,
    lowercase: bool | None = None,
    nfc: Annotated[bool | None, No] = None,
    carry_context: bool | None = None,
    seed: int | None = None,
    threads: int | None = None,
    device: Device | None = None,
    keep_text: bool = True,
    report: bool = True,
    json: Annotated[bool, No] = False,
) -> None:
    """Make the best model of a text that this machine can make in a given time.

    Counts come first, then networks as large as the time allows, and a mixture of what pays. With
    --label, the same with classifiers. Ctrl-C gives the best so far. The result is a run like any
    other.

    Args:
        text: File, folder, - for standard input, or a named text (thence data list).
        time: How long it may take in all, such as 90s, 5m or 2h.
        steps: In place of a time: steps of training for all networks together; the result is then
            the same each time.
        output: Run folder to make (default: runs/TEXT-best).
        label: Column with the labels, to make a classifier (plain text: any name).
        label_separator: What stands between the labels of a document, which may have several.
        column: Column of a table that holds the text.
        document: What one document of plain text is.
        encoding: Encoding of the text.
        errors: What to do with bytes that are not text.
        keep_empty: Keep empty lines as documents without text.
        split: Per cent of documents for train/dev/test (default: 80/10/10).
        by: Which documents go where (default: by position for running text, else shuffled).
        split_seed: Seed of the random choice.
        dev: File with the dev documents.
        test: File with the test documents.
        tokens: What one token is (default: words for long texts of sentences, else characters).
        word_split: Cut words at white space only, or set punctuation apart.
        max_size: At most so many symbols get an id.
        min_count: Symbols that occur less often are unknown.
        unknown: What becomes of unknown symbols.
        lowercase: Turn the text into lower case.
        nfc: Compose accents and other marks.
        carry_context: Let a document see those before it (default: for running text).
        seed: Seed of the weights and of the order of batches.
        threads: Processor threads.
        device: Where to train.
        keep_text: Keep a text from standard input or a pipe in the run, not its hash alone.
        report: Write best.html, within the time where it is 20 seconds or more.
        json: Print the result as JSON.
    """
    given = {name: value for name, value in locals().items() if name not in OWN}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    began = monotonic() - process_time()  # Python has been starting until now.
    done = best(
        text,
        time=time,
        steps=steps,
        output=output,
        progress=progress_for(json),
        watch=None if json else _tell,
        began=began,
        page=_page if report else None,
        keep_text=keep_text,
        **settings,
    )
    if json:
        say_json(done.to_json())
        return
    _say(done)


OWN = ("text", "time", "steps", "output", "keep_text", "report", "json")
"""Arguments that are no settings of the text."""


def _page(done: Best) -> Path:
    from thence.reports.best import write_page  # Matplotlib takes its time to load.

    return write_page(done)


def _tell(one: Tried) -> None:
    so_far = loss_text(one.so_far, one.accuracy_so_far)
    loss = loss_text(one.nats, one.accuracy)
    print_note(f"{one.ended:7.1f} s  {one.name}: dev {loss}, best so far {so_far}")


def _say(done: Best) -> None:
    say_table(COLUMNS, tried_rows(done))
    say_pairs([("run", str(done.folder)), *about_rows(done)])
    page = done.folder / PAGE
    if page.exists():
        say(f"\nWhat was tried, in pictures: {page}")
    folder = quote(str(done.folder))
    use = f"classify {folder} -" if done.unit == "document" else f"sample {folder}"
    print_note(
        f"Next: thence {use}   thence evaluate {folder} --split test   thence report {folder}"
    )
