"""N-grams of word classes, and the exchange algorithm that finds the classes."""

import numpy as np
import pytest

from thence.corpus import Documents
from thence.models.language.class_ngram import ADDED, ClassNGram, ClassNGramOptions
from thence.models.language.word_classes import exchange
from thence.tokens import Tokenizer, TokenOptions, make_tokenizer

PETS = ["the cat ran", "the dog ran", "a cat sat", "a dog sat", "the dog sat", "a cat ran"]


def tokenizer_of(texts: list[str]) -> Tokenizer:
    return make_tokenizer(Documents.from_strings(texts), TokenOptions("words", unknown="refuse"))


def test_words_in_the_same_places_are_in_one_class() -> None:
    tokenizer = tokenizer_of(PETS)
    model = ClassNGram(ClassNGramOptions(3, 3, "witten-bell"), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(PETS))
    ids = {word: index for index, word in enumerate(tokenizer.vocabulary.symbols)}
    pairs = {frozenset(("the", "a")), frozenset(("cat", "dog")), frozenset(("ran", "sat"))}
    found = {frozenset(w for w in ids if model.class_of[ids[w]] == c) for c in range(3)}
    assert found == pairs
    assert model.class_of[-1] == 3  # The boundary.


def test_a_probability_is_that_of_the_class_times_the_share_of_the_word() -> None:
    """Every text is determiner, animal, verb: of a verb after an animal the class is certain.

    With mle smoothing p(ran | cat) = 1 * n(ran) / n(verbs), 4 of 6 as texts say ran once more;
    with k = 0.1 added it is (3 + 0.1) / (6 + 0.2).
    """
    tokenizer = tokenizer_of(PETS)
    model = ClassNGram(ClassNGramOptions(3, 2, "mle"), len(tokenizer.vocabulary))
    store = tokenizer.encode(PETS)
    log_prob = model.fit(store)
    ids = {word: index for index, word in enumerate(tokenizer.vocabulary.symbols)}
    log_probs, _ = model.step(np.array([ids["cat"]]), model.start(1))
    expected = (3 + ADDED) / (6 + 2 * ADDED)
    assert np.exp(log_probs[0, ids["ran"]]) == pytest.approx(expected)
    assert log_prob == pytest.approx(model.score(store).sum())


def test_a_saved_model_that_does_not_fit_is_refused() -> None:
    tokenizer = tokenizer_of(PETS)
    size = len(tokenizer.vocabulary)
    model = ClassNGram(ClassNGramOptions(3, 2), size)
    model.fit(tokenizer.encode(PETS))
    tensors = model.tensors()
    for name, value in (
        ("class_of", np.zeros(size, np.int32)),
        ("class_of", np.arange(size, dtype=np.int32)),
        ("class_of", np.zeros(size)),
        ("counts", -np.ones(size, np.int64)),
        ("counts", np.ones(size + 1, np.int64)),
    ):
        with pytest.raises(ValueError, match=r"classes do not fit|class of its own"):
            ClassNGram(model.options, size).load_tensors(tensors | {name: value})
    with pytest.raises(ValueError, match="expected class_of and counts"):
        model.load_tensors({})


def test_more_classes_than_words_are_no_harm() -> None:
    classes = exchange(np.array([1, 2]), np.array([3, 1]), 3, 5, np.array([2]))
    assert classes.tolist()[2] == 5 and max(classes[:2]) < 5
