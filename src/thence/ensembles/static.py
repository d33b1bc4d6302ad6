"""Static mixing (interpolation) of n-gram models into one back-off model, an ARPA file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from thence.array_types import Float, Float64, Int64
from thence.corpus import Documents, Source, load
from thence.errors import RunError, SettingError, TextError
from thence.exchange.arpa_writer import check_no_crossing, write_arpa
from thence.exchange.ngrams import NGrams, common_tokenizer, open_ngrams, with_unknown
from thence.models.mixture_weights import learn_single
from thence.models.ngram.counting import count_ngrams
from thence.models.ngram.likelihood import counts_as_longest
from thence.models.ngram.smoothing import OrderTable
from thence.models.ngram.static import Backoff, interpolate
from thence.results import Serializable, format_pairs
from thence.runs.run import Run
from thence.tokens import Tokenizer, Vocabulary

ITERATIONS = 200
"""Iterations of expectation maximisation for the weights; each takes milliseconds."""


@dataclass(frozen=True)
class DevPerplexities:
    """Perplexities per token on a dev text.

    Attributes:
        targets: Number of targets that some model knows, on which the perplexities are computed.
        unknown: Number of targets that no model knows, which are left out.
        members: The perplexity of each model; infinite if it lacks a word.
        dynamic: The perplexity of the weighted average of their probabilities.
        static: The perplexity of the back-off model that was written.
    """

    targets: int
    unknown: int
    members: tuple[float, ...]
    dynamic: float
    static: float


@dataclass(frozen=True)
class StaticMixture(Serializable):
    """A back-off model made of several.

    Attributes:
        path: The ARPA file.
        members: The names of the models.
        weights: The weight of each.
        symbols: Number of ordinary symbols of the vocabulary.
        ngrams: Number of n-grams of each order.
        dev: Perplexities on dev; None without a dev text.
    """

    _in_json: ClassVar[tuple[str, ...]] = (
        "path=_path",
        "members",
        "weights",
        "symbols",
        "ngrams",
        "dev",
    )
    path: Path
    members: tuple[str, ...]
    weights: tuple[float, ...]
    symbols: int
    ngrams: tuple[int, ...]
    dev: DevPerplexities | None

    @property
    def _path(self) -> str:
        return str(self.path)

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values to show."""
        rows = [("file", str(self.path)), ("symbols", f"{self.symbols:,}")]
        rows.append(("n-grams", " + ".join(f"{count:,}" for count in self.ngrams)))
        dev = self.dev
        for index, (name, weight) in enumerate(zip(self.members, self.weights, strict=True)):
            alone = "" if dev is None else _perplexity_alone(dev.members[index])
            rows.append((f"weight of {name}", f"{weight:.3f}{alone}"))
        if dev is not None:
            left_out = f", {dev.unknown:,} unknown left out" if dev.unknown else ""
            rows.append(("dev targets", f"{dev.targets:,}{left_out}"))
            rows.append(("perplexity per token", f"{dev.static:.3f}"))
            rows.append(("of dynamic mixing", f"{dev.dynamic:.3f}"))
        return rows

    def __str__(self) -> str:
        return "\n".join(format_pairs(self.rows()))


def _perplexity_alone(perplexity: float) -> str:
    if math.isinf(perplexity):
        return "; alone it lacks words of dev"
    return f"; alone its perplexity is {perplexity:.3f}"


def mix_ngrams(
    models: Sequence[Run | str | Path],
    output: str | Path,
    *,
    dev: Source | None = None,
    lambdas: Sequence[float] | None = None,
    prune_entropy: float | None = None,
) -> StaticMixture:
    """Mix n-gram models into one back-off model, and write it as an ARPA file.

    Every n-gram of a model gets the weighted average of the models' probabilities; the back-off
    weights are computed so that every context sums to one (``models/ngram/static.py``).

    Args:
        models: Two or more ARPA files, or runs of n-gram models with the same kind of tokens.
        output: The ARPA file to make, compressed if its name ends in ``.gz``.
        dev: The text to learn the weights on; by default the dev split of the first run that has
            one.
        lambdas: The weights of the models, in their order, instead of learning them; they are
            divided by their sum.
        prune_entropy: Leave out n-grams that raise the perplexity by less than this share, such as
            1e-8.

    Raises:
        SettingError: If the number of weights is not that of the models.
        RunError: If the models cannot be mixed, or the output exists or cannot be written.
        TextError: If a file is no ARPA file, or there is no text to learn the weights on.
    """
    output = Path(output)
    if output.exists():
        raise RunError(f"{output} exists already and is left as it is; choose another name.")
    opened = [open_ngrams(model) for model in models]
    if len(opened) < 2:
        raise RunError("A mixture needs at least two models; name more ARPA files or runs.")
    for model in opened:
        check_no_crossing(model.tables, model.vocabulary)
    tokenizer = common_tokenizer(opened)
    text = _dev_text(opened, dev, needed=lambdas is None)
    scores = None if text is None else _DevScores.of(opened, text, with_unknown(tokenizer))
    if scores is None or lambdas:
        weights = _normalised(lambdas, len(opened))
    else:
        weights = scores.learn_weights()
    within = [Backoff.within(one.tables, one.vocabulary, tokenizer.vocabulary) for one in opened]
    tables = interpolate(within, weights, prune_entropy)
    try:
        write_arpa(tables, tokenizer.vocabulary, output)
    except OSError as error:
        raise RunError(
            f"Cannot write {output}: {error.strerror or error}. Free some space or choose another "
            "place."
        ) from error
    return StaticMixture(
        output,
        tuple(model.name for model in opened),
        tuple(weights.tolist()),
        len(tokenizer.vocabulary.symbols),
        tuple(len(table.keys) for table in tables),
        None if scores is None else scores.perplexities(weights, tables, tokenizer.vocabulary),
    )


