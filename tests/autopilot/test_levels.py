import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.autopilot import levels
from thence.autopilot.levels import bits_per_byte, choose_level, first_bytes_of, last_bytes_of
from thence.corpus import Documents, Splits
from thence.models.ngram import NGram, NGramOptions
from thence.models.spelling import Spelling
from thence.tokens import TokenOptions, make_tokenizer

OPTIONS = {"words": TokenOptions("words", min_count=2), "characters": TokenOptions()}


def splits_of(lines: list[str]) -> Splits:
    documents = Documents.from_strings(lines)
    cut = 9 * len(lines) // 10
    dev = documents.take(np.arange(cut, len(lines)))
    return Splits(documents.take(np.arange(cut)), dev, dev)


def sentences(random: Random, word: Callable[[], str]) -> list[str]:
    return [" ".join(word() for _ in range(10)) for _ in range(600)]


def test_the_level_follows_from_the_text() -> None:
    random = Random(0)
    few = ["".join(random.choices("abcdefghijklmnop", k=7)) for _ in range(500)]
    # Of 500 known words each is worth log2(500) = 9 bits, and their letters say no more.
    known = splits_of(sentences(random, lambda: random.choice(few)))
    # Every word is a new one, but begins with the letters that the one before ended with.
    ends = ["".join(random.choices("abcd", k=4)) for _ in range(6001)]
    chain = iter([before + after for before, after in pairwise(ends)])
    fresh = splits_of(sentences(random, lambda: next(chain)))
    for running in (False, True):
        assert choose_level(OPTIONS, known, running, math.inf) == "words"
        assert choose_level(OPTIONS, fresh, running, math.inf) == "characters"


def test_without_time_for_context_mixing_words_win_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"words": 0.96, "characters": 1.0}
    monkeypatch.setattr(levels, "bits_per_byte", lambda options, *_: measured[options.tokens])
    clock = iter(range(100))
    monkeypatch.setattr(levels.time, "monotonic", lambda: 1.0 * next(clock))
    splits = splits_of(["a b c d"] * 20)
    # The n-gram of 126 bytes of train and 14 of dev takes a second, so mixing 12. In half of 60
    # seconds it reads all, in half of 4 only 140 x 2 / 12 - 14 = 9.3 bytes of train: 3.8 halvings,
    # and 0.93 e^(0.025 x 3.8) is more than 0.98.
    assert choose_level(OPTIONS, splits, True, 60.0) == "characters"
    assert choose_level(OPTIONS, splits, True, 4.0) == "words"
    assert choose_level(OPTIONS, splits, False, 60.0) == "words"


def test_bits_are_of_every_byte_and_of_the_spelling() -> None:
    train, dev = Documents.from_strings(["a b a", "b a c"]), Documents.from_strings(["a dd"])
    tokenizer = make_tokenizer(train, OPTIONS["words"])
    model = NGram(NGramOptions(order=2), len(tokenizer.vocabulary))
    model.fit(tokenizer.encode(train))
    nats = -float(model.score(tokenizer.encode(dev)).sum())
    nats -= float(Spelling(tokenizer).log_probs(["dd"])[0])
    found = bits_per_byte(OPTIONS["words"], 2, train, dev)
    assert found == pytest.approx(nats / math.log(2) / 5)
    # How unknown words are read does not matter here.
    refusing = TokenOptions("words", min_count=2, unknown="refuse")
    assert bits_per_byte(refusing, 2, train, dev) == pytest.approx(found)


@given(st.lists(st.text("aé漢\n", max_size=9), min_size=1, max_size=6), st.integers(1, 40))
def test_parts_are_whole_characters_of_either_end(texts: list[str], size: int) -> None:
    documents, whole = Documents.from_strings(texts), "".join(texts)
    first, last = (cut(documents, size) for cut in (first_bytes_of, last_bytes_of))
    assert whole.startswith("".join(first))
    assert whole.endswith("".join(last))
    total = len(whole.encode())
    for part in (first, last):  # A character has at most three bytes here.
        assert abs(part.num_bytes - min(size, total)) <= 2


@pytest.mark.parametrize("lines", [["", "", "a b c d"], ["a"] * 10, ["x y z w v"] * 50])
def test_odd_texts_have_a_level(lines: list[str]) -> None:
    assert choose_level(OPTIONS, splits_of(lines), True, 1.0) in OPTIONS
