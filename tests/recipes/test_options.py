import pytest

from thence.errors import SettingError
from thence.recipes.options import TrainingOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", float("nan")),
        ("epochs", float("inf")),
        ("steps", -1),
        ("batch_size", -1),
        ("clip", 0.0),
        ("evaluate_every", 0),
        ("patience", 0),
        ("threads", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("decay", -1.0),
        ("momentum", 1.0),
        ("weight_decay", float("nan")),
        ("checkpoint_seconds", float("inf")),
        ("step_points", (0.5, 1.0)),
        ("seed", -1),
        ("seed", 1 << 63),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"`{name}` "):
        TrainingOptions(**{name: value})
