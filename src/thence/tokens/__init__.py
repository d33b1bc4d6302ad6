"""Tokens: tokenizers, the vocabulary, the token store, and files of word vectors."""

from thence.tokens.making import (
    count_symbols,
    learn_tokens,
    load_tokenizer,
    make_tokenizer,
    tokenizer_from_counts,
    tokenizer_from_json,
    tokenizer_of,
)
from thence.tokens.options import (
    COUNTED,
    TokenizerFamily,
    TokenOptions,
    WordOptions,
    register_tokenizer,
)
from thence.tokens.store import TokenStore
from thence.tokens.tokenizer import Texts, Tokenizer, encode_in_memory, encode_texts
from thence.tokens.vectors import WordVectors, nearest_words, read_vectors, write_vectors
from thence.tokens.vocabulary import BOUNDARY, UNKNOWN, Vocabulary

__all__ = [
    "BOUNDARY",
    "COUNTED",
    "UNKNOWN",
    "Texts",
    "TokenOptions",
    "TokenStore",
    "Tokenizer",
    "TokenizerFamily",
    "Vocabulary",
    "WordOptions",
    "WordVectors",
    "count_symbols",
    "encode_in_memory",
    "encode_texts",
    "learn_tokens",
    "load_tokenizer",
    "make_tokenizer",
    "nearest_words",
    "read_vectors",
    "register_tokenizer",
    "tokenizer_from_counts",
    "tokenizer_from_json",
    "tokenizer_of",
    "write_vectors",
]
