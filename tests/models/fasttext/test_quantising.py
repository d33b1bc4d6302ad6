"""Small files: k-means, codes, and the rows that are kept."""

from dataclasses import replace

import numpy as np
import pytest

from thence.corpus import Documents
from thence.errors import SettingError
from thence.models.fasttext import quantising
from thence.models.fasttext.contents import Arguments, Dense, Dictionary, Entries, FastTextModel
from thence.models.fasttext.features import features
from thence.models.fasttext.quantising import (
    Quantisation,
    k_means,
    nearest_in_numpy,
    prune_rows,
    quantise,
    quantise_matrix,
    split,
)

DRAW = np.random.default_rng(0)


def a_matrix(rows: int = 600, dim: int = 5) -> np.ndarray:
    return DRAW.normal(size=(rows, dim)).astype(np.float32)


def test_of_equally_near_centres_the_first_counts():
    centres = np.full((256, 2), 9, np.float32)
    centres[[3, 7]] = [[1, 0], [0, 1]]
    assert nearest_in_numpy(np.array([[0, 0]], np.float32), centres).tolist() == [3]


def test_few_distinct_points_are_their_own_centres():
    points = np.repeat(a_matrix(200, 2), 5, axis=0)[DRAW.permutation(1000)]
    centres = k_means(points, np.random.default_rng(0))
    codes = nearest_in_numpy(points, centres)
    errors = ((points - centres[codes]) ** 2).sum(1)
    assert errors.mean() < 0.002 * (points**2).sum(1).mean()


def test_a_centre_without_points_takes_half_of_anothers():
    centres, counts = np.zeros((256, 2), np.float32), np.ones(256, np.int64)
    counts[0], counts[1:3] = 100, 0
    split(centres, counts, np.random.default_rng(0))
    assert counts.sum() == 353
    assert (counts[:3] > 0).all()


@pytest.mark.parametrize("part_size", [1, 2, 3, 7])
@pytest.mark.parametrize("with_norms", [False, True])
def test_rows_are_nearly_what_they_were(part_size, with_norms):
    matrix = a_matrix()
    matrix[50:60] = 0
    found = quantise_matrix(matrix, Quantisation(part_size, with_norms))
    rows = found.rows(np.arange(len(matrix)))
    assert found.codes.shape == (600, -(-5 // part_size))
    # 256 centres for 590 points: of one number each the error is tiny, of five a large part stays.
    most = {1: 0.001, 2: 0.02, 3: 0.1, 7: 0.5}[part_size]
    assert ((rows - matrix) ** 2).mean() < most * (matrix**2).mean()
    assert not rows[50:60].any()  # Buckets that no text had stay zero.


def test_small_matrices_are_refused():
    with pytest.raises(SettingError, match="at least 256 rows; it has 255"):
        quantise_matrix(a_matrix(255), Quantisation())


def a_model(buckets: int = 700) -> FastTextModel:
    words = [b"one", b"</s>", *(b"w%d" % number for number in range(98))]
    labels = Entries.of([b"__label__a", b"__label__b"], [2, 1])
    dictionary = Dictionary(Entries.of(words, range(200, 100, -1)), labels, 1000)
    arguments = Arguments(
        dim=4, model="supervised", loss="softmax", word_ngrams=2, bucket=buckets, minn=0, maxn=0
    )
    matrix = a_matrix(100 + buckets, 4)
    return FastTextModel(arguments, dictionary, Dense(matrix), Dense(a_matrix(2, 4)))


def test_the_longest_rows_are_kept_and_the_end_of_lines():
    model = a_model()
    model.input.values[1] = 0  # </s>
    model.input.values[[5, 150]] *= 100
    small = prune_rows(model, 300)
    names = small.dictionary.words.names()
    assert small.input.shape == (300, 4)
    assert {"</s>", "w3"} <= set(names)
    assert small.dictionary.words.counts[names.index("w3")] == 195
    assert 50 in small.dictionary.pruned[:, 0]
    # Every row that is kept is the one of before.
    before = model.dictionary.words.names()
    for row, name in enumerate(names):
        assert np.array_equal(small.input.values[row], model.input.values[before.index(name)])
    for bucket, row in small.dictionary.pruned:
        assert np.array_equal(
            small.input.values[len(names) + row], model.input.values[100 + bucket]
        )


def test_texts_have_the_same_features_but_those_left_out():
    model = a_model()
    small = prune_rows(model, 400)
    texts = Documents.from_strings(["one w1 w2 w3 w4 w5", "w90 one w80"])
    before, after = (set(map(bytes, part.input.values[features(part, texts).features]))
                     for part in (model, small))  # fmt: skip
    assert after < before


def test_output_too():
    model = a_model()
    labels = Entries.of([b"__label__%d" % number for number in range(300)], [1] * 300)
    dictionary = replace(model.dictionary, labels=labels)
    model = FastTextModel(model.arguments, dictionary, model.input, Dense(a_matrix(300, 4)))
    small = quantise(model, Quantisation(part_size=3, output_too=True))
    assert (small.input.part_size, small.output.part_size) == (3, 2)


def test_without_the_core(monkeypatch):
    expected = quantise_matrix(a_matrix(300), Quantisation())
    monkeypatch.setattr(quantising, "library", lambda: None)
    again = quantise_matrix(expected.rows(np.arange(300)), Quantisation())
    assert again.codes.shape == expected.codes.shape
