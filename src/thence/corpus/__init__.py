"""Corpus: files, folders, tables and named sets to documents; documents to train, dev and test.

>>> from thence.corpus import Documents, SplitOptions, split_documents
>>> names = Documents.from_strings(["emma", "olivia", "ava", "isabella", "sophia"])
>>> splits = split_documents(names, SplitOptions(split="60/20/20", by="position"))
>>> list(splits.train), list(splits.dev), list(splits.test)
(['emma', 'olivia', 'ava'], ['isabella'], ['sophia'])
"""

from thence.corpus.bundled import BUNDLED, read_bundled
from thence.corpus.catalogue import CATALOGUE, named_texts
from thence.corpus.documents import Documents, LabelledDocuments, LabelOptions, Labels, as_labelled
from thence.corpus.download import get
from thence.corpus.labelled import read_labelled
from thence.corpus.loading import Replacements, load, load_labelled, load_splits, read_held_out
from thence.corpus.memory import Source, Texts, documents_of, read_memory, write_texts
from thence.corpus.opening import cache_folder
from thence.corpus.pairs import MinimalPair, read_pairs
from thence.corpus.reading import ReadingOptions, read_documents
from thence.corpus.splits import (
    LabelledSplits,
    SplitOptions,
    Splits,
    count_shared,
    seen_in,
    split_documents,
)

__all__ = [
    "BUNDLED",
    "CATALOGUE",
    "Documents",
    "LabelOptions",
    "LabelledDocuments",
    "LabelledSplits",
    "Labels",
    "MinimalPair",
    "ReadingOptions",
    "Replacements",
    "Source",
    "SplitOptions",
    "Splits",
    "Texts",
    "as_labelled",
    "cache_folder",
    "count_shared",
    "documents_of",
    "get",
    "load",
    "load_labelled",
    "load_splits",
    "named_texts",
    "read_bundled",
    "read_documents",
    "read_held_out",
    "read_labelled",
    "read_memory",
    "read_pairs",
    "seen_in",
    "split_documents",
    "write_texts",
]
