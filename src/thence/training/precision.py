"""The precision of products of matrices: bfloat16 where it is faster than float32."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from thence.errors import SettingError
from thence.recipes.options import Precision

PROBE_SIZE = 256
"""Rows and columns of the matrices that are timed: half a millisecond a product in float32."""
PROBES = 10
"""Products timed in each precision; the shortest time counts, which is the least disturbed."""


@contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute products of matrices in this precision for a while; weights stay in float32.

    bfloat16 has the range of float32, so that gradients need not be scaled. Weights are converted
    each time they are used: PyTorch would keep the first conversion as long as this lasts, and
    never see a training step.
    """
    on = precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16, enabled=on, cache_enabled=False):
        yield


def check_precision(precision: Precision, device: torch.device) -> None:
    """Refuse a precision in which the device cannot multiply matrices at all.

    Raises:
        SettingError: If a small product fails.
    """
    try:
        with autocast(precision, device):
            values = torch.ones(2, 2, device=device, requires_grad=True)
            (values @ values).float().sum().backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise SettingError(
            f"--precision is {precision}, which device {device.type} cannot compute here; leave "
            "it out, or choose --precision float32."
        ) from error


@cache
def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 itself: an imitation is never faster than float32.

    A processor is asked by multiplying matrices, since what it says of itself does not tell what
    the libraries make of it. Measured once in a process; some milliseconds.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    values = torch.ones(PROBE_SIZE, PROBE_SIZE)
    times: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    try:
        for _ in range(PROBES):
            for dtype, taken in times.items():
                matrix = values.to(dtype)
                began = time.perf_counter()
                torch.mm(matrix, matrix)
                taken.append(time.perf_counter() - began)
    except RuntimeError:  # Not even imitated.
        return False
    return min(times[torch.bfloat16]) < min(times[torch.float32])
