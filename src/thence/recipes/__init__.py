"""Recipes: all settings of a training, from TOML, flags or a program, checked in one place."""

from thence.recipes.recipe import Recipe, make_recipe, read_recipe

__all__ = ["Recipe", "make_recipe", "read_recipe"]
