"""Filtering: keeping the documents of large files by their perplexity under a language model.

>>> import thence
>>> callable(thence.filter_texts)
True
"""

from thence.filtering.filter import filter_texts
from thence.filtering.result import Filtered

__all__ = ["Filtered", "filter_texts"]
