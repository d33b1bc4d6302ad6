"""What a report knows of dev: it is evaluated once, for all sections."""

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
"""What one token is called, by the setting; others are tokens."""


@dataclass(frozen=True)
class DevReading:
    """A language model on its dev split.

    Attributes:
        run: The run.
        report: How good it is.
        store: The tokens of dev.
        nats: What each target costs, in nats.
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
        """What stands between tokens in a text."""
        return " " if self.run.recipe.tokens.tokens == "words" else ""

    @property
    def bits(self) -> float:
        """The mean cost of a target, in bits."""
        return self.report.nats_per_token / math.log(2)

    @cached_property
    def baselines(self) -> TokenLosses | None:
        """What simple counts know of dev; None where the train text is not there to be counted."""
        if not self.run.has_train_text:
            return None
        return token_losses(self.run.store("train"), self.store, self.vocabulary_size)


def read_dev(run: Run) -> DevReading | None:
    """Evaluate a language model on dev; None where there is none."""
    if not run.has_text or len(run.documents("dev")) == 0:
        return None
    report, store, costs = evaluate_with_costs(run)
    # The name of the text alone: whoever reads the page has other folders.
    report = replace(report, text=f"dev split of {Path(run.text_name).name}")
    return DevReading(run, report, store, costs.astype(np.float64))


def token_name(run: Run) -> str:
    """Return what one token of a run is called."""
    return TOKENS.get(run.recipe.tokens.tokens, "token")
