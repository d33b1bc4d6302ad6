"""Import and export of models in the formats of other programs.

ARPA files, KenLM's binary files, transducers of OpenFst, files of fastText, word vectors, ONNX
files, Hugging Face folders, PyTorch scripts, and HTML pages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args

from thence.errors import RunError, SettingError
from thence.exchange.arpa import import_arpa
from thence.models.fasttext.files import is_fasttext
from thence.runs.run import Run, open_run
from thence.settings import validate

Format = Literal[
    "arpa", "kenlm", "fst", "fasttext", "word2vec", "onnx", "huggingface", "pytorch", "html"
]

_WRITERS: dict[Format, tuple[str, str]] = {
    "arpa": ("arpa", "export_arpa"),
    "kenlm": ("kenlm_model", "export_kenlm"),
    "fst": ("fst", "export_fst"),
    "fasttext": ("fasttext", "export_fasttext"),
    "word2vec": ("word2vec", "export_word2vec"),
    "onnx": ("onnx_file", "export_onnx"),
    "huggingface": ("hugging_face", "export_hugging_face"),
    "pytorch": ("pytorch_script", "export_pytorch"),
    "html": ("html", "export_html"),
}
"""The function that writes each format: its module and name."""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        path: The file or folder.
        difference: Largest absolute difference of its log-probabilities from the run's, in nats;
            None for formats that are not checked.
        note: A sentence on the size and precision of the result, or on other files; may be empty.
    """

    path: Path
    difference: float | None
    note: str = ""


def export(
    run: Run | str | Path,
    path: str | Path,
    to: Format | None = None,
    encode_offset: int | None = None,
) -> Path:
    """Export the model of a run in the format of another program.

    An ARPA file holds an n-gram model; so does a binary file of KenLM (hash tables), and a folder
    with a finite-state transducer, as text for OpenFst, and its symbols. A fastText file holds a
    classifier of the model ``fasttext``, with equal predictions. A word2vec file (as text) holds
    the embeddings of words, or of the run's other kind of tokens; special symbols and white space
    are left out. An ONNX file and a Hugging Face folder hold networks that model language, and are
    checked to give the same log-probabilities before they are put in their place. A PyTorch script
    trains the same network in plain code, on the text that is written beside it. A page of HTML is
    a model that works by itself in a browser, of at most 2 MB: n-grams, pair counts, networks,
    mixtures of these, and averaging, linear and fastText's classifiers.

    Args:
        run: The run or its folder.
        path: The file to make, compressed if its name ends in ``.gz`` (arpa and word2vec), or the
            folder (huggingface, fst).
        to: Its format; by default what the suffix says: ``.arpa``, ``.onnx``, ``.html``, ``.py``
            (``pytorch``), ``.klm`` (``kenlm``), ``.vec`` and ``.txt`` (``word2vec``), ``.ftz``
            (``fasttext``), and ``.bin`` (``kenlm`` of an n-gram run, else ``fasttext``). With
            another, an n-gram run becomes ``arpa``, and any other is refused.
        encode_offset: Only for arpa: write each token as the character with the code point of its
            id plus this number, as NeMo needs it for models of subwords (100).

    Returns:
        The file or folder.

    Raises:
        SettingError: If the format is unknown or cannot hold the model.
        RunError: If the run has no model of the kind that the format holds, or the file exists,
            cannot be written, or would give other log-probabilities than the run.
        MissingExtraError: If the libraries that the format needs are not installed.
    """
    return export_checked(run, path, to, encode_offset).path


def export_checked(
    run: Run | str | Path,
    path: str | Path,
    to: Format | None = None,
    encode_offset: int | None = None,
) -> Exported:
    """Export a run; return also the difference of its log-probabilities. See ``export``."""
    run, path = open_run(run), Path(path)
    to = to or _usual_format(run, path)
    module, function = _WRITERS[validate("to", to, Format)]
    writer: Callable[..., float | tuple[float | None, str] | None]
    writer = getattr(import_module(f"{__name__}.{module}"), function)
    more = {} if encode_offset is None else {"encode_offset": encode_offset}
    if more and to != "arpa":
        raise SettingError(f"`encode_offset` is for ARPA files, but `to` is {to!r}.")
    try:
        if path.exists():
            raise RunError(f"{path} exists already and is left as it is; choose another name.")
        found = writer(run, path, **more)
        return Exported(path, *(found if isinstance(found, tuple) else (found,)))
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another "
            "place."
        ) from error


def import_model(
    path: str | Path,
    output: str | Path,
    allow_unnormalized: bool = False,
    renormalize: bool = False,
) -> Run | Path:
    """Import a file of another program as a run; the format is detected by its first bytes.

    It may be an n-gram model in an ARPA file or a trie of KenLM (see ``import_arpa``), or a
    classifier of fastText (``.bin``, ``.ftz``), with equal predictions. The run has no text of its
    own. Word vectors of fastText become a word2vec file, for ``vectors`` of a training.

    Args:
        path: The file.
        output: The run folder to make; for word vectors, the file.
        allow_unnormalized: Accept an ARPA file whose probabilities sum to more than one, with a
            warning.
        renormalize: Make the probabilities of an ARPA file sum to one: back-off weights are
            recomputed, and the probabilities after a context are scaled if they alone sum to more.

    Returns:
        The run, or the file of word vectors.

    Raises:
        TextError: If it is not such a file, or damaged.
        RunError: If the output exists or cannot be written.
    """
    if not is_fasttext(Path(path)):
        return import_arpa(path, output, allow_unnormalized, renormalize)
    from thence.exchange.fasttext import import_fasttext

    return import_fasttext(path, output)


def _usual_format(run: Run, path: Path) -> Format:
    """Return the default format, by the suffix of the path and the model of the run."""
    suffix, counted = Path(path.name.removesuffix(".gz")).suffix, run.recipe.model == "ngram"
    by_suffix: dict[str, Format] = {
        **{".arpa": "arpa", ".klm": "kenlm", ".bin": "kenlm" if counted else "fasttext"},
        **{".onnx": "onnx", ".html": "html", ".py": "pytorch", ".ftz": "fasttext"},
        **{".vec": "word2vec", ".txt": "arpa" if counted else "word2vec"},
    }
    if suffix in by_suffix or counted:
        return by_suffix.get(suffix, "arpa")
    raise SettingError(
        f"The name {path.name} does not say which format it is to have; name one with `to`: "
        f"{', '.join(get_args(Format))}. A name that ends in .onnx, .html, .py or .vec does say it."
    )


__all__ = ["Exported", "Format", "export", "export_checked", "import_arpa", "import_model"]
