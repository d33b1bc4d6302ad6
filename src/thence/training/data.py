"""A text made ready for training: read, divided, tokenised, and checked to be of use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from thence.corpus import Documents, Instead, LabelledDocuments, Labels, Splits, load_splits
from thence.corpus.loading import NOTHING, warn_of_labels
from thence.errors import SettingError, TextError
from thence.models.labels.base import Classes
from thence.models.registry import get_family, is_classifier
from thence.recipes.recipe import Recipe
from thence.runs import ClassifierRun
from thence.tokens import Texts, Tokenizer, TokenStore, WordVectors, learn_tokens, read_vectors
from thence.training.finetuning import source_runs
from thence.training.remarks import symbol_counts, warn_of_symbols
from thence.training.training_on import parent_run, with_labels_of

LARGEST_VALUE = 1e10
"""In a pretrained vector; trained ones are about 1, and sums of squares must fit into float32."""


@dataclass(frozen=True)
class TrainingData:
    """A text made ready for training.

    Attributes:
        splits: Its documents.
        tokenizer: Made from the train split, or that of a language model.
        train: Tokens of the train split.
        dev: Tokens of the dev split.
        vectors: Pretrained vectors of the vocabulary, if they are to be begun with.
        weights: How much each train document counts beside its label; None for all the same.
    """

    splits: Splits
    tokenizer: Tokenizer
    train: TokenStore
    dev: TokenStore
    vectors: WordVectors | None = None
    weights: Float32[np.ndarray, " documents"] | None = None

    @property
    def train_texts(self) -> Texts:
        """The train split as a classifier reads it."""
        return Texts(self.train, self.splits.train, self.tokenizer)

    @property
    def dev_texts(self) -> Texts:
        """The dev split as a classifier reads it."""
        return Texts(self.dev, self.splits.dev, self.tokenizer)

    @property
    def train_labels(self) -> Labels:
        """The labels of the train split."""
        return labelled(self.splits.train).labels

    @property
    def dev_labels(self) -> Labels:
        """The labels of the dev split."""
        return labelled(self.splits.dev).labels

    @property
    def classes(self) -> Classes:
        """What is told apart: the labels of the train split."""
        return Classes(len(self.train_labels.names), self.train_labels.multilabel)


def labelled(documents: Documents) -> LabelledDocuments:
    """Return documents that were read with their labels as what they are."""
    assert isinstance(documents, LabelledDocuments)
    return documents


def load_data(recipe: Recipe, instead: Instead = NOTHING) -> TrainingData:
    """Read, split and tokenise the text of a recipe.

    Args:
        recipe: Which names the text.
        instead: What is read in place of what it names.

    Raises:
        TextError: If there is too little text, or nothing to learn from it.
        SettingError: If a setting does not fit the text.
    """
    if recipe.labelling is None:
        warn_of_labels(recipe.text, recipe.reading)
    splits = load_splits(
        recipe.text,
        recipe.reading,
        recipe.splitting,
        labelling=recipe.labelling,
        instead=instead,
    )
    _check_splits(recipe, splits)
    if isinstance(parent := parent_run(recipe), ClassifierRun):
        splits = with_labels_of(parent, splits)
    return tokenize(recipe, splits)


def tokenize(
    recipe: Recipe,
    splits: Splits,
    weights: Float32[np.ndarray, " documents"] | None = None,
) -> TrainingData:
    """Tokenise documents that are divided already; see ``load_data``."""
    if started := source_runs(recipe):
        tokenizer = started[0].tokenizer
        train_store = tokenizer.encode(splits.train)
    else:
        tokenizer, train_store = learn_tokens(splits.train, recipe.tokens)
        if recipe.tokens.tokens == "words":
            found = symbol_counts(train_store, splits.train, tokenizer)
            warn_of_symbols(recipe, found, splits.train)
    _check_context(recipe, train_store)
    dev_store = tokenizer.encode(splits.dev)
    vectors = vectors_of(recipe, tokenizer)
    return TrainingData(splits, tokenizer, train_store, dev_store, vectors, weights)


def vectors_of(recipe: Recipe, tokenizer: Tokenizer) -> WordVectors | None:
    """Read the pretrained vectors that a recipe names.

    Raises:
        TextError: If the file cannot be used, or has none of the words.
    """
    path = getattr(recipe.options, "vectors", None)
    if path is None or recipe.from_run is not None:  # Its weights have learned from them.
        return None
    vectors = read_vectors(path, tokenizer.vocabulary.names())
    if not vectors.found.any():
        raise TextError(
            f"{path} has a vector for none of the {len(vectors.found):,} tokens of {recipe.text}. "
            f"Are they {recipe.tokens.tokens} of the same language?"
        )
    largest = np.abs(vectors.matrix).max(axis=1)
    if largest.max() > LARGEST_VALUE:
        word = tokenizer.vocabulary.names()[int(largest.argmax())]
        raise TextError(
            f"{path}: the vector of {word!r} has a value of {largest.max():.3g}, and no network "
            f"can compute with values beyond {LARGEST_VALUE:.0e}. Is the file damaged?"
        )
    return vectors


def coverage(data: TrainingData) -> str | None:
    """Return how much of the train text has pretrained vectors, in words."""
    vectors = data.vectors
    if vectors is None:
        return None
    counts = np.bincount(data.train.targets, minlength=len(vectors.found))
    counts[data.train.boundary_id] = 0
    share = vectors.token_coverage(counts)
    words = len(data.tokenizer.vocabulary.symbols)
    found = f"{vectors.found[:words].sum():,} of {words:,} words, {share:.1%} of train tokens"
    return " ".join([f"{found}.", *vectors.remarks()])


def sample_weights(
    labels: Labels,
    weighs_classes: bool,
    weights: Float32[np.ndarray, " documents"] | None = None,
) -> Float32[np.ndarray, " documents"]:
    """Return how much each train document counts, if asked so that all labels count the same.

    A document of several labels counts as the mean of theirs, one of none as 1.

    Args:
        labels: Of the train documents.
        weighs_classes: Whether labels count the same, however rare they are.
        weights: Of the documents; None for 1 each.
    """
    weights = np.ones(len(labels), np.float32) if weights is None else weights
    if not weighs_classes:
        return weights
    counts = labels.counts()
    share = len(labels.ids) / (len(counts) * np.maximum(counts, 1))
    sizes = np.diff(labels.offsets)
    sums = np.bincount(np.repeat(np.arange(len(labels)), sizes), share[labels.ids], len(labels))
    return (weights * np.where(sizes > 0, sums / np.maximum(sizes, 1), 1)).astype(np.float32)


def _check_splits(recipe: Recipe, splits: Splits) -> None:
    if len(splits.train) == 0:
        raise TextError(
            f"The train split of {recipe.text} is empty: the text is too short for the split "
            f"{recipe.splitting.split}. Give more text, or --split 100/0/0 to keep all of it."
        )
    if is_classifier(recipe.model):
        _check_labels(recipe, labelled(splits.train).labels)
    if len(splits.train) > 1 and _all_equal(splits):
        raise TextError(
            f"All {len(splits.train)} train documents of {recipe.text} are the same, so there is "
            "nothing to learn and nothing to judge by; give text with different lines."
        )


def _all_equal(splits: Splits) -> bool:
    first = splits.train[0]
    return all(text == first for split in (splits.train, splits.dev, splits.test) for text in split)


def _check_context(recipe: Recipe, train_store: TokenStore) -> None:
    if get_family(recipe.model).reads_sequences:
        return  # A short text takes only what it needs of the context, at no cost.
    context = getattr(recipe.options, "context", 1)
    longest = int(train_store.target_counts.max())
    if context > longest and not recipe.training.carry_context:
        raise SettingError(
            f"--context is {context}, but the longest document has {longest} tokens with its "
            f"boundary; use --context {longest} at most, or --carry-context for running text."
        )


def _check_labels(recipe: Recipe, labels: Labels) -> None:
    names = labels.names
    if len(names) == 0 or (len(names) == 1 and not labels.multilabel):
        found = f"all have the label '{names[0]}'" if names else "none has a label"
        raise TextError(
            f"There is nothing to tell apart: of the {len(labels)} train documents of "
            f"{recipe.text} {found}. Give documents with at least two labels, or name another "
            "column with --label."
        )
