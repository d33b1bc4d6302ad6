import pytest
import torch

from thence.models.network import Dropout

VALUES = torch.ones(100, 1001)


@pytest.mark.parametrize("chance", [0.5, 0.75])
def test_values_are_dropped_and_the_rest_scaled_up(chance: float) -> None:
    torch.manual_seed(0)
    found = Dropout(chance)(VALUES)
    # Over 10^5 draws the share is off by 0.01 with a chance below 10^-9.
    assert (found == 0).float().mean().item() == pytest.approx(chance, abs=0.01)
    assert set(found.unique().tolist()) == {0, 1 / (1 - chance)}


@pytest.mark.parametrize("chance", [0.998, 0.999, 0.99999])
def test_a_chance_close_to_one_keeps_something(chance: float) -> None:
    torch.manual_seed(0)
    found = Dropout(chance)(VALUES)
    assert torch.isfinite(found).all()
    # At most 255 of 256 values are dropped.
    assert found.mean().item() == pytest.approx(1, abs=0.2)


def test_no_dropout_without_chance_or_training() -> None:
    assert Dropout(0.0)(VALUES) is VALUES
    assert Dropout(0.9).eval()(VALUES) is VALUES
