"""The training loop of networks: steps, evaluations on dev, checkpoints, stopping and resuming.

A run can be killed at any moment. The checkpoint has everything that decides the next step: the
counters, and the learner's state, such as weights, the optimizer's state and the recurrent state.
The next batch follows from the seed and the step, so no position in the data is saved. On the CPU a
resumed training therefore gives the same weights, bit for bit.

This module does not import torch, which not every learner needs.
"""

import math
import time
from contextlib import nullcontext
from pathlib import Path
from shlex import quote
from typing import Any, cast

import numpy as np

from thence.allocator import keep_freed_memory
from thence.errors import RunError, TrainingError
from thence.models.base import Array
from thence.recipes.options import TrainingOptions
from thence.runs.files import save_tensors
from thence.runs.folder import CURVE
from thence.runs.metrics import append_json_line, truncate
from thence.runs.snapshots import is_snapshot_due, remove_later, save_snapshot
from thence.runs.weights import save_model
from thence.signals import Interrupted, StopEvent, stop_on_signals
from thence.training.callbacks import Logger, ProgressCallback, StopTraining, ignore
from thence.training.checkpoint import CHECKPOINT, Counters, finite, read_checkpoint
from thence.training.curve import CurveWriter
from thence.training.dev_evaluation import EvalResult
from thence.training.learner import TrainingSetup
from thence.training.schedules import learning_rate_factor, total_steps
from thence.training.world import World

DIVERGENCE_FACTOR = 100.0
"""A training has diverged when its loss is this many times that of a uniform distribution."""
TIME_MARGIN = 0.95
"""Fraction of a time limit for training; the rest is for reading the text and evaluating."""
DEFAULT_EVALUATIONS = 10
"""Evaluations on dev per training, unless ``evaluate_every`` is given."""
SAVING_FRACTION = 0.1
"""Largest fraction of the time for checkpoints after evaluations."""
FIRST_SAVING_SECONDS = 0.1
"""Assumed duration of the first checkpoint; later ones take as long as the last."""


