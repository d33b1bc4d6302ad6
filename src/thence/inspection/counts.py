"""The lens ``backoff`` for each family of count models: n-grams, class n-grams, bigram counts."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np

from thence.inspection.backoff import Decomposition, Term, WordInClass, decompositions
from thence.inspection.networks import distinct_names
from thence.inspection.subject import Subject
from thence.inspection.train_counts import TrainCounts, train_counts, train_store
from thence.models.base import LanguageModel
from thence.models.language.bigram_counts import BigramCounts
from thence.models.language.class_ngram import ADDED, ClassNGram
from thence.models.language.mixture import Mixture
from thence.models.ngram import NGram
from thence.runs import LanguageRun
from thence.tokens import TokenStore

EXAMPLES = 5
"""Most frequent words of a class that are shown."""

_of_classes: WeakKeyDictionary[ClassNGram, TrainCounts | None] = WeakKeyDictionary()


def backoff(subject: Subject) -> list[Decomposition]:
    """Return the contribution of each order to the probability of each token that is shown.

    For a mixture, of its n-gram member of the highest order.
    """
    model, carries = subject.model, subject.run.recipe.training.carry_context
    if not isinstance(model, Mixture):
        return _decompositions(model, subject, carries)
    number, members = _shown_member(model), model.options.members
    name = distinct_names([member.name for member in members])[number]
    carries = carries and members[number].carry_context
    return [
        replace(one, member=name) for one in _decompositions(model.models[number], subject, carries)
    ]


def _shown_member(mixture: Mixture) -> int:
    """Return the index of the member to show: n-grams first, then the highest order."""

    def rank(number: int) -> tuple[bool, bool, int]:
        model, settings = mixture.models[number], mixture.options.members[number].options
        counted = isinstance(model, NGram | ClassNGram | BigramCounts)
        return counted, isinstance(model, NGram), settings.get("order", 0)

    return max(range(len(mixture.models)), key=rank)


def _decompositions(model: LanguageModel, subject: Subject, carries: bool) -> list[Decomposition]:
    """Return the decompositions by the family of a count model."""
    store, shown, text = subject.store, subject.shown, context_of(subject)
    if isinstance(model, NGram):
        return decompositions(
            model, store, carries, shown, train_counts(subject.run, carries), text
        )
    if isinstance(model, ClassNGram):
        return _class_decompositions(model, subject, carries, text)
    assert isinstance(model, BigramCounts)
    return _bigram_decompositions(model, store, shown, text)


def context_of(subject: Subject) -> Callable[[int, int], str]:
    """Return a function from two places to the text between them; place -1 is the boundary."""
    boundary = subject.run.tokenizer.vocabulary.names()[subject.store.boundary_id]

    def text(first: int, stop: int) -> str:
        begin = max(first, 0)
        inside = subject.text_between(begin, stop) if begin < stop else ""
        return boundary + inside if first < 0 else inside

    return text


def _bigram_decompositions(
    model: BigramCounts, store: TokenStore, places: Iterable[int], text: Callable[[int, int], str]
) -> list[Decomposition]:
    """Return the decomposition for bigram counts with add-k smoothing.

    p = c / (C + k V) + (k V / (C + k V)) (1 / V), with C the count of the context and c that of the
    pair. For an unseen context only the second, uniform term remains.
    """
    found, size = [], model.vocabulary_size
    for place in places:
        context, word = store.ids[place : place + 2].tolist()
        count, total, followers = model.counts_after(context, word)
        added = model.options.add_k * size
        left = added / (total + added) if total + added else 1.0
        share = count / (total + added) if count else 0.0
        pair = Term(
            2, text(place - 1, place), place - 1, count > 0, left, 1.0, share,
            count, total, followers, None, count,
            formula=f"{count:,} / ({total:,} + {added:,g})",
        )  # fmt: skip
        uniform = Term(0, "", place, True, None, left, left / size, formula=f"1 / {size:,}")
        found.append(Decomposition(2 if count else 0, 2 if total else 0, (pair, uniform)))
    return found


def _class_decompositions(
    model: ClassNGram, subject: Subject, carries: bool, text: Callable[[int, int], str]
) -> list[Decomposition]:
    """Return the decomposition for class n-grams: p(w | h) = p(class | classes) p(w | class).

    The shares of the orders of the class n-gram are multiplied by p(w | class).
    """
    store = subject.store
    found = decompositions(
        model.ngram, model.classes_in(store), carries, subject.shown,
        _class_counts(model, subject.run, carries), text,
    )  # fmt: skip
    shown = []
    for place, decomposition in zip(subject.shown, found, strict=True):
        within = _word_in_class(model, subject, int(store.targets[place]))
        terms = [replace(one, share=one.share * within.probability) for one in decomposition.terms]
        shown.append(replace(decomposition, terms=tuple(terms), given_class=within))
    return shown


def _class_counts(model: ClassNGram, run: LanguageRun, carries: bool) -> TrainCounts | None:
    """Return the counts of the train text as classes, cached; None if the text is missing."""
    if model not in _of_classes:
        store, size = train_store(run), model.classes + 1
        counts = None if store is None else TrainCounts(model.classes_in(store), size, carries)
        _of_classes[model] = counts
    return _of_classes[model]


def _word_in_class(model: ClassNGram, subject: Subject, word: int) -> WordInClass:
    """Return the probability of a word given its class, with the counts that it comes from."""
    number = int(model.class_of[word])
    members = np.flatnonzero(model.class_of == number)
    counts = model.counts[members]
    total = int(counts.sum())
    most = members[np.argsort(-counts, kind="stable")[:EXAMPLES]].tolist()
    count = int(model.counts[word])
    return WordInClass(
        number,
        len(members),
        count,
        total,
        (count + ADDED) / (total + ADDED * len(members)),
        tuple(subject.token_text(one) for one in most),
    )
