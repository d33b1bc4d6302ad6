"""How a space is searched: the settings of the table ``[sweep]``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from thence.errors import SettingError, nearest
from thence.recipes.options import TrainingOptions
from thence.recipes.validation import check_type

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "asha", "hyperband", "median"]


@dataclass(frozen=True)
class SweepOptions:
    """How a space is searched."""

    trials: int | None = None
    """End after so many trials (default for a grid: every point once)."""
    time: str | None = None
    """Begin no trial after this time, such as 90s, 30m or 2h; pauses do not count."""
    sampler: Sampler = "tpe"
    """What is tried next: what is like the best so far (tpe), anything (random), or every \
combination in order (grid)."""
    pruner: Pruner = "none"
    """Which trials are given up at a look at dev."""
    seed: int = 42
    """Seed of what is tried."""

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise SettingError(f"trials is {self.trials}; it must be at least 1.")
        if not 0 <= self.seed < 1 << 63:
            raise SettingError(f"seed is {self.seed}; it must be from 0 to 2^63 - 1.")
        _ = self.seconds  # Refuses what is no time.

    @property
    def seconds(self) -> float | None:
        """The time limit in seconds."""
        return TrainingOptions(time=self.time).seconds


def read_options(table: Mapping[str, Any]) -> SweepOptions:
    """Return the settings of the table ``[sweep]``.

    Raises:
        SettingError: If one is unknown or of another type.
    """
    hints = get_type_hints(SweepOptions)
    for name in table:
        if name not in hints:
            raise SettingError(
                f"there is no setting '{name}' in [sweep]; the settings are "
                f"{', '.join(hints)} and the table space." + nearest(name, [*hints, "space"])
            )
    given = {name: check_type(name, value, hints[name]) for name, value in table.items()}
    return SweepOptions(**given)
