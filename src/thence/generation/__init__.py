"""Generation: what comes next, and whole texts drawn from a model."""

from thence.generation.filters import DecodingOptions
from thence.generation.next_tokens import NextTokens, next_tokens
from thence.generation.sampling import Samples, sample, unknown_symbols

__all__ = ["DecodingOptions", "NextTokens", "Samples", "next_tokens", "sample", "unknown_symbols"]
