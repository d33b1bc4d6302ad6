"""Subwords: byte-level byte-pair encoding by the ``tokenizers`` library; no symbol is unknown.

Source: Sennrich, Haddow, Birch 2016, "Neural machine translation of rare words with subword
units"; bytes as the base alphabet: Radford et al. 2019 (GPT-2).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer as BytePairEncoder
from tokenizers import decoders, models, pre_tokenizers, trainers

from thence.corpus import Documents
from thence.errors import SettingError
from thence.tokens.characters import strings
from thence.tokens.vocabulary import Encoded, Vocabulary

DEFAULT_SIZE = 4096
"""Vocabulary size if no ``max_size`` is given."""


class Limits(Protocol):
    """The settings used here; ``TokenOptions``, which imports this module's names, has them."""

    @property
    def max_size(self) -> int | None:
        """Largest vocabulary size."""

    @property
    def min_count(self) -> int:
        """Minimal count of a pair to be merged."""


@dataclass(frozen=True)
class SubwordTokenizer:
    """Text as byte pairs merged by frequency.

    Attributes:
        definition: The merges, as the ``tokenizers`` library writes them.
    """

    definition: Mapping[str, Any]

    @cached_property
    def _encoder(self) -> BytePairEncoder:
        try:
            return BytePairEncoder.from_str(json.dumps(self.definition))
        except Exception as error:
            raise ValueError(f"the subwords cannot be used: {error}") from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The pieces by id, in the printable alphabet of byte-level BPE, and the boundary."""
        size = self._encoder.get_vocab_size()
        pieces = [str(self._encoder.id_to_token(index)) for index in range(size)]
        return Vocabulary(tuple(pieces), "refuse")

    def encode_chunk(self, chunk: Documents) -> Encoded:
        """Return the ids of all subwords, and the number of subwords of each document."""
        encodings = self._encoder.encode_batch_fast(strings(chunk), add_special_tokens=False)
        pieces = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        return np.fromiter(chain.from_iterable(pieces), np.int32, lengths.sum()), lengths

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids, without the boundary."""
        boundary = self.vocabulary.boundary_id
        return str(self._encoder.decode([index for index in ids if index != boundary]))


def learn_subwords(chunks: Iterable[Documents], options: Limits) -> SubwordTokenizer:
    """Learn up to ``max_size`` subwords (at least the 256 bytes) from the given chunks.

    Raises:
        SettingError: If ``max_size`` is below 256.
    """
    size = options.max_size or DEFAULT_SIZE
    if size < 256:
        raise SettingError(f"`max_size` is {size}; subwords need at least 256, one for each byte.")
    encoder = BytePairEncoder(models.BPE())
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=options.min_count,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    encoder.train_from_iterator(map(strings, chunks), trainer)
    return SubwordTokenizer(json.loads(encoder.to_str()))


def load_subwords(definition: Mapping[str, Any]) -> SubwordTokenizer:
    """Return the tokenizer of a saved definition."""
    return SubwordTokenizer(definition)
