"""N-gram models: counting, smoothing, asking, reading and writing ARPA files."""

from thence.models.ngram.model import NGram, NGramOptions

__all__ = ["NGram", "NGramOptions"]
