"""The learning curve of a training: its train loss at some 200 points, in ``curve.jsonl``.

Points are close together where the loss falls fastest, at the beginning. What they need stays on
the device, so that no step waits for it, and is read and written about once a second.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thence.runs.metrics import append_json_lines
from thence.training.checkpoint import Counters
from thence.training.learner import Learner

POINTS = 150
"""Two points are at least this part of the training apart, once a tenth of it is done."""
GROWTH = 16
"""Before that they are a sixteenth of the steps so far apart; the first sixteen steps have one
each."""
SECONDS_BETWEEN_WRITES = 1.0


class CurveWriter:
    """Writes the points of a training.

    Args:
        learner: What is trained.
        path: The file; None to write nothing.
        counters: Those of the training; its fields of the curve are changed here.
        unit: What losses are means over: ``token`` or ``document``.
    """

    def __init__(self, learner: Learner, path: Path | None, counters: Counters, unit: str) -> None:
        self._learner, self._path, self._counters, self._unit = learner, path, counters, unit
        self._pending: list[tuple[dict[str, Any], float]] = []
        self._written_at = counters.seconds

    def is_due(self, step: int, total: float) -> bool:
        """Return whether there is a point after a step.

        Args:
            step: The step, from 1.
            total: Steps of the whole training, as far as is known.
        """
        distance = max(1.0, min(total / POINTS, step / GROWTH))
        return step - self._counters.curve_step >= distance or step >= total

    def add(self, record: dict[str, Any], more: Mapping[str, float] = {}) -> None:
        """Add a point: the mean loss of the steps since the last one.

        Args:
            record: Step, seconds and the like.
            more: Losses on dev, where they are known.
        """
        self._learner.mark()
        self._pending.append(({**record, **more}, self._counters.loss_weight))
        self._counters.curve_step = self._counters.step
        if self._counters.seconds - self._written_at > SECONDS_BETWEEN_WRITES:
            self.write()

    def write(self) -> None:
        """Write all points so far; all processes do it together, and the first one writes.

        Raises:
            RunError: If the file cannot be written.
        """
        if not self._pending:
            return
        counters, lines = self._counters, []
        for (record, weight), (loss, norm) in zip(
            self._pending, self._learner.take_marks(), strict=True
        ):
            nats = (loss - counters.curve_loss) / max(weight - counters.curve_weight, 1e-300)
            counters.curve_loss, counters.curve_weight = loss, weight
            found = {f"train_nats_per_{self._unit}": nats, "gradient_norm": norm}
            # JSON lacks numbers that are not finite.
            lines.append(
                record | {name: v if math.isfinite(v) else None for name, v in found.items()}
            )
        self._pending, self._written_at = [], counters.seconds
        if self._path is not None:
            counters.curve_bytes = append_json_lines(self._path, lines, durable=False)

    def clear(self) -> None:
        """Note that the sum of losses was set to zero."""
        self._counters.curve_loss = self._counters.curve_weight = 0.0
