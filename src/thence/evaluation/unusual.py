"""``calibrate``: anomaly detection with a chosen rate of false alarms, by conformal prediction.

The nonconformity score of a text is how rare its nats per token are among held-out texts of its
length (``Scale``): nats per token are standardised by the median and the spread of texts of that
length, and the result is compared with its quantiles in bands of lengths, since long texts may be
of another kind than short ones. If ``k`` of ``m`` held-out texts have a smaller score, then
``k / (m + 1)`` is one minus a conformal p-value: whatever the model is, at most a share ``1 - a``
of new texts from the same source is more unusual than ``a`` (V. Vovk, A. Gammerman, G. Shafer
2005, "Algorithmic learning in a random world"). So that no text is scored by a scale that it was
used for, the scale of each of ten folds is fitted to the other nine, and the counts of all folds
are added (V. Vovk 2015, "Cross-conformal predictors": the guaranteed rate is then twice as high,
but the rate itself is as chosen where the scales of the folds are alike).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from thence.array_types import Float64, Int64
from thence.atomic import NOT_ALLOWED, WriteError
from thence.corpus import Source, load
from thence.errors import RunError, SettingError, TextError
from thence.evaluation.data import EvaluationData
from thence.results import Result, format_pairs
from thence.runs import LanguageRun
from thence.runs.files import load_tensors, save_tensors
from thence.runs.run import Run

FILE = "calibration.safetensors"
"""File of the calibration in the run folder."""
FORMAT = 2
"""Format number of the file; a file with another number is made again."""
WAY_OUT = "remove it, and it is made again when it is needed."
FOLDS = 10
"""Folds of the cross-conformal prediction. With fewer, their scales differ more, and too few of the
most unusual texts are alarms."""
FEWEST = 20
"""Fewest texts to calibrate on: the most unusual is then more unusual than 95 % of them."""
IN_A_BIN, MOST_BINS = 40, 64
"""Texts in a bin of similar lengths, enough to estimate a 90 % quantile; and bins at most, enough
for any curve of median and spread over the length."""
UPPER = 0.9
"""The spread is the distance of this quantile from the median: only the upper tail matters."""
LEAST_SPREAD = 0.5
"""Lower bound of the spread of a bin, and of the tail of a band, as a share of the median of all.
Without it, where all texts of a length are equal, a tiny difference would be the most unusual."""
LEVELS = np.array([0.5, 0.8, 0.9, 0.95, 0.98, 0.99])
"""Levels of the quantiles that are kept of each band."""
RARITY = -np.log1p(-LEVELS)
"""Scores at these quantiles: minus the logarithm of the share of texts above."""
TAIL = 2
"""Index of a quantile: beyond the last one, scores rise with the mean slope between this and it."""
IN_A_BAND = 450
"""Texts in a band, so that four are above its last quantile. With fewer, a band may consist of a
single line of a log, repeated; with more, the longest lines of a synthetic log never raised an
alarm."""
TIE = 1e-6
"""Least distance between quantiles, in spreads, so that they rise strictly where texts repeat."""
ROUNDING = 1e-9
"""Nats per token; a smaller spread is rounding error, and is replaced by 1."""


@dataclass(frozen=True)
class Scale:
    """The distribution of nats per token by the length of a text.

    Attributes:
        lengths: Mean log number of targets of the texts in each bin, rising; median and spread are
            interpolated between them.
        median: Median nats per token in each bin.
        spread: Distance of the 90 % quantile above the median.
        bands: One row for each band of lengths, rising: the log of its least number of targets, and
            the quantiles at ``LEVELS`` of the standardised nats per token.
    """

    lengths: Float64[np.ndarray, " bins"]
    median: Float64[np.ndarray, " bins"]
    spread: Float64[np.ndarray, " bins"]
    bands: Float64[np.ndarray, "bands numbers"]

    @classmethod
    def fit(
        cls, per_token: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
    ) -> "Scale":
        """Fit a scale to the nats per token and lengths of texts; infinite ones are left out."""
        possible = np.isfinite(per_token)
        if not possible.any():
            band = np.concatenate([[0.0], RARITY])
            return cls(np.zeros(1), np.zeros(1), np.ones(1), band[None])
        per_token, lengths = per_token[possible], np.log(targets[possible])
        # Median and spread in bins with about equally many texts of similar length.
        count = int(np.clip(len(lengths) // IN_A_BIN, 1, MOST_BINS))
        edges = np.unique(np.quantile(lengths, np.arange(1, count) / count))
        places = np.searchsorted(edges, lengths, "right")
        bins = [places == number for number in np.unique(places)]
        median, upper = (
            np.array([np.quantile(per_token[one], share) for one in bins]) for share in (0.5, UPPER)
        )
        spread = upper - median
        least = LEAST_SPREAD * float(np.median(spread))
        spread = np.maximum(spread, least if least >= ROUNDING else 1.0)
        # Quantiles of the standardised values in wider bands, which are made to rise strictly.
        curve = np.array([lengths[one].mean() for one in bins]), median, spread
        above = _standardize(per_token, lengths, *curve)
        count = int(np.clip(len(lengths) // IN_A_BAND, 1, MOST_BINS))
        least_of = np.unique(np.quantile(lengths, np.arange(count) / count, method="lower"))
        places = np.searchsorted(least_of, lengths, "right") - 1
        quantiles = [
            np.quantile(above[places == number], LEVELS, method="higher")
            for number in range(len(least_of))
        ]
        rising = np.maximum.accumulate(np.array(quantiles), axis=1) + TIE * np.arange(len(LEVELS))
        return cls(*curve, np.column_stack([least_of, rising]))

    def scores(
        self, per_token: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
    ) -> Float64[np.ndarray, " texts"]:
        """Return the nonconformity score of each text: its rarity among texts of its length."""
        lengths = np.log(targets)
        above = _standardize(per_token, lengths, self.lengths, self.median, self.spread)
        places = np.maximum(np.searchsorted(self.bands[:, 0], lengths, "right") - 1, 0)
        scores = np.empty(len(lengths))
        tails = self.bands[:, -1] - self.bands[:, 1 + TAIL]
        tails = np.maximum(tails, LEAST_SPREAD * np.median(tails))
        for number, (_, *quantiles) in enumerate(self.bands.tolist()):
            chosen = places == number
            scores[chosen] = _rarity(above[chosen], quantiles, tails[number])
        return scores


def _standardize(
    per_token: Float64[np.ndarray, " texts"],
    lengths: Float64[np.ndarray, " texts"],
    bins: Float64[np.ndarray, " bins"],
    median: Float64[np.ndarray, " bins"],
    spread: Float64[np.ndarray, " bins"],
) -> Float64[np.ndarray, " texts"]:
    """Return the standardised nats per token: (value - median) / spread for the text's length."""
    found: Float64[np.ndarray, " texts"]
    found = (per_token - np.interp(lengths, bins, median)) / np.interp(lengths, bins, spread)
    return found


