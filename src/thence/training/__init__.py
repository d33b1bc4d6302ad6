"""Training: from a recipe to a run."""

from thence.training.train import resume, sweep_learning_rate, train, train_recipe

__all__ = ["resume", "sweep_learning_rate", "train", "train_recipe"]
