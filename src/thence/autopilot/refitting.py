"""Fitting the counted models of a result again, to the text that they were fitted to and dev.

Their weights in the mixture were learned while dev was new to them. A tenth more text makes them
better, and on text that neither split has the weights still fit.
"""

from collections.abc import Sequence
from dataclasses import replace

from thence.autopilot.candidates import TrainedCandidate
from thence.models.registry import families, get_family
from thence.training.data import TrainingData


def is_refitted(one: TrainedCandidate) -> bool:
    """Return whether a model is counted, and learns nothing from the text that it scores."""
    family = families("language").get(one.family)  # None for a neural cache.
    return family is not None and family.method == "fit" and not family.adapts


def fitted_again(
    members: Sequence[TrainedCandidate], data: TrainingData, carry_context: bool
) -> list[TrainedCandidate]:
    """Return counted models of one family, fitted to the text they were fitted to and dev.

    Args:
        members: The models; at least one.
        data: The tokenised text, with all of dev.
        carry_context: Whether earlier documents are context.
    """
    family, size = get_family(members[0].family), len(data.tokenizer.vocabulary)
    text = data.train.joined(data.dev)
    part = members[0].training.get("train_tokens")
    if part is not None:
        text = text.ending(part + data.dev.num_targets)
    models = [family.language_model(one.options, size) for one in members]
    fitted = family.fit_all(models, text, carry_context)
    return [replace(one, model=model) for one, model in zip(members, fitted, strict=True)]
