"""``DevReading``: the evaluation of a language model on dev, shared by all sections of a report."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from thence.array_types import Float
from thence.evaluation.baselines import TokenLosses, token_losses
from thence.evaluation.language import LikelihoodReport, evaluate_with_costs
from thence.runs import Run
from thence.tokens import Tokenizer, TokenStore

TOKENS = {"characters": "character", "words": "word", "bytes": "byte", "subwords": "subword"}
"""What one token is called, by the setting ``tokens``."""


@dataclass(frozen=True)
class DevReading:
    """A language model evaluated on its dev split.

    Attributes:
        run: The run.
        report: The likelihood report.
        store: The tokens of dev.
        nats: Surprisal of each target, in nats.
    """

    run: Run
    report: LikelihoodReport
    store: TokenStore
    nats: Float[np.ndarray, " targets"]

    @property
    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        return self.run.tokenizer

    @property
    def vocabulary_size(self) -> int:
        """Number of ids (V)."""
        return len(self.run.tokenizer.vocabulary)

    @property
    def token(self) -> str:
        """What one token is called."""
        return token_name(self.run)

    @property
    def separator(self) -> str:
        """What is written between tokens: a space between words, else nothing."""
        return " " if self.run.recipe.tokens.tokens == "words" else ""

    @property
    def bits(self) -> float:
        """Mean surprisal of a target, in bits."""
        return self.report.nats_per_token / math.log(2)

    @cached_property
    def baselines(self) -> TokenLosses | None:
        """Surprisal of each target under unigram and pair counts; None without the train text."""
        if not self.run.has_train_text:
            return None
        return token_losses(self.run.store("train"), self.store, self.vocabulary_size)


def read_dev(run: Run) -> DevReading | None:
    """Evaluate a language model on dev; None if there is no dev split, or no text."""
    if not run.has_text or len(run.documents("dev")) == 0:
        return None
    report, store, costs = evaluate_with_costs(run)
    # Only the name of the file: its folder means nothing to other readers of the page.
    report = replace(report, text=f"dev split of {Path(run.text_name).name}")
    return DevReading(run, report, store, costs.astype(np.float64))


def token_name(run: Run) -> str:
    """Return what one token of a run is called."""
    return TOKENS.get(run.recipe.tokens.tokens, "token")
