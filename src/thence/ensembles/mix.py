"""Mixing runs: one run of several models, with weights learned on their dev split."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from thence.atomic import NewFolder, new_folder
from thence.ensembles.members import MixOptions, average_classifiers, mix_language_models
from thence.errors import RunError, SettingError, TextError
from thence.models.language.members import Weights
from thence.models.language.mixture import Mixture
from thence.models.registry import get_family, is_classifier
from thence.runs import ClassifierRun, open_run
from thence.runs.create import create_run, inherited_looks
from thence.runs.looks_at_test import TEST, Fingerprint
from thence.runs.provenance import CLUSTER
from thence.runs.run import Run
from thence.training.fitting import FittedModel, fitted_metrics, save_fitted

if TYPE_CHECKING:
    from thence.models.labels.ensemble import Ensemble

N_GRAMS = "N-gram models of any texts become one file: thence mix --to arpa (thence.mix_ngrams)."
"""Hint of errors about n-gram runs that only ``mix_ngrams`` can mix."""


def mix(
    runs: Sequence[Run | str | Path],
    output: str | Path,
    *,
    cache: int | None = None,
    neural_cache: int | None = None,
    dynamic: bool = False,
    weights: Weights | None = None,
) -> Run:
    """Mix runs into one run, which evaluates, samples or classifies like any other.

    All runs are language models, or all are classifiers, to which no setting applies.

    Args:
        runs: Two or more runs of the same text, split, labels and tokens; or one language model
            and a cache or dynamic evaluation.
        output: The run folder to make; the members' models are copied into it.
        cache: Also mix in caches of this many last symbols, and of what followed them; for
            running text.
        neural_cache: Also mix in a cache of this many last hidden states of the first recurrent
            network; its theta is chosen on dev.
        dynamic: Dynamic evaluation: recurrent networks learn from running text that they are
            evaluated on, after each window; the rate is chosen on dev.
        weights: What the weights of the members depend on: how well each context is known and the
            place in its document (``gated``, the default), its kind (``buckets``), or nothing
            (``single``).

    Raises:
        SettingError: If a setting is invalid, or given for classifiers.
        RunError: If the runs do not fit together.
        TextError: If there is no dev split to learn the weights on.
    """
    options = MixOptions(cache, neural_cache, dynamic, weights)
    with new_folder(Path(output)) as new:
        return mix_into(new, runs, options)


def mix_into(new: NewFolder, runs: Sequence[Run | str | Path], options: MixOptions) -> Run:
    """Mix runs as ``mix`` does, into a folder that is reserved already."""
    opened = [open_run(run) for run in runs]
    classifiers = [run for run in opened if isinstance(run, ClassifierRun)]
    check_models([run.recipe.model for run in opened], options)
    _check_runs(opened)
    started = time.monotonic()
    first = opened[0]
    if len(first.documents("dev")) == 0:
        raise TextError("The weights of a mixture are learned on the dev split, which is empty.")
    more: dict[str, Any] = {}
    if classifiers:
        recipe, tensors, metrics = average_classifiers(classifiers)
        more = {
            "labels": list(classifiers[0].label_names),
            "multilabel": classifiers[0].classes.multilabel,
        }
    else:
        recipe, tensors, metrics = mix_language_models(opened, options)
        more = {} if first.cluster_counts is None else {CLUSTER: first.cluster_counts}
    test = first.documents("test")
    more[TEST], looks = asdict(Fingerprint.of(test)), inherited_looks(opened, test)
    hashes = first.provenance["sha256"]
    line = fitted_metrics(first.store("dev").num_targets, metrics, started)

    def write(folder: Path) -> None:
        run = create_run(folder, recipe, first.tokenizer, hashes, first.sources, more, looks)
        save_fitted(run, FittedModel(tensors, line), **metrics)

    new.fill(write)
    return Run(new.target)


def check_models(models: Sequence[str], options: MixOptions) -> None:
    """Check by their names that models can be mixed with these settings, before any is trained.

    Raises:
        RunError: If they cannot be mixed with each other.
        SettingError: If a setting is given for classifiers.
    """
    if any(get_family(model).method == "combine" for model in models):
        raise RunError("A mixture cannot be mixed again; mix the runs it was made of.")
    classifiers = [model for model in models if is_classifier(model)]
    if 0 < len(classifiers) < len(models):
        other = next(model for model in models if not is_classifier(model))
        raise RunError(
            f"A classifier ({classifiers[0]}) and a language model ({other}) cannot be mixed: one "
            "knows labels, the other what comes next. Mix runs of one kind."
        )
    given = [name for name, value in asdict(options).items() if value not in (None, False)]
    if classifiers and given:
        raise SettingError(
            f"`{given[0]}` is for language models, but {classifiers[0]} is a "
            "classifier, which reads each document by itself. Leave it out."
        )
    if len(models) > 1 or (models and set(given) - {"weights"}):
        return
    alone = "" if classifiers else ", or one run and `cache`, `neural_cache` or `dynamic`"
    raise RunError(f"A mixture needs at least two runs{alone}.")


def weights_of(run: Run) -> list[tuple[str, float]]:
    """Return the name and weight of each member; of language models the mean weight on dev."""
    if isinstance(run, ClassifierRun):
        ensemble = cast("Ensemble", run.classifier)
        return list(zip(ensemble.options.names, ensemble.weights.tolist(), strict=True))
    model = cast(Mixture, run.model)
    names = [member.name for member in model.options.members]
    means = model.mean_weights(run.store("dev"), run.recipe.training.carry_context)
    return list(zip(names, means.tolist(), strict=True))


def _check_runs(runs: Sequence[Run]) -> None:
    """Raise RunError if runs have different texts or tokens; TextError if a text has changed."""
    labels = ", labels" if isinstance(runs[0], ClassifierRun) else ""
    of_ngrams = all(run.recipe.model == "ngram" for run in runs)
    instead = f" {N_GRAMS}" if of_ngrams else ""
    for run in runs:
        try:
            run.check_text()
        except TextError as error:
            raise TextError(f"{error}{instead}") from error
    for run in runs[1:]:
        if run.provenance["sha256"] != runs[0].provenance["sha256"]:
            raise RunError(
                f"{run.folder} and {runs[0].folder} were trained on different texts{labels} or "
                f"splits; a mixture needs runs of the same text{labels}, `split` and `split_seed`."
                f"{instead}"
            )
        if not run.tokenizer.same_tokens(runs[0].tokenizer):
            raise RunError(
                f"{run.folder} and {runs[0].folder} cut the text into different tokens; train them "
                "with the same settings of `tokens`, `unknown` and the others."
            )
