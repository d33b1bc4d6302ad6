"""N-gram models: counting, smoothing, pruning, quantisation and queries."""

from thence.models.ngram.model import NGram, NGramOptions

__all__ = ["NGram", "NGramOptions"]
