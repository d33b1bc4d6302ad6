"""Anything a person may name as a source, to documents or to splits."""

from dataclasses import replace
from pathlib import Path

from thence.corpus.bundled import BUNDLED, read_bundled
from thence.corpus.catalogue import CATALOGUE
from thence.corpus.documents import Documents
from thence.corpus.download import Progress, get
from thence.corpus.reading import ReadingOptions, read_documents
from thence.corpus.splits import SplitOptions, Splits, split_documents
from thence.errors import TextError, nearest


def load(
    source: str | Path,
    options: ReadingOptions = ReadingOptions(),
    progress: Progress | None = None,
) -> Documents:
    """Read a source: a path or ``-``, else a bundled text, else a set of the catalogue.

    A set that comes with its own splits gives its training part; a set that is not on this machine
    yet is downloaded.

    Raises:
        TextError: There is no such file or name, or it holds no text.
        SettingError: An option does not fit the source.
        DownloadError: A set could not be fetched.
    """
    name, path = str(source), Path(source)
    if name == "-" or exists(path):
        return read_documents(source, options)
    if name in BUNDLED:
        return read_bundled(name, options)
    if name in CATALOGUE:
        files = text_files_of(name, progress)
        return read_documents(files.get("all") or files["train"], options)
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    known = [*BUNDLED, *CATALOGUE]
    raise TextError(
        f"'{name}' is neither a file nor a folder nor a known name ({', '.join(known)})."
        f"{nearest(path.name, [*known, *siblings])}"
    )


def load_splits(
    source: str | Path,
    reading: ReadingOptions = ReadingOptions(),
    splitting: SplitOptions = SplitOptions(),
    progress: Progress | None = None,
) -> Splits:
    """Read a source and divide it into train, dev and test.

    A set of the catalogue brings its own dev and test where it has them; ``splitting.dev`` and
    ``splitting.test`` go before those. One that has a test but no dev gets its dev from train.

    Raises:
        TextError: There is no such file or name, it holds no text, or too little to divide.
        SettingError: An option does not fit the source.
        DownloadError: A set could not be fetched.
    """
    documents = load(source, reading, progress)
    if str(source) in CATALOGUE and not exists(Path(source)):
        own = text_files_of(str(source))
        splitting = replace(
            splitting, dev=splitting.dev or own.get("dev"), test=splitting.test or own.get("test")
        )
    return split_documents(documents, splitting, lambda path: read_documents(path, reading))


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder; if that cannot be told, reading says why."""
    try:
        return path.exists()
    except OSError:
        return True


def text_files_of(name: str, progress: Progress | None = None) -> dict[str, str]:
    """Return the path of each split of a set of the catalogue, by role.

    Raises:
        TextError: The set holds no text.
        DownloadError: It could not be fetched.
    """
    files = CATALOGUE[name].files
    if any(file.role == "vectors" for file in files):
        raise TextError(f"{name} holds word vectors, not text. Name a text or a folder of texts.")
    folder = get(name, progress=progress)
    return {file.role: str(folder / file.name) for file in files}
