"""How unusual a text is beside held-out texts of the same kind, at a rate of false alarms.

The score says how rare so many nats per token are among texts of that length (``Scale``): first
less their median, by their spread; then by the quantiles of this in bands of lengths, since long
texts may be of another kind than short ones. The share of held-out texts with a smaller score,
``k`` of ``m`` as ``k / (m + 1)``, is one minus a conformal p-value: whatever the model is, of new
texts of the same source at most a share ``1 - a`` is more unusual than ``a`` (V. Vovk, A.
Gammerman, G. Shafer 2005, "Algorithmic learning in a random world"). So that no text judges itself,
the scale of each tenth of the texts is fitted to the others, and all counts are added (V. Vovk
2015, "Cross-conformal predictors"; for sure, the rate is then at most twice as high, but it is as
asked for where the scales are alike).
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
"""Its file in the run folder."""
FORMAT = 2
"""Number of the format of the file."""
WAY_OUT = "remove it, and it is made again when it is needed."
FOLDS = 10
"""Parts of the texts whose scale is fitted to the others: with few, scales differ, and of the most
unusual texts too few are alarms."""
FEWEST = 20
"""Texts from which something can be said: the most unusual is then more so than 95 % of them."""
IN_A_BIN, MOST_BINS = 40, 64
"""Texts of about the same length by which median and spread are found, enough for a quantile of
90 %; and how many such bins there are at most, which is enough for any curve."""
UPPER = 0.9
"""Quantile whose distance from the median is the spread: only unusual texts matter."""
LEAST_SPREAD = 0.5
"""Spread of a length, and the tail of a band, at least, as a share of the median of all: where all
texts of a length are alike, one that hardly differs would be the most unusual of all."""
LEVELS = np.array([0.5, 0.8, 0.9, 0.95, 0.98, 0.99])
"""Shares of the texts of a band that are below its quantiles."""
RARITY = -np.log1p(-LEVELS)
"""Scores at the quantiles: minus the logarithm of the share of texts that are more unusual."""
TAIL = 2
"""Number of a quantile: beyond the last one, scores rise as they do between the two on average."""
IN_A_BAND = 450
"""Texts of a band: four are above its last quantile. With fewer, a band may be one line of a log
again and again; with more, the longest lines of a made log were never an alarm."""
TIE = 1e-6
"""Spreads between two quantiles that are the same text's."""
ROUNDING = 1e-9
"""Nats per token; where spreads are smaller, all texts are alike and differ by rounding alone."""


@dataclass(frozen=True)
class Scale:
    """What is common for texts of each length; between the lengths of bins it is interpolated.

    Attributes:
        lengths: Mean logarithm of the targets of the texts in each bin, rising.
        median: Of their nats per token.
        spread: How far above it their 90 % quantile is.
        bands: Of each band of lengths, rising: the logarithm of its least targets, and the
            ``LEVELS`` quantiles of how many spreads its texts are above the median.
    """

    lengths: Float64[np.ndarray, " bins"]
    median: Float64[np.ndarray, " bins"]
    spread: Float64[np.ndarray, " bins"]
    bands: Float64[np.ndarray, "bands numbers"]

    @classmethod
    def fitted(
        cls, per_token: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
    ) -> "Scale":
        """Return the scale of some texts."""
        possible = np.isfinite(per_token)
        if not possible.any():
            band = np.concatenate([[0.0], RARITY])
            return cls(np.zeros(1), np.zeros(1), np.ones(1), band[None])
        per_token, lengths = per_token[possible], np.log(targets[possible])
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
        curve = np.array([lengths[one].mean() for one in bins]), median, spread
        above = _above(per_token, lengths, *curve)
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
        """Return how rare each text is among those of its length."""
        lengths = np.log(targets)
        above = _above(per_token, lengths, self.lengths, self.median, self.spread)
        places = np.maximum(np.searchsorted(self.bands[:, 0], lengths, "right") - 1, 0)
        scores = np.empty(len(lengths))
        tails = self.bands[:, -1] - self.bands[:, 1 + TAIL]
        tails = np.maximum(tails, LEAST_SPREAD * np.median(tails))
        for number, (_, *quantiles) in enumerate(self.bands.tolist()):
            chosen = places == number
            scores[chosen] = _rarity(above[chosen], quantiles, tails[number])
        return scores


def _above(
    per_token: Float64[np.ndarray, " texts"],
    lengths: Float64[np.ndarray, " texts"],
    bins: Float64[np.ndarray, " bins"],
    median: Float64[np.ndarray, " bins"],
    spread: Float64[np.ndarray, " bins"],
) -> Float64[np.ndarray, " texts"]:
    """Return how many spreads each text is above the median of its length."""
    found: Float64[np.ndarray, " texts"]
    found = (per_token - np.interp(lengths, bins, median)) / np.interp(lengths, bins, spread)
    return found


