"""Averages of the weights, by hand."""

import pytest
import torch
from torch import nn

from thence.recipes.options import TrainingOptions
from thence.training.weight_average import WeightAverage


def weights(*values: float) -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor(list(values)))]


def test_none_leaves_everything() -> None:
    parameters = weights(1.0)
    average = WeightAverage(parameters, TrainingOptions())
    average.update()
    with average.applied():
        assert parameters[0].item() == 1.0


def test_the_moving_average_by_hand() -> None:
    parameters = weights(0.0)
    average = WeightAverage(parameters, TrainingOptions(average="ema", ema_decay=0.5))
    # The newest weights' share is 9 / (9 + t) at first, and 0.5 at least: 0.9, 9/11, ...
    expected = 0.0
    for step, share in ((1, 0.9), (2, 9 / 11), (3, 0.75)):
        parameters[0].data.fill_(float(step))
        average.update()
        expected += share * (step - expected)
    with average.applied():
        assert parameters[0].item() == pytest.approx(expected)
    assert parameters[0].item() == 3.0


def test_a_triggered_average_begins_where_dev_stops_improving() -> None:
    parameters = weights(8.0)
    options = TrainingOptions(average="triggered", optimizer="sgd")
    average = WeightAverage(parameters, options)
    losses = [5.0, 4.0, 3.0, 2.0, 1.9, 1.8, 1.7]
    for place in range(1, len(losses) + 1):
        average.trigger(losses[:place])
        average.update()
    with average.applied():
        assert parameters[0].item() == 8.0  # Still improving: no average yet.
    # Of all looks but the last five, the best was 4.0: a loss above that begins it.
    average.trigger([*losses, 4.5])
    for value in (1.0, 2.0, 6.0):
        parameters[0].data.fill_(value)
        average.update()
    with average.applied():
        assert parameters[0].item() == pytest.approx(3.0)


def test_an_error_inside_gives_the_weights_back() -> None:
    parameters = weights(1.0)
    average = WeightAverage(parameters, TrainingOptions(average="ema"))
    parameters[0].data.fill_(2.0)
    average.update()
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert parameters[0].item() == 2.0
