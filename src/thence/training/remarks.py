"""What is said of the words of a text before a model is trained on them."""

import warnings
from collections.abc import Mapping

import numpy as np

from thence.corpus import Documents
from thence.errors import ThenceWarning
from thence.models.registry import is_classifier
from thence.recipes.recipe import Recipe
from thence.tokens import Tokenizer, TokenStore
from thence.tokens.tokenizer import CHUNK
from thence.tokens.word_splitting import SYMBOLS, find_words

PLACEHOLDERS = ("<unk>", "<UNK>", "[UNK]")
"""They stand for words that somebody else left out: a text that has them was tokenised before."""
ENDS = ("<s>", "</s>", "<eos>", "</eos>", "<boundary>")
"""They mark where sentences begin or end, as the boundary does."""
SAMPLED = 16
"""Chunks of the train text in which words are counted both ways, to tell whether that matters."""


def symbol_counts(train: TokenStore, documents: Documents, tokenizer: Tokenizer) -> dict[str, int]:
    """Return how often each of ``SYMBOLS`` is a word of the train text, without those that are not.

    Where the vocabulary is limited, the unknown symbol stands for other words too; then ``<unk>``
    counts as often as they all do, if the text has it.
    """
    spelled = tokenizer.vocabulary.spelled
    ids = {spelled[index]: index for index in range(len(spelled)) if spelled[index] in SYMBOLS}
    times = np.bincount(train.targets, minlength=len(tokenizer.vocabulary))
    counts = {symbol: int(times[ids[symbol]]) for symbol in SYMBOLS if symbol in ids}
    found = {symbol: count for symbol, count in counts.items() if count}
    if "<unk>" in found and not any(
        b"<unk>" in chunk.text.tobytes() for chunk in documents.chunks(CHUNK)
    ):
        del found["<unk>"]
    return found


def warn_of_symbols(
    recipe: Recipe, counts: Mapping[str, int], documents: Documents | None = None
) -> None:
    """Warn of words that stand for others or for the ends of sentences.

    Args:
        recipe: What is going to be trained.
        counts: How often each of ``SYMBOLS`` is a word of the train text.
        documents: The train text, by which it is told whether words are cut further than those who
            made the text had cut them.
    """
    if recipe.tokens.tokens != "words" or is_classifier(recipe.model):
        return
    placeholders = [symbol for symbol in PLACEHOLDERS if symbol in counts]
    if placeholders and recipe.tokens.word_split == "punctuation":
        cut, set_apart = (0, 1) if documents is None else words_both_ways(documents)
        if set_apart > cut:
            share = f" ({set_apart / cut - 1:.1%} more of them)" if cut else ""
            warnings.warn(
                f"{recipe.text} holds {_named(placeholders, counts)}: its words were cut before, "
                "as in the Penn Treebank and WikiText. --word-split punctuation cuts them further"
                f"{share}, so the perplexity per token is not the one that others give for this "
                "text; for theirs use --word-split whitespace.",
                ThenceWarning,
                stacklevel=3,
            )
    ends = [symbol for symbol in ENDS if symbol in counts]
    if ends:
        in_arpa = recipe.model == "ngram" and {"<s>", "</s>"} & set(ends)
        cannot = ", and an ARPA file cannot hold the model" if in_arpa else ""
        warnings.warn(
            f"{recipe.text} holds {_named(ends, counts)}: words like all others here, beside the "
            "boundary that begins and ends every document. If they end its sentences, take them "
            f"out of the text: else each end is predicted twice{cannot}.",
            ThenceWarning,
            stacklevel=3,
        )


def words_both_ways(documents: Documents) -> tuple[int, int]:
    """Return how many words the beginning of a text has by white space, and by punctuation."""
    counts = np.zeros(2, np.int64)
    for _, chunk in zip(range(SAMPLED), documents.chunks(CHUNK), strict=False):
        counts += [
            len(find_words(chunk, "whitespace").starts),
            len(find_words(chunk, "punctuation").starts),
        ]
    return int(counts[0]), int(counts[1])


def _named(symbols: list[str], counts: Mapping[str, int]) -> str:
    named = [
        f"{symbol} ({counts[symbol]:,} time{'s' if counts[symbol] != 1 else ''})"
        for symbol in symbols
    ]
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
