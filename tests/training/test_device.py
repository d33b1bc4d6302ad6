"""bfloat16 learns what float32 learns, on any processor; a time limit ends a training."""

import ctypes
import itertools
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from thence.allocator import keep_freed_memory
from thence.errors import SettingError
from thence.models.language import recurrent
from thence.recipes.options import TrainingOptions
from thence.runs import Run
from thence.training import device
from thence.training import trainer as loop
from thence.training.device import autocast, check_precision, has_fast_bfloat16

SmallTrain = Callable[..., Run]
LSTM = {"model": "lstm", "hidden_size": 16, "embedding_size": 8, "dropout": 0.0, "batch_size": 8}


def test_bfloat16_sees_every_step_of_training(small: SmallTrain) -> None:
    # PyTorch's autocast keeps weights it has converted once; then a network would not learn.
    losses = [
        small(name, precision=name, epochs=6, **LSTM).metrics()[-1]
        for name in ("float32", "bfloat16")
    ]
    for name in ("train_nats_per_token", "dev_nats_per_token"):
        assert losses[1][name] == pytest.approx(losses[0][name], abs=0.03)
    assert losses[0]["dev_nats_per_token"] < 2.1  # Of ln 14 = 2.64 at the start.


def test_weights_are_converted_anew_each_time() -> None:
    layer = torch.nn.Linear(2, 1, bias=False)
    with autocast("bfloat16", torch.device("cpu")):
        one = layer(torch.ones(2))
        with torch.no_grad():
            layer.weight.add_(1)
        assert layer(torch.ones(2)).item() == pytest.approx(one.item() + 2, abs=0.05)
    assert one.dtype == torch.bfloat16


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back like this")
def test_memory_of_large_tensors_is_kept_for_the_next_step() -> None:
    def faults() -> int:
        """Return how many pages of 4 KiB the system maps for a tensor of 10,240 pages."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.zeros(10 << 20)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with keep_freed_memory():
        # The first ones find their place.
        assert min(faults() for _ in range(10)) < 1000


class _Memory(ctypes.Structure):
    """What ``mallinfo2`` of glibc returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "mapped", *(f"_{i}" for i in range(5)))
    ]


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="only glibc since 2.33 tells what it mapped",
)
def test_an_evaluation_gives_its_memory_back() -> None:
    memory = ctypes.CDLL(None).mallinfo2
    memory.restype = _Memory
    size = 40 << 20
    with keep_freed_memory():
        before = memory().mapped
        kept = [torch.zeros(size // 4)]
        assert memory().mapped < before + size
        with keep_freed_memory(False):
            kept.append(torch.zeros(size // 4))
            assert memory().mapped >= before + size  # A mapping of its own, which goes with it.
        kept.append(torch.zeros(size // 4))
        assert memory().mapped < before + 2 * size


def test_a_time_limit_ends_the_training_in_time(
    small: SmallTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()  # A hundredth of a second each time that the loop looks.
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock) / 100))
    run = small(time="2s", **LSTM)
    metrics = run.metrics()
    assert 1.0 < metrics[-1]["seconds"] < 2
    # The schedule is fitted to the time: its end is a thousandth of the highest rate.
    assert metrics[-1]["learning_rate"] == pytest.approx(0.004 * 0.001, rel=0.2)
    assert len(metrics) >= 5


def test_steps_given_beside_a_time_limit_still_count(small: SmallTrain) -> None:
    assert small(time="60s", steps=3, **LSTM).metrics()[-1]["step"] == 3


@pytest.mark.parametrize("time", ["", "30", "-3m", "3 weeks"])
def test_what_is_no_time_is_refused(time: str) -> None:
    with pytest.raises(SettingError, match=r"`time` is .*; write it like 90s, 30m or 2h"):
        TrainingOptions(time=time)


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(SettingError, match="`time` is '0s'; it must be above 0, such as 30m"):
        TrainingOptions(time="0s")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5 m", 90), ("2h", 7200)])
def test_times(text: str, seconds: float) -> None:
    assert TrainingOptions(time=text).seconds == seconds


# What a processor without AVX-512 does: oneDNN imitates bfloat16 there, and has no LSTM in it.
WITHOUT = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
TRAINS = """
import sys, torch, thence
from pathlib import Path
from thence.training.device import has_fast_bfloat16

text, folder, *models = sys.argv[1:]
assert not has_fast_bfloat16(torch.device("cpu"))
sizes = {"hidden_size": 32, "embedding_size": 16, "batch_size": 8}
settings = {"epochs": 4.0, "lr": 0.01, "dropout": 0.0, "split": "80/20/0", **sizes}
for model in models:
    losses = []
    for precision in ("float32", "bfloat16"):
        output = Path(folder, f"{model}-{precision}")
        run = thence.train(text, model, output=output, precision=precision, **settings)
        losses.append(run.metrics()[-1]["dev_nats_per_token"])
    assert abs(losses[0] - losses[1]) < 0.03, (model, losses)
    assert losses[0] < 2.3, (model, losses)
"""


@pytest.mark.slow
def test_bfloat16_is_computed_where_the_processor_lacks_it(text: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINS, str(text), str(tmp_path), "lstm", "gru"]
    done = subprocess.run(
        command, env={**os.environ, **WITHOUT}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_cell_without_bfloat16_computes_in_float32(
    cell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, inputs = recurrent.Layer(cell, 3, 4), torch.randn(2, 5, 3)
    state = (torch.zeros(1, 2, 4),) * (2 if cell == "lstm" else 1)
    expected, _ = layer(inputs, state)
    monkeypatch.setattr(recurrent, "takes_bfloat16", lambda cell, device_type: False)
    with autocast("bfloat16", torch.device("cpu")):
        # The layer below and the state of a checkpoint may be in bfloat16 all the same.
        outputs, _ = layer(inputs.bfloat16(), tuple(part.bfloat16() for part in state))
    assert outputs.dtype == torch.float32
    assert outputs.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=0.02)


def test_asking_a_cell_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    recurrent.takes_bfloat16.cache_clear()
    recurrent.takes_bfloat16("lstm", "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_an_imitation_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def imitated(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        clock[0] += 1.0 if left.dtype == torch.bfloat16 else 0.5
        return left

    clock = [0.0]
    monkeypatch.setattr(device.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(torch, "mm", imitated)
    has_fast_bfloat16.cache_clear()
    assert not has_fast_bfloat16(torch.device("cpu"))
    has_fast_bfloat16.cache_clear()


def test_a_device_that_cannot_compute_it_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*arguments: Any, **settings: Any) -> Any:
        raise RuntimeError("could not create a primitive descriptor")

    monkeypatch.setattr(torch.Tensor, "__matmul__", refuses)
    with pytest.raises(SettingError, match="`precision` is bfloat16, which device cpu cannot"):
        check_precision("bfloat16", torch.device("cpu"))
