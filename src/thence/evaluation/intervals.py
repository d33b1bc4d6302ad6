"""95 % intervals of means, and of all differences between models at once, by batch means.

The last functions are for documents that count as independent: bootstrap and Wilson intervals.

The text is cut into units: its documents, or pieces of a few long ones. Units that were drawn at
random are independent, and each counts for itself. Units in the order of a text depend on their
neighbours, so they are taken together in few long blocks, whose means are nearly independent; the
spread of the block means gives the standard error, and Student's t the interval.

In real texts dependence fades slowly: topics, scenes and authors last longer than any block. Sums
of blocks of b units then vary like b ** (1 + a), with a = 0 for short dependence and up to 1 for
what never fades. How the spread grows with the length of blocks shows a, and so how much the mean
of the whole text varies (the variance-time plot).

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
SIMULTANEOUS = (
    "The 95 % intervals hold for all differences between these runs at once, since the best was "
    "picked on this very text; where one contains 0, the difference may be luck."
)
"""Said beside the margins of ``difference_margins``."""
FEWEST_DOCUMENTS = 20
"""Documents from which on they are the units; fewer are cut into pieces."""
SHORTEST_PIECE = 20
"""Targets in a piece at least."""
MOST_PIECES = 2000
"""Pieces, or blocks of documents in the bootstrap, at most."""
FEWEST_UNITS = 10
"""Units below which no interval is given: it would say nothing."""
REPLICATES = 1000
"""Draws of the bootstrap."""
FEWEST_BLOCKS = 8
"""Blocks of units in order; in short texts fewer and longer ones hold the true mean more often, but
Student's t of fewer than 7 degrees of freedom makes wide intervals."""
SHORTEST_BLOCK = 50
"""Units in a block where the text is long enough: too few to see how far dependence reaches are
treated as if it reached so far."""
BLOCK_FACTOR = 3
"""Length of blocks, in lengths that have the smallest error of the variance (``block_length``)."""
BLOCK_COUNTS = (8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Into how many blocks a text is cut to see how their spread grows with their length."""
UNITS_IN_A_BLOCK = 5
"""Of the shortest of these blocks: within fewer units, dependence is of another kind."""
EXPONENTS = np.linspace(0, 0.9, 91)
"""Exponents a that are tried; with 0.9 a long text varies hardly less than a block of it. In terms
of the Hurst exponent H, a = 2 H - 1."""
PRIOR_OF_TEXTS, PRIOR_OF_DIFFERENCES = 0.3, 0.0
"""Prior means of the exponent a, since short texts say little of how far dependence reaches. Lines
of newspapers, articles and plays have 0 to 0.7. A passage that is hard for one model is hard for
all, so differences depend on each other much less than losses."""
PRIOR_DEVIATION = 0.3
"""Standard deviation of the prior of a."""
DRAWS = 5000
"""Simulated comparisons, so that the critical value is right to about 1 %."""
DRAWN_AT_ONCE = 500
"""Of these, computed together: few enough for a hundred models to fit into memory."""
MANY_BLOCKS = 100
"""Blocks from which on standard errors count as known."""

Units = Float[np.ndarray, "units models"]
Square = Float[np.ndarray, "models models"]


def unit_starts(store: TokenStore) -> Int64[np.ndarray, " units"]:
    """Return where each unit begins among the targets: documents, or pieces of a few long ones."""
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
    """Return how many of all targets each unit has."""
    return np.diff(np.append(starts, total)).astype(np.float64)


def mean_interval(
    sums: Float[np.ndarray, " units"], sizes: Float[np.ndarray, " units"], in_order: bool
) -> tuple[float, float]:
    """Return the 95 % interval of the mean per target; no numbers where there are too few units.

    Args:
        sums: Cost of each unit.
        sizes: Targets (or bytes) of each unit.
        in_order: Whether units stand as in a text, and not as drawn at random.
    """
    if len(sums) < FEWEST_UNITS:
        return math.nan, math.nan
    spread = _spread(sums[:, None], sizes, in_order)
    half = spread.critical * math.sqrt(spread.variance(spread.deviations, PRIOR_OF_TEXTS)[0])
    mean = float(sums.sum() / sizes.sum())
    return mean - half, mean + half


def difference_margins(
    sums: Units, sizes: Float[np.ndarray, " units"], reference: int, in_order: bool
) -> Float[np.ndarray, " models"]:
    """Return how far each model's difference from one of them may be off: 95 % for all at once.

    In 95 of 100 texts the differences between *all* models lie within their margins, so the
    reference may be the best on this very text: of equally good models, one that
    differs from it by more than its margin is found in 5 % of texts, however many they are.

    Args:
        sums: Cost of each unit under each model.
        sizes: Targets, bytes or documents of each unit.
        reference: Column that others are compared with.
        in_order: Whether units stand as in a text, and not as drawn at random.

    Returns:
        The margin of each difference of means; no numbers where there are too few units.
    """
    if len(sums) < FEWEST_UNITS:  # What is equal everywhere does not differ on any text.
        is_equal = (sums == sums[:, [reference]]).all(axis=0)
        return np.where(is_equal, 0.0, np.nan)
    spread = _spread(sums, sizes, in_order)
    differences = spread.deviations - spread.deviations[:, [reference]]
    margins: Float[np.ndarray, " models"]
    margins = spread.critical * np.sqrt(spread.variance(differences, PRIOR_OF_DIFFERENCES))
    return margins


def number_of_blocks(deviations: Units, in_order: bool) -> int:
    """Return the number of blocks that units are grouped into, neighbours together."""
    units = len(deviations)
    if not in_order:
        return units
    reach = max(block_length(series) for series in deviations.T)
    blocks = int(units / max(BLOCK_FACTOR * reach, SHORTEST_BLOCK))
    return min(max(blocks, FEWEST_BLOCKS), units)


def block_length(series: Float[np.ndarray, " units"]) -> float:
    """Return the length of blocks with the smallest error of the variance of the mean, from 1.

    The rule of Politis and White for the circular bootstrap, as corrected in 2009: autocorrelations
    count up to twice the lag from which on several in a row are within chance.
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
class _Spread:
    """How far means may be off.

    Attributes:
        deviations: What each unit adds to the error of each mean; each column sums to zero.
        blocks: How many blocks the units are taken together in.
        in_order: Whether units stand as in a text.
        critical: By how many standard errors the worst of all comparisons is off in 5 % of texts.
    """

    deviations: Units
    blocks: int
    in_order: bool
    critical: float

    def variance(self, deviations: Units, prior: float) -> Float[np.ndarray, " models"]:
        """Return the variance of the sums of deviations; ``prior`` is the prior mean of a."""
        variance = _block_squares(deviations, self.blocks)
        if not self.in_order:
            return variance
        larger: Float[np.ndarray, " models"] = np.maximum(
            variance, _long_run_variance(deviations, prior)
        )
        return larger


def _spread(sums: Units, sizes: Float[np.ndarray, " units"], in_order: bool) -> _Spread:
    total = sizes.sum()
    deviations = (sums - sizes[:, None] * (sums.sum(axis=0) / total)) / total
    compared = deviations
    if sums.shape[1] > 1:  # What is common to all models does not matter to their differences.
        compared = deviations - deviations.mean(axis=1, keepdims=True)
    blocks = number_of_blocks(compared, in_order)
    critical = _critical_value(_by_block(compared, blocks))
    return _Spread(deviations, blocks, in_order, critical)


def _by_block(deviations: Units, blocks: int) -> Units:
    starts = np.linspace(0, len(deviations), blocks, endpoint=False).astype(np.int64)
    sums: Units = np.add.reduceat(deviations, starts, axis=0)
    return sums


def _block_squares(deviations: Units, blocks: int) -> Float[np.ndarray, " models"]:
    squares: Float[np.ndarray, " models"] = (_by_block(deviations, blocks) ** 2).sum(axis=0)
    return squares * blocks / (blocks - 1)


def _long_run_variance(deviations: Units, prior: float) -> Float[np.ndarray, " models"]:
    """Return the variance of the sums of deviations, extrapolated from blocks of growing length.

    If sums of blocks vary like their length ** (1 + a), the sum of squares of k blocks is the
    variance of the whole times (k ** -a - 1 / k) k / (k - 1): that of independent blocks for a = 0,
    and less the longer the memory, since deviations are taken from the mean of the same text. Both
    numbers come from a fit to the logarithms, in which k blocks have the weight k: the logarithm of
    the mean of k squares has a variance of about 2 / k. All counts see the same text, so together
    they have the weight of the largest; the prior of a is added to that. One a serves all
    models, which makes it the surer.
    """
    units = len(deviations)
    most = min(max(units // UNITS_IN_A_BLOCK, 2 * FEWEST_BLOCKS), units)
    counts = np.array([count for count in BLOCK_COUNTS if count <= most], np.float64)
    squares = np.stack([_block_squares(deviations, int(count)) for count in counts])  # (K, M)
    variance, varies = np.zeros(squares.shape[1]), squares.min(axis=0) > 0
    if not varies.any():
        return variance
    expected = (counts ** -EXPONENTS[:, None] - 1 / counts) * counts / (counts - 1)  # (A, K)
    away = np.log(squares[:, varies]) - np.log(expected)[:, :, None]  # (A, K, M)
    weights = (counts / counts.sum())[:, None]
    middle = (weights * away).sum(axis=1)  # (A, M): the logarithm of the variance, for each a.
    error = (weights * (away - middle[:, None]) ** 2).sum(axis=1).mean(axis=1)
    penalty = ((EXPONENTS - prior) / PRIOR_DEVIATION) ** 2 / 2
    variance[varies] = np.exp(middle[np.argmin(counts[-1] / 2 * error + penalty)])
    return variance


def _critical_value(by_block: Units) -> float:
    """Return how many standard errors the worst of all comparisons is off in 5 % of texts.

    A single comparison, of one model with its true mean or of two with each other, has Student's t.
    For more, blocks are drawn from a normal distribution with the covariance of the blocks, and
    each comparison is divided by its standard error in the same draw.
    """
    blocks, models = by_block.shape
    if models <= 2:
        return student_quantile(blocks - 1)
    values, vectors = np.linalg.eigh(by_block.T @ by_block / blocks)
    root = (vectors * np.sqrt(np.maximum(values, 0))).T
    generator = np.random.default_rng(0)
    worst = [_worst(generator, root, blocks) for _ in range(DRAWS // DRAWN_AT_ONCE)]
    return float(np.quantile(np.concatenate(worst), LEVEL))


def _worst(
    generator: np.random.Generator, root: Square, blocks: int
) -> Float[np.ndarray, " draws"]:
    """Return the largest difference of any two models in its standard errors, in some draws."""
    models, few = len(root), blocks < MANY_BLOCKS
    rows, columns = np.triu_indices(models, 1)
    if few:
        drawn = generator.standard_normal((DRAWN_AT_ONCE, blocks, models)) @ root
        sums = drawn.sum(axis=1)
        drawn -= sums[:, None, :] / blocks
        covariance = drawn.transpose(0, 2, 1) @ drawn * (blocks / (blocks - 1))
    else:  # The standard errors hardly vary, and as good as together.
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
    """Return how many standard errors to each side hold 95 % of Student's t.

    Right to 0.001 from 5 degrees of freedom on. Source: M. Abramowitz and I. Stegun 1964,
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
    """Return the first document of each block of neighbours: one document each, if not too many."""
    blocks = min(num_documents, MOST_PIECES)
    return np.linspace(0, num_documents, blocks, endpoint=False).astype(np.int64)


def bootstrap_means(
    sums: Float[np.ndarray, "blocks models"], counts: Float[np.ndarray, " blocks"], seed: int = 0
) -> Float[np.ndarray, "replicates models"]:
    """Return the mean per target of each model in each bootstrap replicate.

    Documents are drawn again as if independent of each other: for what is no mean, such as macro
    F1, a function of these means has the interval ``percentile_interval``.

    Source: B. Efron 1979, "Bootstrap methods: another look at the jackknife"; the percentile
    interval of a ratio of sums.

    Args:
        sums: Negative log-likelihood (or any cost) of each block under each model.
        counts: Targets (or bytes) of each block.
        seed: Of the draws, which are the same for all models: the comparison is paired.
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
    """Return the 95 % interval of a share of independent documents.

    Unlike the bootstrap it says something of few documents, and of documents that are all right.

    Source: E. B. Wilson 1927, "Probable inference, the law of succession, and statistical
    inference".
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, spread = hits / number, z * z / number
    middle = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / number + spread / (4 * number))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
