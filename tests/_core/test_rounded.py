"""A product with a rounded matrix: the kernel equals NumPy, and both are near the exact product."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence._core import library
from thence._core.rounded import multiply_rounded
from thence.models.rounded import RoundedMatrix, product_in_numpy

pytestmark = pytest.mark.skipif(library() is None, reason="the compiled core is not built")

SIZES = st.sampled_from([0.0, 1e-45, 1e-3, 1.0, 1e6, 3e38])


@given(
    st.integers(0, 4), st.sampled_from([1, 2, 239, 240, 241, 500]), st.integers(0, 3), SIZES,
    st.integers(0, 2**32),
)  # fmt: skip
def test_the_kernel_equals_numpy(rows, columns, vectors, size, seed):
    generator = np.random.default_rng(seed)
    weights = generator.integers(-(2**15), 2**15, (rows, columns), np.int16)
    weights[:1] = -(2**15)  # The largest sums that there are.
    scales = generator.random(rows)
    asked = (size * generator.uniform(-1, 1, (vectors, columns))).astype(np.float32)
    asked[:1] = size
    with np.errstate(over="ignore"):  # Beyond single precision: infinity in both.
        expected = product_in_numpy(weights, scales, asked)
    np.testing.assert_array_equal(multiply_rounded(weights, scales, asked), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_gives_none(bad):
    vectors = np.array([[1, bad], [1, 1]], np.float32)
    found = vectors @ RoundedMatrix(np.ones((3, 2)))
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1], 2)
    expected = product_in_numpy(np.ones((3, 2), np.int16), np.ones(3), vectors)
    assert np.isnan(expected[0]).all()


@given(st.integers(0, 2**32))
def test_the_error_is_bounded(seed):
    generator = np.random.default_rng(seed)
    matrix, vectors = generator.normal(size=(5, 300)), generator.normal(size=(2, 1, 300))
    matrix[3] = 0
    vectors = vectors.astype(np.float32)
    # Half a step for each weight, and for each number of a vector.
    of_weights = np.abs(matrix).max(axis=1) / 65_534 * np.abs(vectors).sum(axis=-1, keepdims=True)
    of_vectors = np.abs(vectors).max(axis=-1, keepdims=True) / 262_142 * np.abs(matrix).sum(axis=1)
    found = vectors @ RoundedMatrix(matrix)
    assert found.shape == (2, 1, 5)
    assert (np.abs(found - vectors @ matrix.T) <= 1.001 * (of_weights + of_vectors) + 1e-5).all()


def test_what_does_not_fit_is_refused():
    weights, scales = np.ones((3, 2), np.int16), np.ones(3)
    for bad_scales, vectors in (
        (scales, np.ones((1, 3), np.float32)),
        (np.ones(2), np.ones((1, 2), np.float32)),
    ):
        with pytest.raises(ValueError, match="do not fit"):
            multiply_rounded(weights, bad_scales, vectors)
    with pytest.raises(ValueError, match="do not fit"):
        multiply_rounded(np.ones((3, 0), np.int16), scales, np.ones((1, 0), np.float32))
    with pytest.raises(TypeError):
        multiply_rounded(weights, scales, np.ones((1, 2)))
