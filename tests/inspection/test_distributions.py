"""Distributions of some places of a text are those that its score comes from."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import thence
from thence.inspection.distributions import distributions_at
from thence.runs import LanguageRun, Run

Counted = Callable[..., Run]
LINES = ["the cat sat on the mat", "a dog ran to the cat", "the dog sat", "a mat on a mat"] * 3
TEXT = ["the dog ran to the mat", "on the dog", "", "a cat " * 20]
SMALL = {"embedding_size": 4, "batch_size": 2, "steps": 4, "threads": 1}


def check(run: Run) -> None:
    model, carries = LanguageRun(run).model, run.recipe.training.carry_context
    store = run.tokenizer.encode(TEXT)
    scores = model.score(store, carries)
    for first, stop in (
        (0, len(scores)),
        (8, 13),
        (11, 12),
        (len(scores) - 1, len(scores)),
        (3, 3),
    ):
        found: dict[int, np.ndarray] = {}
        for places, log_probs in distributions_at(model, store, carries, first, stop):
            assert np.exp(log_probs.astype(np.float64)).sum(axis=1) == pytest.approx(1, abs=1e-4)
            found |= dict(zip(places.tolist(), log_probs, strict=True))
        assert sorted(found) == [*range(first, stop)]
        said = [found[place][store.targets[place]] for place in range(first, stop)]
        assert said == pytest.approx(scores[first:stop], abs=1e-4)


@pytest.mark.parametrize("carries", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "ngram", "order": 3},
        {"model": "class-ngram", "classes": 3, "order": 3},
        {"model": "bigram-counts"},
        {"model": "cache", "length": 6, "order": 2, "discount": 0.4},
        {"model": "context-mixing", "slot_bits": 12},
    ],
    ids=lambda settings: settings["model"],
)
def test_of_counts(counted: Counted, settings: dict[str, Any], carries: bool) -> None:
    if settings["model"] == "context-mixing" and carries:
        pytest.skip("it learns within a token")
    check(counted(LINES, dev=LINES, tokens="words", carry_context=carries, **settings))


@pytest.mark.slow
@pytest.mark.parametrize("carries", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "mlp", "context": 3, "hidden_size": 5, **SMALL},
        {"model": "gru", "hidden_size": 5, **SMALL},
        {"model": "transformer", "heads": 2, "context": 8, "layers": 1, **SMALL},
    ],
    ids=lambda settings: settings["model"],
)
def test_of_networks(
    counted: Counted, settings: dict[str, Any], carries: bool, tmp_path: Any
) -> None:
    network = counted(LINES, dev=LINES, tokens="words", carry_context=carries, **settings)
    check(network)
    counts = counted(
        LINES, dev=LINES, tokens="words", carry_context=carries, model="ngram", order=2, name="n"
    )
    check(thence.mix([network, counts], tmp_path / "mix", cache=9 if carries else None))
