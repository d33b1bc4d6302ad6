"""The kernels of fastText's features and sums equal the NumPy code they stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence._core import fasttext as core
from thence._core import library
from thence.batches.bags import bags_with
from thence.corpus import Documents
from thence.models.fasttext.contents import (
    Arguments,
    Dense,
    Dictionary,
    Entries,
    FastTextModel,
    Quantised,
)
from thence.models.fasttext.features import core_dictionary, features, features_in_numpy
from thence.models.fasttext.predictions import core_matrix, scores_in_numpy, sums, sums_in_numpy

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled core is not built")

PIECES = [*"ab<>_ ", "\n", "\0", "\v", "é", "語", "\U0001f600", " </s> ", "</s>", " __label__x"]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=6)
WORDS = ["</s>", "a", "ab", "é", "語é", "__label__word"]
BUCKETS = 13


@st.composite
def models(draw):
    """Models of few words and buckets, whose features cover all cases."""
    words = Entries.of(WORDS, range(len(WORDS), 0, -1))
    labels = Entries.of(["__label__x", "a_label"], [2, 1])
    minn, maxn, runs = draw(st.integers(0, 4)), draw(st.integers(0, 4)), draw(st.integers(1, 4))
    arguments = Arguments(
        dim=2, bucket=BUCKETS, minn=minn, maxn=maxn, word_ngrams=runs, model="supervised"
    )
    kept = draw(st.none() | st.lists(st.integers(0, BUCKETS - 1), unique=True))
    pruned = kept if kept is None else np.array([*enumerate(kept)], np.int32).reshape(-1, 2)
    if pruned is not None:
        pruned = np.ascontiguousarray(pruned[:, ::-1])
    rows = np.zeros((len(WORDS) + (BUCKETS if pruned is None else len(pruned)), 2), np.float32)
    dictionary = Dictionary(words, labels, 21, pruned)
    return FastTextModel(arguments, dictionary, Dense(rows), Dense(rows[:2]))


@given(models(), TEXTS)
def test_features(model, texts):
    documents = Documents.from_strings(texts).compact()
    found, expected = features(model, documents), features_in_numpy(model, documents)
    assert np.array_equal(found.features, expected.features)
    assert np.array_equal(found.offsets, expected.offsets)


@given(models(), st.binary(max_size=30))
def test_bytes_that_are_no_text(model, data):
    documents = Documents(np.frombuffer(data, np.uint8), np.array([0]), np.array([len(data)]))
    found, expected = features(model, documents), features_in_numpy(model, documents)
    assert np.array_equal(found.features, expected.features)


@given(models())
def test_what_does_not_fit_is_refused(model):
    dictionary, text = core_dictionary(model), np.frombuffer(b"a word", np.uint8)
    for ends in ([7], [4, 3], [-1]):
        with pytest.raises(ValueError, match="do not fit"):
            core.features(dictionary, text, np.array(ends), 1000)
    with pytest.raises(ValueError, match="the room"):
        core.features(dictionary, text, np.array([6, 6, 6]), 0)
    dictionary.buckets, dictionary.maxn = 0, 2
    with pytest.raises(ValueError, match="do not fit"):
        core.features(dictionary, text, np.array([6]), 1000)


@st.composite
def matrices(draw):
    """Matrices of seven rows, of numbers or of codes, and bags of them."""
    random = np.random.default_rng(draw(st.integers(0, 99)))
    dim = draw(st.integers(1, 7))
    sizes = draw(st.lists(st.integers(0, 12), max_size=5))
    rows = random.integers(0, 7, sum(sizes)).astype(np.int32)
    bags = bags_with(rows, np.array(sizes, np.int64))
    if draw(st.booleans()):
        moved = np.frombuffer(b"\0" + random.random((7, dim), np.float32).tobytes(), np.uint8)[1:]
        return Dense(moved.view(np.float32).reshape(7, dim)), bags  # Not aligned, as in a file.
    size = draw(st.integers(1, dim))
    codes = random.integers(0, 256, (7, -(-dim // size)), np.uint8)
    norms = (random.integers(0, 256, 7, np.uint8), random.random(256, np.float32))
    norms = norms if draw(st.booleans()) else (None, None)
    return Quantised(codes, random.random(256 * dim, np.float32), dim, size, *norms), bags


@given(matrices())
def test_sums(given_matrix):
    matrix, bags = given_matrix
    assert np.array_equal(sums(matrix, bags), sums_in_numpy(matrix, bags))


@given(st.integers(1, 20), st.integers(1, 9), st.integers(0, 4), st.integers(0, 99))
def test_scores(labels, dim, lines, seed):
    random = np.random.default_rng(seed)
    table = random.standard_normal((dim, labels), np.float32)
    vectors = random.standard_normal((lines, dim), np.float32)
    assert np.array_equal(core.scores(table, vectors), scores_in_numpy(table, vectors))
    with pytest.raises(ValueError, match="do not fit"):
        core.scores(table, np.zeros((1, dim + 1), np.float32))


def test_sums_of_what_does_not_fit_are_refused():
    table = core_matrix(Dense(np.zeros((3, 2), np.float32)))
    for rows, offsets in (([3], [0, 1]), ([-1], [0, 1]), ([0], [0, 2]), ([0], [-1, 1])):
        with pytest.raises(ValueError, match="do not fit"):
            core.sums(table, np.array(rows, np.int32), np.array(offsets))
    with pytest.raises(ValueError, match="do not fit"):
        core.sums(table, np.zeros(2, np.int32), np.array([0, 2, 1]))
    codes, centroids = np.zeros((3, 2), np.uint8), np.zeros(512, np.float32)
    for size in (0, 3):  # Of a part: two columns are not two parts of three.
        coded = core.Matrix.coded(codes, centroids, 2, size, None, None)
        with pytest.raises(ValueError, match="do not fit"):
            core.sums(coded, np.zeros(1, np.int32), np.array([0, 1]))
    for norm_codes, norms in ((np.zeros(2, np.uint8), np.zeros(256, np.float32)),):
        with pytest.raises(TypeError, match="centroids"):
            core.Matrix.coded(codes, centroids, 2, 1, norm_codes, norms)
    with pytest.raises(TypeError, match="single-precision"):
        core.Matrix.dense(np.zeros((2, 2)))
