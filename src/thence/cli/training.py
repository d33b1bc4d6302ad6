"""The commands that train: train, find-lr, resume, mix, best."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from shlex import quote
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from thence.cli.output import (
    Json,
    Report,
    picture_to_write,
    print_json,
    print_pairs,
    print_result,
    print_table,
    write_picture,
)
from thence.cli.streams import is_at_terminal, print_note, print_text
from thence.errors import SettingError
from thence.models.registry import get_family, is_classifier
from thence.processes import is_first_process
from thence.recipes import Recipe, make_recipe
from thence.runs import ClassifierRun, Run
from thence.runs.sources import display_name
from thence.terminal import print_prose
from thence.training.callbacks import (
    LoggerName,
    ProgressFactory,
    bar_progress,
    line_progress,
    silent_progress,
)
from thence.training.finetuning import parent_row

if TYPE_CHECKING:
    from thence.autopilot import Best, Tried
    from thence.training.lr_finder import LearningRateCurve

OF_STEPS = ("epochs", "steps", "batch_size", "optimizer", "lr", "schedule", "clip", "patience")
"""Settings that only a training in steps has a use for."""
DEFAULT_PICTURE = Path("learning-rate.png")


def print_trained(
    call: Callable[..., Run],
    given: SimpleNamespace,
    *,
    logs: Annotated[
        LoggerName | None,
        Parameter(help="Write the training for TensorBoard too, into RUN/tensorboard."),
    ] = None,
    report: Report = True,
    json: Json = False,
) -> None:
    """Train a model, and print its evaluation on dev."""
    if not json and is_at_terminal():
        print_note(f"Reading {display_name(given.recipe.text)} ...")
    if given.recipe.training.precision == "bfloat16":
        _remark_on_imitation(given.recipe)
    run = call(progress=progress_for(json), logs=logs)
    if not json:
        _remark_on_unused(given.recipe)
    print_trained_run(run, report, json)


def _remark_on_imitation(recipe: Recipe) -> None:
    from thence.training.device import choose_device, has_fast_bfloat16

    with suppress(SettingError):  # The training itself refuses a missing device.
        if has_fast_bfloat16(choose_device(recipe.training.device)):
            return
        print_note(
            "This machine emulates bfloat16, which is slower than float32; --precision auto uses "
            "the faster one."
        )


def _remark_on_unused(recipe: Recipe) -> None:
    """Print a note on settings of gradient steps that were given for a model without any."""
    if is_classifier(recipe.model) or get_family(recipe.model).method != "fit":
        return
    given, usual = recipe.training, make_recipe(recipe.text, recipe.model, {}).training
    unused = [name for name in OF_STEPS if getattr(given, name) != getattr(usual, name)]
    if unused:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in unused)
        print_note(f"A model '{recipe.model}' is made in one step; without effect: {flags}.")


def print_learning_rate(
    call: Callable[..., "LearningRateCurve"],
    given: SimpleNamespace,
    *,
    output: Annotated[
        Path | None,
        Parameter(
            name=("--output", "-o"),
            help="Figure to write, .png or .svg (default: learning-rate.png, or with a number "
            "after it where that is taken).",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw the loss at each learning rate, and print the suggested one."""
    picture = _picture(output)
    if not json and is_at_terminal():
        text = display_name(given.recipe.text)
        print_note(f"Reading {text}, then a step at each learning rate ...")
    curve = call()
    from thence.reports.plots.charts import to_figure  # Imports matplotlib.
    from thence.reports.training import finder_chart

    unit = "document" if is_classifier(given.recipe.model) else "token"
    write_picture(picture, to_figure("finder", finder_chart(curve, unit)).figure)
    if json:
        print_json(
            {
                "suggestion": curve.suggestion,
                "rates": curve.rates.tolist(),
                "losses": curve.losses.tolist(),
                "still_falling": curve.still_falling,
                "picture": str(picture),
            }
        )
        return
    print_text(f"suggested learning rate  {curve.suggestion:.2g}")
    print_text(f"figure                   {picture}")
    if curve.still_falling:
        print_note(
            "The loss is lowest at the last rate: a higher one may be better. Try a larger --high."
        )


def _picture(output: Path | None) -> Path:
    """Return the path of the figure to write, of a file that does not exist."""
    if output is not None:
        return picture_to_write(output, "--output")
    numbered = (Path(f"learning-rate-{number}.png") for number in count(2))
    return next(path for path in chain([DEFAULT_PICTURE], numbered) if not path.exists())


