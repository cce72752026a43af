"""How a window of frames is computed: torch, or OpenVINO on a CPU.

A runner maps clips (1, T, 3, H, W) uint8 to the maps of nets.frame_stack, each (1, T, C, h, w)
float32. Adding one is a function here and a line in `RUNNERS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mot.errors import InputError
from nets.frame_stack import FrameStack
from nets.training import choose_device, use_bf16

FloatMap = npt.NDArray[np.float32]
Runner = Callable[[npt.NDArray[np.uint8]], dict[str, FloatMap]]


def make_runner(net: FrameStack, *, backend: str, device: str, amp: str) -> Runner:
    """Choose and build a runner.

    Args:
        net: with weights.
        backend: torch, openvino or auto: OpenVINO where the device is a CPU, because it is 1.3 to 2
            times as fast there (`python -m benchmarks.inference`).
        device: cpu, cuda, mps or auto.
        amp: bf16 on, off or auto.

    Raises:
        InputError: unknown backend or device.
    """
    place = choose_device(device)
    if backend == "auto":
        backend = "openvino" if place.type == "cpu" else "torch"
    if backend not in RUNNERS:
        raise InputError("--backend", f"auto or {', '.join(RUNNERS)}", backend, "choose another")
    return RUNNERS[backend](net.eval(), place, amp)


def torch_runner(net: FrameStack, device: torch.device, amp: str) -> Runner:
    """Run windows with torch."""
    bf16 = use_bf16(amp, device)
    placed = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(clips: npt.NDArray[np.uint8]) -> dict[str, FloatMap]:
        images = torch.from_numpy(clips).to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            maps = placed(images)
        return {name: values.float().cpu().numpy() for name, values in maps.items()}

    return run


class _AsTuple(nn.Module):
    """A net whose maps come as a tuple: what a traced graph can return."""

    def __init__(self, net: FrameStack) -> None:
        super().__init__()
        self.net = net

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.net(clips).values())


def _traced(net: FrameStack, clips: npt.NDArray[np.uint8]) -> Any:
    """Graph of a net for clips of one shape; frozen, because OpenVINO reads that twice as fast."""
    with torch.inference_mode(), warnings.catch_warnings():
        # Shape checks compare lengths, which are constants of the trace: nothing to warn of.
        warnings.simplefilter("ignore")
        example = torch.from_numpy(clips)
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            _AsTuple(net).eval(), example, check_trace=False
        )
        return torch.jit.freeze(traced)


def openvino_runner(net: FrameStack, device: torch.device, amp: str) -> Runner:
    """Run windows with OpenVINO; the graph is compiled for each input size on first sight."""
    if device.type != "cpu":
        raise InputError("--backend", "torch on this device", "openvino", "use --device cpu")
    import openvino as ov

    names = tuple(net.heads.maps)
    compiled: dict[tuple[int, ...], Any] = {}
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if use_bf16(amp, device) else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),  # one knob for both: OMP_NUM_THREADS
    }

    def compile_for(clips: npt.NDArray[np.uint8]) -> Any:
        graph = ov.convert_model(_traced(net, clips), input=[(list(clips.shape), np.uint8)])
        return ov.Core().compile_model(graph, "CPU", hints)

    def run(clips: npt.NDArray[np.uint8]) -> dict[str, FloatMap]:
        if clips.shape not in compiled:
            compiled.clear()
            compiled[clips.shape] = compile_for(clips)
        results = compiled[clips.shape](clips)
        return {name: np.array(results[k]) for k, name in enumerate(names)}

    return run


RUNNERS: dict[str, Callable[[FrameStack, torch.device, str], Runner]] = {
    "torch": torch_runner,
    "openvino": openvino_runner,
}
