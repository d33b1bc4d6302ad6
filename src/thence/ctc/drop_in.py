"""The drop-in for pyctcdecode: its class and function, and decoders saved in folders."""

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
from thence.ctc.language_models import AbstractLanguageModel, LanguageModel, model_with_words
from thence.ctc.saved import ALPHABET, MODEL, files_of_decoder, text_of
from thence.errors import import_extra


class BeamSearchDecoderCTC(Decoder):
    """The decoder with the constructor of pyctcdecode, which can be saved to a folder.

    Args:
        alphabet: The labels of the acoustic model.
        language_model: The language model; None for none.
    """

    _ALPHABET_SERIALIZED_FILENAME = ALPHABET
    _LANGUAGE_MODEL_SERIALIZED_DIRECTORY = MODEL

    def __init__(
        self, alphabet: Alphabet, language_model: AbstractLanguageModel | None = None
    ) -> None:
        super().__init__(alphabet, language_model)

    @classmethod
    def clear_class_models(cls) -> None:
        """Remove all language models from ``model_container``."""
        cls.model_container.clear()

    def cleanup(self) -> None:
        """Remove the language model of this decoder from ``model_container``."""
        self.model_container.pop(self._model_key, None)

    def save_to_dir(self, filepath: str | Path) -> None:
        """Save the decoder to a folder, its language model as an ARPA file.

        Raises:
            DecodingError: If the language model is no n-gram model of words.
            OSError: If the folder cannot be written.
        """
        folder = Path(filepath)
        if self.language_model is not None:
            self.language_model.save_to_dir(folder / MODEL)
        (folder / ALPHABET).write_text(self._alphabet.dumps(), "utf-8")

    @staticmethod
    def parse_directory_contents(filepath: str | Path) -> dict[str, Path | None]:
        """Return the paths of the alphabet and of the language model's folder (None without one).

        Raises:
            DecodingError: If it is no saved decoder.
        """
        return files_of_decoder(Path(filepath))

    @classmethod
    def load_from_dir(
        cls, filepath: str | Path, unigram_encoding: str | None = None
    ) -> "BeamSearchDecoderCTC":
        """Load a decoder that was saved by this class or by pyctcdecode.

        Args:
            filepath: The folder.
            unigram_encoding: Encoding of its list of words; None: UTF-8.

        Raises:
            DecodingError: If the folder has no such decoder.
            TextError: If its language model cannot be read.
        """
        files = files_of_decoder(Path(filepath))
        alphabet = Alphabet.loads(text_of(Path(filepath) / ALPHABET))
        if files["language_model"] is None:
            return cls(alphabet)
        return cls(alphabet, LanguageModel.load_from_dir(files["language_model"], unigram_encoding))

    @classmethod
    def load_from_hf_hub(
        cls, model_id: str, cache_dir: str | None = None, **kwargs: Any
    ) -> "BeamSearchDecoderCTC":
        """Load a decoder from the Hugging Face hub; the arguments are those of its download."""
        hub = import_extra("huggingface_hub", "hf", "A decoder from the hub")
        return cls.load_from_dir(hub.snapshot_download(model_id, cache_dir=cache_dir, **kwargs))


def build_ctcdecoder(
    labels: Iterable[str],
    kenlm_model_path: Any = None,
    unigrams: Collection[str] | None = None,
    alpha: float = DEFAULT_ALPHA,
    beta: float = DEFAULT_BETA,
    unk_score_offset: float = DEFAULT_UNK_LOGP_OFFSET,
    lm_score_boundary: bool = DEFAULT_SCORE_LM_BOUNDARY,
) -> BeamSearchDecoderCTC:
    """Return a decoder, like pyctcdecode's function of this name.

    Args:
        labels: The labels of the acoustic model, in the order of its logits.
        kenlm_model_path: A run or its folder, or an ARPA file; None: no language model.
        unigrams: The known words; None: those of the language model.
        alpha: Weight of the language model's log-probability.
        beta: Nats added per word.
        unk_score_offset: Added to the log10 probability of an unknown word.
        lm_score_boundary: Whether the beginning and the end of a text are scored.
    """
    alphabet = Alphabet.build_alphabet(labels)
    model = None
    if kenlm_model_path is not None:
        settings = alpha, beta, unk_score_offset, lm_score_boundary
        model = model_with_words(alphabet, kenlm_model_path, unigrams, *settings)
    return BeamSearchDecoderCTC(alphabet, model)
