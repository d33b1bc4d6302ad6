"""Models: one file per family, and the table that names them.

Adding a family touches its file, one line of ``FAMILIES`` and its test (see CONTRIBUTING.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, cast

from thence.errors import SettingError, nearest
from thence.models.interface import CountedModel, LanguageModel, State

WINDOWS: Mapping[str, Any] = {"batch_size": 512, "lr": 0.02, "clip": None, "optimizer": "adamw"}
SEQUENCES: Mapping[str, Any] = {"batch_size": 32, "lr": 0.004, "clip": 5.0, "optimizer": "adamw"}
"""Defaults of training for networks that read fixed windows, and for those that read sequences."""


@dataclass(frozen=True)
class Family:
    """One line of the table of models.

    Attributes:
        module: Where ``create(options, vocabulary_size)`` is; imported when asked for, so that
            counting never waits for torch.
        options: Name of the dataclass of settings in that module.
        kind: ``counted`` in one pass, ``trained`` by the loop, or ``mixed`` from other runs.
        summary: One line for help and documentation.
        defaults: Settings of training that stand for what is not given.
    """

    module: str
    options: str
    kind: Literal["counted", "trained", "mixed"]
    summary: str
    defaults: Mapping[str, Any] = field(default_factory=lambda: WINDOWS)

    def options_class(self) -> type[Any]:
        """Return the dataclass of this family's settings."""
        return cast(type[Any], getattr(import_module(self.module), self.options))

    def create(self, options: Any, vocabulary_size: int) -> LanguageModel:
        """Make a model that has learned nothing yet."""
        return cast(LanguageModel, import_module(self.module).create(options, vocabulary_size))


FAMILIES = {
    "bigram-counts": Family(
        "thence.models.bigram_counts",
        "BigramCountsOptions",
        "counted",
        "counts of symbol pairs with add-k smoothing",
    ),
    "ngram": Family(
        "thence.models.ngram",
        "NGramOptions",
        "counted",
        "counts of up to N symbols, smoothed: modified Kneser-Ney and others",
    ),
    "cache": Family(
        "thence.models.cache",
        "CacheOptions",
        "counted",
        "counts of the last few hundred symbols; for mixing with others on running text",
    ),
    "bigram": Family(
        "thence.models.bigram",
        "BigramOptions",
        "trained",
        "a network of one linear layer on a one-hot input: bigram counts, learned",
    ),
    "mlp": Family(
        "thence.models.mlp",
        "MLPOptions",
        "trained",
        "embeddings of a fixed window, tanh layers, softmax (Bengio et al. 2003)",
    ),
    "rnn": Family(
        "thence.models.recurrent",
        "RNNOptions",
        "trained",
        "a recurrent network of tanh units (Elman 1990, Mikolov et al. 2010)",
        SEQUENCES,
    ),
    "lstm": Family(
        "thence.models.recurrent",
        "LSTMOptions",
        "trained",
        "long short-term memory: a recurrent network with gates and cells",
        SEQUENCES,
    ),
    "gru": Family(
        "thence.models.recurrent",
        "GRUOptions",
        "trained",
        "gated recurrent units: gates without cells",
        SEQUENCES,
    ),
    "transformer": Family(
        "thence.models.transformer",
        "TransformerOptions",
        "trained",
        "attention to the last places, layer upon layer (Vaswani et al. 2017)",
        SEQUENCES,
    ),
    "mixture": Family(
        "thence.models.mixture",
        "MixtureOptions",
        "mixed",
        "a weighted average of runs, made by thence mix",
    ),
}


def family(name: str) -> Family:
    """Return the family of that name.

    Raises:
        SettingError: If there is none; lists the names and suggests the nearest.
    """
    if name not in FAMILIES:
        raise SettingError(
            f"There is no model '{name}'; choose one of {', '.join(FAMILIES)}."
            + nearest(name, FAMILIES)
        )
    return FAMILIES[name]


__all__ = ["FAMILIES", "CountedModel", "Family", "LanguageModel", "State", "family"]
