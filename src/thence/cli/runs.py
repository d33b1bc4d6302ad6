"""Output of the commands about runs (list, export, import, serve), named texts and the machine."""

from collections.abc import Callable, Iterable
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import Any

from rich.progress import DownloadColumn

from thence.cli.output import Json, print_json, print_pairs, print_table, progress_bar
from thence.cli.streams import print_note, print_text
from thence.corpus import BUNDLED, CATALOGUE
from thence.errors import DownloadError, ThenceError
from thence.printable import printable_line
from thence.runs import ClassifierRun, Run

COLUMNS = ("run", "model", "text", "on dev", "state", "looks at test", "made (UTC)")
SOME = 10
"""Number of labels of an imported classifier that are printed."""


def print_runs(call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False) -> None:
    """Print the runs in a folder, the newest last."""
    found = call()
    if json:
        print_json([run.to_json() for run in found])
    elif not found:
        print_text(f"There are no runs in {given.folder}.")
    else:
        rows = [
            [
                run.name,
                run.model or "-",
                run.text or "-",
                run.on_dev(),
                run.in_words(),
                "-" if run.test_looks is None else str(run.test_looks),
                "-" if run.made is None else run.made[:16].replace("T", " "),
            ]
            for run in found
        ]
        print_table(COLUMNS, rows)


def print_paths(call: Callable[..., Path | list[Path]], given: SimpleNamespace) -> None:
    """Print the file, or the files, that were written."""
    found = call()
    for path in [found] if isinstance(found, Path) else found:
        print_text(str(path))


def print_exported(call: Callable[..., Any], given: SimpleNamespace) -> None:
    """Print the file that was written, and how far its log-probabilities differ from the run's."""
    exported = call()
    print_text(str(exported.path))
    if exported.note:
        print_note(exported.note)
    elif exported.difference is not None:
        print_note(
            f"Checked on random ids: log-probabilities differ from the run's by at most "
            f"{exported.difference:.1e}."
        )


def print_imported(call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False) -> None:
    """Print a summary of the imported run, or the path of imported word vectors."""
    made = call()
    if isinstance(made, Path):
        print_json({"vectors": str(made)}) if json else print_text(str(made))
        print_note(f"Next: thence train TEXT --vectors {quote(str(made))}")
        return
    words, name = made.tokenizer.vocabulary, quote(str(made.folder))
    about = {"run": str(made.folder), "model": made.recipe.model, **_of_kind(made)}
    sizes = {"parameters": made.num_parameters, "words": len(words.symbols)}
    if json:
        print_json({**about, **sizes, "unknown": words.unknown})
        return
    shown = made.recipe.model
    if isinstance(made, ClassifierRun):
        labels, command = made.label_names, "classify"
        some = ", ".join(map(printable_line, labels[:SOME])) + " ..." * (len(labels) > SOME)
        last = ("labels", f"{len(labels):,}: {some}")
    else:
        shown, command = f"{shown} of order {made.recipe.options.order}", "evaluate"
        others = "all others are refused" if words.unknown_id is None else "all others are <unk>"
        last = ("vocabulary", f"{len(words.symbols):,} words; {others}")
    model = f"{shown}, {sizes['parameters']:,} parameters"
    print_pairs([("run", str(made.folder)), ("model", model), last])
    print_note(f"Next: thence {command} {name} TEXT")


def _of_kind(run: Run) -> dict[str, int]:
    if isinstance(run, ClassifierRun):
        return {"labels": len(run.label_names)}
    return {"order": run.recipe.options.order}


def print_served(call: Callable[..., None], given: SimpleNamespace) -> None:
    """Serve models; print their address once they can be reached."""

    def say_where(names: Iterable[str], address: str) -> None:
        print_note(f"Serving {', '.join(names)} at {address} (Ctrl+C stops).")

    call(on_start=say_where)


def print_named_texts(
    call: Callable[..., list[dict[str, Any]]], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print the texts that can be named in place of a file."""
    entries = call()
    if json:
        print_json(entries)
        return
    sizes = {name: f"{entry.download_size / 1e6:,.1f} MB" for name, entry in CATALOGUE.items()}
    columns = ["where", "description", "licence", "origin"]
    rows = [
        [entry["name"], sizes.get(entry["name"], ""), *(entry.get(name, "") for name in columns)]
        for entry in entries
    ]
    print_table(["name", "size", *columns], rows)


def print_fetched(call: Callable[..., Path], given: SimpleNamespace) -> None:
    """Download a text with a progress bar, and print its folder."""
    if given.name in BUNDLED:
        raise DownloadError(
            f"'{given.name}' comes with thence, so there is nothing to fetch; give its name in "
            f"place of a file, as in: thence train {given.name}"
        )
    with progress_bar(given.name, DownloadColumn()) as bar:
        folder = call(progress=lambda done, total: bar(completed=done, total=total))
    print_text(str(folder))


def print_environment(
    call: Callable[..., Any], given: SimpleNamespace, *, json: Json = False
) -> None:
    """Print the report on this machine; raise ThenceError if something does not work."""
    found = call()
    if json:
        print_json(found.to_json())
    else:
        print_pairs(found.rows())
    if found.problems:
        raise ThenceError(" ".join(found.problems))
