"""95 % intervals of means, and simultaneous ones of differences between models, by batch means.

The last functions are for documents that count as independent: bootstrap and Wilson intervals.

The text is cut into units: its documents, or pieces of a few long ones. Units that were drawn at
random are independent, and each is a block of its own. Units in the order of a text depend on
their neighbours, so they are grouped into a few long blocks, whose means are nearly independent;
the variance of the block means gives the standard error, and Student's t the interval.

In real texts dependence decays slowly: topics, scenes and authors last longer than any block. The
variance of sums over blocks of b units then grows like b ** (1 + a), with a = 0 for short-range
dependence and a = 1 for dependence that never decays. The exponent a is estimated from how the
variance grows with the block length (the variance-time plot), and extrapolated to the mean of the
whole text.

Sources:
    L. Schruben 1983, "Confidence interval estimation using standardized time series", for batch
    means; D. Politis and H. White 2004, "Automatic block-length selection for the dependent
    bootstrap", with the correction of A. Patton, D. Politis and H. White 2009; Y. Sun, P. Phillips
    and S. Jin 2008, "Optimal bandwidth selection in heteroskedasticity-autocorrelation robust
    testing", for blocks longer than those with the smallest error of the variance; J. Beran 1994,
    "Statistics for long-memory processes", chapter 4, for the variance-time plot; W. Ebeling and A.
    Neiman 1995, "Long-range correlations between letters and sentences in texts"; J. Tukey 1953,
    "The problem of multiple comparisons", for all pairs.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from thence.array_types import Float, Int64
from thence.tokens import TokenStore

LEVEL = 0.95
"""Coverage of all intervals."""
SIMULTANEOUS = (
    "The 95 % intervals hold for all differences between these runs at once, since the best was "
    "picked on this very text; where one contains 0, the difference may be luck."
)
"""Remark that tables of ``difference_margins`` are shown with."""
FEWEST_DOCUMENTS = 20
"""Fewest documents that are used as units; a text with fewer is cut into pieces."""
SHORTEST_PIECE = 20
"""Targets in a piece at least."""
MOST_PIECES = 2000
"""Pieces, or blocks of documents in the bootstrap, at most."""
FEWEST_UNITS = 10
"""Fewest units that an interval is given for: with fewer it would be too wide to mean anything."""
REPLICATES = 1000
"""Bootstrap replicates."""
FEWEST_BLOCKS = 8
"""Fewest blocks of dependent units. In short texts, fewer and longer blocks would cover the true
mean more often, but Student's t with fewer than 7 degrees of freedom makes wide intervals."""
SHORTEST_BLOCK = 50
"""Units in a block at least, where the text is long enough: in a shorter series, dependence over
this distance cannot be ruled out."""
BLOCK_FACTOR = 3
"""Block length as a multiple of ``block_length``: longer blocks have a larger variance but less
bias, which makes the coverage right (Sun, Phillips and Jin 2008)."""
BLOCK_COUNTS = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Numbers of blocks at which the variance is measured to estimate the exponent a."""
UNITS_IN_A_BLOCK = 5
"""Units in the shortest of these blocks: over fewer units, dependence is not yet a power law."""
EXPONENTS = np.linspace(0, 0.9, 91)
"""Grid of values for the exponent a; with 0.9, the mean of a long text varies hardly less than that
of one block. In terms of the Hurst exponent H, a = 2 H - 1."""
PRIOR_OF_TEXTS, PRIOR_OF_DIFFERENCES = 0.3, 0.0
"""Prior means of the exponent a, needed since short texts say little about it: of losses, and of
differences between models. Lines of newspapers, articles and plays have 0 to 0.7. A passage that is
hard for one model is hard for all, so differences are much less dependent than losses."""
PRIOR_DEVIATION = 0.3
"""Standard deviation of the prior of a."""
DRAWS = 5000
"""Simulated comparisons: enough for a relative error of the critical value of about 1 %."""
DRAWN_AT_ONCE = 500
"""Simulated comparisons in memory at a time, few enough for a hundred models."""
MANY_BLOCKS = 100
"""Blocks from which on the estimated standard errors are treated as exact."""

Units = Float[np.ndarray, "units models"]
Square = Float[np.ndarray, "models models"]


def unit_starts(store: TokenStore) -> Int64[np.ndarray, " units"]:
    """Return the first target of each unit: of each document, or piece of a few long ones."""
    if store.num_documents >= FEWEST_DOCUMENTS:
        starts: Int64[np.ndarray, " documents"] = store.offsets[:-1] - 1
        return starts
    pieces = max(1, min(store.num_targets // SHORTEST_PIECE, MOST_PIECES))
    return np.linspace(0, store.num_targets, pieces, endpoint=False).astype(np.int64)


def unit_sums(
    costs: Float[np.ndarray, " targets"], starts: Int64[np.ndarray, " units"]
) -> Float[np.ndarray, " units"]:
    """Return the summed cost of each unit."""
    sums: Float[np.ndarray, " units"] = np.add.reduceat(costs.astype(np.float64), starts)
    return sums


def unit_sizes(starts: Int64[np.ndarray, " units"], total: int) -> Float[np.ndarray, " units"]:
    """Return the number of targets in each unit, given the number of all targets."""
    return np.diff(np.append(starts, total)).astype(np.float64)


def mean_interval(
    sums: Float[np.ndarray, " units"], sizes: Float[np.ndarray, " units"], in_order: bool
) -> tuple[float, float]:
    """Return the 95 % interval of the mean per target; NaN with fewer than ``FEWEST_UNITS``.

    Args:
        sums: Cost of each unit.
        sizes: Targets (or bytes) of each unit.
        in_order: Whether neighbouring units are dependent: in the order of a text, not shuffled.
    """
    if len(sums) < FEWEST_UNITS:
        return math.nan, math.nan
    spread = _error_model(sums[:, None], sizes, in_order)
    half = spread.critical * math.sqrt(spread.variance(spread.deviations, PRIOR_OF_TEXTS)[0])
    mean = float(sums.sum() / sizes.sum())
    return mean - half, mean + half


def difference_margins(
    sums: Units, sizes: Float[np.ndarray, " units"], reference: int, in_order: bool
) -> Float[np.ndarray, " models"]:
    """Return the half-widths of simultaneous 95 % intervals of differences from one model.

    In 95 of 100 texts *all* pairwise differences lie within their margins, so the reference may be
    chosen as the best on this very text: if all models are equally good, some difference exceeds
    its margin in 5 % of texts, however many models there are (Tukey 1953).

    Args:
        sums: Cost of each unit under each model.
        sizes: Targets, bytes or documents of each unit.
        reference: Column that the others are compared with.
        in_order: Whether neighbouring units are dependent: in the order of a text, not shuffled.

    Returns:
        The half-width of each interval of a difference of means; NaN with too few units.
    """
    if len(sums) < FEWEST_UNITS:  # Models that are equal on every unit do not differ.
        is_equal = (sums == sums[:, [reference]]).all(axis=0)
        return np.where(is_equal, 0.0, np.nan)
    spread = _error_model(sums, sizes, in_order)
    differences = spread.deviations - spread.deviations[:, [reference]]
    margins: Float[np.ndarray, " models"]
    margins = spread.critical * np.sqrt(spread.variance(differences, PRIOR_OF_DIFFERENCES))
    return margins


def number_of_blocks(deviations: Units, in_order: bool) -> int:
    """Return the number of blocks of neighbouring units; independent units are not grouped."""
    units = len(deviations)
    if not in_order:
        return units
    reach = max(block_length(series) for series in deviations.T)
    blocks = int(units / max(BLOCK_FACTOR * reach, SHORTEST_BLOCK))
    return min(max(blocks, FEWEST_BLOCKS), units)


def block_length(series: Float[np.ndarray, " units"]) -> float:
    """Return the block length, at least 1, that minimises the error of the variance of the mean.

    The rule of Politis and White 2004 for the circular bootstrap, as corrected in 2009:
    autocovariances are summed with a flat-top window up to twice the lag after which several
    autocorrelations in a row are not significant.
    """
    units = len(series)
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(units))))
    most = min(math.ceil(math.sqrt(units)) + in_a_row, units - 1)
    series = series - series.mean()
    covariances = np.array([series[: units - lag] @ series[lag:] for lag in range(most + 1)])
    if covariances[0] <= 0:
        return 1.0
    chance = 2 * math.sqrt(math.log10(units) / units)
    is_large = np.abs(covariances[1:] / covariances[0]) > chance
    quiet = np.flatnonzero(
        [not is_large[lag : lag + in_a_row].any() for lag in range(most - in_a_row + 1)]
    )
    last = int(quiet[0]) if len(quiet) else int(np.flatnonzero(is_large)[-1]) + 1
    bandwidth = min(2 * max(last, 1), most)
    lags = np.arange(bandwidth + 1)
    weighted = np.minimum(1, 2 * (1 - lags / bandwidth)) * covariances[: bandwidth + 1] / units
    long_run = weighted[0] + 2 * weighted[1:].sum()
    if long_run <= 0:
        return 1.0
    slope = 2 * (lags * weighted).sum()
    length = float(np.cbrt(1.5 * (slope / long_run) ** 2 * units))
    longest = math.ceil(min(3 * math.sqrt(units), units / 3))
    return min(max(length, 1.0), float(longest))


@dataclass(frozen=True)
class _ErrorModel:
    """What the standard errors of means are computed from.

    Attributes:
        deviations: Contribution of each unit to the error of each mean; each column sums to zero.
        blocks: Number of blocks that the units are grouped into.
        in_order: Whether neighbouring units are dependent.
        critical: Critical value: half-width of an interval in standard errors.
    """

    deviations: Units
    blocks: int
    in_order: bool
    critical: float

    def variance(self, deviations: Units, prior: float) -> Float[np.ndarray, " models"]:
        """Return the variance of each column's sum; ``prior`` is the prior mean of a."""
        variance = _batch_means_variance(deviations, self.blocks)
        if not self.in_order:
            return variance
        larger: Float[np.ndarray, " models"] = np.maximum(
            variance, _long_run_variance(deviations, prior)
        )
        return larger


