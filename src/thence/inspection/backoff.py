"""Decomposition of the probability of an n-gram model into contributions of its orders.

Every smoothing method has the form (see ``models/ngram/smoothing.py``)

    p(w | h) = f(w | h) + g(h) p(w | h')       h' is h without its first token

so the probability of a token is a sum with a term for each order: f of that order, times the
back-off weights g of all longer contexts. The lowest term, order 0, is the uniform distribution.
The terms, called *shares*, add up to the probability. Without interpolation (stupid back-off, and
imported models, whose interpolation is not known), the highest order that was seen has all of it.

Counts come from the train text, if it can be read. In Kneser-Ney smoothing, counts below the
highest order are continuation counts: numbers of distinct preceding tokens.
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
"""Smoothing methods where the probability of a seen n-gram has no part from shorter contexts."""
KNESER_NEY = ("kneser-ney", "modified-kneser-ney")


@dataclass(frozen=True)
class Term:
    """The contribution of one order to the probability of a token.

    Attributes:
        order: Length of the n-gram in tokens; 0 is the uniform distribution.
        context: The text of the context of this order.
        first: Place of its first token; -1 is the boundary before the text.
        seen: Whether the token was seen after this context; true for order 0.
        backoff: Back-off weight of the context, g, from 0 to 1.
        weight: Product of the back-off weights of all longer contexts.
        share: Contribution to the probability: ``weight`` times f.
        count: Count of the n-gram; None if the train text cannot be read.
        context_count: Sum of ``count`` over all tokens that follow the context.
        followers: Number of distinct tokens that follow the context.
        discount: Discount subtracted from the count; None if the method has none.
        occurrences: Occurrences of the n-gram in the train text; differs from ``count`` if that is
            a continuation count.
        is_continuation: Whether ``count`` is a continuation count.
        formula: f in numbers, such as ``(11 - 1.58) / 153``; empty if counts are not known.
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
class Decomposition:
    """The contributions of all orders to the probability of a token.

    Attributes:
        order: The highest order whose n-gram, ending with the token, was seen in train.
        longest: The highest order whose context was seen; if above ``order``, the token was never
            seen after that context.
        terms: The longest context first; the shares add up to the token's probability.
        given_class: In class n-grams: the class of the token and its probability within it, by
            which all shares are multiplied.
        member: In a mixture: name of the member whose probability is decomposed.
    """

    order: int
    longest: int
    terms: tuple[Term, ...]
    given_class: "WordInClass | None" = None
    member: str = ""


@dataclass(frozen=True)
class WordInClass:
    """A token within its class.

    Attributes:
        number: Index of the class.
        members: Number of tokens in the class.
        count: Count of the token in train.
        class_count: Count of all tokens of the class.
        probability: Probability of the token given its class.
        examples: The most frequent tokens of the class.
    """

    number: int
    members: int
    count: int
    class_count: int
    probability: float
    examples: tuple[str, ...]


def decompositions(
    model: NGram,
    store: TokenStore,
    carries: bool,
    places: Iterable[int],
    counts: TrainCounts | None,
    context_text: Callable[[int, int], str],
) -> list[Decomposition]:
    """Return the decomposition of the probability of the target at each place.

    Args:
        model: The n-gram model.
        store: The text in the model's ids.
        carries: Whether context is carried across documents.
        places: Places of the targets.
        counts: Counts of the train text in the same ids; None if it cannot be read.
        context_text: Function from two places to the text between them.
    """
    reach = None if carries else store.places
    known = model.contexts(store, carries)
    bottom = None if counts is None else _uniform_weight(model, counts)
    found = []
    for place in places:
        numbers = known[place]
        ids = store.ids[max(place + 1 - numbers.size, 0) : place + 2].astype(np.int64).tolist()
        at = _Target(model, tuple(ids[:-1]), ids[-1], place, counts, context_text)
        most = min(numbers.size, place + 1 if reach is None else int(reach[place]) + 1)
        found.append(_decompose(at, numbers[:most].tolist(), bottom))
    return found


@dataclass(frozen=True)
class _Target:
    """A target with its context.

    Attributes:
        model: The n-gram model.
        before: The last n - 1 ids before it.
        word: Its id.
        place: Its place in the text.
        counts: Counts of the train text; None if it cannot be read.
        context_text: Function from two places to the text between them.
    """

    model: NGram
    before: Context
    word: int
    place: int
    counts: TrainCounts | None
    context_text: Callable[[int, int], str]

    def context(self, order: int) -> Context:
        """Return the context of an order: its last ``order`` - 1 ids."""
        return self.before[len(self.before) - order + 1 :] if order > 1 else ()


def _decompose(at: _Target, numbers: list[int], bottom: float | None) -> Decomposition:
    """Return the decomposition of the probability of a target, built from order 1 upwards.

    Saved tables have p and g, not f. Going to a longer context h with a seen n-gram, the part of
    p(w | h) that comes from below is g(h) p(w | h'), and the rest is the new term. If the n-gram
    was not seen, all terms so far are multiplied by g(h).

    Args:
        at: The target.
        numbers: Indices in the tables of the contexts of 1, 2, ... ids, -1 where not seen.
        bottom: Back-off weight of order 1 to the uniform distribution; None if unknown.
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
            # By rounding or pruning, the saved probability may be below g(h) p(w | h').
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
            continue  # No token was seen after this context, or the method ignores it.
        if order >= lowest:
            terms.append(_term(at, order, shares[order], leaves, weight, order <= answered))
        weight *= 1.0 if leaves is None else leaves
    return Decomposition(answered, longest, tuple(terms))


def _term(
    at: _Target, order: int, share: float, left: float | None, weight: float, seen: bool
) -> Term:
    """Return the term of an order, with the counts that its value comes from."""
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
        # N-grams that begin with the boundary have no preceding token and keep plain counts.
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
    """Return f of an n-gram as a formula with numbers."""
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


def _continuations(at: _Target, ids: Context, occurrences: int) -> tuple[int, int]:
    """Return the continuation counts of the target after a context, and of all tokens after it."""
    assert at.counts is not None
    if ids:
        found: Followers = at.counts.continuations(ids)
        return found.count(at.word), found.total
    return at.counts.before(at.word) if occurrences else 0, at.model.counted[1]


def _discount(model: NGram, order: int, count: int) -> float | None:
    """Return the discount of a count (1, 2 or 3+) of an order; None if the method has none."""
    if not model.discounts or not count:
        return None
    return model.discounts[order - 1].values[min(count, 3) - 1]


def _uniform_weight(model: NGram, counts: TrainCounts) -> float | None:
    """Return g of order 1, the weight of the uniform distribution; None if unknown.

    It is not saved with the model, so it is computed from the counts by the smoothing method.
    """
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
        # Solve p = (1 - g) c / C + g / V for g, for the most frequent token.
        best = int(counts.unigrams.counts.argmax())
        share = int(counts.unigrams.counts[best]) / total
        found = math.exp(model.tables[0].log_probs[int(counts.unigrams.words[best])])
        return (
            min(max((share - found) / (share - 1 / size), 0.0), 1.0) if share * size > 1 else None
        )
    if smoothing in KNESER_NEY and highest > 1:
        total = model.counted[1]
    # Absolute discounting: g = (D1 n1 + D2 n2 + D3 n3) / C, with n3 the number of counts above 2.
    discounts = model.discounts[0]
    ones, twos = discounts.counts_of_counts[:2]
    sizes = ones, twos, different - ones - twos
    return math.fsum(d * n for d, n in zip(discounts.values, sizes, strict=True)) / total
