"""The features of texts, worked out by hand."""

import numpy as np
import pytest

from thence.corpus import Documents
from thence.models.fasttext.contents import (
    Arguments,
    Dense,
    Dictionary,
    Entries,
    FastTextModel,
    hash_strings,
)
from thence.models.fasttext.features import features, subword_bags, subwords, word_ids

WORDS = ["</s>", "the", "sea"]
BUCKETS = 10


def model_of(pruned: np.ndarray | None = None, **settings: int) -> FastTextModel:
    """Return a supervised model with 3 words, 2 labels and 10 buckets."""
    given = {"dim": 1, "bucket": BUCKETS, "minn": 0, "maxn": 0, **settings}
    arguments = Arguments(model="supervised", loss="softmax", **given)
    words, labels = Entries.of(WORDS, [3, 2, 1]), Entries.of(["__label__a", "__label__b"], [2, 1])
    rows = np.zeros((len(WORDS) + (BUCKETS if pruned is None else len(pruned)), 1), np.float32)
    dictionary = Dictionary(words, labels, 6, pruned)
    return FastTextModel(arguments, dictionary, Dense(rows), Dense(rows[:2]))


def lines(model: FastTextModel, *texts: str) -> list[list[int]]:
    found = features(model, Documents.from_strings(texts))
    return [part.tolist() for part in np.split(found.features, found.offsets[1:-1])]


def fnv(string: bytes) -> int:
    """Return fastText's hash, as Dictionary::hash says it: bytes are signed."""
    found = 2166136261
    for byte in string:
        found = (found ^ (byte - 256 * (byte > 127)) % 2**32) * 16777619 % 2**32
    return found


def test_the_hash() -> None:
    # Of one byte: (2166136261 ^ 97) * 16777619 mod 2^32; é is C3 A9, as numbers -61 and -87.
    entries = Entries.of(["", "a", "é", "the"], [0] * 4)
    hashes, keys = hash_strings(entries.text, entries.offsets[:-1], np.diff(entries.offsets))
    assert hashes.tolist() == [fnv(s) for s in (b"", b"a", "é".encode(), b"the")]
    assert hashes[:2].tolist() == [2166136261, 3826002220]
    assert len(set(keys.tolist())) == 4


def test_words_and_the_end() -> None:
    # Words without a row are passed over; every text ends in </s>, and a literal one ends it.
    found = lines(model_of(), "the sea", "the\n\tsea\0the", "at sea", "", "sea </s> the", "the</s>")
    assert found == [[1, 2, 0], [1, 2, 1, 0], [2, 0], [0], [2, 0], [0]]


def test_labels_are_no_words() -> None:
    assert lines(model_of(), "__label__a the", "__label__none sea", "a__label__") == [
        [1, 0],
        [2, 0],
        [0],
    ]


def test_runs_of_characters() -> None:
    model = model_of(minn=2, maxn=3)
    runs = [b"<t", b"<to", b"to", b"to>", b"o>"]
    buckets = [3 + fnv(run) % BUCKETS for run in runs]
    assert lines(model, "to") == [[*buckets, 0]]
    assert subwords(model, "to")[0] == [run.decode() for run in runs]
    assert subwords(model, "to")[1].tolist() == buckets
    # A known word has its own row first. Characters are counted, not bytes.
    assert lines(model, "sea")[0][0] == 2
    assert subwords(model, "é")[0] == ["<é", "<é>", "é>"]


def test_marks_alone_are_no_runs() -> None:
    # Of <a>: "<" and ">" are left out, "a" is not.
    assert subwords(model_of(minn=1, maxn=1), "a")[0] == ["a"]
    assert subwords(model_of(minn=1, maxn=1), "<")[0] == ["<"]
    assert lines(model_of(minn=1, maxn=1), "a") == [[3 + fnv(b"a") % BUCKETS, 0]]


def test_runs_of_words() -> None:
    # Hashes are signed numbers of 32 bits: h(the, at) = h(the) 116049371 + h(at), modulo 2^64.
    def signed(word: bytes) -> int:
        return fnv(word) - 2**32 * (fnv(word) >= 2**31)

    the, at, end = (signed(word) for word in (b"the", b"at", b"</s>"))
    first = (the * 116049371 + at) % 2**64
    second = (at * 116049371 + end) % 2**64
    third = (first * 116049371 + end) % 2**64
    assert lines(model_of(word_ngrams=2), "the at") == [
        [1, 0, 3 + first % BUCKETS, 3 + second % BUCKETS]
    ]
    assert lines(model_of(word_ngrams=3), "the at") == [
        [1, 0, *(3 + bucket % BUCKETS for bucket in (first, third, second))]
    ]


def test_buckets_that_were_left_out() -> None:
    buckets = [fnv(run) % BUCKETS for run in (b"<t", b"to", b"o>")]
    kept = np.array([[buckets[1], 0]], np.int32)
    found = subword_bags(model_of(kept, minn=2, maxn=2), ["to", "</s>", "the"])
    assert found.features[:1].tolist() == [3]
    assert found.features[1] == 0  # </s> has no runs.
    none = subword_bags(model_of(np.zeros((0, 2), np.int32), minn=2, maxn=2), ["to", "the"])
    assert (none.features.tolist(), none.sizes.tolist()) == ([1], [0, 1])


def test_ids() -> None:
    model = model_of()
    assert word_ids(model, ["sea", "none", "", "__label__b"]).tolist() == [2, -1, -1, 4]


def test_the_last_of_equal_words_counts() -> None:
    model = model_of()
    words = Entries.of(["the", "the", "sea"], [1, 1, 1])
    twice = FastTextModel(
        model.arguments, Dictionary(words, model.dictionary.labels, 3), model.input, model.output
    )
    assert word_ids(twice, ["the"]).tolist() == [1]


@pytest.mark.parametrize(
    ("pruned", "settings", "problem"),
    [
        (None, {"bucket": 0, "maxn": 2}, "no buckets"),
        (None, {"bucket": 11, "maxn": 2}, "input matrix"),
        (None, {"bucket": 9, "maxn": 2}, "input matrix"),
        (None, {"dim": 2}, "input matrix"),
        ([[0, 10]], {}, "not those after its words"),
        ([[0, -1]], {}, "not those after its words"),
        ([[0, 1], [1, 1]], {}, "not those after its words"),
        ([[1, 0], [1, 1]], {}, "two rows"),
        ([[-1, 0]], {}, "or is none"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    pruned: list[list[int]] | None, settings: dict[str, int], problem: str
) -> None:
    kept = None if pruned is None else np.array(pruned, np.int32)
    with pytest.raises(ValueError, match=problem):
        model_of(kept, **settings)
