"""Training: from a recipe to a run."""

from thence.training.train import find_learning_rate, resume, train, train_recipe

__all__ = ["find_learning_rate", "resume", "train", "train_recipe"]
