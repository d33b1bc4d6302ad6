"""Intervals: that they hold the true mean, and that equal models are not found to differ."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thence.evaluation.intervals import (
    FEWEST_BLOCKS,
    MOST_PIECES,
    block_length,
    bootstrap_means,
    difference_margins,
    document_blocks,
    mean_interval,
    number_of_blocks,
    percentile_interval,
    student_quantile,
    unit_sizes,
    unit_starts,
    unit_sums,
)
from thence.tokens import TokenStore


def store_of(lengths: list[int]) -> TokenStore:
    """Make a store of documents with so many targets each."""
    counts = np.array(lengths, np.int64)
    offsets = np.concatenate([np.ones(1, np.int64), 1 + np.cumsum(counts)])
    ids = np.zeros(int(counts.sum()) + 1, np.uint8)
    return TokenStore(ids, offsets, counts - 1, counts - 1, 0)


def running_text(
    generator: np.random.Generator, lines: int, lasting: int = 15
) -> tuple[np.ndarray, np.ndarray]:
    """Return cost and targets of lines whose topic changes once in so many; 5 nats a target."""
    changes = generator.random(lines) < 1 / lasting
    topics = generator.normal(5, 0.5, lines)[np.cumsum(changes)]
    targets = generator.integers(5, 40, lines).astype(np.float64)
    return targets * topics + generator.normal(0, 2 * np.sqrt(targets)), targets


def test_many_documents_are_units() -> None:
    lengths = [1 + index % 3 for index in range(30)]
    starts = unit_starts(store_of(lengths))
    assert starts.tolist() == [0, *np.cumsum(lengths)[:-1]]
    assert unit_sizes(starts, sum(lengths)).tolist() == lengths
    costs = np.arange(sum(lengths), dtype=np.float32)
    assert unit_sums(costs, starts)[:3].tolist() == [0, 1 + 2, 3 + 4 + 5]


@pytest.mark.parametrize(
    ("lengths", "pieces"),
    [([1], 1), ([5], 1), ([1000], 50), ([1000] * 19, 950), ([100_000], MOST_PIECES)],
)
def test_few_documents_are_cut_into_equal_pieces(lengths: list[int], pieces: int) -> None:
    starts = unit_starts(store_of(lengths))
    assert len(starts) == pieces
    sizes = unit_sizes(starts, sum(lengths))
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(5, 5000))
def test_student_agrees_with_scipy(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")  # Here, since to import it takes a second.
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)


def test_independent_documents_by_hand() -> None:
    # Costs 0 and 2 for 10 documents each of one target: the standard error of the mean is
    # sqrt(20 / 19 / 20) and t of 19 degrees of freedom 2.0930.
    half = 2.0930 * math.sqrt(1 / 19)
    found = mean_interval(np.array([0.0, 2.0] * 10), np.ones(20), in_order=False)
    assert found == pytest.approx((1 - half, 1 + half), abs=1e-4)


def test_too_few_units_have_no_interval() -> None:
    assert all(map(math.isnan, mean_interval(np.arange(9.0), np.ones(9), in_order=False)))
    costs = np.arange(18.0).reshape(9, 2)
    assert np.isnan(difference_margins(costs, np.ones(9), 0, in_order=True)).tolist() == [
        False,
        True,
    ]


def test_blocks_are_as_long_as_dependence_reaches() -> None:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(4000)
    assert block_length(noise) < 5
    assert block_length(np.ones(100)) == 1
    drifting = noise.copy()
    for at in range(1, len(drifting)):
        drifting[at] += 0.9 * drifting[at - 1]
    # The best length for an autoregression of rho is (6 rho^2 n / (1 - rho^2)^2)^(1/3) = 81 here.
    assert 40 < block_length(drifting) < 160
    assert number_of_blocks(drifting[:, None], in_order=False) == 4000
    assert number_of_blocks(drifting[:, None], in_order=True) < 40
    assert number_of_blocks(noise[:100, None], in_order=True) == FEWEST_BLOCKS


@pytest.mark.slow
@pytest.mark.parametrize("lines", [300, 1000, 3000])
def test_running_text_is_covered(lines: int) -> None:
    generator = np.random.default_rng(lines)
    held = naive = 0
    for _ in range(300):
        sums, sizes = running_text(generator, lines)
        low, high = mean_interval(sums, sizes, in_order=True)
        held += low <= 5 <= high
        low, high = mean_interval(sums, sizes, in_order=False)
        naive += low <= 5 <= high
    assert held >= 270  # at least 90 %
    assert naive <= 200  # What units that count each for itself would claim.


@pytest.mark.slow
@pytest.mark.parametrize("documents", [25, 400])
def test_documents_drawn_at_random_are_covered(documents: int) -> None:
    # 95 % of 1,000 are 950 with a deviation of 6.9; the bounds are four deviations away.
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        sizes = generator.integers(5, 40, documents).astype(np.float64)
        sums = sizes * generator.normal(5, 0.5, documents)
        low, high = mean_interval(sums, sizes, in_order=False)
        held += low <= 5 <= high
    assert 922 <= held <= 978


@pytest.mark.slow
@pytest.mark.parametrize(("models", "in_order"), [(2, True), (3, False), (5, True), (10, False)])
def test_of_equal_models_few_are_found_to_differ(models: int, in_order: bool) -> None:
    # 5 % of 200 texts are 10 with a deviation of 3.1; the bound is three deviations above.
    generator = np.random.default_rng(models)
    found = 0
    for _ in range(200):
        common, sizes = running_text(generator, 150)
        sums = common[:, None] + 3 * generator.standard_normal((150, models))
        means = sums.sum(axis=0) / sizes.sum()
        margins = difference_margins(sums, sizes, int(means.argmin()), in_order)
        found += bool((means - means.min() > margins).any())
    assert found <= 19


def test_models_that_differ_are_found() -> None:
    # The difference is a tenth of what one document varies by, over 2,500 documents: 5 deviations.
    generator = np.random.default_rng(0)
    common, sizes = running_text(generator, 2500)
    sums = common[:, None] + generator.standard_normal((2500, 10))
    sums[:, 1:] += 0.1 * math.sqrt(2)
    means = sums.sum(axis=0) / sizes.sum()
    margins = difference_margins(sums, sizes, 0, in_order=False)
    assert (means[1:] - means[0] > margins[1:]).mean() > 0.7
    assert margins[0] == 0


def test_a_model_twice_does_not_differ() -> None:
    generator = np.random.default_rng(0)
    common, sizes = running_text(generator, 200)
    other = common + generator.standard_normal(200)
    margins = difference_margins(np.stack([common, common, other], axis=1), sizes, 0, True)
    assert margins[:2].tolist() == [0, 0]
    assert margins[2] > 0


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


@pytest.mark.slow
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
