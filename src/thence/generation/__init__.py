"""Generation: the next token, texts drawn or completed, and blanks filled in."""

from thence.generation.completion import (
    Completion,
    Completions,
    NextTokens,
    complete,
    next_tokens,
)
from thence.generation.infill import Filling, Fillings, fill, split_blanks
from thence.generation.sampling import Samples, sample, unknown_symbols
from thence.generation.sampling_filters import DecodingOptions

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
