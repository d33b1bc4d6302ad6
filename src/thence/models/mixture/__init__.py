"""Mixtures: several models' probabilities, averaged with weights that were learned on dev."""

from thence.models.mixture.model import Mixture
from thence.models.mixture.options import Member, MixtureOptions, Weights


def create(options: MixtureOptions, vocabulary_size: int) -> Mixture:
    """Make the model, its members untrained."""
    return Mixture(options, vocabulary_size)


__all__ = ["Member", "Mixture", "MixtureOptions", "Weights", "create"]
