"""The training loop for networks: steps, looks at dev, best and last, stop and resume.

A run can be killed at any moment. Everything that decides the next step is in the checkpoint:
weights, optimiser, counters and torch's generator; the batches follow from the seed and the step.
"""

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from thence.batches import Batches
from thence.errors import RunError, TrainingError
from thence.models.base import Array, State
from thence.models.language.neural import NeuralLanguageModel
from thence.models.states import leaves, map_state
from thence.recipes.options import TrainingOptions
from thence.runs.files import save_tensors
from thence.runs.metrics import append_json_line, truncate
from thence.runs.weights import save_model
from thence.signals import Interrupted, StopEvent, stop_on_signals
from thence.training.averaging import WeightAverage
from thence.training.callbacks import Logger, StopTraining, ignore
from thence.training.checkpoint import (
    Counters,
    finite,
    like,
    load_state,
    read_checkpoint,
    state_dict,
)
from thence.training.dev_evaluation import DevEvaluator, EvalResult, Trainable
from thence.training.device import autocast
from thence.training.distributed import World
from thence.training.optimizers import LayeredOptimizer, make_dense, make_optimizer
from thence.training.progress import ProgressCallback
from thence.training.schedules import learning_rate_factor

DIVERGED = 100.0
"""Training is given up where the loss is so many times that of knowing nothing."""
DEFAULT_EPOCHS = 20.0
FEWEST_STEPS = 300
MARGIN = 0.95
"""Share of a time limit that is for training; reading and judging come on top."""
LOOKS = 10
"""Looks at dev in a training, unless their distance is given."""
SAVING = 0.1
"""Share of the time that checkpoints at looks may take."""
FIRST_SAVING = 0.1
"""Seconds that the first is taken to need."""
LAST = Path("last", "checkpoint.safetensors")


