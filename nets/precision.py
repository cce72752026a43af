"""bf16 or fp32: which of them a device calculates faster, measured where nobody has said."""

from __future__ import annotations

import time
from functools import cache

import torch
from torch.nn import functional as F

ROUNDS = 5  # of which the fastest counts: other work only ever slows
WORTH = 0.9  # share of fp32's time that bf16 may take, to make up for its coarser numbers


def use_bf16(amp: str, device: torch.device) -> bool:
    """Whether to calculate in bf16: asked for, or the device does it in hardware, and faster.

    A CPU without AVX512-BF16 or AMX emulates bf16, ten times slower than fp32. Of those with
    AVX512-BF16 alone some (Zen 4) do it at twice the speed of fp32, some (Sapphire Rapids where a
    virtual machine hides its AMX) at half.
    """
    if amp != "auto":
        return amp == "on"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capable = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else ""
    native: bool = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return native and "AVX512" in capable and bf16_is_faster()


@cache
def bf16_is_faster() -> bool:
    """Time a convolution such as the nets have both ways on this CPU; takes 0.1 s, once."""
    image, kernel = torch.ones(4, 64, 32, 64), torch.ones(64, 64, 3, 3)
    image = image.contiguous(memory_format=torch.channels_last)
    sample = {kind: (image.to(kind), kernel.to(kind)) for kind in (torch.float32, torch.bfloat16)}
    taken = dict.fromkeys(sample, float("inf"))
    with torch.no_grad():
        for _ in range(1 + ROUNDS):  # the first also sets up
            for kind, (x, weight) in sample.items():
                start = time.perf_counter()
                F.conv2d(x, weight, padding=1)
                taken[kind] = min(taken[kind], time.perf_counter() - start)
    return taken[torch.bfloat16] < WORTH * taken[torch.float32]