def _error_model(sums: Units, sizes: Float[np.ndarray, " units"], in_order: bool) -> _ErrorModel:
    """Return the deviations, blocks and critical value for means, or for differences of models."""
    total = sizes.sum()
    # The mean is a ratio of sums (cost per target); its error is linearised: (sum - size * mean).
    deviations = (sums - sizes[:, None] * (sums.sum(axis=0) / total)) / total
    compared = deviations
    if sums.shape[1] > 1:  # What is common to all models cancels in their differences.
        compared = deviations - deviations.mean(axis=1, keepdims=True)
    blocks = number_of_blocks(compared, in_order)
    critical = _critical_value(_block_sums(compared, blocks))
    return _ErrorModel(deviations, blocks, in_order, critical)


def _block_sums(deviations: Units, blocks: int) -> Units:
    """Return the sums of the deviations in each block, shape (blocks, models)."""
    starts = np.linspace(0, len(deviations), blocks, endpoint=False).astype(np.int64)
    sums: Units = np.add.reduceat(deviations, starts, axis=0)
    return sums


def _batch_means_variance(deviations: Units, blocks: int) -> Float[np.ndarray, " models"]:
    """Return the batch-means estimate of the variance of each column's sum."""
    squares: Float[np.ndarray, " models"] = (_block_sums(deviations, blocks) ** 2).sum(axis=0)
    return squares * blocks / (blocks - 1)