def print_resumed(
    call: Callable[..., Run],
    given: SimpleNamespace,
    *,
    logs: Annotated[
        LoggerName | None,
        Parameter(help="Write the training for TensorBoard too, all of it, into RUN/tensorboard."),
    ] = None,
    report: Report = True,
    json: Json = False,
) -> None:
    """Resume a training and print the run's evaluation, or say that there was nothing to do."""
    stopped = Run(given.folder)
    was_over = stopped.finished and logs is None
    begins_anew = not was_over and not (stopped.folder / "last").exists()
    run = call(progress=progress_for(json), logs=logs)
    if begins_anew and is_first_process():
        print_note(f"{run.folder} had no checkpoint: it was trained from the beginning.")
    if was_over:
        _print_nothing_to_do(run, json)
    else:
        print_trained_run(run, report, json)


def _print_nothing_to_do(run: Run, as_json: bool) -> None:
    """Print that a run was finished already, and what to do instead."""
    if not is_first_process():
        return
    if as_json:
        print_json({"run": str(run.folder), "model": run.recipe.model, "nothing_to_do": True})
        return
    print_text(f"{run.folder} is finished: there was nothing to do, and nothing was changed.")
    method, folder = get_family(run.recipe.model).method, quote(str(run.folder))
    if method == "train":
        print_note(f"Next: thence train --from {folder} --lr 0.001   (trains it on, as a new run)")
    elif method != "combine" and run.has_text:
        print_note(f"It was made in one step. With other settings: thence train {_text(run)}")


def _text(run: Run) -> str:
    """Return the argument that names the text of a run: its own copy, if it has one."""
    name = run.recipe.text
    if "text" in run.kept_texts:
        return quote(str(run.sources.replacements[name])) if run.kept_texts["text"] else "TEXT"
    return quote(name)


def print_mixture(
    call: Callable[..., Run],
    given: SimpleNamespace,
    *,
    config: Annotated[
        Path | None,
        Parameter(
            help="A recipe for the whole mixture: train the runs that it names and mix them; "
            "other arguments are left out."
        ),
    ] = None,
    to: Annotated[
        Literal["arpa"] | None,
        Parameter(
            help="Mix n-gram models, runs or ARPA files, into one back-off model and write it as "
            "an ARPA file."
        ),
    ] = None,
    dev: Annotated[
        str | None,
        Parameter(
            help="With --to arpa: the text to learn the weights on (default: the dev split of the "
            "first run)."
        ),
    ] = None,
    lambdas: Annotated[
        tuple[float, ...] | None,
        Parameter(
            consume_multiple=True,
            negative=(),
            help="With --to arpa: the weights of the models, in place of learning them.",
        ),
    ] = None,
    prune_entropy: Annotated[
        float | None,
        Parameter(
            help="With --to arpa: leave out n-grams that raise the perplexity by less than this "
            "share, such as 1e-8."
        ),
    ] = None,
    report: Report = True,
    json: Json = False,
) -> None:
    """Mix runs, and print the evaluation on dev and the weights of the members."""
    from thence.ensembles.mix import weights_of
    from thence.ensembles.recipe import train_mixture

    of_arpa = {"dev": dev, "lambdas": lambdas, "prune_entropy": prune_entropy}
    if to is not None or ".arpa" in Path(given.output or "").suffixes:
        _print_static_mixture(given, config, of_arpa, json)
        return
    for name, value in of_arpa.items():
        if value is not None:
            raise SettingError(f"`{name}` is for mixing into one model, with `to` arpa.")
    if config is None:
        run = call()
    elif given.runs:
        raise SettingError(f"--config {config} names the runs to mix itself; give none besides.")
    else:
        run = train_mixture(config, given.output, progress_for(json))
    members = weights_of(run)
    print_trained_run(
        run, report, json, {"members": [{"name": n, "weight": weight} for n, weight in members]}
    )
    for name, weight in members:
        print_note(f"weight {weight:.3f}  {name}")


