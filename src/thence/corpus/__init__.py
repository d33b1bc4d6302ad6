"""Corpus: files, folders, tables and named sets to documents; documents to train, dev and test."""

from thence.corpus.documents import Documents
from thence.corpus.folders import cache_folder
from thence.corpus.reading import ReadingOptions, read_documents
from thence.corpus.splits import SplitOptions, Splits, count_shared, seen_in, split_documents

__all__ = [
    "Documents",
    "ReadingOptions",
    "SplitOptions",
    "Splits",
    "cache_folder",
    "count_shared",
    "load",
    "load_splits",
    "read_documents",
    "seen_in",
    "split_documents",
]
from pathlib import Path
def load(source: str | Path, options: ReadingOptions = ReadingOptions()) -> Documents:
    return read_documents(source, options)
def load_splits(source: str | Path, reading: ReadingOptions = ReadingOptions(), splitting: SplitOptions = SplitOptions()) -> Splits:
    return split_documents(load(source, reading), splitting, lambda path: read_documents(path, reading))