def _rarity(
    above: Float64[np.ndarray, " texts"], quantiles: list[float], tail: float
) -> Float64[np.ndarray, " texts"]:
    """Return the scores of standardised values in a band, piecewise linear between its quantiles.

    Below the first quantile the slope is 1; above the last it is that of the tail.
    """
    first, last = quantiles[0], quantiles[-1]
    slope = (RARITY[-1] - RARITY[TAIL]) / tail
    found: Float64[np.ndarray, " texts"] = np.interp(above, quantiles, RARITY)
    found += np.minimum(above - first, 0) + slope * np.maximum(above - last, 0)
    return found


@dataclass(frozen=True)
class Calibration(Result):
    """The scores of held-out texts, which tell how unusual a new text is.

    Attributes:
        text: Name of the held-out texts.
        folds: For each fold: the scale fitted to the other folds, and the sorted scores of its own
            texts by this scale.
    """

    _in_json = ("text", "documents", "most_unusual")

    text: str
    folds: tuple[tuple[Scale, Float64[np.ndarray, " texts"]], ...]

    @property
    def documents(self) -> int:
        """Number of held-out texts."""
        return sum(len(scores) for _, scores in self.folds)

    @property
    def most_unusual(self) -> float:
        """The highest possible share, m / (m + 1): that of a text more unusual than all m."""
        return self.documents / (self.documents + 1)

    def more_unusual_than(
        self, nats: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
    ) -> Float64[np.ndarray, " texts"]:
        """Return for each new text the share (0 to 1) of held-out texts that are less unusual.

        Args:
            nats: Negative log-probability of each new text.
            targets: Number of its tokens, its end included.
        """
        below = [
            np.searchsorted(scores, scale.scores(nats / targets, targets), "left")
            for scale, scores in self.folds
        ]
        shares: Float64[np.ndarray, " texts"] = np.sum(below, axis=0) / (self.documents + 1)
        return shares

    def check_alert(self, alert: float) -> None:
        """Check a threshold of ``more_unusual_than``.

        Raises:
            SettingError: If it is not between 0 and 1, or above ``most_unusual``.
        """
        if not 0 < alert < 1:
            raise SettingError(f"`alert` is {alert:g}; it must be above 0 and below 1.")
        if alert > self.most_unusual:
            needed = int(np.ceil(alert / (1 - alert) - 1e-9))
            raise SettingError(
                f"`alert` is {alert:g}, but {self.documents:,} texts of {self.text} can only tell "
                f"what is more unusual than {self.most_unusual:.4g} of them. It takes {needed:,} "
                "of them: calibrate on a larger text with `calibrate_on`, or lower `alert`."
            )

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values to show."""
        return [
            ("calibrated on", f"{self.documents:,} texts of {self.text}"),
            ("can tell", f"what is more unusual than {100 * self.most_unusual:.4g} % of them"),
        ]

    def __str__(self) -> str:
        return "\n".join(format_pairs(self.rows()))


def calibrate(run: Run | str | Path, text: Source | None = None) -> Calibration:
    """Calibrate a run on held-out texts, to find unusual texts later, and save it in its folder.

    Args:
        run: The run of a language model, or its folder.
        text: Texts of the kind that is usual; by default the dev split. The model must not have
            been trained on them.

    Raises:
        TextError: If there are too few.
        RunError: If the run folder cannot be written.
    """
    run = LanguageRun(run)
    found = _calibrate(run, text)
    tensors: dict[str, Float64[np.ndarray, ...]] = {}
    for number, (scale, scores) in enumerate(found.folds):
        curve = np.stack([scale.lengths, scale.median, scale.spread])
        tensors |= {f"scale{number}": curve, f"scores{number}": scores}
        tensors[f"bands{number}"] = scale.bands
    about = {"format": FORMAT, "text": found.text, "weights": _weights_hash(run)}
    save_tensors(run.folder / FILE, tensors, about)
    return found


def _calibrate(run: LanguageRun, text: Source | None) -> Calibration:
    """Return the calibration of a run on its dev split, or on another text, without saving it."""
    data = EvaluationData(text=text)
    if text is None and (run.imported or not len(run.documents("dev"))):
        raise TextError(
            f"{run.name} has no dev split to calibrate on; name a file with `calibrate_on` that "
            "it was not trained on."
        )
    documents = load(text) if text is not None else data.documents(run)
    if len(documents) < FEWEST:
        raise TextError(
            f"{data.name(run)} has {len(documents)} documents, too few to calibrate on; it takes "
            f"{FEWEST}, and 999 to tell what is more unusual than 99.9 %."
        )
    store = run.encode(documents, "score")
    model = EvaluationData(static=True).model(run)
    nats = -store.sum_by_document(model.score(store, False).astype(np.float64))
    name = "the dev split" if text is None else data.name(run)
    return fit_calibration(name, nats / store.target_counts, store.target_counts)


def fit_calibration(
    text: str, per_token: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
) -> Calibration:
    """Return the calibration by the nats per token of texts; every tenth text is in one fold."""
    fold = np.arange(len(targets)) % FOLDS
    folds = []
    for number in range(FOLDS):
        own, others = fold == number, fold != number
        scale = Scale.fit(per_token[others], targets[others])
        folds.append((scale, np.sort(scale.scores(per_token[own], targets[own]))))
    return Calibration(text, tuple(folds))


def calibration_of(run: LanguageRun) -> Calibration:
    """Return the calibration saved in a run folder; made now if missing or of other weights.

    Raises:
        RunError: If the file is damaged.
        TextError: If there is no text to calibrate on.
    """
    path = run.folder / FILE
    if path.exists():
        try:
            tensors, about = load_tensors(path)
        except RunError as error:
            raise RunError(f"{path} is damaged; {WAY_OUT}") from error
        if (about.get("format"), about.get("weights")) == (FORMAT, _weights_hash(run)):
            return _read(path, tensors, about)
    try:
        return calibrate(run)
    except WriteError as error:  # In a read-only folder it is computed each time.
        if error.error.errno not in NOT_ALLOWED:
            raise
        return _calibrate(run, None)


def _read(path: Path, tensors: Mapping[str, Any], about: Mapping[str, Any]) -> Calibration:
    """Return the calibration in a file, checked, since a run folder may come from a stranger."""
    try:
        folds = []
        for number in range(FOLDS):
            curve, scores = tensors[f"scale{number}"], tensors[f"scores{number}"]
            bands = tensors[f"bands{number}"]
            usable = curve.ndim == 2 and len(curve) == 3 and curve.shape[1] > 0 and scores.ndim == 1
            usable = usable and curve.dtype == scores.dtype == np.float64
            usable = usable and np.isfinite(curve).all() and not np.isnan(scores).any()
            usable = usable and (np.diff(curve[0]) > 0).all() and (curve[2] >= ROUNDING).all()
            usable = usable and bands.ndim == 2 and bands.shape[1] == 1 + len(LEVELS)
            usable = usable and len(bands) > 0 and bands.dtype == np.float64
            usable = usable and np.isfinite(bands).all() and (np.diff(bands[:, 0]) > 0).all()
            usable = usable and (np.diff(bands[:, 1:], axis=1) > 0).all()
            if not usable or (scores[1:] < scores[:-1]).any() or not len(scores):
                raise ValueError("numbers that no calibration has")
            folds.append((Scale(curve[0], curve[1], curve[2], bands), scores))
        return Calibration(str(about["text"]), tuple(folds))
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error}); {WAY_OUT}") from error


def _weights_hash(run: LanguageRun) -> str:
    """Return an identity of a run's weights: the SHA-256 of the header of their safetensors file.

    The header holds checksums of the tensors, so it changes with the weights.
    """
    with run.weights.open("rb") as file:
        return sha256(file.read(int.from_bytes(file.read(8), "little") % (1 << 26))).hexdigest()
