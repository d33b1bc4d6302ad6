"""Mixing runs: their models side by side, with weights learned on their dev split."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np

from thence.errors import RunError, TextError
from thence.models.mixture import Member, Mixture, MixtureOptions
from thence.training.metrics import MetricsFile
from thence.training.recipe import Recipe
from thence.training.run import Run, create_run, refuse_existing, save_model


def mix(
    runs: Sequence[Run | str | Path],
    output: str | Path,
    *,
    cache: int | None = None,
    buckets: bool = True,
) -> Run:
    """Mix runs into one, which evaluates, samples and compares like any other.

    Args:
        runs: Two or more runs, or one and a cache, of the same text, split and tokens.
        output: The run folder to make; the members' models are copied into it.
        cache: Also mix in caches of the last so many symbols, and of what followed them; for
            running text.
        buckets: Learn weights for each kind of context, where a member is an n-gram model.

    Raises:
        RunError: If the runs do not fit together.
        TextError: If there is no dev split to learn the weights on.
    """
    folder = Path(output)
    refuse_existing(folder)
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    _check_runs(opened, cache)
    started = time.monotonic()
    recipe = _recipe(opened, cache, buckets)
    first = opened[0]
    dev = first.store("dev")
    if dev.num_documents == 0:
        raise TextError("The weights of a mixture are learned on the dev split, which is empty.")
    model = Mixture(recipe.options, len(first.tokenizer.vocabulary))
    for part, run in zip(model.models, opened, strict=False):
        part.load_tensors(run.model.tensors())
    model.learn_weights(dev, recipe.training.carry_context)
    dev_loss = -float(np.mean(model.score(dev, recipe.training.carry_context)))
    made = create_run(folder, recipe, first.tokenizer, first.provenance["sha256"])
    about = {"run": made.identity, "step": 0, "dev_nats_per_token": dev_loss}
    save_model(folder / "model.safetensors", model, about)
    seconds = round(time.monotonic() - started, 3)
    line = {"step": 0, "seconds": seconds, "tokens": dev.num_targets}
    MetricsFile(folder / "metrics.jsonl").append(line | {"dev_nats_per_token": dev_loss})
    return made


def weights_of(run: Run) -> list[tuple[str, float]]:
    """Return each member of a mixture with its mean weight over the kinds of context."""
    model = cast(Mixture, run.model)
    names = [f"{member.model} {_settings(member)}".strip() for member in model.options.members]
    return list(zip(names, model.weights.mean(axis=0).tolist(), strict=True))


def _settings(member: Member) -> str:
    chosen = {key: member.options[key] for key in ("order", "length") if key in member.options}
    return " ".join(f"{key} {value}" for key, value in chosen.items())


def _check_runs(runs: list[Run], cache: int | None) -> None:
    if len(runs) + (cache is not None) < 2:
        raise RunError("A mixture needs at least two runs, or one run and --cache.")
    if any(run.recipe.model == "mixture" for run in runs):
        raise RunError("A mixture cannot be mixed again; mix the runs it was made of.")
    for run in runs:
        run.check_text()
    for run in runs[1:]:
        if run.provenance["sha256"] != runs[0].provenance["sha256"]:
            raise RunError(
                f"{run.folder} and {runs[0].folder} were trained on different texts or splits; a "
                "mixture needs runs of the same text, --split and --split-seed."
            )
        if run.tokenizer.to_json() != runs[0].tokenizer.to_json():
            raise RunError(
                f"{run.folder} and {runs[0].folder} cut the text into different tokens; train them "
                "with the same settings of --tokens, --unknown and the others."
            )


def _recipe(runs: list[Run], cache: int | None, buckets: bool) -> Recipe:
    members = []
    for run in runs:
        options = asdict(run.recipe.options)
        given = {name: value for name, value in options.items() if value is not None}
        members.append(Member(run.recipe.model, given, run.recipe.training.carry_context))
    if cache is not None:
        members += [
            Member("cache", {"length": cache, "order": order}, carry_context=True)
            for order in (1, 2)
        ]
    first = runs[0].recipe
    carries = any(member.carry_context for member in members)
    return replace(
        first,
        model="mixture",
        options=MixtureOptions(tuple(members), buckets),
        training=replace(first.training, carry_context=carries),
    )
