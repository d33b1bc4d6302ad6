"""bfloat16 learns what float32 learns; a time limit ends a training in time."""

import time
from collections.abc import Callable

import pytest
import torch

from thence.errors import SettingError
from thence.training import Run
from thence.training.options import TrainingOptions
from thence.training.precision import computing_in, supports_bfloat16

SmallTrain = Callable[..., Run]
LSTM = {"model": "lstm", "hidden_size": 16, "embedding_size": 8, "dropout": 0.0, "batch_size": 8}


def test_bfloat16_sees_every_step_of_training(small: SmallTrain) -> None:
    # PyTorch's autocast keeps weights it has converted once; then a network would not learn.
    losses = [
        small(precision, precision=precision, epochs=6, **LSTM).metrics()[-1]
        for precision in ("float32", "bfloat16")
    ]
    for name in ("train_nats_per_token", "dev_nats_per_token"):
        assert losses[1][name] == pytest.approx(losses[0][name], abs=0.03)
    assert losses[0]["dev_nats_per_token"] < 2.1  # Of ln 14 = 2.64 at the start.


def test_weights_are_converted_anew_each_time() -> None:
    layer = torch.nn.Linear(2, 1, bias=False)
    with computing_in("bfloat16", torch.device("cpu")):
        one = layer(torch.ones(2))
        with torch.no_grad():
            layer.weight.add_(1)
        assert layer(torch.ones(2)).item() == pytest.approx(one.item() + 2, abs=0.05)
    assert one.dtype == torch.bfloat16


def test_a_time_limit_ends_the_training_in_time(small: SmallTrain) -> None:
    began = time.monotonic()
    run = small(time="2s", **LSTM)
    assert time.monotonic() - began < 2 + 1.5  # Reading and the run folder come on top.
    metrics = run.metrics()
    assert 1.0 < metrics[-1]["seconds"] < 2
    # The schedule is fitted to the time: its end is a thousandth of the highest rate.
    assert metrics[-1]["learning_rate"] == pytest.approx(0.004 * 0.001, rel=0.2)
    assert len(metrics) >= 5


def test_steps_given_beside_a_time_limit_still_count(small: SmallTrain) -> None:
    assert small(time="60s", steps=3, **LSTM).metrics()[-1]["step"] == 3


@pytest.mark.parametrize("time", ["", "30", "-3m", "3 weeks"])
def test_what_is_no_time_is_refused(time: str) -> None:
    with pytest.raises(SettingError, match=r"--time is .*; write it like 90s, 30m or 2h"):
        TrainingOptions(time=time)


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(SettingError, match="--time is '0s'; it must be above 0, such as 30m"):
        TrainingOptions(time="0s")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5 m", 90), ("2h", 7200)])
def test_times(text: str, seconds: float) -> None:
    assert TrainingOptions(time=text).seconds == seconds


def test_support_is_known() -> None:
    assert isinstance(supports_bfloat16(torch.device("cpu")), bool)
