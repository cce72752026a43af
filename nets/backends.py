"""How nets are computed: by OpenVINO, ONNX Runtime or torch, as asked for or as installed.

Adding a way is a file with a `runner` (`nets.runner`) and a line in `RUNNERS`.
"""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from mot.errors import InputError
from nets import run_onnx, run_openvino, run_torch
from nets.precision import use_bf16
from nets.runner import MODULE, Model, Place, Runner
from nets.training import choose_device


@dataclass(frozen=True)
class Engine:
    """How to compute, as a user asks for it.

    Attributes:
        backend: a key of `RUNNERS`, or auto.
        device: cpu, cuda, mps or auto.
        amp: bf16 arithmetic: on, off or auto.
    """

    backend: str = "auto"
    device: str = "auto"
    amp: str = "auto"


@dataclass(frozen=True)
class Backend:
    """A way to compute.

    Attributes:
        package: what must be installed.
        reads: forms of models (`Model.form`).
        devices: types of devices; none = all of torch's.
        bf16: whether it can calculate in bf16.
        make: of a model and a place, the runner.
        metadata: text by key that a file which it reads carries.
    """

    package: str
    reads: tuple[str, ...]
    devices: tuple[str, ...]
    bf16: bool
    make: Callable[[Model, Place], Runner]
    metadata: Callable[[Path], dict[str, str]]

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec(self.package) is not None

    def computes_on(self, device: torch.device) -> bool:
        """Whether it can use a device."""
        return not self.devices or device.type in self.devices


# The fastest on a CPU first (`python -m benchmarks.inference`).
RUNNERS = {
    "openvino": Backend(
        package="openvino",
        reads=run_openvino.READS,
        devices=("cpu",),
        bf16=True,
        make=run_openvino.runner,
        metadata=run_openvino.metadata,
    ),
    "onnx": Backend(
        package="onnxruntime",
        reads=run_onnx.READS,
        devices=("cpu", "cuda"),
        bf16=False,
        make=run_onnx.runner,
        metadata=run_onnx.metadata,
    ),
    "torch": Backend(
        package="torch",
        reads=run_torch.READS,
        devices=(),
        bf16=True,
        make=run_torch.runner,
        metadata=run_torch.metadata,
    ),
}
FILES = {form for backend in RUNNERS.values() for form in backend.reads} - {MODULE}


def make_runner(model: Model, engine: Engine) -> Runner:
    """Choose a backend and let it make a runner.

    `auto` is the first of `RUNNERS` that is installed and reads the model; elsewhere than on a CPU
    the last.

    Raises:
        InputError: unknown backend or device; a backend that is not installed, or cannot do this.
    """
    device = choose_device(engine.device)
    name = _fastest(model, device) if engine.backend == "auto" else engine.backend
    if name not in RUNNERS:
        raise InputError("--backend", f"auto or {', '.join(RUNNERS)}", name, "choose another")
    backend = RUNNERS[name]
    _require_usable(name, backend, model, device)
    bf16 = use_bf16(engine.amp, device)
    if engine.amp == "on" and not backend.bf16:
        raise InputError("--amp", f"auto or off with {name}", "on", "leave it out")
    return backend.make(model, Place(device, bf16 and backend.bf16, torch.get_num_threads()))


def int8_pays(engine: Engine) -> bool:
    """Whether a file in int8 is computed, and faster than fp32: by OpenVINO on a CPU of x86."""
    wanted = engine.backend in ("auto", "openvino") and engine.amp == "auto"
    if not (wanted and RUNNERS["openvino"].installed):
        return False
    cpu = choose_device(engine.device).type == "cpu"
    return cpu and platform.machine().lower() in ("x86_64", "amd64")


def _fastest(model: Model, device: torch.device) -> str:
    able = [name for name in _readers(model.form) if RUNNERS[name].computes_on(device)]
    if not able:
        expected = f"a device for {' or '.join(_readers(model.form))}"
        raise InputError(model.file, expected, device.type, "use --device cpu")
    return able[0] if device.type == "cpu" else able[-1]


def read_metadata(path: Path) -> dict[str, str]:
    """Text by key that a file of one of `FILES` carries.

    Raises:
        InputError: a file that cannot be read, or nothing installed that reads it.
    """
    return RUNNERS[_readers(path.suffix.lower())[0]].metadata(path)


def _readers(form: str) -> list[str]:
    """Backends that are installed and read a form of model, the fastest on a CPU first."""
    readers = {name: backend for name, backend in RUNNERS.items() if form in backend.reads}
    able = [name for name, backend in readers.items() if backend.installed]
    if not able:
        packages = " or ".join(backend.package for backend in readers.values())
        raise InputError(f"a {form} file", packages, "neither is installed", "pip install one")
    return able


def _require_usable(name: str, backend: Backend, model: Model, device: torch.device) -> None:
    if not backend.installed:
        remedy = f"pip install {backend.package}, or --backend auto"
        raise InputError(f"--backend {name}", f"{backend.package}", "it is not installed", remedy)
    if not backend.computes_on(device):
        raise InputError("--backend", "torch on this device", name, "use --device cpu")
    if model.form not in backend.reads:
        files = ", ".join(form for form in backend.reads if form != MODULE)
        expected = f"weights (.safetensors) or a file that it reads ({files})"
        raise InputError(f"--backend {name}", expected, model.file, "use --backend auto")
