"""Several processes that train one net together, as torchrun starts them; alone, all is a no-op."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn


def rank() -> int:
    """Number of this process among those that train together; 0 writes the files."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, and leave them in the end."""
    if "RANK" not in os.environ or distributed.is_initialized():
        yield
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def share_gradients(net: nn.Module, *, some_rest: bool = False) -> nn.Module:
    """Wrap a net so that its processes average their gradients.

    Args:
        net: whose parameters that learn now or later have `requires_grad`.
        some_rest: parameters may stop and begin to require gradients between steps, which each
            step then looks for. (torch warns once that this costs time when none rests any more.)
    """
    if not distributed.is_initialized():
        return net
    return nn.parallel.DistributedDataParallel(net, find_unused_parameters=some_rest)


def any_rank(holds: bool, device: torch.device) -> bool:
    """Whether something holds in any process: all must stop together, or the others wait."""
    if not distributed.is_initialized():
        return holds
    flag = torch.tensor(float(holds), device=device)
    distributed.all_reduce(flag, distributed.ReduceOp.MAX)
    return bool(flag)
