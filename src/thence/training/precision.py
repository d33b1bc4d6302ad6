"""The precision of products of matrices: bfloat16 where the processor has it and it is faster."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thence.training.options import Precision


@contextmanager
def computing_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute products of matrices in this precision for a while; weights stay in float32.

    bfloat16 has the range of float32, so that gradients need not be scaled.
    """
    narrow = precision == "bfloat16"
    # Without the cache, which lasts as long as the context: the products would go on with the
    # weights of the first step.
    with torch.autocast(device.type, torch.bfloat16, enabled=narrow, cache_enabled=False):
        yield


def supports_bfloat16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 by itself, and not in a slow imitation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
