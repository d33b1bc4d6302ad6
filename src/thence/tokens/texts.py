"""Texts: documents both as tokens and as characters, for models with character features."""

from dataclasses import dataclass

import numpy as np

from thence.array_types import Int64
from thence.corpus import Documents
from thence.tokens.store import TokenStore
from thence.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Texts:
    """The input of a classifier.

    Attributes:
        store: The documents as tokens.
        documents: The original documents.
        tokenizer: The tokenizer of the store, with the settings of normalisation.
    """

    store: TokenStore
    documents: Documents
    tokenizer: Tokenizer

    def __len__(self) -> int:
        return len(self.documents)

    def take(self, indices: Int64[np.ndarray, " chosen"]) -> "Texts":
        """Return the chosen documents, in that order."""
        return Texts(self.store.take(indices), self.documents.take(indices), self.tokenizer)


def encode_texts(tokenizer: Tokenizer, documents: Documents) -> Texts:
    """Return documents with their tokens.

    Raises:
        UnknownSymbolError: If the vocabulary is closed and a symbol is not in it.
    """
    return Texts(tokenizer.encode(documents), documents, tokenizer)
