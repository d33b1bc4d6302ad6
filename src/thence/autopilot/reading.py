"""Reading a text within a time budget: choosing its tokens, and how much of it to learn."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thence.autopilot.budget import Budget
from thence.autopilot.levels import choose_level
from thence.autopilot.pace import SAFETY
from thence.autopilot.profile import TextProfile, profile_text
from thence.corpus import Documents, Replacements, Splits, load
from thence.corpus.catalogue import CATALOGUE
from thence.corpus.reading import without_empty
from thence.errors import TextError
from thence.recipes.recipe import Recipe, make_recipe
from thence.tokens import learn_tokens
from thence.training.data import TrainingData, read_splits, read_unlabelled, tokenize

MARKED: Mapping[str, Any] = {"word_split": "whitespace"}
"""Token settings for a text that already contains ``<unk>`` symbols, as the Penn Treebank does."""
UNMARKED: Mapping[str, Any] = {"min_count": 2, "max_size": 30_000}
"""Token settings for other texts of words: words that occur twice, at most 30,000 of them."""
PROBED = (1 << 17, 1 << 20)
"""Bytes of text that are tokenised to measure the speed. The second, larger part is used only if
the first says that all would take too long, since small parts seem slower."""
TOKENISING_SHARE, UNLABELLED_SHARE = 0.5, 0.01
"""Largest shares of the time left for tokenising, and for that of unlabelled text, whose latent
dimensions take some 20 times as long to find; of a larger text only a part is learned."""


@dataclass(frozen=True)
class ReadText:
    """A text that was read and tokenised.

    Attributes:
        recipe: How it was read, split and tokenised.
        profile: Its profile; None for labelled text.
        splits: All of its documents.
        data: The tokenised data to learn from: all of it, or with a part of the train split.
    """

    recipe: Recipe
    profile: TextProfile | None
    splits: Splits
    data: TrainingData

    @property
    def remark(self) -> str:
        """A phrase for the report if only a part of the train text is learned; else empty."""
        share = self.data.splits.train.num_bytes / max(self.splits.train.num_bytes, 1)
        return "" if share >= 1 else f"of the train text only {share:.0%}, for want of time"


def read_text(
    named: Recipe, replacements: Replacements, settings: Mapping[str, Any], budget: Budget
) -> ReadText:
    """Read a text, and choose its tokens, vocabulary and split where the user has not.

    Args:
        named: The recipe that names the text and says how it is read.
        replacements: Sources to read in place of those that the recipe names.
        settings: The user's settings.
        budget: The budget of the search.

    Raises:
        TextError: If the text cannot be used, or its dev split is empty.
    """
    recipe, profile, by_words = named, None, None
    if named.labelling is None:
        source = replacements.get(named.text, named.text)
        documents = load(source, replace(named.reading, keep_empty=True))
        full = without_empty(documents)
        profile = profile_text(full)
        recipe = make_recipe(named.text, "ngram", _chosen(profile, settings, "characters"))
        if profile.has_words and "tokens" not in settings:
            by_words = make_recipe(named.text, "ngram", _chosen(profile, settings, "words"))
        documents = documents if recipe.reading.keep_empty else full
        if named.text not in CATALOGUE:  # Sets of the catalogue may have dev and test splits.
            replacements = {**replacements, named.text: documents}
    splits = read_splits(recipe, replacements)
    if len(splits.dev) == 0:
        raise TextError(
            "Models are chosen and mixed by the dev split, which is empty; use another "
            "`split`, or give its documents in a file, `dev=FILE`."
        )
    if by_words is not None and profile is not None:
        options = {"words": by_words.tokens, "characters": recipe.tokens}
        if choose_level(options, splits, profile.running, budget.left()) == "words":
            recipe = by_words
    learned, unlabelled = splits, read_unlabelled(recipe, replacements)
    if not budget.counts_steps:
        share = _affordable(recipe, splits.train, budget, TOKENISING_SHARE)
        learned = replace(splits, train=_part(recipe, splits.train, share))
        if unlabelled is not None:
            share = _affordable(recipe, unlabelled, budget, UNLABELLED_SHARE)
            unlabelled = _part(recipe, unlabelled, share)
    return ReadText(recipe, profile, splits, tokenize(recipe, learned, unlabelled=unlabelled))


def _chosen(profile: TextProfile, settings: Mapping[str, Any], tokens: str) -> dict[str, Any]:
    """Return the user's settings, completed by those that follow from the profile of the text.

    Args:
        profile: The profile of the text.
        settings: The user's settings.
        tokens: The level of the tokens, unless the user gives it.
    """
    chosen = dict(settings)
    if chosen.setdefault("tokens", tokens) == "words":
        for name, value in (MARKED if profile.marked else UNMARKED).items():
            chosen.setdefault(name, value)
    if profile.running:
        chosen.setdefault("carry_context", True)
        chosen.setdefault("by", "position")
        chosen.setdefault("keep_empty", True)  # Bits per byte count the bytes of empty lines too.
    return chosen


def _affordable(recipe: Recipe, documents: Documents, budget: Budget, most: float) -> float:
    """Return the share of the documents that are tokenised within a share of the time left."""
    share = 1.0
    for size in PROBED:
        probed = size / max(documents.num_bytes, 1)
        if probed >= 1 / 2:
            return 1.0
        began = time.monotonic()
        learn_tokens(_part(recipe, documents, probed), recipe.tokens)
        seconds = SAFETY * (time.monotonic() - began) / probed
        share = max(probed, most * budget.left() / seconds)
        if share >= 1:
            return 1.0
    return share


def _part(recipe: Recipe, documents: Documents, share: float) -> Documents:
    """Return about a share of the documents, or all of them.

    Of running text that is the end, which dev continues; else documents at even distances.
    """
    total = len(documents)
    number = max(1, int(share * total))
    if share >= 1:
        return documents
    if recipe.training.carry_context:
        return documents.take(np.arange(total - number, total))
    return documents.take(np.arange(number) * total // number)
