"""N-grams: which order answered for each token, and what each order gave to its probability.

Every smoothing has the form (see ``models/ngram/smoothing.py``)

    p(w | h) = f(w | h) + g(h) p(w | h')       h' is h without its first token

so the probability of a token is a sum with a term for each order: f of that order, times the
weights g of all longer contexts. At the bottom stands the uniform distribution, order 0. The
terms, called *shares*, add up to the probability. Where what was seen is not interpolated with
shorter contexts (stupid back-off, and imported models, of which it is not known), the order that
answers has all of it.

Counts come from the train text, where it is at hand. Of Kneser-Ney smoothing the count of an n-gram
below the highest order is after how many different tokens it occurred.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from thence.inspection.train_counts import Context, Followers, TrainCounts
from thence.models.ngram import NGram
from thence.models.ngram.smoothing import Smoothing
from thence.tokens import TokenStore

NOT_INTERPOLATED = ("stupid-backoff", "imported")
"""Smoothing methods under which what was seen gets nothing from shorter contexts."""
KNESER_NEY = ("kneser-ney", "modified-kneser-ney")


@dataclass(frozen=True)
class Term:
    """What one order gives to a token.

    Attributes:
        order: Tokens of the n-gram; 0 is the uniform distribution.
        context: The text of the tokens before the token that this order sees.
        first: Place of the first of them; -1 is the boundary before the text.
        seen: Whether the token was seen after this context; by order 0 all were.
        backoff: What the context leaves to the shorter one (g), 0 to 1.
        weight: What the longer contexts leave to this one, all multiplied.
        share: What this order gives to the probability: ``weight`` times f.
        count: How often the token followed; None where the train text is not at hand.
        context_count: The sum of ``count`` over all tokens that followed.
        followers: How many different tokens followed.
        discount: What is taken off the count; None if the method takes off nothing.
        occurrences: How often the n-gram occurs in the train text. It differs from ``count`` where
            that says after how many different tokens it occurs.
        is_continuation: Whether ``count`` says that.
        formula: f in numbers, such as ``(11 - 1.58) / 153``; empty where they are not known.
    """

    order: int
    context: str
    first: int
    seen: bool
    backoff: float | None
    weight: float
    share: float
    count: int | None = None
    context_count: int | None = None
    followers: int | None = None
    discount: float | None = None
    occurrences: int | None = None
    is_continuation: bool = False
    formula: str = ""


@dataclass(frozen=True)
class Stack:
    """What all orders give to a token.

    Attributes:
        order: The highest order of which the n-gram that ends with the token was seen.
        longest: The order of the longest context that was seen: above ``order``, the token was
            never seen after it.
        terms: The longest context first; the shares add up to the token's probability.
        given_class: For n-grams of classes: the class of the token, and its probability within it,
            by which all shares are multiplied.
        member: Of a mixture: the member that is shown, of whose probability these are the shares.
    """

    order: int
    longest: int
    terms: tuple[Term, ...]
    given_class: "WordInClass | None" = None
    member: str = ""


@dataclass(frozen=True)
class WordInClass:
    """A token among those of its class.

    Attributes:
        number: Of the class.
        members: How many tokens are in it.
        count: How often the token was seen.
        class_count: How often all tokens of the class were.
        probability: Of the token, given its class.
        examples: The most frequent tokens of the class.
    """

    number: int
    members: int
    count: int
    class_count: int
    probability: float
    examples: tuple[str, ...]


def stacks(
    model: NGram,
    store: TokenStore,
    carries: bool,
    places: Iterable[int],
    counts: TrainCounts | None,
    context_text: Callable[[int, int], str],
) -> list[Stack]:
    """Return the stack of the target at each place.

    Args:
        model: The n-gram model.
        store: The text in the model's ids.
        carries: Whether documents see those before them.
        places: Of targets.
        counts: Of the train text in the same ids; None if it is not at hand.
        context_text: Gives the text from one place to before another.
    """
    reach = None if carries else store.places
    known = model.contexts(store, carries)
    bottom = None if counts is None else _left_at_the_bottom(model, counts)
    found = []
    for place in places:
        numbers = known[place]
        ids = store.ids[max(place + 1 - numbers.size, 0) : place + 2].astype(np.int64).tolist()
        at = _At(model, tuple(ids[:-1]), ids[-1], place, counts, context_text)
        most = min(numbers.size, place + 1 if reach is None else int(reach[place]) + 1)
        found.append(_stack(at, numbers[:most].tolist(), bottom))
    return found


@dataclass(frozen=True)
class _At:
    """A target and what is before it.

    Attributes:
        model: The n-gram model.
        before: The ids before it, as many as the longest n-gram has but one.
        word: Its id.
        place: Where it stands.
        counts: Of the train text.
        context_text: Gives the text from one place to before another.
    """

    model: NGram
    before: Context
    word: int
    place: int
    counts: TrainCounts | None
    context_text: Callable[[int, int], str]

    def context(self, order: int) -> Context:
        """Return the ids that an order sees."""
        return self.before[len(self.before) - order + 1 :] if order > 1 else ()


def _stack(at: _At, numbers: list[int], bottom: float | None) -> Stack:
    """Return the stack of a target.

    Args:
        at: The target.
        numbers: Of the contexts of 1, 2, ... ids in the tables, -1 where not seen.
        bottom: What order 1 leaves to the uniform distribution; None if it is not known.
    """
    model, size = at.model, at.model.vocabulary_size
    interpolates = model.options.smoothing not in NOT_INTERPOLATED
    tables = model.tables
    probability = math.exp(tables[0].log_probs[at.word])
    uniform = (bottom or 0.0) / size if interpolates else 0.0
    shares = [min(uniform, probability), max(probability - uniform, 0.0)]
    lefts: list[float | None] = [bottom]
    answered = longest = 1
    for order, number in enumerate(numbers, start=2):
        if number < 0:
            lefts.append(None)
            shares.append(0.0)
            continue
        left = math.exp(tables[order - 2].log_backoffs[number])
        key = number * size + at.word
        keys = tables[order - 1].keys
        place = int(np.searchsorted(keys, key))
        before, probability = probability, left * probability
        is_seen = place < len(keys) and int(keys[place]) == key
        if is_seen:
            # Rounding and pruning may leave less than what the shorter context would give.
            whole = math.exp(tables[order - 1].log_probs[place])
            probability, rest = whole, min(probability, whole) if interpolates else 0.0
            answered = order
        else:
            rest = probability
        shares = [share * (rest / before if before else 0.0) for share in shares]
        shares.append(probability - rest)
        lefts.append(left)
        longest = order
    lowest = answered if not interpolates else int(bottom is None)
    terms, weight = [], 1.0
    for order in range(longest, -1, -1):
        leaves = lefts[order - 1] if order else None
        if order and leaves == 1.0 and not shares[order]:
            continue  # A context after which nothing was seen, or that the method does not use.
        if order >= lowest:
            terms.append(_term(at, order, shares[order], leaves, weight, order <= answered))
        weight *= 1.0 if leaves is None else leaves
    return Stack(answered, longest, tuple(terms))


def _term(at: _At, order: int, share: float, left: float | None, weight: float, seen: bool) -> Term:
    """Return what an order gives to a target, with the counts that say why."""
    if order == 0:
        uniform = f"1 / {at.model.vocabulary_size:,}"
        return Term(0, "", at.place, True, None, weight, share, formula=uniform)
    first = at.place - order + 1
    context = at.context_text(first, at.place)
    if at.counts is None:
        return Term(order, context, first, seen, left, weight, share)
    smoothing, highest = at.model.options.smoothing, len(at.model.tables)
    ids = at.context(order)
    followers, is_continuation = at.counts.followers(ids), False
    occurrences = count = followers.count(at.word)
    total = followers.total
    if smoothing in KNESER_NEY and order < highest:
        count, total = _continuations(at, ids, count)
        # What opens a document has nothing before it, and counts as often as it occurs.
        opens = not at.counts.carries and ids[:1] == (at.model.vocabulary_size - 1,)
        is_continuation = not opens
    discount = _discount(at.model, order, count)
    return Term(
        order, context, first, seen, left, weight, share,
        count, total, len(followers), discount, occurrences, is_continuation,
        _formula(at.model, left, count, total, len(followers), discount),
    )  # fmt: skip


def _formula(
    model: NGram, left: float | None, count: int, total: int, followers: int, discount: float | None
) -> str:
    """Return f of an n-gram in numbers."""
    if not count:
        return "0"
    smoothing = model.options.smoothing
    if smoothing == "witten-bell":
        return f"{count:,} / ({total:,} + {followers:,})"
    if smoothing == "add-k":
        return f"{count:,} / ({total:,} + {model.options.add_k * model.vocabulary_size:,g})"
    if smoothing == "jelinek-mercer" and left is not None:
        return f"{1 - left:.3f} {count:,} / {total:,}"
    return (
        f"{count:,} / {total:,}"
        if discount is None
        else f"({count:,} - {discount:.2f}) / {total:,}"
    )


def _continuations(at: _At, ids: Context, occurrences: int) -> tuple[int, int]:
    """Return the count by continuations of the target after a context, and that of all targets."""
    assert at.counts is not None
    if ids:
        found: Followers = at.counts.continuations(ids)
        return found.count(at.word), found.total
    return at.counts.before(at.word) if occurrences else 0, at.model.counted[1]


def _discount(model: NGram, order: int, count: int) -> float | None:
    """Return what is taken off a count of an order; None if the method takes off nothing."""
    if not model.discounts or not count:
        return None
    return model.discounts[order - 1].values[min(count, 3) - 1]


def _left_at_the_bottom(model: NGram, counts: TrainCounts) -> float | None:
    """Return what order 1 leaves to the uniform distribution."""
    smoothing: Smoothing | str = model.options.smoothing
    total, different = counts.unigrams.total, len(counts.unigrams)
    size, highest = model.vocabulary_size, len(model.tables)
    if smoothing in NOT_INTERPOLATED or not total:
        return None
    if smoothing == "mle":
        return 0.0
    if smoothing == "witten-bell":
        return different / (total + different)
    if smoothing == "add-k":
        added = model.options.add_k * size
        return 1.0 if highest > 1 else added / (total + added)
    if smoothing == "jelinek-mercer":
        # From p = (1 - g) c / C + g / V of the most frequent token.
        best = int(counts.unigrams.counts.argmax())
        share = int(counts.unigrams.counts[best]) / total
        found = math.exp(model.tables[0].log_probs[int(counts.unigrams.words[best])])
        return (
            min(max((share - found) / (share - 1 / size), 0.0), 1.0) if share * size > 1 else None
        )
    if smoothing in KNESER_NEY and highest > 1:
        total = model.counted[1]
    discounts = model.discounts[0]
    ones, twos = discounts.counts_of_counts[:2]
    sizes = ones, twos, different - ones - twos
    return math.fsum(d * n for d, n in zip(discounts.values, sizes, strict=True)) / total