class Trainer:
    """One training of one network.

    Args:
        model: The network; its weights are changed in place.
        batches: What each step reads.
        judge: How it is judged.
        options: The settings of training.
        folder: The run folder, which gets best and last; None to write nothing.
        progress: Is told of every step.
        identity: Of the run; written beside the weights.
        world: The processes that train together.
        usual_epochs: Passes over the train split where nothing else is asked for.
    """

    def __init__(
        self,
        model: Trainable,
        batches: Batches,
        judge: DevEvaluator,
        options: TrainingOptions,
        folder: Path | None,
        progress: ProgressCallback,
        identity: str = "",
        world: World = World(),
        usual_epochs: float = DEFAULT_EPOCHS,
    ) -> None:
        self._identity, self._world = identity, world
        self.model, self.batches, self.dev_evaluator = model, batches, judge
        self.options, self.folder, self.progress = options, folder, progress
        self.total_steps = total_steps(options, batches, usual_epochs)
        self.optimizer = make_optimizer(model, options)
        self._average = WeightAverage(list(model.parameters()), options)
        self._state: State = None  # Where the last batch left off, and of how many rows.
        self._rows = 0
        self.counters = Counters()
        # Double precision on the device: no transfer per step, and exact in a checkpoint.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=model.device)
        metrics = None if folder is None else folder / "metrics.jsonl"
        self._metrics = metrics if world.is_writer else None
        self._log: Logger = ignore
        self._dev_losses: list[float] = []
        self._started = 0.0
        self._looked, self._look_seconds, self._save_seconds = 0.0, 0.0, FIRST_SAVING
        self._best: tuple[dict[str, Array], dict[str, Any]] | None = None  # Not yet written.

    def run(self, log: Logger = ignore) -> None:
        """Train to the end, or until the dev loss stops improving, or until a signal.

        Args:
            log: Is given each record of the metrics once it is written; ends the training with
                ``StopTraining``.

        Raises:
            Interrupted: After Ctrl-C, SIGTERM or SIGHUP, with a checkpoint saved; without a folder
                signals stay as they are.
            TrainingError: If the loss is not a finite number, or absurdly large.
        """
        self._log = log
        if self._metrics is not None:
            truncate(self._metrics, self.counters.metrics_bytes)
        self._started = time.monotonic() - self.counters.seconds
        saved = self.counters.seconds
        wishes = stop_on_signals() if self.folder else nullcontext(StopEvent())
        with autocast(self.options.precision, self.model.device), wishes as stop:
            if self.total_steps == 0 and not self.counters.finished:
                self._evaluate_untrained()
            while not self.counters.finished:
                self._step()
                self.progress.on_step(
                    self.counters.step, self.counters.tokens, self.fraction_done()
                )
                stopping = self._agree_on_time(stop.is_set())
                looks = self._is_time_to_evaluate()
                if looks:
                    self._evaluate()
                stopping = stopping and not self.counters.finished
                since = self.counters.seconds - saved
                late = since > self.options.checkpoint_seconds
                worth_it = looks and SAVING * since >= self._save_seconds
                if worth_it or late or stopping or self.counters.finished:
                    began = self.counters.seconds
                    self._save()
                    self._agree_on_time(False)
                    saved = self.counters.seconds
                    self._save_seconds = saved - began
                if stopping:
                    raise Interrupted(self._farewell(), stop.number)

    def best_tensors(self) -> dict[str, Array]:
        """Return the best weights of a training without a folder, after it."""
        assert self._best is not None
        return self._best[0]

    def _farewell(self) -> str:
        of = f" of {self.total_steps:,}" if math.isfinite(self.total_steps) else ""
        return (
            f"Stopped at step {self.counters.step:,}{of}, all saved. Go on with: thence resume "
            f"{quote(str(self.folder))}"
        )

    def _step(self) -> None:
        counters, options = self.counters, self.options
        self.model.train()
        if isinstance(self.optimizer, LayeredOptimizer):
            self.optimizer.unfreeze(self.fraction_done())
        first = counters.step * options.accumulate
        batches = [self.batches.at(first + part) for part in range(options.accumulate)]
        weight = sum(batch.weight for batch in batches)
        for batch in batches:
            self._rows = len(batch)
            own = self._world.share(batch)
            if not len(own):  # Fewer rows than processes.
                continue
            loss, self._state = self.model.batch_loss(own, self._state)
            (loss / weight).backward()  # type: ignore[no-untyped-call]
            self._loss_sum += loss.detach()
        self._world.add_up_gradients(list(self.model.parameters()))
        if options.clip is not None:
            make_dense(self.model.parameters())
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), options.clip)
            counters.clipped += int(norm > options.clip)
        self.optimizer.step(self.learning_rate())
        self._average.update()
        counters.loss_weight += weight
        counters.tokens += sum(batch.tokens for batch in batches)
        counters.step += 1

    def _evaluate_untrained(self) -> None:
        """Evaluate and keep the weights as they were drawn; the train loss is the first batch's."""
        self.model.train(False)
        batch = self.batches.at(0)
        own = self._world.share(batch)
        if len(own):
            with torch.no_grad():
                loss, _ = self.model.batch_loss(own)
            self._loss_sum += loss
        self.counters.loss_weight = batch.weight
        self.progress.on_step(0, 0, 1.0)
        self._evaluate()
        self._save()

    def _agree_on_time(self, wish: bool) -> bool:
        """Take the first process's clock for that of all; return whether any wishes to stop."""
        own = time.monotonic() - self._started if self._world.is_writer else 0.0
        wishes, self.counters.seconds = self._world.agree([wish, own], self.model.device)
        return wishes > 0

    def fraction_done(self) -> float:
        """Return how much of the training is over, by steps or by time, from 0 to 1."""
        if self.total_steps == 0:
            return 1.0
        share = self.counters.step / self.total_steps
        if (limit := self.options.seconds) is not None:
            left = MARGIN * limit - 2 * self._look_seconds
            share = max(share, self.counters.seconds / max(left, 1e-3))
        return min(share, 1.0)

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        highest = float(cast(float, self.options.lr))
        factor = learning_rate_factor(self.options, self.counters.step, self.fraction_done())
        return highest * factor * 0.5**self.counters.halvings

    def _is_time_to_evaluate(self) -> bool:
        share, every = self.fraction_done(), self.options.evaluate_every
        if every is not None:
            return self.counters.step % every == 0 or share >= 1
        if share * LOOKS < self.counters.looks + 1:
            return share >= 1
        # Under a time limit, looks at a large dev split must not take much of it.
        since = self.counters.seconds - self._looked
        return self.options.seconds is None or since > 10 * self._look_seconds or share >= 1

    def _evaluate(self) -> None:
        counters = self.counters
        self._world.add_up([self._loss_sum])
        train_loss = self._train_loss()
        self._check_sound(train_loss)
        began = counters.seconds
        with self._average.in_place():
            result = self._look()
            if result is None or result.selection_loss < counters.best_dev:
                counters.best_dev = math.inf if result is None else result.selection_loss
                counters.stale = 0
                self._keep_best(result)
            else:
                counters.stale += 1
                counters.halvings += self.options.schedule == "plateau"
        self._agree_on_time(False)
        self._looked, self._look_seconds = counters.seconds, counters.seconds - began
        counters.looks = max(counters.looks + 1, int(self.fraction_done() * LOOKS))
        patience = self.options.patience
        exhausted = patience is not None and counters.stale >= patience
        counters.finished = self.fraction_done() >= 1 or exhausted
        if result is not None:
            self._dev_losses.append(result.nats)
            self._average.look(self._dev_losses)
        line = {
            "step": counters.step,
            "epoch": counters.step * self.options.accumulate / self.batches.steps_per_epoch,
            "seconds": round(counters.seconds, 3),
            "tokens": round(counters.tokens),
            "learning_rate": self.learning_rate(),
            f"train_nats_per_{self.dev_evaluator.unit}": train_loss,
            f"dev_nats_per_{self.dev_evaluator.unit}": result and result.nats,
            **(result.metrics if result else {}),
            "clipped_steps": counters.clipped,
        }
        enough = False
        if self._metrics is not None:
            counters.metrics_bytes = append_json_line(self._metrics, line)
        if self._world.is_writer:
            try:
                self._log(line)
            except StopTraining:
                enough = True
        (stops,) = self._world.agree([float(enough)], self.model.device)
        counters.finished = counters.finished or stops > 0
        counters.loss_weight = 0.0
        self._loss_sum.zero_()
        self.progress.on_evaluation(line)

    def _look(self) -> EvalResult | None:
        if self.dev_evaluator.evaluate is None:
            return None
        found = EvalResult(0.0, 0.0)
        if self._world.is_writer:  # The others wait for it.
            found = self.dev_evaluator.evaluate()
        numbers = [found.nats, found.selection_loss]
        nats, selection_loss = self._world.agree(numbers, self.model.device)
        self._check_sound(nats, "dev")
        return EvalResult(nats, selection_loss, found.metrics)

    def _train_loss(self) -> float:
        return float(self._loss_sum) / max(self.counters.loss_weight, 1e-300)

    def _check_sound(self, loss: float, split: str = "training") -> None:
        # A sum in double precision is finite if and only if every number is.
        sums = [p.detach().sum(dtype=torch.float64) for p in self.model.parameters()]
        finite = all(math.isfinite(total) for total in sums)
        if finite and loss < DIVERGED * self.dev_evaluator.uniform_loss:
            return
        kept = "The last good checkpoint is kept" if self._checkpoint() else "Nothing was saved"
        raise TrainingError(
            f"The {split} loss is {loss:.6g} at step {self.counters.step} with learning rate "
            f"{self.learning_rate():.3g}: the steps are too large. Train again with a lower --lr "
            f"(thence find-lr suggests one) or with --clip 1. {kept}."
        )

    def _keep_best(self, result: EvalResult | None) -> None:
        """Keep the weights, to be written with the next checkpoint."""
        if not self._world.is_writer:
            return
        about = {"run": self._identity, "step": self.counters.step}
        nats = f"dev_nats_per_{self.dev_evaluator.unit}"
        self._best = self.model.tensors(), {**about, nats: result and result.nats}

    def _save(self) -> None:
        """Write the best weights, if they are new, and the checkpoint to resume from."""
        self._check_sound(self._train_loss())
        state = self._world.join_rows(self._state, self._rows)
        loss_sum = self._loss_sum.clone()
        self._world.add_up([loss_sum])
        if self.folder is None or not self._world.is_writer:
            return
        if self._best is not None:
            save_model(self.folder / "model.safetensors", *self._best)
            self._best = None
        tensors = {f"model.{name}": value for name, value in self.model.tensors().items()}
        tensors |= state_dict("optimizer", self.optimizer.state())
        tensors["generator"] = torch.get_rng_state().numpy()
        tensors["loss_sum"] = loss_sum.cpu().numpy()
        tensors["dev_losses"] = np.array(self._dev_losses)
        tensors |= state_dict("state", leaves(state)) | state_dict("average", self._average.state())
        counters = {"run": self._identity, **asdict(self.counters)}
        if math.isinf(self.counters.best_dev):
            del counters["best_dev"]  # JSON has no infinity.
        save_tensors(self.folder / LAST, tensors, counters, within=self.folder)

    def _checkpoint(self) -> Path | None:
        """Return the newest checkpoint; None where there is none yet."""
        if self.folder is None or not (self.folder / LAST).exists():
            return None
        return self.folder / LAST

    def restore(self) -> bool:
        """Take up the newest checkpoint; return False where there is none yet."""
        last = self._checkpoint()
        if last is None:
            return False
        tensors, self.counters = read_checkpoint(last, self._identity)
        try:
            model = {n[6:]: value for n, value in tensors.items() if n.startswith("model.")}
            self.model.load_tensors(model)
            load_state("optimizer", self.optimizer.state(), tensors)
            if self._world.is_writer:
                torch.set_rng_state(torch.from_numpy(tensors["generator"]))
                self._loss_sum.fill_(finite(float(tensors["loss_sum"])))
            else:  # Other masks of dropout than the first process's, and than before.
                torch.manual_seed(hash((self.options.seed, self._world.rank, self.counters.step)))
            self._dev_losses = [finite(float(loss)) for loss in tensors["dev_losses"]]
            self._state = self._restore_state(tensors)
            load_state("average", self._average.state(), tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(f"{last} does not fit the run's config: {error}") from error
        return True

    def _restore_state(self, tensors: Mapping[str, Array]) -> State:
        """Return the state that a checkpoint holds: values in the form of a fresh one."""
        if "state.0" not in tensors:
            return None
        self._rows = len(tensors["state.0"])
        if self._rows > cast(int, self.options.batch_size):
            raise ValueError(f"its state has {self._rows} rows")
        template = cast(NeuralLanguageModel, self.model).start(self._rows)
        values = iter([tensors[f"state.{place}"] for place in range(len(leaves(template)))])
        state = map_state(lambda leaf: like(leaf, next(values)), template)
        return self._world.own_rows(state, self._rows)


def total_steps(
    options: TrainingOptions, batches: Batches, usual_epochs: float = DEFAULT_EPOCHS
) -> float:
    """Return the steps of the whole training; infinite where only a time limit ends it.

    Where a pass takes only a few steps (a short text, or few distinct contexts), the default number
    of passes would hardly train at all, so it is raised.
    """
    if options.steps is not None:
        return options.steps
    per_epoch = batches.steps_per_epoch / options.accumulate
    if options.epochs is not None:
        return max(1, math.ceil(options.epochs * per_epoch))
    if options.seconds is not None:
        return math.inf
    return max(FEWEST_STEPS, math.ceil(usual_epochs * per_epoch))