class Trainer:
    """The training of one model.

    Args:
        setup: The model, whose weights are changed in place, and its data.
        options: The settings of training.
        folder: The run folder for the best weights and checkpoints; None to write nothing.
        callback: Called after every step and every evaluation.
        identity: Identity of the run, written beside the weights.
        world: The processes that train together.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        options: TrainingOptions,
        folder: Path | None,
        callback: ProgressCallback,
        identity: str = "",
        world: World = World(),
    ) -> None:
        self.batches, self.dev_evaluator = setup.batches, setup.dev_evaluator
        self.options, self.folder, self.callback = options, folder, callback
        self._identity, self._world = identity, world
        self.total_steps = total_steps(options, self.batches, setup.default_epochs)
        self.learner = setup.make_learner(options, world)
        self.counters = Counters()
        metrics = None if folder is None else folder / "metrics.jsonl"
        self._metrics = metrics if world.is_writer else None
        self._curve: CurveWriter | None = None
        self._log: Logger = ignore
        self._dev_losses: list[float] = []
        self._started = 0.0
        self._evaluated_at, self._evaluation_seconds = 0.0, 0.0
        self._saved_at, self._saving_seconds = 0.0, FIRST_SAVING_SECONDS
        # The best weights and their metadata, until a checkpoint writes them.
        self._best: tuple[dict[str, Array], dict[str, Any]] | None = None

    def run(self, log: Logger = ignore) -> None:
        """Train to the end, or until the dev loss stops improving, or until a signal.

        Args:
            log: Called with each record of the metrics after it was written; it can end the
                training by raising ``StopTraining``.

        Raises:
            Interrupted: After Ctrl-C, SIGTERM or SIGHUP, with a checkpoint saved; without a folder
                signals are not handled.
            TrainingError: If the loss is not finite, or absurdly large.
        """
        self._log = log
        if self._metrics is not None:
            truncate(self._metrics, self.counters.metrics_bytes)
            truncate(self._metrics.with_name(CURVE), self.counters.curve_bytes)
            remove_later(self._metrics.parent, self.counters.step)
        self._started = time.monotonic() - self.counters.seconds
        self._saved_at = self.counters.seconds
        signals = stop_on_signals() if self.folder else nullcontext(StopEvent())
        with self.learner.computing(), signals as stop_event:
            if self.total_steps == 0 and not self.counters.finished:
                self._evaluate_untrained()
            elif self.folder is not None:
                self._begin_curve()
            if self.counters.step == 0:
                self._take_snapshot()
            while not self.counters.finished:
                rate, is_point = self._step()
                self.callback.on_step(self.counters.step, self.counters.tokens, self.progress())
                stopping = self._sync_clock(stop_event.is_set())
                evaluating = self._is_time_to_evaluate()
                if self._curve is not None and (is_point or evaluating):
                    self._curve.add(self._state(rate))
                if evaluating:
                    self._evaluate()
                self._take_snapshot()
                stopping = stopping and not self.counters.finished
                if stopping or self.counters.finished or self._is_time_to_save(evaluating):
                    self._save_timed()
                if stopping:
                    raise Interrupted(self._how_to_resume(), stop_event.number)

    def best_tensors(self) -> dict[str, Array]:
        """Return the best weights by name, after a training without a run folder."""
        assert self._best is not None
        return self._best[0]

    def progress(self, ahead: int = 0) -> float:
        """Return the fraction of the training that is done, by steps or by time, from 0 to 1.

        Args:
            ahead: Add this many steps, without their time.
        """
        if self.total_steps == 0:
            return 1.0
        done = (self.counters.step + ahead) / self.total_steps
        if (limit := self.options.seconds) is not None:
            # Leave time for this evaluation and the last one.
            available = TIME_MARGIN * limit - 2 * self._evaluation_seconds
            done = max(done, self.counters.seconds / max(available, 1e-3))
        return min(done, 1.0)

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        factor = learning_rate_factor(self.options, self.counters.step, self.progress())
        return float(cast(float, self.options.lr)) * factor * 0.5**self.counters.halvings

    def _step(self) -> tuple[float, bool]:
        """Make a step; return its learning rate and whether it is a point of the learning curve."""
        counters, parts = self.counters, self.options.accumulate
        batches = [self.batches.at(counters.step * parts + part) for part in range(parts)]
        rate, done = self.learning_rate(), self.progress()
        is_point = self._curve is not None and self._curve.is_due(
            counters.step + 1, self._expected_steps()
        )
        measure = self._curve is not None and (is_point or self._is_time_to_evaluate(ahead=1))
        counters.clipped += self.learner.step(batches, rate, done, measure)
        counters.loss_weight += sum(batch.weight for batch in batches)
        counters.tokens += sum(batch.tokens for batch in batches)
        counters.step += 1
        return rate, is_point

    def _sync_clock(self, stop: bool) -> bool:
        """Set the seconds of all processes to the first one's; return whether any is to stop.

        All processes then make the same decisions that depend on the time: schedules, evaluations,
        the end.
        """
        seconds = time.monotonic() - self._started if self._world.is_writer else 0.0
        stops, self.counters.seconds = self._world.sum([stop, seconds])
        return stops > 0

    def _is_time_to_evaluate(self, ahead: int = 0) -> bool:
        done, every = self.progress(ahead), self.options.evaluate_every
        if every is not None:
            return (self.counters.step + ahead) % every == 0 or done >= 1
        if done * DEFAULT_EVALUATIONS < self.counters.evaluations + 1:
            return done >= 1
        # With a time limit, evaluations on a large dev split must not take much of it.
        since = self.counters.seconds - self._evaluated_at
        return self.options.seconds is None or since > 10 * self._evaluation_seconds or done >= 1

    def _begin_curve(self) -> None:
        """Open the learning curve; add the untrained model's loss on the first batch and dev."""
        assert self.folder is not None
        counters, unit = self.counters, self.dev_evaluator.unit
        path = self.folder / CURVE if self._world.is_writer else None
        self._curve = CurveWriter(self.learner, path, counters, unit)
        if counters.step:
            return
        batch = self.batches.at(0)
        self.learner.add_loss(batch)
        counters.loss_weight = batch.weight
        # With a time limit, the untrained model is not evaluated on dev.
        dev = None if self.options.seconds is not None else self._dev_result(check=False)
        more = {f"dev_nats_per_{unit}": dev.nats, **dev.metrics} if dev else {}
        finite_ones = {name: v for name, v in more.items() if math.isfinite(v)}
        self._curve.add(self._state(self.learning_rate()), finite_ones)
        self._curve.write()
        self._clear_loss()

    def _expected_steps(self) -> float:
        """Return the number of steps of the whole training; with a time limit, an estimate."""
        if self.options.seconds is None:
            return self.total_steps
        return self.counters.step / (self.progress() or 1)

    def _take_snapshot(self) -> None:
        """Save a snapshot of the current weights, if one is due at this step."""
        step, number, folder = self.counters.step, self.options.snapshots, self.folder
        if not number or folder is None or not self._world.is_writer:
            return
        if self.counters.finished or is_snapshot_due(step, self._expected_steps(), number):
            with self.learner.averaged():
                save_snapshot(folder, step, self.learner.tensors(), self._identity)

    def _clear_loss(self) -> None:
        """Set the sum of losses to zero."""
        self.counters.loss_weight = 0.0
        self.learner.clear_loss()
        if self._curve is not None:
            self._curve.clear()

    def _evaluate_untrained(self) -> None:
        """Evaluate and save the initial weights; the train loss is that of the first batch."""
        batch = self.batches.at(0)
        self.learner.add_loss(batch)
        self.counters.loss_weight = batch.weight
        self.callback.on_step(0, 0, 1.0)
        self._evaluate()
        self._save()

    def _evaluate(self) -> None:
        """Evaluate on dev, keep the weights if they are the best, and write a line of metrics."""
        counters, options = self.counters, self.options
        if self._curve is not None:
            self._curve.write()
        train_loss = self._train_loss()
        self._check_finite(train_loss)
        began = counters.seconds
        with self.learner.averaged():
            result = self._dev_result()
            if result is not None and result.selection_loss < counters.best_dev:
                counters.best_dev = result.selection_loss
                counters.evals_without_improvement = 0
                self._keep_best(result)
            elif result is not None:
                counters.evals_without_improvement += 1
                counters.halvings += options.schedule == "plateau"
        self._sync_clock(False)
        self._evaluated_at, self._evaluation_seconds = counters.seconds, counters.seconds - began
        done = self.progress()
        counters.evaluations = max(counters.evaluations + 1, int(done * DEFAULT_EVALUATIONS))
        patience = options.patience or math.inf
        counters.finished = done >= 1 or counters.evals_without_improvement >= patience
        if result is not None:
            self._dev_losses.append(result.nats)
            self.learner.on_dev_losses(self._dev_losses)
        record = self._record(train_loss, result)
        counters.finished = self._write(record) or counters.finished
        self._clear_loss()
        self.callback.on_evaluation(record)

    def _dev_result(self, check: bool = True) -> EvalResult | None:
        """Evaluate on dev; None without dev. ``check``: raise TrainingError for an invalid loss."""
        if self.dev_evaluator.evaluate is None:
            return None
        # Only the first process evaluates; the others wait for its sums.
        evaluate = self.dev_evaluator.evaluate
        with keep_freed_memory(False):
            result = evaluate() if self._world.is_writer else EvalResult(0.0, 0.0)
        numbers = [result.nats, result.selection_loss]
        nats, selection_loss = self._world.sum(numbers)
        if check:
            self._check_finite(nats, "dev")
        return EvalResult(nats, selection_loss, result.metrics)

    def _record(self, train_loss: float, result: EvalResult | None) -> dict[str, Any]:
        """Return the line of metrics after an evaluation."""
        counters, unit = self.counters, self.dev_evaluator.unit
        return {
            **self._state(self.learning_rate()),
            f"train_nats_per_{unit}": train_loss,
            f"dev_nats_per_{unit}": result and result.nats,
            **(result.metrics if result else {}),
            "clipped_steps": counters.clipped,
        }

    def _state(self, rate: float) -> dict[str, Any]:
        """Return step, epoch, seconds, tokens and learning rate, for a record."""
        counters = self.counters
        return {
            "step": counters.step,
            "epoch": counters.step * self.options.accumulate / self.batches.steps_per_epoch,
            "seconds": round(counters.seconds, 3),
            "tokens": round(counters.tokens),
            "learning_rate": rate,
        }

    def _write(self, record: dict[str, Any]) -> bool:
        """Write a line of metrics and call the logger; return whether that ends the training."""
        stop = False
        if self._metrics is not None:
            self.counters.metrics_bytes = append_json_line(self._metrics, record)
        if self._world.is_writer:
            try:
                self._log(record)
            except StopTraining:
                stop = True
        (stops,) = self._world.sum([float(stop)])
        return stops > 0

    def _train_loss(self) -> float:
        return self.learner.loss_sum() / max(self.counters.loss_weight, 1e-300)

    def _check_finite(self, loss: float, split: str = "training") -> None:
        """Raise TrainingError if the loss or a weight is not finite, or the loss is absurd."""
        is_absurd = not loss < DIVERGENCE_FACTOR * self.dev_evaluator.uniform_loss
        if self.learner.is_finite() and not is_absurd:
            return
        kept = "The last good checkpoint is kept" if self._checkpoint() else "Nothing was saved"
        raise TrainingError(
            f"The {split} loss is {loss:.6g} at step {self.counters.step} with learning rate "
            f"{self.learning_rate():.3g}: the steps are too large. Train again with a lower `lr` "
            f"(thence find-lr suggests one) or with `clip=1`. {kept}."
        )

    def _keep_best(self, result: EvalResult | None) -> None:
        """Copy the weights as the best ones; the next checkpoint writes them to the disk."""
        if not self._world.is_writer:
            return
        about = {"run": self._identity, "step": self.counters.step}
        nats = f"dev_nats_per_{self.dev_evaluator.unit}"
        self._best = self.learner.tensors(), {**about, nats: result and result.nats}

    def _is_time_to_save(self, evaluated: bool) -> bool:
        """Return whether a checkpoint is due: after evaluations if cheap, or after some time."""
        since = self.counters.seconds - self._saved_at
        cheap = evaluated and SAVING_FRACTION * since >= self._saving_seconds
        return cheap or since > self.options.checkpoint_seconds

    def _save_timed(self) -> None:
        began = self.counters.seconds
        self._save()
        self._sync_clock(False)
        self._saved_at, self._saving_seconds = self.counters.seconds, self.counters.seconds - began

    def _save(self) -> None:
        """Write the best weights, if they are new, and a checkpoint."""
        self._check_finite(self._train_loss())
        if self._curve is not None:
            self._curve.write()
        if self.dev_evaluator.evaluate is None:  # The best weights are the newest ones.
            with self.learner.averaged():
                self._keep_best(None)
        tensors = {"dev_losses": np.array(self._dev_losses), **self.learner.state()}
        if self.folder is None or not self._world.is_writer:
            return
        if self._best is not None:
            save_model(self.folder / "model.safetensors", *self._best)
            self._best = None
        metadata = {"run": self._identity, **self.counters.to_metadata()}
        save_tensors(self.folder / CHECKPOINT, tensors, metadata, within=self.folder)

    def _checkpoint(self) -> Path | None:
        """Return the path of the newest checkpoint; None if there is none yet."""
        if self.folder is None or not (self.folder / CHECKPOINT).exists():
            return None
        return self.folder / CHECKPOINT

    def restore(self) -> bool:
        """Load the newest checkpoint; return False if there is none yet."""
        path = self._checkpoint()
        if path is None:
            return False
        tensors, self.counters = read_checkpoint(path, self._identity)
        try:
            self.learner.load_state(tensors, self.counters.step)
            self._dev_losses = [finite(float(loss)) for loss in tensors["dev_losses"]]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(f"{path} does not fit the run's config: {error}") from error
        return True

    def _how_to_resume(self) -> str:
        of = f" of {self.total_steps:,}" if math.isfinite(self.total_steps) else ""
        return (
            f"Stopped at step {self.counters.step:,}{of}, all saved. Continue with: thence resume "
            f"{quote(str(self.folder))}"
        )
