"""Training: the recipe, the loop, checkpoints, and the run folder that comes out."""

from thence.training.recipe import Recipe, make_recipe, read_recipe
from thence.training.run import Run
from thence.training.train import resume, sweep_learning_rate, train, train_recipe

__all__ = [
    "Recipe",
    "Run",
    "make_recipe",
    "read_recipe",
    "resume",
    "sweep_learning_rate",
    "train",
    "train_recipe",
]
