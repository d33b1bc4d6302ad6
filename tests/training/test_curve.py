"""The learning curve: the train loss at some 200 points of a training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thence.errors import RunError
from thence.runs import Run
from thence.training.checkpoint import Counters
from thence.training.curve import CurveWriter
from thence.training.data import load_data
from thence.training.setup import build_setup

SmallTrain = Callable[..., Run]


def points(total: int) -> list[int]:
    """Return the steps of a training that are points of its curve."""
    counters = Counters()
    curve = CurveWriter(None, None, counters, "token")  # type: ignore[arg-type]
    found = []
    for step in range(1, total + 1):
        if curve.is_due(step, total):
            counters.curve_step = step
            found.append(step)
    return found


def test_points_are_close_at_the_beginning_and_some_200_in_all() -> None:
    assert points(100) == list(range(1, 101))
    for total, number in ((1000, 169), (30_000, 227)):
        found = points(total)
        assert found[:16] == list(range(1, 17))
        assert found[-1] == total
        assert len(found) == number
        assert np.diff(found).max() <= total / 150 + 1


def test_the_curve_begins_with_the_untrained_model(small: SmallTrain) -> None:
    run = small(lr=1e-12, schedule="constant", steps=6, evaluate_every=4)
    curve = run.curve()
    assert [point["step"] for point in curve] == [0, 1, 2, 3, 4, 5, 6]
    data = load_data(run.recipe)
    untrained = build_setup(run.recipe, data).network
    dev = -float(untrained.score(data.dev).mean(dtype=np.float64))
    # With a vanishing rate the weights stand still: dev is the same at every evaluation.
    on_dev = {p["step"]: p["dev_nats_per_token"] for p in curve if "dev_nats_per_token" in p}
    assert on_dev == {0: pytest.approx(dev), 4: pytest.approx(dev), 6: pytest.approx(dev)}
    assert curve[0]["gradient_norm"] is None
    assert curve[0]["train_nats_per_token"] == pytest.approx(curve[1]["train_nats_per_token"])
    # Each evaluation's train loss is the mean of the points since the last one; every step reads
    # equally many targets here but for those of rare contexts.
    lines = run.metrics()
    mean = np.mean([point["train_nats_per_token"] for point in curve[1:5]])
    assert lines[0]["train_nats_per_token"] == pytest.approx(mean, rel=0.02)
    assert all(point["learning_rate"] == 1e-12 for point in curve)


def test_the_norm_is_that_of_the_whole_gradient(small: SmallTrain) -> None:
    # A step of plain gradient descent at the rate 0.5 moves the weights by half the gradient.
    settings = {"optimizer": "sgd", "lr": 0.5, "schedule": "constant", "clip": None}
    before = small("before", steps=0, **settings).model.tensors()
    run = small("after", steps=1, **settings)
    after = run.model.tensors()
    moved = np.sqrt(sum(np.sum(np.square(after[n] - before[n], dtype=float)) for n in before))
    assert moved == pytest.approx(0.5 * run.curve()[1]["gradient_norm"], rel=1e-4)


def test_a_run_without_the_file_has_its_evaluations(small: SmallTrain) -> None:
    run = small()
    (run.folder / "curve.jsonl").unlink()
    assert run.curve() == run.metrics()
    assert small("counts", model="bigram-counts").curve()[0]["step"] == 0


def test_a_damaged_file_is_a_sentence(small: SmallTrain) -> None:
    run = small(steps=2)
    path = run.folder / "curve.jsonl"
    path.write_text(path.read_text() + '{"step": "3"}\n')
    with pytest.raises(RunError, match=r"curve.jsonl, line 4, is damaged: .*or remove it"):
        run.curve()
    path.write_text('{"step": 0, "seconds": 0.0}\n{"step": 1, "sec')  # Cut off by a kill.
    assert [point["step"] for point in run.curve()] == [0, 1, 2]


def test_with_a_time_limit_dev_waits_for_the_first_evaluation(small: SmallTrain) -> None:
    first = small(time="1m", steps=5).curve()[0]
    assert first["step"] == 0
    assert "dev_nats_per_token" not in first


def test_a_classifier_has_its_accuracy_at_the_beginning(opinions: Run, tmp_path: Path) -> None:
    import thence

    settings = {"label": "label", "split": "80/20/0", "threads": 1}
    run = thence.train(opinions.recipe.text, "averaging", output=tmp_path / "run", **settings)
    first = run.curve()[0]
    assert first["step"] == 0
    assert 0 <= first["dev_accuracy"] <= 1
