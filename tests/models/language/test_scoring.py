"""How long scoring takes is measured as it is done: with as many streams side by side."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from thence.corpus import Documents
from thence.models.language import scoring
from thence.models.language.scoring import Scoring, score, seconds_to_score
from thence.tokens import TokenOptions, learn_tokens

TEXT = Documents.from_strings([f"{number:03}" for number in range(40)])
SECONDS = 0.001
"""What the fake network takes for each target."""


class Fake:
    """A network that takes its time by a clock of its own, and remembers how it was asked."""

    vocabulary_size = 8
    context_length = None
    scoring = Scoring(window=4, warm_up=2, stream_length=16, streams=3, documents=2)

    def __init__(self) -> None:
        self.clock, self.rows = 0.0, list[int]()

    def start(self, batch_size: int) -> Any:
        return np.zeros((batch_size, 1))

    def read_hidden(self, ids: Any, state: Any) -> tuple[Any, Any]:
        self.rows.append(len(ids))
        return np.zeros((*ids.shape, 1)), state

    def target_log_probs(self, hidden: Any, targets: Any) -> Any:
        self.clock += SECONDS * len(targets)
        return np.full(len(targets), -1.0)


@pytest.mark.parametrize("carries", [True, False])
def test_the_first_parts_tell_how_long_all_take(
    carries: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = Fake()
    monkeypatch.setattr(scoring, "time", SimpleNamespace(perf_counter=lambda: model.clock))
    _, store = learn_tokens(TEXT, TokenOptions())
    expected = SECONDS * store.num_targets
    assert seconds_to_score(model, store, carries, limit=0.01) == pytest.approx(expected)
    assert model.clock < 0.5 * expected  # Only some parts were read,
    timed = model.rows
    model.rows = []
    score(model, store, carries)
    assert model.rows[: len(timed)] == timed  # and those as all are.