def _long_run_variance(deviations: Units, prior: float) -> Float[np.ndarray, " models"]:
    """Return the variance of each column's sum, extrapolated from blocks of growing length.

    If the variance of a block's sum grows like its length ** (1 + a), the expected batch-means
    estimate from k blocks is the true variance times (k ** -a - 1 / k) k / (k - 1): unbiased for
    a = 0, and smaller for longer memory, since deviations are taken from the mean of the same text.
    The variance and a are fitted by weighted least squares on the logarithms. The weight of k
    blocks is k, since the logarithm of the mean of k squares has a variance of about 2 / k. All
    block counts see the same text, so together they have the weight of the largest one; the
    penalty of the prior of a is added to that. All models share one a, which is estimated better.
    """
    units = len(deviations)
    most = min(max(units // UNITS_IN_A_BLOCK, 2 * FEWEST_BLOCKS), units)
    counts = np.array([count for count in BLOCK_COUNTS if count <= most], np.float64)
    squares = np.stack([_batch_means_variance(deviations, int(n)) for n in counts])  # (K, M)
    variance, varies = np.zeros(squares.shape[1]), squares.min(axis=0) > 0
    if not varies.any():
        return variance
    expected = (counts ** -EXPONENTS[:, None] - 1 / counts) * counts / (counts - 1)  # (A, K)
    away = np.log(squares[:, varies]) - np.log(expected)[:, :, None]  # (A, K, M)
    weights = (counts / counts.sum())[:, None]
    middle = (weights * away).sum(axis=1)  # (A, M): the fitted log-variance for each a.
    error = (weights * (away - middle[:, None]) ** 2).sum(axis=1).mean(axis=1)
    penalty = ((EXPONENTS - prior) / PRIOR_DEVIATION) ** 2 / 2
    variance[varies] = np.exp(middle[np.argmin(counts[-1] / 2 * error + penalty)])
    return variance


def _critical_value(by_block: Units) -> float:
    """Return the critical value: the 95 % quantile of the largest studentised difference.

    For a single comparison, of one model with its true mean or of two models, it is the quantile
    of Student's t. For more, it is simulated: block sums are drawn from a normal distribution with
    the covariance of the observed ones, and each difference is divided by its standard error in the
    same draw.
    """
    blocks, models = by_block.shape
    if models <= 2:
        return student_quantile(blocks - 1)
    values, vectors = np.linalg.eigh(by_block.T @ by_block / blocks)
    root = (vectors * np.sqrt(np.maximum(values, 0))).T
    generator = np.random.default_rng(0)
    worst = [_studentized_ranges(generator, root, blocks) for _ in range(DRAWS // DRAWN_AT_ONCE)]
    return float(np.quantile(np.concatenate(worst), LEVEL))


def _studentized_ranges(
    generator: np.random.Generator, root: Square, blocks: int
) -> Float[np.ndarray, " draws"]:
    """Return the largest studentised difference of any two models in each of some draws."""
    models, few = len(root), blocks < MANY_BLOCKS
    rows, columns = np.triu_indices(models, 1)
    if few:
        drawn = generator.standard_normal((DRAWN_AT_ONCE, blocks, models)) @ root
        sums = drawn.sum(axis=1)
        drawn -= sums[:, None, :] / blocks
        covariance = drawn.transpose(0, 2, 1) @ drawn * (blocks / (blocks - 1))
    else:  # Standard errors hardly vary from draw to draw: one chi-squared factor scales them all.
        scale = generator.chisquare(blocks - 1, DRAWN_AT_ONCE) / (blocks - 1)
        drawn = generator.standard_normal((DRAWN_AT_ONCE, models)) @ root
        sums = drawn * np.sqrt(blocks / scale)[:, None]
        covariance = (root.T @ root * blocks)[None]
    own = np.einsum("dmm->dm", covariance)
    both = own[:, rows] + own[:, columns]
    variances = both - 2 * covariance[:, rows, columns]
    differ = variances > 1e-12 * both  # Equal models never differ.
    away = np.abs(sums[:, rows] - sums[:, columns]) / np.sqrt(np.where(differ, variances, np.inf))
    largest: Float[np.ndarray, " draws"] = away.max(axis=1)
    return largest


def student_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, so that plus and minus it hold 95 %.

    Accurate to 0.001 from 5 degrees of freedom on. Source: M. Abramowitz and I. Stegun 1964,
    "Handbook of mathematical functions", 26.7.5.

    >>> round(student_quantile(7), 3)
    2.365
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))


def document_blocks(num_documents: int) -> Int64[np.ndarray, " blocks"]:
    """Return the first document of each block; a block is one document, up to ``MOST_PIECES``."""
    blocks = min(num_documents, MOST_PIECES)
    return np.linspace(0, num_documents, blocks, endpoint=False).astype(np.int64)


def bootstrap_means(
    sums: Float[np.ndarray, "blocks models"], counts: Float[np.ndarray, " blocks"], seed: int = 0
) -> Float[np.ndarray, "replicates models"]:
    """Return the mean per target of each model in each bootstrap replicate.

    Documents are resampled as if independent. For metrics that are functions of means, such as
    macro F1, apply the function to the replicates and take ``percentile_interval``.

    Source: B. Efron 1979, "Bootstrap methods: another look at the jackknife"; the percentile
    interval of a ratio of sums.

    Args:
        sums: Negative log-likelihood (or any cost) of each block under each model.
        counts: Targets (or bytes) of each block.
        seed: Of the random generator. All models see the same draws: comparisons are paired.
    """
    generator = np.random.default_rng(seed)
    num_blocks = len(counts)
    drawn = generator.multinomial(num_blocks, np.full(num_blocks, 1 / num_blocks), REPLICATES)
    means: Float[np.ndarray, "replicates models"] = (drawn @ sums) / (drawn @ counts)[:, None]
    return means


def percentile_interval(values: Float[np.ndarray, " replicates"]) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap replicates."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def wilson_interval(hits: float, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion: ``hits`` among ``number`` independent documents.

    Unlike the bootstrap it is valid for few documents, and for proportions of 0 and 1.

    Source: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical
    inference".
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, spread = hits / number, z * z / number
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
