"""Loading any source (path, name, texts in memory) as documents or splits, with labels or not."""

import warnings
from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from thence.corpus.bundled import BUNDLED, read_bundled
from thence.corpus.catalogue import CATALOGUE
from thence.corpus.documents import Documents, LabelledDocuments, LabelOptions, as_labelled
from thence.corpus.download import get
from thence.corpus.labelled import DEFAULT_LABEL, read_labelled
from thence.corpus.memory import Source, is_path_or_name, read_memory
from thence.corpus.opening import LOOKED_AT, unpacked_start
from thence.corpus.reading import (
    ReadingOptions,
    inner_suffix,
    read_documents,
)
from thence.corpus.splits import LabelledSplits, SplitOptions, Splits, split_documents
from thence.corpus.tables import HUGGING_FACE, LINE_TABLES, columns_at_first_sight
from thence.errors import SettingError, TextError, ThenceWarning, nearest

Replacements: TypeAlias = Mapping[str, Path | Documents]
"""Files or documents that replace sources, by the name of the source."""
EMPTY: Replacements = MappingProxyType({})
"""An empty mapping, as the default of arguments."""


def load(
    source: Source,
    options: ReadingOptions = ReadingOptions(),
) -> Documents:
    """Read a source: a path, ``-``, ``hf:NAME``, a bundled text, a set of the catalogue, or texts.

    Texts in memory are read by the rules of ``memory.py``. Of a set with its own splits the train
    split is read; a set that is not on this machine yet is downloaded.

    Raises:
        TextError: There is no such file or name, or it has no text.
        SettingError: An option does not fit the source.
        DownloadError: A set could not be downloaded.
    """
    if not isinstance(source, str | Path):
        return read_memory(source, options)
    if is_one_of(source, BUNDLED):
        return read_bundled(str(source), options)
    return read_documents(locate(source), options)


def load_labelled(
    source: Source,
    reading: ReadingOptions = ReadingOptions(),
    labelling: LabelOptions = LabelOptions(),
) -> LabelledDocuments:
    """Read a source as ``load`` does, with its labels.

    In memory only ``LabelledDocuments`` have labels.

    Raises:
        TextError: There is no such file or name, it has no text, or lacks labels.
        SettingError: An option does not fit the source.
        DownloadError: A set could not be downloaded.
    """
    if isinstance(source, LabelledDocuments):
        return source
    if not isinstance(source, str | Path):
        raise SettingError(
            "Texts in memory come without labels here. Train and evaluate a classifier on lists of "
            "texts and labels with thence.TextClassifier, or write both to a table (.csv, .jsonl)."
        )
    if is_one_of(source, BUNDLED):
        return as_labelled(read_bundled(str(source), reading, labelling))
    return read_labelled(locate(source), reading, labelling)


def load_splits(
    source: str | Path,
    reading: ReadingOptions = ReadingOptions(),
    splitting: SplitOptions = SplitOptions(),
    labelling: LabelOptions | None = None,
    replacements: Replacements = EMPTY,
) -> Splits:
    """Read a source and split it into train, dev and test.

    A set of the catalogue may have its own dev and test; ``splitting.dev`` and ``splitting.test``
    override them. If it has a test but no dev, dev is split off from train. With ``labelling``,
    documents have labels: those of train, sorted, have the first ids in all three splits, and
    labels that only dev or test have come after them.

    Args:
        source: A path or a name.
        reading: How the text is read.
        splitting: How it is split, or the files of dev and test.
        labelling: Where the labels are.
        replacements: What replaces the source, or dev or test, if these cannot be read by name: a
            copy of a pipe's text, or documents in memory.

    Raises:
        TextError: There is no such file or name, it has no text, or too little to split.
        SettingError: An option does not fit the source.
        DownloadError: A set could not be downloaded.
    """
    there: Path | Documents | str = replacements.get(str(source), source)
    if is_one_of(there, CATALOGUE):
        own = text_files_of(str(source))
        splitting = replace(
            splitting, dev=splitting.dev or own.get("dev"), test=splitting.test or own.get("test")
        )
    if labelling is not None:
        documents: Documents = load_labelled(there, reading, labelling)
    else:
        documents = there if isinstance(there, Documents) else load(there, reading)
    splits = split_documents(
        documents, splitting, lambda path: read_held_out(path, reading, replacements, labelling)
    )
    return splits if labelling is None else with_ids_of_train(splits)


