"""What is computed and by what: a model, the machine's part that computes it, and a runner.

A runner maps a batch of images, uint8, to maps by name. A model is a torch module, or a file that
holds its graph. Backends (`nets.backends`) make one from the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Batch = npt.NDArray[np.uint8]
Maps = dict[str, npt.NDArray[np.float32]]
MODULE = "module"  # the form of a model that is no file
TRACED_SIDE = 64  # length of an open axis while a module is traced


@dataclass(frozen=True)
class Runner:
    """A model ready to run.

    Attributes:
        name: what really runs.
        run: a batch to its maps; may be called from `parallel` threads at once, and the maps belong
            to the caller.
        parallel: batches that are best computed at once.
    """

    name: str
    run: Callable[[Batch], Maps]
    parallel: int = 1

    def __call__(self, batch: Batch) -> Maps:
        """Compute one batch."""
        return self.run(batch)


@dataclass(frozen=True)
class Place:
    """Where to compute.

    Attributes:
        device: of torch.
        bf16: whether to calculate in bf16.
        threads: of a CPU.
    """

    device: torch.device
    bf16: bool
    threads: int


@dataclass(frozen=True)
class Model:
    """Something that can be computed.

    Attributes:
        source: a module whose forward maps a uint8 batch to a dict of tensors, or a file.
        outputs: names of the maps, in the order of that dict.
        axes: of the batch: a length, or the name of an axis that is open.
        steady: open axes keep their lengths from call to call, as the size of a video does.
        precision: of the numbers in a file, as in `nets.notes.NetNotes`.
    """

    source: nn.Module | Path
    outputs: tuple[str, ...]
    axes: tuple[int | str, ...]
    steady: bool = True
    precision: str = "fp32"

    @property
    def form(self) -> str:
        """module, or the suffix of the file."""
        return self.source.suffix.lower() if isinstance(self.source, Path) else MODULE

    @property
    def file(self) -> str:
        """The path of a model that is one."""
        return str(self.source)

    @property
    def module(self) -> nn.Module:
        """The module of a model that is one."""
        assert isinstance(self.source, nn.Module)
        return self.source

    def example(self) -> Tensor:
        """A batch to trace with."""
        lengths = [TRACED_SIDE if isinstance(axis, str) else axis for axis in self.axes]
        return torch.zeros(lengths, dtype=torch.uint8)


class AsTuple(nn.Module):
    """A module whose maps come as a tuple: what a traced graph can return."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Return the maps in the order of their dict."""
        return tuple(self.module(batch).values())


def trace(model: Model) -> Any:
    """TorchScript of a module, its open axes left open; frozen, which OpenVINO reads twice as fast.

    Runs under the caller's autocast, whose casts become part of the graph.
    """
    with torch.inference_mode(), warnings.catch_warnings():
        # Shape checks compare lengths, of which some are open: nothing to warn of.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            AsTuple(model.module).eval(), model.example(), check_trace=False
        )
        return torch.jit.freeze(traced)