def _normalised(lambdas: Sequence[float] | None, count: int) -> Float64[np.ndarray, " models"]:
    """Return the given weights divided by their sum; SettingError if they are not ``count``."""
    weights = np.array(lambdas or (), np.float64)
    if len(weights) != count or not (np.isfinite(weights) & (weights > 0)).all():
        raise SettingError(
            f"`lambdas` must be {count} numbers above 0, one for each model, not "
            f"{', '.join(map(str, lambdas or ()))}."
        )
    found: Float64[np.ndarray, " models"] = weights / weights.sum()
    return found


def _dev_text(models: Sequence[NGrams], dev: Source | None, needed: bool) -> Documents | None:
    """Return the text to learn the weights on; None if there is none.

    Raises:
        TextError: If there is none, but ``needed`` is set.
    """
    text = None
    if dev is not None:
        text = load(dev)
        for model in models:
            if model.run is not None:
                model.run.record_if_test(text, "mix")
    elif first := next((m.run for m in models if m.run is not None and m.run.has_text), None):
        text = first.documents("dev")
    if text is not None and len(text):
        return text
    if needed:
        raise TextError(
            "The weights are learned on a dev text, and there is none; name one with `dev`, or "
            "give the weights with `lambdas`."
        )
    return None


@dataclass(frozen=True)
class _DevScores:
    """The distinct n-grams that end at the targets of a dev text, with their log-probabilities.

    Attributes:
        keys: The n-grams of the text of each order.
        times: How often each is the longest one that ends at a target.
        vocabulary: The vocabulary of the keys.
        log_probs: Log-probability in nats of each distinct n-gram's last token, by each model.
    """

    keys: list[Int64[np.ndarray, " ngrams"]]
    times: list[Int64[np.ndarray, " ngrams"]]
    vocabulary: Vocabulary
    log_probs: Float64[np.ndarray, "targets models"]

    @classmethod
    def of(cls, models: Sequence[NGrams], text: Documents, tokenizer: Tokenizer) -> "_DevScores":
        """Count the n-grams of a text, and score them by each model."""
        store, order = tokenizer.encode(text), max(len(model.tables) for model in models)
        vocabulary = tokenizer.vocabulary
        counts = count_ngrams(store, order, len(vocabulary), carry_context=False)
        found = cls([c.keys for c in counts], counts_as_longest(counts), vocabulary, np.zeros(0))
        scores = [found.score(model.tables, model.vocabulary) for model in models]
        return cls(found.keys, found.times, vocabulary, np.stack(scores, axis=1))

    def score(self, tables: list[OrderTable], own: Vocabulary) -> Float64[np.ndarray, " targets"]:
        """Return the log-probability (nats) of each distinct n-gram's last token by a model."""
        by_order = Backoff.within(tables, own, self.vocabulary).log_probs(self.keys)
        return np.concatenate(
            [some[times > 0] for some, times in zip(by_order, self.times, strict=True)]
        )

    @property
    def counts(self) -> Int64[np.ndarray, " targets"]:
        """How often each distinct n-gram occurs as a target; 0 if no model knows its last token."""
        times = np.concatenate([times[times > 0] for times in self.times])
        return np.where(np.isfinite(self.log_probs).any(axis=1), times, 0)

    def learn_weights(self) -> Float64[np.ndarray, " models"]:
        """Return the weights of the models that maximise the text's likelihood (by EM)."""
        counts = self.counts  # Some are above 0: every model knows the boundary.
        # EM needs only ratios: relative to the best model, exp does not underflow.
        relative = self.log_probs - self.log_probs.max(axis=1, keepdims=True, initial=-1e9)
        probs = np.repeat(np.exp(relative), counts, axis=0)
        return learn_single(probs, iterations=ITERATIONS).astype(np.float64)

    def perplexities(
        self,
        weights: Float[np.ndarray, " models"],
        tables: list[OrderTable],
        vocabulary: Vocabulary,
    ) -> DevPerplexities:
        """Return the perplexities of the models, their mixture, and the written back-off model."""
        counts = self.counts
        used = counts > 0
        counts, log_probs = counts[used], self.log_probs[used]
        mixed = np.logaddexp.reduce(log_probs + np.log(weights), axis=1)
        written = self.score(tables, vocabulary)[used]

        def perplexity(nats: Float64[np.ndarray, " targets"]) -> float:
            return float(np.exp(-(counts @ nats) / counts.sum()))

        every = sum(int(times.sum()) for times in self.times)
        return DevPerplexities(
            int(counts.sum()),
            every - int(counts.sum()),
            tuple(perplexity(column) for column in log_probs.T),
            perplexity(mixed),
            perplexity(written),
        )
