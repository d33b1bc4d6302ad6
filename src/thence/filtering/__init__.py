"""Filtering: which documents of large files a language model finds usual, kept as they are.

>>> import thence
>>> callable(thence.filter_texts)
True
"""

from thence.filtering.filter import filter_texts
from thence.filtering.result import Filtered

__all__ = ["Filtered", "filter_texts"]