def read_held_out(
    path: str,
    reading: ReadingOptions,
    replacements: Replacements = EMPTY,
    labelling: LabelOptions | None = None,
) -> Documents:
    """Read the dev or test documents of a path, or their replacement in ``replacements``."""
    there = replacements.get(path, path)
    if isinstance(there, Documents):
        return there if labelling is None else load_labelled(there)
    if labelling is None:
        return read_documents(there, reading)
    return read_labelled(there, reading, labelling)


def with_ids_of_train(splits: Splits) -> LabelledSplits:
    """Return splits with the label ids of train; all are multilabel if one of them is."""
    parts = [splits.train, splits.dev, splits.test]
    labelled = [part for part in parts if isinstance(part, LabelledDocuments)]
    multilabel = any(part.labels.multilabel for part in labelled)
    names = labelled[0].named(()).labels.names
    renamed = (replace(part.labels.named(names), multilabel=multilabel) for part in labelled)
    train, dev, test = map(LabelledDocuments.of, labelled, renamed)
    return LabelledSplits(train, dev, test)


def warn_of_labels(source: Source, options: ReadingOptions) -> None:
    """Warn if the text for a language model is a table with a column of labels.

    Args:
        source: The source; only paths are checked, as others can be read only once.
        options: If they name the column of the text, there is no warning.
    """
    if not is_path_or_name(source) or options.column is not None:
        return
    path = Path(str(source))
    if not path.is_file() or inner_suffix(path) not in LINE_TABLES:
        return
    columns = columns_at_first_sight(unpacked_start(path, LOOKED_AT), inner_suffix(path))
    if DEFAULT_LABEL in columns and len(columns) > 1:
        warnings.warn(
            f"{path} has a column '{DEFAULT_LABEL}', which a language model leaves aside; for a "
            f"classifier give `label={DEFAULT_LABEL!r}`.",
            ThenceWarning,
            stacklevel=2,
        )


def locate(source: str | Path) -> str | Path:
    """Return the path to read: the source itself, or the file of a set of the catalogue.

    Raises:
        TextError: There is no such file or name.
        DownloadError: A set could not be downloaded.
    """
    name, path = str(source), Path(source)
    if name == "-" or name.startswith(HUGGING_FACE) or is_there(path):
        return source
    if name in CATALOGUE:
        files = text_files_of(name)
        return files.get("all") or files["train"]
    if exists(path):
        raise TextError(f"{name} is the folder of a run, not a text. Several runs: thence compare.")
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    known = [*BUNDLED, *CATALOGUE]
    hint = nearest(path.name, [*known, *siblings])
    if not hint and any(map(str.isspace, name)):
        hint = " If it is the text itself, give texts in a list, or through standard input (-)."
    raise TextError(
        f"'{name}' is neither a file nor a folder nor a known name ({', '.join(known)}).{hint}"
    )


def is_one_of(source: Source, names: Container[str]) -> bool:
    """Return whether the source is one of the names; and no text has this name."""
    return isinstance(source, str | Path) and str(source) in names and not is_there(Path(source))


def is_there(path: Path) -> bool:
    """Return whether there is such a file or folder; a run, such as ``names``, is no text."""
    return exists(path) and not is_run(path)


def is_run(path: Path) -> bool:
    """Return whether a folder is a run; False where that cannot be found out."""
    try:
        return (path / "config.toml").is_file() and (path / "tokenizer.json").is_file()
    except OSError:
        return False


def exists(path: Path) -> bool:
    """Return whether a path exists; True if that cannot be found out: reading it raises then."""
    try:
        return path.exists()
    except OSError:
        return True


def text_files_of(name: str) -> dict[str, str]:
    """Return the path of each split of a set of the catalogue, by role.

    Raises:
        TextError: The set has no text but word vectors.
        DownloadError: It could not be downloaded.
    """
    files = CATALOGUE[name].files
    if any(file.role == "vectors" for file in files):
        raise TextError(f"{name} holds word vectors, not text. Name a text or a folder of texts.")
    folder = get(name)
    return {file.role: str(folder / file.name) for file in files}
