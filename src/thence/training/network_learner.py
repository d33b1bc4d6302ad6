"""The learner of networks of torch: loss, gradients, optimizer, and the state of a checkpoint."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor

from thence.batches import Step
from thence.models.base import Array, State, leaves, map_state
from thence.models.language.neural import NeuralLanguageModel
from thence.models.network import NetworkModel
from thence.recipes.options import TrainingOptions
from thence.training.checkpoint import check_numbers, finite
from thence.training.device import autocast
from thence.training.optimizers import Optimizer, clip_gradients, gradient_norm
from thence.training.weight_average import WeightAverage
from thence.training.world import World


class NetworkLearner:
    """Trains a network; the interface is that of ``Learner`` in ``learner.py``.

    Args:
        model: The network, on its device.
        options: The settings of training.
        world: The processes that train together.
    """

    def __init__(self, model: NetworkModel, options: TrainingOptions, world: World) -> None:
        self.model, self._options, self._world = model, options, world
        self._optimizer = Optimizer(model, options)
        self._weights = list(model.parameters())
        self._average = WeightAverage(self._weights, options)
        # The recurrent state after the last batch, and the number of rows of that batch.
        self._state: State = None
        self._rows = 0
        self._steps = 0
        # The sum stays on the device, so that no step waits for a transfer, and in double
        # precision, so that the loss of a resumed training is the same.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=model.device)
        self._norm: Tensor | None = None
        self._marks: list[Tensor] = []

    def step(
        self, batches: Sequence[Step], rate: float, progress: float, measure: bool = False
    ) -> bool:
        """Make one step; return whether the gradient was clipped."""
        if not self.model.training:  # Setting the mode visits every layer.
            self.model.train()
        self._optimizer.unfreeze(progress)
        # Losses are sums over targets, and are divided by the targets of all batches and all
        # processes. A mean of means would give targets of small batches more weight.
        weight = sum(batch.weight for batch in batches)
        for batch in batches:
            self._rows = len(batch)
            own = self._world.shard(batch)
            if not len(own):  # The batch has fewer rows than there are processes.
                continue
            loss, self._state = self.model.batch_loss(own, self._state)
            torch.autograd.backward(loss / weight)
            self._loss_sum += loss.detach()
        if self._world.size > 1:
            self._sum_gradients()
        clip = self._options.clip
        self._norm = gradient_norm(self._weights) if measure else None
        clipped = clip is not None and clip_gradients(self._weights, clip)
        self._optimizer.step(rate)
        self._average.update()
        return clipped

    def _sum_gradients(self) -> None:
        """Sum the gradients over all processes; a process that read no rows has zeros."""
        for parameter in self._weights:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            elif parameter.grad.is_sparse:
                parameter.grad = parameter.grad.to_dense()
        gradients = [weights.grad for weights in self._weights if weights.grad is not None]
        self._world.all_reduce(gradients)

    def add_loss(self, batch: Step) -> None:
        """Add the loss of a batch to the sum, without training on it."""
        self.model.train(False)
        own = self._world.shard(batch)
        if len(own):
            # A sampled softmax draws random numbers, which must not change the training after it.
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                self._loss_sum += self.model.batch_loss(own)[0]

    def loss_sum(self) -> float:
        """Return the summed loss of all batches and processes since ``clear_loss``, in nats."""
        (found,) = self._world.sum([float(self._loss_sum)])
        return found

    def clear_loss(self) -> None:
        """Set the sum of losses to zero."""
        self._loss_sum.zero_()

    def mark_curve_point(self) -> None:
        """Store the current sum of losses and the norm of the last gradient, on the device."""
        norm = self._loss_sum.new_tensor(math.nan) if self._norm is None else self._norm
        self._marks.append(torch.stack([self._loss_sum, norm.double()]))

    def take_curve_points(self) -> list[tuple[float, float]]:
        """Return and clear the stored pairs (sum of losses, norm); a norm not measured is NaN."""
        if not self._marks:
            return []
        losses, norms = torch.stack(self._marks).T.tolist()
        self._marks = []
        # Losses are those of the process's own rows; gradients were summed over all processes.
        return list(zip(self._world.sum(losses), norms, strict=True))

    def is_finite(self) -> bool:
        """Return whether all weights are finite numbers."""
        # Minimum and maximum are NaN if a weight is, and take an eighth of the time of isfinite.
        extremes = [torch.aminmax(p.detach()) for p in self._weights if p.numel()]
        return all(bool(torch.isfinite(end)) for ends in extremes for end in ends)

    def computing(self) -> AbstractContextManager[Any]:
        """Return a context manager of autocast in the precision of the options."""
        return autocast(self._options.precision, self.model.device)

    def averaged(self) -> AbstractContextManager[Any]:
        """Return a context manager with the weights replaced by their average, if averaged."""
        return self._average.applied()

    def on_dev_losses(self, losses: Sequence[float]) -> None:
        """Start a triggered average if the dev losses have stopped falling."""
        self._average.trigger(losses)

    def tensors(self) -> dict[str, Array]:
        """Return a copy of the weights by name."""
        return self.model.tensors()

    def state(self) -> dict[str, Array]:
        """Return all state that later steps depend on, of all processes."""
        state, loss_sum = self._world.gather_rows(self._state, self._rows), self.loss_sum()
        tensors = {f"model.{name}": value for name, value in self.model.tensors().items()}
        tensors |= state_dict("optimizer", self._optimizer.state())
        tensors["generator"] = torch.get_rng_state().numpy()
        tensors["loss_sum"] = torch.tensor(loss_sum, dtype=torch.float64).numpy()
        tensors |= state_dict("state", leaves(state))
        return tensors | state_dict("average", self._average.state())

    def load_state(self, tensors: Mapping[str, Array], step: int) -> None:
        """Restore the ``state`` that was saved after ``step`` steps."""
        model = {n[6:]: value for n, value in tensors.items() if n.startswith("model.")}
        self.model.load_tensors(model)
        load_state("optimizer", self._optimizer.state(), tensors)
        if self._world.is_writer:
            if "generator" in tensors:  # Checkpoints of the compiled core have none.
                torch.set_rng_state(torch.from_numpy(tensors["generator"]))
            self._loss_sum.fill_(finite(float(tensors["loss_sum"])))
        else:  # Dropout masks must differ from the first process's, and from those before.
            torch.manual_seed(hash((self._options.seed, self._world.rank, step)))
        network, max_rows = cast(NeuralLanguageModel, self.model), self._options.batch_size
        state, self._rows = load_recurrent_state(network, tensors, cast(int, max_rows))
        self._state = self._world.shard_rows(state, self._rows)
        load_state("average", self._average.state(), tensors)


def state_dict(prefix: str, tensors: Iterable[Tensor]) -> dict[str, Array]:
    """Return tensors as arrays by name: ``prefix.0``, ``prefix.1`` and so on."""
    return {f"{prefix}.{place}": tensor.cpu().numpy() for place, tensor in enumerate(tensors)}


def load_state(prefix: str, tensors: Iterable[Tensor], saved: Mapping[str, Array]) -> None:
    """Copy arrays saved by ``state_dict`` into tensors.

    Raises:
        KeyError: If a tensor is missing.
        ValueError: If one has another shape, or numbers that are not finite.
    """
    for place, tensor in enumerate(tensors):
        value = torch.from_numpy(saved[f"{prefix}.{place}"])
        if value.shape != tensor.shape:
            raise ValueError(f"{prefix}.{place} has shape {tuple(value.shape)}")
        check_numbers(f"{prefix}.{place}", saved[f"{prefix}.{place}"])
        tensor.copy_(value)


def load_recurrent_state(
    network: NeuralLanguageModel, tensors: Mapping[str, Array], max_rows: int
) -> tuple[State, int]:
    """Return the recurrent state in a checkpoint and its number of rows; None and 0 without one.

    The file has a flat list of tensors; a new state gives the structure to fill with them.

    Raises:
        KeyError: If a tensor is missing.
        ValueError: If one has another shape, or numbers that are not finite.
    """
    if "state.0" not in tensors:
        return None, 0
    rows = len(tensors["state.0"])
    if rows > max_rows:
        raise ValueError(f"its state has {rows} rows")
    template = network.start(rows)
    values = iter([tensors[f"state.{place}"] for place in range(len(leaves(template)))])
    return map_state(lambda leaf: _tensor_like(leaf, next(values)), template), rows


def _tensor_like(template: Tensor, value: Array) -> Tensor:
    """Return an array with the type and device of a tensor."""
    if value.shape != tuple(template.shape):
        raise ValueError(f"a part of its state has shape {value.shape}")
    check_numbers("its state", value)
    return torch.from_numpy(value).to(template)
