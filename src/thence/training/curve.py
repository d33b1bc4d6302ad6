"""The learning curve of a training: its train loss at about 200 points, in ``curve.jsonl``.

Points are denser at the beginning, where the loss falls fastest. Their losses stay on the device,
so that no step waits for a transfer, and are read and written about once a second.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thence.runs.metrics import append_json_lines
from thence.training.checkpoint import Counters
from thence.training.learner import Learner

POINTS = 150
"""The distance of two points is at most 1 / 150 of the training (from a tenth of it on)."""
GROWTH = 16
"""Before that it is 1 / 16 of the steps so far; each of the first 16 steps has a point."""
SECONDS_BETWEEN_WRITES = 1.0
"""Points are written at most this often, as reading losses waits for the device."""


class CurveWriter:
    """Writes the points of the learning curve of a training.

    Args:
        learner: The learner, which sums the losses.
        path: The file; None to write nothing.
        counters: The counters of the training; its fields ``curve_*`` are changed here.
        unit: The unit that losses are means over: ``token`` or ``document``.
    """

    def __init__(self, learner: Learner, path: Path | None, counters: Counters, unit: str) -> None:
        self._learner, self._path, self._counters, self._unit = learner, path, counters, unit
        self._pending: list[tuple[dict[str, Any], float]] = []
        self._written_at = counters.seconds

    def is_due(self, step: int, total: float) -> bool:
        """Return whether there is a point after a step.

        Args:
            step: The step, from 1.
            total: Expected number of steps of the whole training.
        """
        distance = max(1.0, min(total / POINTS, step / GROWTH))
        return step - self._counters.curve_step >= distance or step >= total

    def add(self, record: dict[str, Any], more: Mapping[str, float] = {}) -> None:
        """Add a point: the mean loss of the steps since the last one.

        Args:
            record: Step, epoch, seconds, tokens and learning rate.
            more: Losses on dev, if it was evaluated.
        """
        self._learner.mark_curve_point()
        self._pending.append(({**record, **more}, self._counters.loss_weight))
        self._counters.curve_step = self._counters.step
        if self._counters.seconds - self._written_at > SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write all pending points. All processes must call it together; only the first writes.

        Raises:
            RunError: If the file cannot be written.
        """
        if not self._pending:
            return
        counters, lines = self._counters, []
        for (record, weight), (loss, norm) in zip(
            self._pending, self._learner.take_curve_points(), strict=True
        ):
            nats = (loss - counters.curve_loss) / max(weight - counters.curve_weight, 1e-300)
            counters.curve_loss, counters.curve_weight = loss, weight
            found = {f"train_nats_per_{self._unit}": nats, "gradient_norm": norm}
            # JSON has no infinity and no NaN.
            lines.append(
                record | {name: v if math.isfinite(v) else None for name, v in found.items()}
            )
        self._pending, self._written_at = [], counters.seconds
        if self._path is not None:
            counters.curve_bytes = append_json_lines(self._path, lines, durable=False)

    def clear(self) -> None:
        """Reset the counters of the curve, after the learner's sum of losses was set to zero."""
        self._counters.curve_loss = self._counters.curve_weight = 0.0
