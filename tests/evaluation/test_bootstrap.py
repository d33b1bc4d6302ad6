import numpy as np
import pytest

from thence.evaluation.intervals import (
    MOST_PIECES,
    bootstrap_means,
    document_blocks,
    percentile_interval,
)


def test_very_many_documents_are_drawn_as_blocks_of_neighbours() -> None:
    blocks = document_blocks(5000)
    assert len(blocks) == MOST_PIECES
    assert set(np.diff(np.append(blocks, 5000))) == {2, 3}


def test_means_are_of_targets_not_of_blocks() -> None:
    # All cost lies in one of two blocks: drawn 0, 1 or 2 times of 2, with 1 and 9 targets, the
    # mean is 0 / 18, 9 / 10 or 18 / 2.
    means = bootstrap_means(np.array([[9.0], [0.0]]), np.array([1.0, 9.0]))
    assert set(means[:, 0].tolist()) == {0.0, 0.9, 9.0}


def test_models_are_drawn_together() -> None:
    sums = np.random.default_rng(0).random((50, 1)) * 10
    means = bootstrap_means(np.hstack([sums, sums + 2]), np.full(50, 4.0))
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.5)


def test_the_same_seed_draws_the_same() -> None:
    sums, counts = np.arange(10.0)[:, None], np.ones(10)
    assert np.array_equal(bootstrap_means(sums, counts), bootstrap_means(sums, counts))
    assert not np.array_equal(bootstrap_means(sums, counts), bootstrap_means(sums, counts, seed=1))


def test_interval_holds_the_middle_95_per_cent() -> None:
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_coverage_is_about_95_per_cent() -> None:
    # Documents of 1 to 9 targets, whose costs share a document's own level: the true mean per
    # target is 2. Of 300 intervals about 94 % should hold it (the percentile interval is a little
    # short with 60 documents). The number held is binomial with a deviation of 4.1; the bounds,
    # 88.3 % and 99.7 %, are four deviations away: a false alarm once in ten thousand seeds.
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        counts = generator.integers(1, 10, 60).astype(np.float64)
        level = generator.gamma(4.0, 0.5, 60)  # mean 2
        noise = generator.normal(0, np.sqrt(counts))
        means = bootstrap_means(
            (level * counts + noise)[:, None], counts, int(generator.integers(1e6))
        )
        low, high = percentile_interval(means[:, 0])
        held += low <= 2 <= high
    assert 265 <= held <= 299
