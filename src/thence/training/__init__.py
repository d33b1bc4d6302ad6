"""Training: from a recipe to a run."""

from thence.training.train import (
    default_model,
    find_learning_rate,
    recipe_from,
    resume,
    train,
    train_recipe,
)

__all__ = [
    "default_model",
    "find_learning_rate",
    "recipe_from",
    "resume",
    "train",
    "train_recipe",
]
