"""N-gram models: counting, smoothing, asking, reading and writing ARPA files."""

from thence.models.ngram.model import NGram
from thence.models.ngram.options import NGramOptions


def create(options: NGramOptions, vocabulary_size: int) -> NGram:
    """Make the model, nothing counted yet."""
    return NGram(options, vocabulary_size)


__all__ = ["NGram", "NGramOptions", "create"]
