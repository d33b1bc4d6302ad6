"""The run folder that a search ends in, whole or not at all, with what was tried beside it."""

from dataclasses import replace
from pathlib import Path

from thence.atomic import NewFolder
from thence.autopilot.parts import Blend
from thence.autopilot.result import Best
from thence.autopilot.search import Road, Search
from thence.runs.run import create_run, text_hashes
from thence.runs.sources import Sources
from thence.training.distributed_setup import resolved_paths
from thence.training.train import data_provenance, fitted_metrics, save_fitted


def written(
    search: Search,
    road: Road,
    made: Blend,
    new: NewFolder,
    sources: Sources,
) -> Best:
    """Write the run of what came out.

    Args:
        search: Where it came out.
        road: That was gone.
        made: What came out.
        new: The run folder to make.
        sources: What was read in place of texts that cannot be read again, to be kept.
    """
    made = made if made.options is not None else road.single(made)
    first, base = made.parts[0], search.recipe
    carries = any(part.carry_context for part in made.parts)
    recipe = replace(
        resolved_paths(base, sources.instead),
        model=first.family if made.options is None else road.mixed,
        options=road.options(first) if made.options is None else made.options,
        training=replace(base.training, carry_context=carries),
    )
    more = data_provenance(base, search.prepared)
    hashes, losses = text_hashes(search.prepared.splits), road.losses(made)
    tokens = search.prepared.train.num_targets
    line = fitted_metrics(tokens, losses, search.budget.began)
    weights = {part.name: w for part, w in zip(made.parts, made.weights, strict=True)}
    result = Best(
        folder=new.target,
        unit="token" if made.accuracy is None else "document",
        text=road.described(),
        limit=None if search.budget.counts_steps else search.budget.seconds,
        steps=search.budget.steps,
        seconds=search.budget.spent(),
        interrupted=search.wish.is_set(),
        nats=made.nats,
        accuracy=made.accuracy,
        failed=tuple(search.failed),
        tried=[replace(one, weight=weights.get(one.name)) for one in search.tried],
    )

    def write(folder: Path) -> None:
        tokenizer = search.prepared.tokenizer
        run = create_run(folder, recipe, tokenizer, hashes, sources, more)
        save_fitted(run, made.model.tensors(), line, **losses)
        replace(result, folder=folder).save()

    new.fill(write)
    return result