def _print_static_mixture(
    given: SimpleNamespace, config: Path | None, options: dict[str, Any], as_json: bool
) -> None:
    from thence.ensembles.static import mix_ngrams

    others = {"config": config, "cache": given.cache, "neural_cache": given.neural_cache}
    others |= {"dynamic": given.dynamic or None, "weights": given.weights}
    for name, value in others.items():
        if value is not None:
            raise SettingError(
                f"`{name}` does not go with `to` arpa, which mixes n-gram models alone."
            )
    if not as_json and is_at_terminal():
        print_note(f"Reading {len(given.runs)} models ...")
    print_result(mix_ngrams(given.runs, given.output, **options), as_json)


def print_best(
    call: Callable[..., "Best"],
    given: SimpleNamespace,
    *,
    report: Annotated[
        bool, Parameter(help="Write best.html, within the time where it is 2 seconds or more.")
    ] = True,
    json: Json = False,
) -> None:
    """Find the best model, and print what was tried and its evaluation on dev."""
    from thence.autopilot.budget import process_began

    done = call(
        progress=progress_for(json),
        watch=None if json else _note_candidate,
        began=process_began(),  # The start of Python counts as well.
        page=_write_best_page if report else None,
    )
    if json:
        print_json(done.to_json())
    else:
        _print_best(done)


def _write_best_page(done: "Best", samples: Sequence[str]) -> Path:
    from thence.reports.best import write_page

    return write_page(done, samples)


def _note_candidate(one: "Tried") -> None:
    from thence.autopilot.result import loss_text

    so_far = loss_text(one.so_far, one.accuracy_so_far)
    loss = loss_text(one.nats, one.accuracy)
    print_note(f"{one.ended:7.1f} s  {one.name}: dev {loss}, combined so far {so_far}")


def _print_best(done: "Best") -> None:
    from thence.autopilot.result import COLUMNS, PAGE, about_rows, tried_rows

    print_table(COLUMNS, tried_rows(done))
    print_pairs([("run", str(done.folder)), *about_rows(done)])
    page = done.folder / PAGE
    if page.exists():
        print_text(f"\nWhat was tried, in figures: {page}")
    folder = quote(str(done.folder))
    use = f"classify {folder} -" if done.unit == "document" else f"sample {folder}"
    print_note(f"Next: thence {use}{_judge_by_test(done.run)}   thence report {folder}")


def print_trained_run(
    run: Run, report: bool, as_json: bool, more: Mapping[str, Any] | None = None
) -> None:
    """Print the evaluation of a run on dev and write its report, in the first process only."""
    from thence.evaluation.evaluate import evaluate
    from thence.evaluation.labels import truncation_rows
    from thence.evaluation.verdict import verdict
    from thence.models.memory_guard import within_memory

    if not is_first_process():
        return
    # A bound on the memory for counting also holds for the evaluation.
    memory = run.recipe.options.memory_bytes if run.recipe.model == "ngram" else None
    with within_memory(memory):
        judged = evaluate(run, "dev") if len(run.documents("dev")) else None
        found = verdict(run)
        path = _write_report(run) if report else None
    if as_json:
        print_json(
            {
                "run": str(run.folder),
                "model": run.recipe.model,
                "parameters": run.num_parameters,
                "dev": judged and judged.to_json(),
                "verdict": found and found.to_json(),
                "report": path and str(path),
                **(more or {}),
            }
        )
        return
    size = f"{run.recipe.model}, {run.num_parameters:,} parameters"
    vectors = run.provenance.get("vectors")
    about = [("run", str(run.folder)), ("model", size)]
    about += [("pretrained vectors", vectors)] if vectors else []
    about += parent_row(run)
    about += truncation_rows(run)
    print_pairs([*about, *(judged.rows() if judged else [])])
    if path:
        print_text(f"\nFigures and all numbers: {path}")
    if found is not None:
        print_prose(str(found))
    folder = quote(str(run.folder))
    use = f"classify {folder} -" if isinstance(run, ClassifierRun) else f"sample {folder}"
    print_note(f"Next: thence {use}{_judge_by_test(run)}")


def _judge_by_test(run: Run) -> str:
    """Return the command that evaluates a run on test, or nothing without a test split."""
    folder = quote(str(run.folder))
    return f"   thence evaluate {folder} --split test" if len(run.documents("test")) else ""


def _write_report(run: Run) -> Path:
    from thence.reports import report

    return report(run)


def progress_for(as_json: bool) -> ProgressFactory:
    """Return the progress callback: a bar at a terminal, lines for a file, none for JSON."""
    if as_json or not is_first_process():
        return silent_progress
    return bar_progress if is_at_terminal() else line_progress
