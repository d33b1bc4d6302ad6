"""Generation: what comes next, texts drawn or completed, and blanks filled in."""

from thence.generation.completion import Completion, Completions, complete
from thence.generation.filling import Filling, Fillings, fill, split_blanks
from thence.generation.filters import DecodingOptions
from thence.generation.next_tokens import NextTokens, next_tokens
from thence.generation.sampling import Samples, sample, unknown_symbols

__all__ = [
    "Completion",
    "Completions",
    "DecodingOptions",
    "Filling",
    "Fillings",
    "NextTokens",
    "Samples",
    "complete",
    "fill",
    "next_tokens",
    "sample",
    "split_blanks",
    "unknown_symbols",
]
