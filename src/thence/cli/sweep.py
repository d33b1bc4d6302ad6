"""``thence sweep RECIPE``: train with many settings, side by side if wished, and keep the best."""

from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from thence.cli.output import say_json, say_pairs, say_table
from thence.cli.streams import print_note, say
from thence.cli.sweep_progress import described, field_text, loss_text, watching
from thence.sweeps import Sweep, sweep

SHOWN = 10
"""How many of the best trials the table has."""


def command(
    recipe: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    trials: int | None = None,
    time: str | None = None,
    storage: str | None = None,
    study: str | None = None,
    report: bool = True,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train a recipe with many settings and keep the best run, judged on test once.

    The same command again goes on after an interruption; started several times at once, the
    processes share the work, on machines that share a folder or a database.

    Args:
        recipe: A recipe with a table [sweep] that says what to try.
        output: The folder of the sweep (default: runs/RECIPE-sweep).
        trials: How many trials (default: what the recipe says).
        time: Begin no trial after this time, such as 90s, 30m or 2h (default: what the recipe
            says).
        storage: Address of a database for the study, such as postgresql://user@host/name (default:
            a file in the folder).
        study: Name of the study in the database (default: that of the folder).
        report: Write sweep.html at the end.
        json: Print the result as JSON.
    """
    with watching(json) as watch:
        done = sweep(
            recipe, output, trials=trials, time=time, storage=storage, study=study, watch=watch
        )
    page = _report(done) if report else None
    if json:
        say_json({**done.to_json(), "report": page and str(page)})
        return
    _say(done)
    if page:
        say(f"\nPictures and all numbers: {page}")
    if done.best_is_here:
        print_note(f"Next: thence report {quote(str(done.folder / 'best'))}")
    else:
        name = done.best_trial.name
        print_note(
            f"The best run was trained elsewhere. Next: copy {name} from there into {done.folder} "
            "and run the same command again; or run it there."
        )


def _say(done: Sweep) -> None:
    ranked = done.ranked()
    names = list(done.space)
    rows = [
        [
            trial.name,
            *(field_text(trial.fields.get(name)) for name in names),
            loss_text(trial),
            f"{trial.seconds:.1f}",
        ]
        for trial in ranked[:SHOWN]
    ]
    loss = "dev accuracy" if done.unit == "document" else "dev nats per token"
    say_table(["trial", *names, loss, "seconds"], rows, f"The best of {len(done.trials)} trials")
    shares = [[name, f"{share:.0%}"] for name, share in done.importances.items()]
    say_table(["field", "share of the differences that it explains"], shares)
    best = ranked[0]
    place = f"{done.folder / 'best'}, a copy of {best.name}"
    about = [("best", place if done.best_is_here else f"{best.name}, in {best.where}")]
    chosen = [("", done.chosen_on_dev)] if done.chosen_on_dev else []
    say_pairs([*about, ("", described(ranked[0])), *chosen, *_test_rows(done)])


def _test_rows(done: Sweep) -> list[tuple[str, str]]:
    test = done.test
    if test is None:
        return []
    if done.unit == "document":
        return [("accuracy on test", f"{test['accuracy']:.2%}")]
    nats, perplexity = test["nats_per_token"], test["perplexity"]
    if nats is None:
        return [("on test", "infinite: a text there is impossible to the model")]
    return [("on test", f"{nats:.4f} nats per token (perplexity {perplexity:.4g})")]


def _report(done: Sweep) -> Path:
    from thence.reports import report

    return report(done.folder)
