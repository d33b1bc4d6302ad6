"""Ensembles: several runs combined into one, with weights learned on dev."""

from thence.ensembles.mix import mix

__all__ = ["mix"]
