"""Decoders and their language models in folders, in the format of pyctcdecode.

```text
alphabet.json
language_model/    only with a language model
    attrs.json     alpha, beta and so on
    unigrams.txt   the known words
    model.arpa     the n-grams, or another file of them
```
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thence.ctc.errors import DecodingError
from thence.ctc.sources import ModelSource, Source
from thence.exchange.arpa_writer import write_arpa
from thence.models.ngram import NGram

ALPHABET, MODEL = "alphabet.json", "language_model"
ATTRIBUTES, UNIGRAMS = "attrs.json", "unigrams.txt"
SUFFIXES = (".arpa", ".bin", ".binary")
SETTINGS = ("alpha", "beta", "unk_score_offset", "score_boundary")


def save_model(
    folder: Path,
    source: Source,
    words: Sequence[str],
    settings: Mapping[str, Any],
    encoding: str = "utf-8",
) -> None:
    """Save a language model to a folder, its n-grams as an ARPA file.

    Raises:
        DecodingError: If it is no n-gram model of words.
        OSError: If the folder cannot be written.
    """
    ngrams = source.model if isinstance(source, ModelSource) and source.is_of_words else None
    if not isinstance(source, ModelSource) or not isinstance(ngrams, NGram):
        raise DecodingError(
            "Only a language model of n-grams of words is saved with a decoder; keep the run, and "
            "make the decoder again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_arpa(ngrams.tables, source.tokenizer.vocabulary, folder / "model.arpa")
    (folder / ATTRIBUTES).write_text(json.dumps(dict(settings)), "utf-8")
    (folder / UNIGRAMS).write_text("".join(f"{word}\n" for word in words), encoding)


def load_model(folder: Path, encoding: str = "utf-8") -> tuple[Path, list[str], dict[str, Any]]:
    """Return the path of the n-grams, the known words and the settings in a folder.

    Raises:
        DecodingError: If it has no such language model.
    """
    files = files_of_model(folder)
    try:
        settings = json.loads(text_of(files["json_attrs"]))
    except ValueError as error:
        raise DecodingError(f"{files['json_attrs']} is not JSON: {error}.") from None
    if not isinstance(settings, dict) or set(settings) != set(SETTINGS):
        raise DecodingError(f"{files['json_attrs']} has other names than {', '.join(SETTINGS)}.")
    return files["kenlm"], text_of(files["unigrams"], encoding).splitlines(), settings


def files_of_model(folder: Path) -> dict[str, Path]:
    """Return the paths of a saved language model, by pyctcdecode's names.

    Raises:
        DecodingError: If files are missing, or there are others.
    """
    names = _names(folder)
    others = [name for name in names if name not in (ATTRIBUTES, UNIGRAMS)]
    if len(names) != 3 or len(others) != 1 or Path(others[0]).suffix not in SUFFIXES:
        raise DecodingError(
            f"{folder} is no saved language model, which is {ATTRIBUTES}, {UNIGRAMS} and one "
            f"file of n-grams ({', '.join(SUFFIXES)}); it holds {', '.join(names) or 'nothing'}."
        )
    named = {"json_attrs": ATTRIBUTES, "unigrams": UNIGRAMS, "kenlm": others[0]}
    return {what: folder / name for what, name in named.items()}


def files_of_decoder(folder: Path) -> dict[str, Path | None]:
    """Return the paths of a saved decoder's alphabet, and language model's folder (None without).

    Raises:
        DecodingError: If the folder has no saved decoder.
    """
    names = _names(folder)
    if ALPHABET not in names:
        raise DecodingError(f"{folder} is no saved decoder: it lacks {ALPHABET}.")
    return {
        "alphabet": folder / ALPHABET,
        "language_model": folder / MODEL if MODEL in names else None,
    }


def _names(folder: Path) -> list[str]:
    """Return the names in a folder, without hidden ones."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise DecodingError(f"{folder} cannot be read: {error.strerror}.") from error
    return [name for name in names if not name.startswith((".", "__"))]


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """Return the text of a file.

    Raises:
        DecodingError: If it cannot be read.
    """
    try:
        return path.read_text(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise DecodingError(f"{path} cannot be read: {error}.") from error
