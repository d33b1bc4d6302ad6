"""Two words predict the third: the task of the first lecture, with its numbers."""

from pathlib import Path

import pytest

import thence

SENTENCES = ["bob likes sheep", "alice is fast", "cs685 is fun", "i love lamp"]


@pytest.mark.parametrize(("epochs", "lecture"), [(20, 0.785), (100, 0.989)])
def test_the_probability_of_the_third_word(tmp_path: Path, epochs: int, lecture: float) -> None:
    run = thence.train(
        SENTENCES, "mlp", output=tmp_path / "run", tokens="words", context=2, embedding_size=5,
        hidden_size=12, activation="none", initialization="uniform", optimizer="sgd", lr=0.1,
        schedule="constant", batch_size=4, epochs=epochs, whole_contexts=True, split="100/0/0",
    )  # fmt: skip
    found = run.next("bob likes", 1)[0]
    assert found[0] == "sheep"
    # The lecture draws other weights.
    assert found[1] == pytest.approx(lecture, abs=0.1)
