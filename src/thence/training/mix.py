"""Mixing runs: their models side by side, with weights learned on their dev split."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from thence.errors import RunError, SettingError, TextError
from thence.models.mixture import Member, Mixture, MixtureOptions, Weights
from thence.tokens import TokenStore
from thence.training.metrics import MetricsFile
from thence.training.provenance import CLUSTER
from thence.training.recipe import Recipe
from thence.training.run import Run, create_run, refuse_existing
from thence.training.setting_types import check_type
from thence.training.weights_file import save_model

if TYPE_CHECKING:
    from thence.models.neural import NeuralLanguageModel


def mix(
    runs: Sequence[Run | str | Path],
    output: str | Path,
    *,
    cache: int | None = None,
    neural_cache: int | None = None,
    dynamic: bool = False,
    weights: Weights = "gated",
) -> Run:
    """Mix runs into one, which evaluates, samples and compares like any other.

    Args:
        runs: Two or more runs of the same text, split and tokens, or one and a cache or so.
        output: The run folder to make; the members' models are copied into it.
        cache: Also mix in caches of the last so many symbols, and of what followed them; for
            running text.
        neural_cache: Also mix in a cache of the last so many hidden states of the first run of a
            recurrent network; its theta is chosen on dev.
        dynamic: Let recurrent networks go on learning from running text that is judged, after each
            window of it; the rate is chosen on dev.
        weights: What the weights of the members depend on: how well each context is known and the
            place in its document (``gated``), its kind (``buckets``), or nothing (``single``).

    Raises:
        RunError: If the runs do not fit together.
        TextError: If there is no dev split to learn the weights on.
    """
    folder = Path(output)
    refuse_existing(folder)
    check_mixing(cache, neural_cache, weights)
    opened = [run if isinstance(run, Run) else Run(run) for run in runs]
    _check_runs(opened, alone=cache is None and neural_cache is None and not dynamic)
    started = time.monotonic()
    first = opened[0]
    dev = first.store("dev")
    if dev.num_documents == 0:
        raise TextError("The weights of a mixture are learned on the dev split, which is empty.")
    members = [_member_of(run) for run in opened]
    if dynamic or neural_cache is not None:
        members = _adapt(members, _running_networks(opened), dev, neural_cache, dynamic)
    if cache is not None:
        members += [
            Member("cache", {"length": cache, "order": order}, carry_context=True)
            for order in (1, 2)
        ]
    recipe = _recipe(first.recipe, MixtureOptions(tuple(members), weights))
    model = Mixture(recipe.options, len(first.tokenizer.vocabulary))
    for part, run in zip(model.models, opened, strict=False):
        part.load_tensors(run.model.tensors())
    model.learn_weights(dev, recipe.training.carry_context)
    dev_loss = -float(np.mean(model.score(dev, recipe.training.carry_context)))
    counted = {} if first.counted is None else {CLUSTER: first.counted}
    made = create_run(folder, recipe, first.tokenizer, first.provenance["sha256"], more=counted)
    about = {"run": made.identity, "step": 0, "dev_nats_per_token": dev_loss}
    save_model(folder / "model.safetensors", model.tensors(), about)
    seconds = round(time.monotonic() - started, 3)
    line = {"step": 0, "seconds": seconds, "tokens": dev.num_targets}
    MetricsFile(folder / "metrics.jsonl").append(line | {"dev_nats_per_token": dev_loss})
    return made


def check_mixing(
    cache: int | None = None,
    neural_cache: int | None = None,
    weights: Weights = "gated",
    dynamic: bool = False,
) -> None:
    """Refuse settings of ``mix`` that cannot be, before anything is trained or read.

    Raises:
        SettingError: If a length is below 1, or a value is of another type or unknown.
    """
    for name, value in (("cache", cache), ("neural_cache", neural_cache)):
        check_type(name, value, int | None)
        if value is not None and value < 1:
            flag = name.replace("_", "-")
            raise SettingError(f"--{flag} is {value}; it must be at least 1.")
    check_type("dynamic", dynamic, bool)
    MixtureOptions(weights=weights)


def weights_of(run: Run) -> list[tuple[str, float]]:
    """Return each member of a mixture with its mean weight over the targets of dev."""
    model = cast(Mixture, run.model)
    names = [member.name for member in model.options.members]
    means = model.mean_weights(run.store("dev"), run.recipe.training.carry_context)
    return list(zip(names, means.tolist(), strict=True))


def _check_runs(runs: list[Run], alone: bool) -> None:
    if len(runs) < 1 + alone:
        raise RunError(
            "A mixture needs at least two runs, or one run and --cache, --neural-cache or "
            "--dynamic."
        )
    for run in runs:
        if run.is_classifier:
            raise RunError(
                f"The run {run.folder} is a classifier ({run.recipe.model}); only language models "
                "can be mixed."
            )
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


def _member_of(run: Run) -> Member:
    options = asdict(run.recipe.options)
    given = {name: value for name, value in options.items() if value is not None}
    return Member(run.recipe.model, given, run.recipe.training.carry_context)


def _running_networks(runs: list[Run]) -> dict[int, "NeuralLanguageModel"]:
    """Return by their number the runs' networks that read running text as a sequence.

    Raises:
        RunError: If there is none.
    """
    from thence.models.neural import NeuralLanguageModel

    models = dict(enumerate(run.model for run in runs))
    sequences = {
        number: model
        for number, model in models.items()
        if isinstance(model, NeuralLanguageModel) and model.network.context_length is None
    }
    if not sequences:
        raise RunError(
            "--neural-cache and --dynamic need a network that reads sequences (rnn, lstm or gru), "
            "and none of the runs is one."
        )
    running = {n: m for n, m in sequences.items() if runs[n].recipe.training.carry_context}
    if not running:
        raise RunError(
            f"--neural-cache and --dynamic are for running text, but {runs[min(sequences)].folder} "
            "read each document by itself; train it with --carry-context."
        )
    return running


def _adapt(
    members: list[Member],
    networks: dict[int, "NeuralLanguageModel"],
    dev: TokenStore,
    neural_cache: int | None,
    dynamic: bool,
) -> list[Member]:
    """Return the members with networks that go on learning, and with a neural cache of the first.

    Args:
        members: Those of the runs.
        networks: The models among them that read running text, by number.
        dev: Chooses the rates and theta.
        neural_cache: Places that the cache remembers; None: no cache.
        dynamic: Whether the networks go on learning.
    """
    from thence.models.dynamic import choose_rate
    from thence.models.neural_cache import NeuralCacheOptions, choose_theta

    members = list(members)
    if dynamic:
        for number, model in networks.items():
            members[number] = replace(members[number], dynamic=choose_rate(model, dev))
    if neural_cache is not None:
        number, model = next(iter(networks.items()))
        options = NeuralCacheOptions(neural_cache, 0.0, number)  # Refuses a bad length.
        options = replace(options, theta=choose_theta(model, dev, neural_cache))
        members.append(Member("neural-cache", asdict(options), carry_context=True))
    return members


def _recipe(first: Recipe, options: MixtureOptions) -> Recipe:
    carries = any(member.carry_context for member in options.members)
    training = replace(first.training, carry_context=carries)
    return replace(first, model="mixture", options=options, training=training)
