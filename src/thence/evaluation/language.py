"""Evaluating a language model on a text: loss with its interval, perplexity, bits per byte."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thence.array_types import Bool, Float
from thence.corpus import seen_in
from thence.errors import DownloadError, TextError
from thence.evaluation.data import EvaluationData, RunReport
from thence.evaluation.intervals import (
    FEWEST_DOCUMENTS,
    mean_interval,
    unit_sizes,
    unit_starts,
    unit_sums,
)
from thence.evaluation.metrics import bits, perplexity
from thence.models.base import Adapts
from thence.models.spelling import spelling_costs
from thence.results import format_pairs
from thence.runs.description import choice_on_dev
from thence.runs.run import Run
from thence.tokens import TokenStore

MUCH_LAYOUT = 0.01
"""Share of bytes (white space) that word tokens drop above which bits per byte do not compare."""
MANY_UNKNOWN = 0.05
"""Share of unknown targets (0 to 1) above which the report warns that its likelihood says little:
predicting ``<unk>`` is easy, and says nothing of the word that stood there."""


@dataclass(frozen=True)
class Share:
    """The loss on a part of the evaluated documents.

    Attributes:
        documents: Number of documents.
        targets: Number of predictions in them.
        nats_per_token: Mean negative log-likelihood.
    """

    documents: int
    targets: int
    nats_per_token: float


@dataclass(frozen=True)
class LikelihoodReport(RunReport):
    """The likelihood of a text under a model. Every document's end is one target.

    Attributes:
        run: Name of the run.
        text: What it was evaluated on: a split or a file.
        documents: Number of documents.
        targets: Number of predictions (T).
        unknown: Targets that are the unknown symbol.
        impossible: Targets given probability zero; any makes the likelihood zero.
        characters: Code points, and one for each document's end.
        bytes: UTF-8 bytes, and one for each document's end.
        nats: Summed negative log-likelihood, in nats.
        interval: 95 % interval of ``nats_per_token``; NaN if there is too little text for one.
        seen: The documents that occur in train too; None where none does, or where train itself
            is evaluated on or cannot be read any more.
        unseen: The documents that do not occur in train; None likewise.
        carry_context: Whether the context of a document includes the documents before it.
        looks: Evaluations on the run's test split, this one included: ``time``, ``command`` and,
            for a run that this one is built from, the name of that ``run``.
        dynamic: Names of the parts of the model that adapted to the text while reading it, such as
            the cache in a mixture.
        static: Whether the model was kept from adapting.
        chosen_on_dev: A remark that the run was selected, or its weights learned, on the dev split
            that it is evaluated on; None where it was not, or for another text.
        in_order: Whether neighbouring documents depend on each other, since they were not drawn
            from the text at random; the interval is then by blocks.
        spelling_nats: Extra nats for spelling out the unknown targets character by character
            (``models/spelling.py``).
        layout_bytes: Bytes of indentation and repeated white space, if tokens are words, which do
            not say it; else 0.
    """

    _in_json = (
        *("run", "text", "documents", "targets", "unknown", "impossible", "characters", "bytes"),
        *("nats", "nats_per_token", "interval", "interval_of=covers", "in_order", "chosen_on_dev"),
        *("perplexity", "bits_per_character", "bits_per_byte", "bits_per_byte_with_spelling"),
        *("spelling_nats", "layout_bytes", "seen", "unseen", "carry_context"),
        *("test_looks", "test_looks_before", "dynamic", "static"),
    )

    run: str
    text: str
    documents: int
    targets: int
    unknown: int
    impossible: int
    characters: int
    bytes: int
    nats: float
    interval: tuple[float, float]
    seen: Share | None
    unseen: Share | None
    carry_context: bool
    looks: tuple[Mapping[str, str], ...]
    dynamic: tuple[str, ...] = ()
    static: bool = False
    chosen_on_dev: str | None = None
    in_order: bool = False
    spelling_nats: float = 0.0
    layout_bytes: int = 0

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-likelihood per target, in nats."""
        return self.nats / self.targets

    @property
    def perplexity(self) -> float:
        """Perplexity per target: e to the nats per token."""
        return perplexity(self.nats_per_token)

    @property
    def bits_per_character(self) -> float:
        """Bits per code point, each document's end counted as one."""
        return bits(self.nats) / self.characters

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte, each document's end counted as one, unknown targets only as ``<unk>``."""
        return bits(self.nats) / self.bytes

    @property
    def bits_per_byte_with_spelling(self) -> float:
        """Bits per byte, unknown targets spelled out; compares across tokenisers."""
        return bits(self.nats + self.spelling_nats) / self.bytes

    @property
    def covers(self) -> str:
        """The population that the interval is about, in words."""
        return covers(self.in_order)

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values with their units, in the order to show them."""
        rows = [
            ("evaluated on", self.text),
            ("documents", f"{self.documents:,}"),
            ("targets", f"{self.targets:,} (each document's end is one)"),
            ("unknown targets", f"{self.unknown:,} ({100 * self.unknown / self.targets:.2f} %)"),
            ("nats per token", f"{self.nats_per_token:.4f} ({self.interval_in_words()})"),
            ("perplexity per token", f"{self.perplexity:.3f}"),
            ("bits per character", f"{self.bits_per_character:.4f}"),
            ("bits per byte", f"{self.bits_per_byte:.4f}"),
        ]
        if self.targets != self.characters:  # Else they are the bits per character.
            rows.insert(5, ("bits per token", f"{bits(self.nats_per_token):.4f}"))
        if self.unknown:
            spelled = f"{self.bits_per_byte_with_spelling:.4f} (unknown targets spelled out)"
            rows.append(("with spelling", spelled))
        if not math.isnan(self.interval[0]):
            rows.append(("interval of", self.covers))
        if self.chosen_on_dev:
            rows.append(("this run", self.chosen_on_dev))
        if self.unknown > MANY_UNKNOWN * self.targets:
            note = "what is read as <unk> is not predicted: only the number with spelling says "
            note += "how well the text is"
            rows.append(("note", note))
        if self.layout_bytes > MUCH_LAYOUT * self.bytes:
            note = f"{100 * self.layout_bytes / self.bytes:.0f} % of the bytes are indentation and "
            note += "repeated white space, which words do not predict but characters do"
            rows.append(("note", note))
        if self.impossible:
            rows.append(("impossible targets", f"{self.impossible:,} (probability zero)"))
        for name, share in (("seen in train", self.seen), ("not in train", self.unseen)):
            if self.seen is not None and share is not None:
                numbers = (
                    f"{share.documents:,} documents, {share.nats_per_token:.4f} nats per token"
                )
                rows.append((name, numbers))
        rows.append(
            ("context", "carried across documents" if self.carry_context else "per document")
        )
        if self.dynamic:
            names = ", ".join(self.dynamic)
            rows.append(("dynamic", f"adapts to the text it is evaluated on: {names}"))
        if self.static:
            rows.append(("static", "kept from adapting to the text; caches left out"))
        return rows + self.looks_row()

    def interval_in_words(self) -> str:
        """Return the interval as text, or why there is none."""
        if self.impossible:
            return "no interval, since a target is impossible"
        low, high = self.interval
        if math.isnan(low):
            return "too little text for an interval"
        few = self.documents < FEWEST_DOCUMENTS
        plural = "" if self.documents == 1 else "s"
        drawn = f" over pieces of {self.documents} document{plural}" if few else ""
        return f"95 % interval {low:.4f} to {high:.4f}{drawn}"

    def __str__(self) -> str:
        return "\n".join(format_pairs(self.rows()))


def evaluate_language_model(run: Run, data: EvaluationData = EvaluationData()) -> LikelihoodReport:
    """Return the likelihood report of a run; see ``evaluate``."""
    report, _, _ = evaluate_with_costs(run, data)
    return report


def evaluate_with_costs(
    run: Run, data: EvaluationData = EvaluationData()
) -> tuple[LikelihoodReport, TokenStore, Float[np.ndarray, " targets"]]:
    """Return the likelihood report of a run, the encoded text, and the nats of each target."""
    documents = data.documents(run)
    store = run.encode(documents, "evaluate")
    carry_context = run.recipe.training.carry_context
    model = data.model(run)
    costs = -model.score(store, carry_context)
    in_order = data.is_in_order(run)
    seen, unseen = None, None
    if (data.split != "train" or data.text is not None) and _text_is_there(run):
        is_seen = seen_in(run.documents("train"), documents)
        seen, unseen = _share(store, costs, is_seen), _share(store, costs, ~is_seen)
    report = LikelihoodReport(
        run=run.name,
        text=data.name(run),
        documents=store.num_documents,
        targets=store.num_targets,
        unknown=int(run.tokenizer.vocabulary.are_unknown(store.targets).sum()),
        impossible=int(np.isinf(costs).sum()),
        characters=int(store.character_counts.sum()) + store.num_documents,
        bytes=int(store.byte_counts.sum()) + store.num_documents,
        nats=float(np.sum(costs, dtype=np.float64)),
        interval=loss_interval(store, costs, in_order),
        seen=seen,
        unseen=unseen,
        carry_context=carry_context,
        looks=tuple(run.test_looks()),
        dynamic=model.adapting if carry_context and isinstance(model, Adapts) else (),
        static=data.static,
        chosen_on_dev=choice_on_dev(run) if data.is_dev_split else None,
        in_order=in_order,
        spelling_nats=float(spelling_costs(run.tokenizer, documents, store).sum()),
        layout_bytes=documents.layout_bytes() if run.recipe.tokens.tokens == "words" else 0,
    )
    return report, store, costs


def covers(in_order: bool) -> str:
    """Return in words which population an interval is about; see ``EvaluationData.is_in_order``."""
    if in_order:
        return "this text, in passages like these; no other text"
    return "the text that these documents were drawn from; no other text"


def _text_is_there(run: Run) -> bool:
    """Return whether the train text can still be read.

    Evaluating another text works without it; only "seen in train" is then missing.
    """
    try:
        return len(run.documents("train")) > 0
    except (TextError, DownloadError):
        return False


def loss_interval(
    store: TokenStore, costs: Float[np.ndarray, " targets"], in_order: bool
) -> tuple[float, float]:
    """Return the 95 % interval of the nats per target; NaN if it is undefined."""
    # Pieces of a document are neighbours, however the documents were drawn.
    in_order = in_order or store.num_documents < FEWEST_DOCUMENTS
    if np.isinf(costs).any():
        return math.nan, math.nan
    starts = unit_starts(store)
    sizes = unit_sizes(starts, store.num_targets)
    low, high = mean_interval(unit_sums(costs, starts), sizes, in_order)
    return max(low, 0.0), high  # No probability is above one; NaN stays, as it is the first.


def _share(
    store: TokenStore,
    costs: Float[np.ndarray, " targets"],
    chosen: Bool[np.ndarray, " documents"],
) -> Share | None:
    """Return the loss on the chosen documents; None if there are none."""
    if not chosen.any():
        return None
    targets = int(store.target_counts[chosen].sum())
    nats = float(store.sum_by_document(costs)[chosen].sum())
    return Share(int(chosen.sum()), targets, nats / targets)
