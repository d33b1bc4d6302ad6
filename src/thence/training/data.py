"""The data of a training: a text that was read, split, tokenized and checked."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from thence.array_types import Float32
from thence.corpus import (
    Documents,
    LabelledDocuments,
    Labels,
    Replacements,
    Splits,
    as_labelled,
    load,
    load_splits,
)
from thence.corpus.loading import EMPTY, warn_of_labels
from thence.corpus.reading import inner_suffix
from thence.corpus.tables import HUGGING_FACE, TABLES
from thence.errors import SettingError, TextError, ThenceWarning
from thence.models.base import Classes
from thence.models.registry import get_family, is_classifier
from thence.recipes.recipe import Recipe
from thence.runs import ClassifierRun
from thence.tokens import (
    Texts,
    Tokenizer,
    TokenStore,
    WordVectors,
    encode_texts,
    learn_tokens,
)
from thence.tokens.tokenizer import CHUNK
from thence.tokens.word_splitting import SYMBOLS, find_words
from thence.training.finetuning import match_labels, parent_run, source_runs
from thence.training.word_vectors import load_word_vectors

PLACEHOLDERS = ("<unk>", "<UNK>", "[UNK]")
"""Words that replace rare words in texts that were tokenized before."""
SENTENCE_ENDS = ("<s>", "</s>", "<eos>", "</eos>", "<boundary>")
"""Words that mark the beginning or end of a sentence, as the boundary does already."""
SAMPLED_CHUNKS = 16
"""Chunks of the train text whose words are split by white space and by punctuation, to find out
whether that makes a difference."""


@dataclass(frozen=True)
class TrainingData:
    """The splits of a text and their tokens, to train a model on.

    Attributes:
        splits: The documents of train, dev and test.
        tokenizer: Learned from the train split, or taken from the run that the model starts from.
        train: Tokens of the train split.
        dev: Tokens of the dev split.
        vectors: Pretrained vectors of the vocabulary that initialise the embedding, if any.
        weights: Weight of each train document; None for 1 each.
        unlabelled: Documents without labels, whose words are in the vocabulary; None without.
    """

    splits: Splits
    tokenizer: Tokenizer
    train: TokenStore
    dev: TokenStore
    vectors: WordVectors | None = None
    weights: Float32[np.ndarray, " documents"] | None = None
    unlabelled: Texts | None = None

    @property
    def train_texts(self) -> Texts:
        """The train split as the input of a classifier."""
        return Texts(self.train, self.splits.train, self.tokenizer)

    @property
    def dev_texts(self) -> Texts:
        """The dev split as the input of a classifier."""
        return Texts(self.dev, self.splits.dev, self.tokenizer)

    @property
    def train_labels(self) -> Labels:
        """The labels of the train split."""
        return as_labelled(self.splits.train).labels

    @property
    def dev_labels(self) -> Labels:
        """The labels of the dev split."""
        return as_labelled(self.splits.dev).labels

    @property
    def classes(self) -> Classes:
        """The classes of a classifier: the labels of the train split."""
        return Classes(len(self.train_labels.names), self.train_labels.multilabel)


def load_data(recipe: Recipe, replacements: Replacements = EMPTY) -> TrainingData:
    """Read, split and tokenize the text of a recipe.

    Args:
        recipe: Names the text, with the settings of reading, splitting and tokenizing.
        replacements: Files that are read instead of sources that the recipe names.
    """
    _check_unlabelled(recipe)
    splits = read_splits(recipe, replacements)
    return tokenize(recipe, splits, unlabelled=read_unlabelled(recipe, replacements))


def read_unlabelled(recipe: Recipe, replacements: Replacements = EMPTY) -> Documents | None:
    """Read the documents without labels that a recipe names; None without any."""
    if recipe.labelling is None or recipe.labelling.unlabelled is None:
        return None
    name = recipe.labelling.unlabelled
    there = replacements.get(name, name)
    if isinstance(there, Documents):
        return there
    is_table = inner_suffix(there) in TABLES or name.startswith(HUGGING_FACE)
    # Both tables have the same column of text; plain text has no columns.
    return load(there, recipe.reading if is_table else replace(recipe.reading, column=None))


def read_splits(recipe: Recipe, replacements: Replacements = EMPTY) -> Splits:
    """Read and split the text of a recipe; see ``load_data``."""
    if recipe.labelling is None:
        warn_of_labels(recipe.text, recipe.reading)
    splits = load_splits(
        recipe.text,
        recipe.reading,
        recipe.splitting,
        labelling=recipe.labelling,
        replacements=replacements,
    )
    _check_splits(recipe, splits)
    if isinstance(parent := parent_run(recipe), ClassifierRun):
        splits = match_labels(parent, splits)
    return splits


def tokenize(
    recipe: Recipe,
    splits: Splits,
    weights: Float32[np.ndarray, " documents"] | None = None,
    unlabelled: Documents | None = None,
) -> TrainingData:
    """Return the training data of documents that are split already; see ``load_data``."""
    if unlabelled is not None:
        return _tokenize_together(recipe, splits, [splits.train, unlabelled], weights, unlabelled)
    if sources := source_runs(recipe):
        tokenizer = sources[0].tokenizer
        train = tokenizer.encode(splits.train)
    else:
        memory = getattr(recipe.options, "memory_bytes", None)
        tokenizer, train = learn_tokens(splits.train, recipe.tokens, memory)
    _check_context(recipe, train)
    dev = tokenizer.encode(splits.dev)
    tokenizer.release()
    if not sources and recipe.tokens.tokens == "words" and not is_classifier(recipe.model):
        warn_of_symbols(recipe, symbol_counts(train, splits.train, tokenizer), splits.train)
    vectors = load_word_vectors(recipe, tokenizer)
    return TrainingData(splits, tokenizer, train, dev, vectors, weights)


def sample_weights(
    labels: Labels,
    balanced: bool,
    weights: Float32[np.ndarray, " documents"] | None = None,
) -> Float32[np.ndarray, " documents"]:
    """Return the weight of each train document in the loss.

    Balanced weights are n / (classes * count of the label), as scikit-learn's
    ``class_weight="balanced"``. A document with several labels gets the mean of their weights, and
    one without labels 1.

    Args:
        labels: The labels of the train documents.
        balanced: Whether all labels have the same total weight.
        weights: Weights of the documents to multiply with; None for 1 each.
    """
    weights = np.ones(len(labels), np.float32) if weights is None else weights
    if not balanced:
        return weights
    counts = labels.counts()
    of_label = len(labels.ids) / (len(counts) * np.maximum(counts, 1))
    sizes = np.diff(labels.offsets)
    sums = np.bincount(np.repeat(np.arange(len(labels)), sizes), of_label[labels.ids], len(labels))
    return (weights * np.where(sizes > 0, sums / np.maximum(sizes, 1), 1)).astype(np.float32)


def part_of_train(data: TrainingData, documents: int) -> TrainingData:
    """Return data with at most this many of the labelled train documents, evenly spaced."""
    total = data.train.num_documents
    if documents >= total:
        return data
    chosen = np.arange(documents) * total // documents
    splits = replace(data.splits, train=data.splits.train.take(chosen))
    weights = None if data.weights is None else data.weights[chosen]
    return replace(data, splits=splits, train=data.train.take(chosen), weights=weights)


def with_dev_in_train(data: TrainingData) -> TrainingData:
    """Return data with the labelled documents of dev appended to the train split.

    Documents with a label that train lacks are left out.
    """
    train, dev = as_labelled(data.splits.train), as_labelled(data.splits.dev)
    lacking = dev.labels.ids >= len(train.labels.names)
    owners = np.repeat(np.arange(len(dev)), np.diff(dev.labels.offsets))
    known = np.setdiff1d(np.arange(len(dev)), owners[lacking])
    dev = dev.take(known).named(train.labels.names)
    labels = Labels(
        train.labels.names,
        np.concatenate([train.labels.ids, dev.labels.ids]),
        np.concatenate([train.labels.offsets, dev.labels.offsets[1:] + len(train.labels.ids)]),
        train.labels.multilabel,
    )
    both = LabelledDocuments.of(Documents.join([train, dev]), labels)
    weights = data.weights
    if weights is not None:
        weights = np.concatenate([weights, np.ones(len(dev), np.float32)])
    store = data.train.joined(data.dev.take(known))
    splits = replace(data.splits, train=both)
    return replace(data, splits=splits, train=store, weights=weights)


def with_words_of_dev(recipe: Recipe, data: TrainingData) -> TrainingData:
    """Return data whose vocabulary comes from train and dev, for a model trained on both."""
    unlabelled = None if data.unlabelled is None else data.unlabelled.documents
    parts = [data.splits.train, data.splits.dev]
    if unlabelled is not None:
        parts.append(unlabelled)
    return _tokenize_together(recipe, data.splits, parts, data.weights, unlabelled)


def _tokenize_together(
    recipe: Recipe,
    splits: Splits,
    parts: Sequence[Documents],
    weights: Float32[np.ndarray, " documents"] | None,
    unlabelled: Documents | None,
) -> TrainingData:
    """Return training data with a vocabulary learned from all documents of ``parts``."""
    tokenizer, _ = learn_tokens(Documents.join(parts), recipe.tokens)
    train, dev = (tokenizer.encode(part) for part in (splits.train, splits.dev))
    others = None if unlabelled is None else encode_texts(tokenizer, unlabelled)
    tokenizer.release()
    return TrainingData(splits, tokenizer, train, dev, None, weights, others)


def train_weights(recipe: Recipe, data: TrainingData) -> Float32[np.ndarray, " documents"]:
    """Return the weight of each train document by a recipe; see ``sample_weights``."""
    balanced = recipe.labelling is not None and recipe.labelling.class_weights
    return sample_weights(data.train_labels, balanced, data.weights)


def _check_unlabelled(recipe: Recipe) -> None:
    """Raise SettingError if a recipe names unlabelled text that its model does not use."""
    named = recipe.labelling and recipe.labelling.unlabelled
    if named and not (
        get_family(recipe.model).unlabelled and recipe.options.latent_dimensions is not None
    ):
        raise SettingError(
            f"`unlabelled` names {named}, from which {recipe.model} would not learn. Use "
            "`model='linear'` with `latent_dimensions=100`, or thence best, which tries it."
        )


def _check_splits(recipe: Recipe, splits: Splits) -> None:
    """Raise TextError if the train split is empty or useless: equal documents, one class."""
    if len(splits.train) == 0:
        raise TextError(
            f"The train split of {recipe.text} is empty: the text is too short for the split "
            f"{recipe.splitting.split}. Give more text, or `split='100/0/0'` to keep all of it."
        )
    if is_classifier(recipe.model):
        _check_labels(recipe, as_labelled(splits.train).labels)
    texts = (text for split in (splits.train, splits.dev, splits.test) for text in split)
    first = splits.train[0]
    if len(splits.train) > 1 and all(text == first for text in texts):
        raise TextError(
            f"All {len(splits.train)} train documents of {recipe.text} are the same, so there is "
            "nothing to learn and nothing to evaluate; give text with different lines."
        )


def _check_context(recipe: Recipe, train: TokenStore) -> None:
    """Raise SettingError if a fixed context is longer than every document."""
    if not get_family(recipe.model).window:
        return  # Other models have no fixed context that could be longer than the documents.
    context = recipe.options.context
    longest = int(train.target_counts.max())
    if context > longest and not recipe.training.carry_context:
        raise SettingError(
            f"`context` is {context}, but the longest document has {longest} tokens with its "
            f"boundary; use `context={longest}` at most, or `carry_context` for running text."
        )


def _check_labels(recipe: Recipe, labels: Labels) -> None:
    """Raise TextError if the train documents have too few labels to distinguish."""
    names = labels.names
    if len(names) == 0 or (len(names) == 1 and not labels.multilabel):
        found = f"all have the label '{names[0]}'" if names else "none has a label"
        raise TextError(
            f"There is nothing to distinguish: of the {len(labels)} train documents of "
            f"{recipe.text} {found}. Give documents with at least two labels, or name another "
            "column with `label`."
        )


def symbol_counts(train: TokenStore, documents: Documents, tokenizer: Tokenizer) -> dict[str, int]:
    """Return how often each of ``SYMBOLS`` is a word of the train text, without those of count 0.

    In a limited vocabulary the count of ``<unk>`` includes the words that were left out, so it is
    too high; it is returned only if the text itself has the word.
    """
    spelled = enumerate(tokenizer.vocabulary.spelled)
    ids = {symbol: index for index, symbol in spelled if symbol in SYMBOLS}
    times = train.id_counts(len(tokenizer.vocabulary))
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
    """Warn of placeholders of rare words, and of words that mark the ends of sentences.

    Args:
        recipe: The settings of the training.
        counts: How often each of ``SYMBOLS`` is a word of the train text.
        documents: The train text, to find out whether ``word_split`` cuts the words of a tokenized
            text further; without it, that is assumed.
    """
    if recipe.tokens.tokens != "words" or is_classifier(recipe.model):
        return
    placeholders = [symbol for symbol in PLACEHOLDERS if symbol in counts]
    if placeholders and recipe.tokens.word_split == "punctuation":
        by_space, by_punctuation = (0, 1) if documents is None else count_words_both_ways(documents)
        if by_punctuation > by_space:
            more = f" ({by_punctuation / by_space - 1:.1%} more of them)" if by_space else ""
            warnings.warn(
                f"{recipe.text} holds {_with_counts(placeholders, counts)}: its words were cut "
                "before, as in the Penn Treebank and WikiText. `word_split='punctuation'` cuts "
                f"them further{more}, so the perplexity per token is not the one that others give "
                "for this text; for theirs use `word_split='whitespace'`.",
                ThenceWarning,
                stacklevel=3,
            )
    ends = [symbol for symbol in SENTENCE_ENDS if symbol in counts]
    if ends:
        in_arpa = recipe.model == "ngram" and {"<s>", "</s>"} & set(ends)
        cannot = ", and an ARPA file cannot hold the model" if in_arpa else ""
        warnings.warn(
            f"{recipe.text} holds {_with_counts(ends, counts)}: words like all others here, beside "
            "the boundary that begins and ends every document. If they end its sentences, take "
            f"them out of the text: else each end is predicted twice{cannot}.",
            ThenceWarning,
            stacklevel=3,
        )


def count_words_both_ways(documents: Documents) -> tuple[int, int]:
    """Return the number of words at the beginning of a text, by white space and by punctuation."""
    by_space = by_punctuation = 0
    for chunk in islice(documents.chunks(CHUNK), SAMPLED_CHUNKS):
        by_space += len(find_words(chunk, "whitespace").starts)
        by_punctuation += len(find_words(chunk, "punctuation").starts)
    return by_space, by_punctuation


def _with_counts(symbols: list[str], counts: Mapping[str, int]) -> str:
    named = [
        f"{symbol} ({counts[symbol]:,} time{'s' if counts[symbol] != 1 else ''})"
        for symbol in symbols
    ]
    return " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
