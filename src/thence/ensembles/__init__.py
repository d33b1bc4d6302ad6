"""Ensembles: several runs as one, with weights that are learned on dev."""

from thence.ensembles.mix import mix

__all__ = ["mix"]