def _rarity(
    above: Float64[np.ndarray, " texts"], quantiles: list[float], tail: float
) -> Float64[np.ndarray, " texts"]:
    """Return scores between, below and beyond the quantiles of a band, given its tail's width."""
    first, last = quantiles[0], quantiles[-1]
    slope = (RARITY[-1] - RARITY[TAIL]) / tail
    found: Float64[np.ndarray, " texts"] = np.interp(above, quantiles, RARITY)
    found += np.minimum(above - first, 0) + slope * np.maximum(above - last, 0)
    return found


@dataclass(frozen=True)
class Calibration(Result):
    """What a run finds usual.

    Attributes:
        text: Name of the texts that it is from.
        folds: Of each part of them: the scale of the others, and its own scores by it, sorted.
    """

    _in_json = ("text", "documents", "most_unusual")

    text: str
    folds: tuple[tuple[Scale, Float64[np.ndarray, " texts"]], ...]

    @property
    def documents(self) -> int:
        """How many texts there were."""
        return sum(len(scores) for _, scores in self.folds)

    @property
    def most_unusual(self) -> float:
        """The highest share that it can tell: a text is more unusual than all others."""
        return self.documents / (self.documents + 1)

    def more_unusual_than(
        self, nats: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
    ) -> Float64[np.ndarray, " texts"]:
        """Return how large a share of the texts each of others is more unusual than.

        Args:
            nats: Negative log-probability of each text.
            targets: Its tokens, and its end.
        """
        below = [
            np.searchsorted(scores, scale.scores(nats / targets, targets), "left")
            for scale, scores in self.folds
        ]
        shares: Float64[np.ndarray, " texts"] = np.sum(below, axis=0) / (self.documents + 1)
        return shares

    def check_alert(self, alert: float) -> None:
        """Refuse a share that no text can reach.

        Raises:
            SettingError: It is too high for so few texts.
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
    """Learn what a run finds usual, and keep it in the run folder.

    Args:
        run: The run of a language model, or its folder.
        text: Texts of the kind that is usual; by default the dev split. The model must not have
            been trained on them.

    Raises:
        TextError: If there are too few.
        RunError: If the run folder cannot be written.
    """
    run = LanguageRun(run)
    found = _learned(run, text)
    tensors: dict[str, Float64[np.ndarray, ...]] = {}
    for number, (scale, scores) in enumerate(found.folds):
        curve = np.stack([scale.lengths, scale.median, scale.spread])
        tensors |= {f"scale{number}": curve, f"scores{number}": scores}
        tensors[f"bands{number}"] = scale.bands
    about = {"format": FORMAT, "text": found.text, "weights": _weights(run)}
    save_tensors(run.folder / FILE, tensors, about)
    return found


def _learned(run: LanguageRun, text: Source | None) -> Calibration:
    """Return what a run finds usual, by its dev split or another text."""
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
    return fitted(name, nats / store.target_counts, store.target_counts)


def fitted(
    text: str, per_token: Float64[np.ndarray, " texts"], targets: Int64[np.ndarray, " texts"]
) -> Calibration:
    """Return the calibration by the nats per token of texts, every tenth one in the same fold."""
    fold = np.arange(len(targets)) % FOLDS
    folds = []
    for number in range(FOLDS):
        own, others = fold == number, fold != number
        scale = Scale.fitted(per_token[others], targets[others])
        folds.append((scale, np.sort(scale.scores(per_token[own], targets[own]))))
    return Calibration(text, tuple(folds))


def calibration_of(run: LanguageRun) -> Calibration:
    """Return the calibration in a run folder; made now if there is none of its present weights.

    Raises:
        RunError: If the file is damaged.
        TextError: If there is nothing to make it of.
    """
    path = run.folder / FILE
    if path.exists():
        try:
            tensors, about = load_tensors(path)
        except RunError as error:
            raise RunError(f"{path} is damaged; {WAY_OUT}") from error
        if (about.get("format"), about.get("weights")) == (FORMAT, _weights(run)):
            return _read(path, tensors, about)
    try:
        return calibrate(run)
    except WriteError as error:  # In a folder of another's it is made each time.
        if error.error.errno not in NOT_ALLOWED:
            raise
        return _learned(run, None)


def _read(path: Path, tensors: Mapping[str, Any], about: Mapping[str, Any]) -> Calibration:
    """Return the calibration in a file, checked, since the run may come from anyone."""
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


def _weights(run: LanguageRun) -> str:
    """Return what tells the weights of a run from others: the hash of their header, with theirs."""
    with run.weights.open("rb") as file:
        return sha256(file.read(int.from_bytes(file.read(8), "little") % (1 << 26))).hexdigest()
