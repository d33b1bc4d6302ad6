"""Static interpolation: exact for what a model lists, and every context sums to one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thence.corpus import Documents
from thence.models.ngram import NGram, NGramOptions
from thence.models.ngram.pruning import spell, sums
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.static import Backoff, interpolate, union
from thence.tokens import Tokenizer, TokenOptions, Vocabulary, make_tokenizer

Counted = tuple[NGram, Tokenizer]


def counted(texts: list[str], **options: object) -> Counted:
    """Count texts whose words are single letters apart."""
    documents = Documents.from_strings([" ".join(text) for text in texts])
    unknown = options.pop("unknown", "symbol")
    tokenizer = make_tokenizer(documents, TokenOptions("words", "whitespace", unknown=unknown))  # type: ignore[arg-type]
    model = NGram(NGramOptions(**options), len(tokenizer.vocabulary))  # type: ignore[arg-type]
    model.fit(tokenizer.encode(documents))
    return model, tokenizer


def mixed(models: list[Counted], weights: list[float]) -> tuple[list[OrderTable], Vocabulary]:
    larger = union([tokenizer.vocabulary for _, tokenizer in models])
    within = [Backoff.within(m.tables, t.vocabulary, larger) for m, t in models]
    return interpolate(within, np.array(weights)), larger


def probability(model: Counted, names: list[str]) -> float:
    """Return the probability of the last word after the others, step by step.

    The first word may be the boundary. What the model does not know has no probability as a word,
    and is <unk> in a context.
    """
    network, tokenizer = model
    vocabulary = tokenizer.vocabulary
    ids = {name: index for index, name in enumerate(vocabulary.names())}
    if names[-1] not in ids:
        return 0.0
    if len(names) == 1:
        return float(np.exp(network.tables[0].log_probs[ids[names[-1]]]))
    state = network.start(1)
    for name in names[:-1]:
        index = ids.get(name, vocabulary.unknown_id)
        if index is None:  # Never seen: as if the text began here.
            log_probs, state = network.tables[0].log_probs[None], network.start(1)
        else:
            log_probs, state = network.step(np.array([index]), state)
    return float(np.exp(log_probs[0, ids[names[-1]]]))


TEXTS = st.lists(st.text("abcd", max_size=7), min_size=2, max_size=8)
MODELS = st.tuples(
    TEXTS,
    st.integers(1, 4),
    st.sampled_from(["symbol", "refuse"]),
    st.sampled_from(
        [{}, {"prune_entropy": 0.05}, *({"smoothing": n} for n in ("witten-bell", "mle", "add-k"))]
    ),
)


@settings(max_examples=40, deadline=None)
@given(models=st.lists(MODELS, min_size=2, max_size=3), first=st.floats(0.01, 0.99))
def test_listed_ngrams_are_averaged_and_all_contexts_sum_to_one(
    models: list[tuple[list[str], int, str, dict[str, object]]], first: float
) -> None:
    letters = ["abc", "bcd", "cda"]  # Each knows other words.
    made = [
        counted([letters[index], *texts], order=order, unknown=unknown, **more)
        for index, (texts, order, unknown, more) in enumerate(models)
    ]
    weights = [first, *[(1 - first) / (len(made) - 1)] * (len(made) - 1)]
    tables, larger = mixed(made, weights)
    names, size = larger.names(), len(larger)
    for level, table in enumerate(tables):
        for words, log_prob in zip(spell(tables, level, size), table.log_probs, strict=True):
            spelled = [names[word] for word in words]
            expected = sum(
                w * probability(one, spelled) for w, one in zip(weights, made, strict=True)
            )
            assert np.exp(log_prob) == pytest.approx(expected, rel=1e-5, abs=1e-9)
    for found in sums(tables, size):
        assert found.totals == pytest.approx(np.ones(len(found.totals)), abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(texts=TEXTS, order=st.integers(1, 4), kept=st.sampled_from(["a", "ab", "abd"]))
def test_words_that_are_left_out_are_unknown_after_every_context(
    texts: list[str], order: int, kept: str
) -> None:
    model, tokenizer = counted(["abcd", *texts], order=order)
    fewer = Vocabulary(tuple(kept))
    tables = interpolate(
        [Backoff.within(model.tables, tokenizer.vocabulary, fewer)], np.array([1.0])
    )
    names, size = fewer.names(), len(fewer)
    for level, table in enumerate(tables):
        for words, log_prob in zip(spell(tables, level, size), table.log_probs, strict=True):
            before = [names[word] for word in words[:-1]]
            lasts = ["<unk>", *(word for word in "abcd" if word not in kept)]
            if words[-1] != fewer.unknown_id:
                lasts = [names[words[-1]]]
            expected = sum(probability((model, tokenizer), [*before, last]) for last in lasts)
            assert np.exp(log_prob) == pytest.approx(expected, rel=1e-4, abs=1e-7)
    for found in sums(tables, size):
        assert found.totals == pytest.approx(np.ones(len(found.totals)), abs=1e-5)


def test_two_bigram_models_worked_by_hand() -> None:
    """The back-off weight after a, where each model lists one of two words.

    p_1(. | a): a 0.5 listed, b backs off; p_2(. | a): b 0.4 listed, a backs off. Unigrams are 1/3
    each, of a, b and the boundary. So p_1(b|a) = p_1(|a) = 0.25 and p_2(a|a) = p_2(|a) = 0.3.
    At even weights  p(a|a) = (0.5 + 0.3) / 2 = 0.4,  p(b|a) = (0.25 + 0.4) / 2 = 0.325, which
    leaves 0.275 for the boundary, that has 1/3 without context: the weight is 0.825.
    """
    third, nothing = np.full(3, np.log(1 / 3), np.float32), np.zeros(0, np.float32)
    vocabulary = Vocabulary(("a", "b"), "refuse")

    def after_a(word: int, probability: float) -> Backoff:
        weight = (1 - probability) / (2 / 3)
        first = OrderTable(np.arange(3), third, np.log([weight, 1, 1]).astype(np.float32))
        listed = OrderTable(np.array([word]), np.log([probability]).astype(np.float32), nothing)
        return Backoff.within([first, listed], vocabulary, vocabulary)

    tables = interpolate([after_a(0, 0.5), after_a(1, 0.4)], np.array([0.5, 0.5]))
    assert tables[1].keys.tolist() == [0, 1]
    assert np.exp(tables[1].log_probs) == pytest.approx([0.4, 0.325])
    assert np.exp(tables[0].log_backoffs) == pytest.approx([0.825, 1, 1])


def test_ngrams_that_others_end_with_are_added() -> None:
    """A file may list "a b c" without "b c", as some programs prune."""
    model, tokenizer = counted(["abc", "bca", "cab"], order=3)
    first, second, third = model.tables
    size = len(tokenizer.vocabulary)
    b, c = (tokenizer.vocabulary.symbols.index(word) for word in "bc")
    stays = second.keys != b * size + c
    begins = np.isin(third.keys // size, np.flatnonzero(stays))
    numbers = np.cumsum(stays) - 1
    pruned = [
        first,
        OrderTable(second.keys[stays], second.log_probs[stays], second.log_backoffs[stays]),
        OrderTable(
            numbers[third.keys[begins] // size] * size + third.keys[begins] % size,
            third.log_probs[begins],
            third.log_backoffs,
        ),
    ]
    one = Backoff.within(pruned, tokenizer.vocabulary, tokenizer.vocabulary)
    tables = interpolate([one, one], np.array([0.5, 0.5]))
    assert b * size + c in tables[1].keys
    for found in sums(tables, size):
        assert found.totals == pytest.approx(np.ones(len(found.totals)), abs=1e-5)
