"""Files of a net for other programs and other machines: ONNX, OpenVINO, TorchScript.

Each holds the graph with its weights and the net's notes, height and width open. Adding a format is
a function here and a line in `FORMATS`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mot.atomic import atomic_path
from nets import run_onnx, run_openvino, run_torch
from nets.notes import NetNotes
from nets.quantise import quantise
from nets.runner import Batch, Model, trace
from nets.weights import HALF_FROM_ELEMENTS

LAYOUT = "NTCHW"


def write_onnx(path: Path, model: Model, notes: NetNotes, clips: list[Batch]) -> None:
    """One file, weights inside; the notes are its metadata_props. fp16: stored weights only."""
    import onnx  # type: ignore[import-untyped]

    graph = onnx.load_from_string(run_onnx.to_onnx(model))
    if notes.precision == "int8":
        graph = quantise(graph, clips, run_onnx.INPUT)
    if notes.precision == "fp16":
        _halve(graph, onnx)
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, notes.to_metadata())
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _halve(graph: Any, onnx: Any) -> None:
    """Store large tensors as fp16 and cast them back, which a runtime does once, as it loads."""
    casts = []
    for tensor in graph.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALF_FROM_ELEMENTS:
            continue
        name, stored = tensor.name, f"{tensor.name}.fp16"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
        to = onnx.TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=to))
    nodes = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend(casts + nodes)


def write_openvino(path: Path, model: Model, notes: NetNotes, clips: list[Batch]) -> None:
    """Two files, graph (.xml) and weights (.bin); the notes are its rt_info.

    fp16 halves stored weights only; a CPU with bf16 calculates in that, whatever is stored.
    """
    import openvino as ov

    graph = run_openvino.read(model)
    if notes.precision == "int8":
        graph = quantise(graph, clips)
    graph.inputs[0].get_tensor().set_names({run_onnx.INPUT})
    graph.get_parameters()[0].set_layout(ov.Layout(LAYOUT))
    for output, name in zip(graph.outputs, model.outputs, strict=True):
        output.get_tensor().set_names({name})
    for key, value in notes.to_metadata().items():
        graph.set_rt_info(value, [run_openvino.NOTES, key])
    ov.save_model(graph, path, compress_to_fp16=notes.precision == "fp16")


def write_torchscript(path: Path, model: Model, notes: NetNotes, clips: list[Batch]) -> None:
    """One file; the notes are an extra file inside. bf16: calculates in it, on any device."""
    cast: AbstractContextManager[Any] = nullcontext()
    if notes.precision == "bf16":
        cast = torch.autocast("cpu", torch.bfloat16)
    with cast:
        traced = trace(model)
    extra = {Path(run_torch.NOTES).name: json.dumps(notes.to_metadata())}
    torch.jit.save(traced, str(path), _extra_files=extra)  # type: ignore[no-untyped-call]


Write = Callable[[Path, Model, NetNotes, list[Batch]], None]


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        suffix: of its name.
        precisions: that it can hold.
        packages: what writing and checking it needs.
        backend: what computes it for the check.
        write: to a path, of a model of a torch module and its notes; clips are for int8.
        beside: suffixes of the files that come with it, of the same name.
    """

    suffix: str
    precisions: tuple[str, ...]
    packages: tuple[str, ...]
    backend: str
    write: Write
    beside: tuple[str, ...] = ()

    def files(self, path: Path) -> list[Path]:
        """All files of a net at a path."""
        return [path, *(path.with_suffix(suffix) for suffix in self.beside)]

    @contextmanager
    def staged(self, path: Path) -> Iterator[Path]:
        """Yield a path to write to; what is there when the block succeeds gets its name."""
        with atomic_path(path) as temporary:
            others = list(zip(self.files(temporary)[1:], self.files(path)[1:], strict=True))
            try:
                yield temporary
                for here, there in others:
                    os.replace(here, there)
            finally:
                for here, _ in others:
                    here.unlink(missing_ok=True)


FORMATS = {
    "onnx": Format(".onnx", ("fp32", "fp16", "int8"), ("onnx", "onnxruntime"), "onnx", write_onnx),
    "openvino": Format(
        run_openvino.XML,
        ("fp32", "fp16", "int8"),
        ("openvino",),
        "openvino",
        write_openvino,
        beside=(run_openvino.BIN,),
    ),
    "torchscript": Format(run_torch.TORCHSCRIPT, ("fp32", "bf16"), (), "torch", write_torchscript),
}
