"""Deadlines: when they pass, how they nest, and who asks for them."""

import time
from typing import Any

import numpy as np
import pytest

from thence.corpus import Documents
from thence.deadline import DeadlineError, check_deadline, deadline, past_deadline
from thence.models.mixture_weights import learn_gate
from thence.models.ngram import NGram, NGramOptions
from thence.tokens import TokenOptions, learn_tokens, make_tokenizer
from thence.tokens.parallel import in_threads

TEXT = Documents.from_strings(["a b c", "b c a", "c c"] * 20)


def test_without_a_deadline_nothing_passes() -> None:
    check_deadline()
    assert not past_deadline()


def test_it_passes_and_is_forgotten() -> None:
    with deadline(time.monotonic() - 1):
        assert past_deadline()
        with pytest.raises(DeadlineError):
            check_deadline()
    check_deadline()


def test_an_inner_one_never_puts_off_an_outer_one() -> None:
    with deadline(time.monotonic() - 1), deadline(time.monotonic() + 60):
        assert past_deadline()
    with deadline(time.monotonic() + 60):
        with deadline(time.monotonic() - 1):
            assert past_deadline()
        assert not past_deadline()


def past() -> Any:
    return deadline(time.monotonic() - 1)


def test_work_in_threads_ends_between_two_items() -> None:
    done: list[int] = []
    with pytest.raises(DeadlineError), past():
        done.extend(in_threads(abs, range(1000)))
    assert done == []


def test_tokenising_ends() -> None:
    for learn in (learn_tokens, make_tokenizer):
        with pytest.raises(DeadlineError), past():
            learn(TEXT, TokenOptions("words"))


def test_counting_ends() -> None:
    tokenizer, store = learn_tokens(TEXT, TokenOptions())
    with pytest.raises(DeadlineError), past():
        NGram(NGramOptions(3), len(tokenizer.vocabulary)).fit(store)


def test_weights_of_a_mixture_are_those_learned_so_far() -> None:
    # The start has each model's overall weight: the first is right in two of three places.
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    features = np.array([[1.0, 0], [1, 0], [1, 1]])
    learned = learn_gate(probs, features)
    with past():
        begun = learn_gate(probs, features)
    assert begun[0, 0] > begun[0, 1] and not np.allclose(begun, learned)
