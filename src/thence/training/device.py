"""Device, number of threads, precision and determinism of a network's training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from thence.allocator import keep_freed_memory
from thence.errors import SettingError
from thence.processes import local_rank
from thence.recipes.options import Precision, TrainingOptions

PROBE_SIZE = 256
"""Rows and columns of the matrices that are timed: half a millisecond per product in float32."""
NUM_PROBES = 10
"""Products timed in each precision; the shortest time counts, as the least disturbed one."""


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto``: a GPU if there is one, else the processor.

    Raises:
        SettingError: If this machine has no such device.
    """
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    elif not present[name]:
        raise SettingError(f"`device` is {name}, which this machine lacks; use `device='auto'`.")
    return torch.device(name, local_rank()) if name == "cuda" else torch.device(name)


@contextmanager
def deterministic_mode(options: TrainingOptions, rank: int = 0) -> Iterator[None]:
    """Context manager: seed torch and fix its threads; afterwards the caller's state is restored.

    Results depend on the number of threads, which decides the order of summation. Processes that
    train together have different seeds, so that their dropout masks differ.
    """
    with torch.random.fork_rng(), keep_freed_memory(), num_threads(options.threads):
        torch.manual_seed(options.seed if rank == 0 else hash((options.seed, rank)))
        yield


@contextmanager
def num_threads(number: int | None) -> Iterator[None]:
    """Context manager: torch uses this many threads; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Context manager: matrix products use this precision; weights stay float32.

    bfloat16 has the range of float32, so gradients need no scaling. The cache of ``torch.autocast``
    is off: it would keep the first converted copy of a weight until the end of the block, which is
    the whole training, and miss all updates.
    """
    on = precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16, enabled=on, cache_enabled=False):
        yield


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise SettingError if the device cannot multiply matrices in this precision."""
    try:
        with autocast(precision, device):
            values = torch.ones(2, 2, device=device, requires_grad=True)
            torch.autograd.backward((values @ values).float().sum())
    except RuntimeError as error:
        raise SettingError(
            f"`precision` is {precision}, which device {device.type} cannot compute here; leave "
            "it out, or choose `precision='float32'`."
        ) from error


@cache
def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether matrix products are faster in bfloat16 than in float32.

    They are faster with native instructions, and slower where bfloat16 is emulated. A processor is
    timed (some milliseconds, once), as its flags do not tell whether PyTorch uses them.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    values = torch.ones(PROBE_SIZE, PROBE_SIZE)
    times: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    try:
        for _ in range(NUM_PROBES):
            for dtype, seconds in times.items():
                matrix = values.to(dtype)
                began = time.perf_counter()
                torch.mm(matrix, matrix)
                seconds.append(time.perf_counter() - began)
    except RuntimeError:  # bfloat16 is not supported at all.
        return False
    return min(times[torch.bfloat16]) < min(times[torch.float32])
