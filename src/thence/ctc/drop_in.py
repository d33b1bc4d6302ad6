"""What programs for pyctcdecode call: its names, and decoders saved in folders."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from thence.ctc.alphabet import Alphabet
from thence.ctc.constants import (
    DEFAULT_ALPHA,
    DEFAULT_BETA,
    DEFAULT_SCORE_LM_BOUNDARY,
    DEFAULT_UNK_LOGP_OFFSET,
)
from thence.ctc.decoder import Decoder
from thence.ctc.errors import DecodingError
from thence.ctc.language_models import AbstractLanguageModel, LanguageModel, model_with_words
from thence.ctc.sources import ModelSource
from thence.errors import import_extra
from thence.exchange.arpa_writer import write_arpa
from thence.models.ngram import NGram

ALPHABET, MODEL = "alphabet.json", "language_model"
ATTRIBUTES, UNIGRAMS = "attrs.json", "unigrams.txt"
"""Names in the folder of a saved decoder, and in that of its language model."""
SAVED = ("alpha", "beta", "unk_score_offset", "score_boundary")


class BeamSearchDecoderCTC(Decoder):
    """The decoder with the constructor of pyctcdecode's, which saves itself to a folder.

    Args:
        alphabet: The labels of the acoustic model.
        language_model: Scores words; None: the frames alone decide.
    """

    def __init__(
        self, alphabet: Alphabet, language_model: AbstractLanguageModel | None = None
    ) -> None:
        super().__init__(alphabet, language_model)

    @classmethod
    def clear_class_models(cls) -> None:
        """Forget all language models, which decoders in other processes would find."""
        cls.model_container.clear()

    def cleanup(self) -> None:
        """Forget the language model, which decoders in other processes would find."""
        self.model_container.pop(self._model_key, None)

    def save_to_dir(self, filepath: str | Path) -> None:
        """Save the decoder to a folder, its language model as an ARPA file.

        Raises:
            DecodingError: If the language model is none of n-grams of words.
            OSError: If the folder cannot be written.
        """
        folder, model = Path(filepath), self.language_model
        if model is not None:
            _save_model(model, folder / MODEL)
        (folder / ALPHABET).write_text(self._alphabet.dumps(), "utf-8")

    @classmethod
    def load_from_dir(
        cls, filepath: str | Path, unigram_encoding: str | None = None
    ) -> "BeamSearchDecoderCTC":
        """Load a decoder that this class or pyctcdecode's saved.

        Args:
            filepath: The folder.
            unigram_encoding: Encoding of its list of words; None: UTF-8.

        Raises:
            DecodingError: If the folder holds no such decoder.
            TextError: If its language model cannot be read.
        """
        folder = Path(filepath)
        alphabet = Alphabet.loads(_text(folder / ALPHABET))
        inside = folder / MODEL
        if not inside.is_dir():
            return cls(alphabet)
        attributes = json.loads(_text(inside / ATTRIBUTES))
        if set(attributes) != set(SAVED):
            raise DecodingError(f"{inside / ATTRIBUTES} has other names than {', '.join(SAVED)}.")
        words = _text(inside / UNIGRAMS, unigram_encoding or "utf-8").splitlines()
        others = (ATTRIBUTES, UNIGRAMS)
        files = [one for one in sorted(inside.iterdir()) if one.name not in others]
        files = [one for one in files if not one.name.startswith((".", "__"))]
        if len(files) != 1:
            raise DecodingError(f"{inside} should hold one language model, not {len(files)}.")
        return cls(alphabet, LanguageModel(files[0], words, **attributes))

    @classmethod
    def load_from_hf_hub(
        cls, model_id: str, cache_dir: str | None = None, **kwargs: Any
    ) -> "BeamSearchDecoderCTC":
        """Load a decoder from the Hugging Face hub; the arguments are those of its download."""
        hub = import_extra("huggingface_hub", "hf", "A decoder from the hub")
        return cls.load_from_dir(hub.snapshot_download(model_id, cache_dir=cache_dir, **kwargs))


def _save_model(model: AbstractLanguageModel, folder: Path) -> None:
    """Save a language model to a new folder."""
    source = model.source if isinstance(model, LanguageModel) else None
    ngrams = source.model if isinstance(source, ModelSource) and source.is_of_words else None
    if not isinstance(source, ModelSource) or not isinstance(ngrams, NGram):
        raise DecodingError(
            "Only a language model of n-grams of words is saved with a decoder; keep the run, and "
            "make the decoder again."
        )
    folder.mkdir(parents=True)
    attributes = {name: getattr(model, name) for name in SAVED}
    (folder / ATTRIBUTES).write_text(json.dumps(attributes), "utf-8")
    words = "".join(f"{word}\n" for word in getattr(model, "unigrams", None) or ())
    (folder / UNIGRAMS).write_text(words, "utf-8")
    write_arpa(ngrams.tables, source.tokenizer.vocabulary, folder / "model.arpa")


def _text(path: Path, encoding: str = "utf-8") -> str:
    try:
        return path.read_text(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise DecodingError(f"{path.parent} is no saved decoder: {path.name}: {error}.") from error


def build_ctcdecoder(
    labels: Iterable[str],
    kenlm_model_path: Any = None,
    unigrams: Collection[str] | None = None,
    alpha: float = DEFAULT_ALPHA,
    beta: float = DEFAULT_BETA,
    unk_score_offset: float = DEFAULT_UNK_LOGP_OFFSET,
    lm_score_boundary: bool = DEFAULT_SCORE_LM_BOUNDARY,
) -> BeamSearchDecoderCTC:
    """Return a decoder, as pyctcdecode's function of this name does.

    Args:
        labels: The labels of the acoustic model, in the order of its logits.
        kenlm_model_path: A run or its folder, or an ARPA file; None: no language model.
        unigrams: The words that are known; None: those of the language model.
        alpha: Weight of the language model's log-probability.
        beta: Nats that each word adds.
        unk_score_offset: Added to the log10 probability of a word that is not known.
        lm_score_boundary: Whether the beginning and the end of a text are scored as such.
    """
    alphabet = Alphabet.build_alphabet(labels)
    model = None
    if kenlm_model_path is not None:
        settings = alpha, beta, unk_score_offset, lm_score_boundary
        model = model_with_words(alphabet, kenlm_model_path, unigrams, *settings)
    return BeamSearchDecoderCTC(alphabet, model)
