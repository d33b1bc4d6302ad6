"""``rank``: several texts in the order of their probability."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thence.corpus import Documents, documents_of
from thence.errors import TextError
from thence.evaluation.data import EvaluationData
from thence.evaluation.metrics import finite
from thence.results import Listing, format_table, json_value
from thence.runs.run import Run, open_run


@dataclass(frozen=True)
class Ranked:
    """One of the ranked texts.

    Attributes:
        text: The text.
        log_probability: Of the whole text and its end, in nats; minus infinity if impossible.
        targets: Number of its tokens, its end included.
        unknown: Targets that are unknown symbols.
        difference: Log-probability of the likeliest text minus its own, in nats; at least 0.
        difference_per_token: Its nats per token minus those of the likeliest text. It is negative
            for a text that is less likely only because it is longer.
    """

    text: str
    log_probability: float
    targets: int
    unknown: int
    difference: float
    difference_per_token: float

    @property
    def nats_per_token(self) -> float:
        """Mean negative log-probability of its targets, in nats."""
        return -self.log_probability / self.targets


@dataclass(frozen=True)
class Ranking(Listing[Ranked]):
    """Texts by their probability, the most probable first.

    Attributes:
        texts: The texts with their scores.
    """

    _listed = "texts"

    texts: tuple[Ranked, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a dictionary for each text, None in the place of infinite numbers."""
        return [
            {**json_value(one), "nats_per_token": finite(one.nats_per_token)} for one in self.texts
        ]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the rows to show.

        ``below`` is the log-probability below that of the first, ``above`` the nats per token above
        those of the first.
        """
        rows = []
        for place, one in enumerate(self.texts):
            if math.isinf(one.log_probability):
                rows.append([one.text, "impossible", "-", "-", "-"])
                continue
            below = f"{one.difference:.4f}" if place else "-"
            above = f"{one.difference_per_token:+.4f}" if place else "-"
            log_probability, nats = f"{one.log_probability:.4f}", f"{one.nats_per_token:.4f}"
            rows.append([one.text, log_probability, below, nats, above])
        return ["text", "log-probability", "below", "nats per token", "above"], rows

    def in_words(self) -> str:
        """Return how much likelier the first text is than the second."""
        first, second = self.texts[:2]
        if math.isinf(first.log_probability):
            return "All of these texts are impossible to the model."
        if math.isinf(second.log_probability):
            return "The other texts are impossible to the model."
        if second.difference == 0:
            return "The first two are equally likely."
        # exp(700) is near the largest float; such factors are shown as powers of ten below.
        factor = math.exp(min(second.difference, 700.0))
        times = f"{factor:.3g}" if factor < 100 else f"{float(f'{factor:.3g}'):,.0f}"
        if factor >= 1e6:
            times = f"10^{second.difference / math.log(10):.1f}"
        longer = ", and more probable per token" if second.difference_per_token > 0 else ""
        shorter = ", though the second is more probable per token: it is longer"
        about = shorter if second.difference_per_token < 0 else longer
        return f"The first is {times} times as likely as the second{about}."

    def __str__(self) -> str:
        return "\n".join([*format_table(*self.table()), self.in_words()])


def rank(run: Run | str | Path, texts: Documents | Iterable[str], static: bool = False) -> Ranking:
    """Rank texts by their probability, whatever their length.

    Args:
        run: The run of a language model, or its folder.
        texts: Two texts or more. Each is scored alone, even if the run carries context.
        static: Keep the model from remembering a text within it: caches are left out.

    Raises:
        TextError: There are fewer than two.
        SettingError: If ``static`` leaves nothing of the model.
        UnknownSymbolError: If the vocabulary is closed and a text leaves it.
    """
    run = open_run(run)
    documents = documents_of(texts)
    if len(documents) < 2:
        raise TextError(f"To rank texts takes at least two; {len(documents)} was given.")
    model = EvaluationData(static=static).model(run)
    store = run.encode(documents, "rank")
    totals = store.sum_by_document(model.score(store).astype(np.float64))
    is_unknown = run.tokenizer.vocabulary.are_unknown(store.targets)
    unknown = store.sum_by_document(is_unknown.astype(np.float64))
    order = np.argsort(-totals, kind="stable")
    best, best_per_token = totals[order[0]], -totals[order[0]] / store.target_counts[order[0]]
    with np.errstate(invalid="ignore"):
        differences = best - totals
        per_token = -totals / store.target_counts - best_per_token
    return Ranking(
        tuple(
            Ranked(
                text=documents[place],
                log_probability=float(totals[place]),
                targets=int(store.target_counts[place]),
                unknown=int(unknown[place]),
                difference=0.0 if place == order[0] else float(differences[place]),
                difference_per_token=0.0 if place == order[0] else float(per_token[place]),
            )
            for place in order
        )
    )
