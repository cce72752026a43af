"""Runners of ONNX Runtime, on a CPU or a CUDA GPU: a module, or an ONNX file."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from mot.errors import InputError
from nets.runner import MODULE, AsTuple, Batch, Maps, Model, Place, Runner

READS = (MODULE, ".onnx")
OPSET = 17
INPUT = "frames"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PARALLEL = 2  # batches at once, which share the threads
FATAL_ONLY = 4  # of the runtime's log: what went wrong is said in one line of ours


def runner(model: Model, place: Place) -> Runner:
    """Open a session; it takes any size of batch.

    Raises:
        InputError: a file that the runtime cannot read, or a build of it without this device.
    """
    import onnxruntime as ort  # type: ignore[import-untyped]

    device = place.device.type
    provider = PROVIDERS[device]
    if provider not in ort.get_available_providers():
        expected = "onnxruntime with CUDA"
        remedy = "pip install onnxruntime-gpu, or --device cpu"
        raise InputError("--backend onnx", expected, f"onnxruntime {ort.__version__}", remedy)
    session = _open(to_onnx(model) if model.form == MODULE else model.file, provider, place.threads)
    entry = session.get_inputs()[0].name

    def run(batch: Batch) -> Maps:
        return dict(zip(model.outputs, session.run(model.outputs, {entry: batch}), strict=True))

    computes = model.precision if model.precision == "int8" else "fp32"
    return Runner(f"onnx {computes}", run, PARALLEL if device == "cpu" else 1)


def metadata(path: Path) -> dict[str, str]:
    """Text by key that an ONNX file carries; nothing where it is another's.

    Raises:
        InputError: a file that the runtime cannot read.
    """
    return dict(_open(str(path), PROVIDERS["cpu"], 1).get_modelmeta().custom_metadata_map)


def _open(model: bytes | str, provider: str, threads: int) -> Any:
    import onnxruntime as ort  # type: ignore[import-untyped]

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL_ONLY
    try:
        return ort.InferenceSession(model, options, providers=[provider])
    # The runtime's exceptions have no base class but Exception.
    except Exception as error:
        where = model if isinstance(model, str) else "--backend onnx"
        reason = str(error).strip().splitlines()[0]
        remedy = "export the net again"
        raise InputError(where, "a model that onnxruntime reads", reason, remedy) from error


def to_onnx(model: Model) -> bytes:
    """A module as an ONNX file, open axes open and named, weights inside.

    Raises:
        InputError: ONNX has no words for something that the module does.
    """
    buffer = io.BytesIO()
    # Cells of the maps follow the input's size.
    cells: dict[str, dict[int, str]] = {}
    if model.steady:
        cells = {name: {3: "rows", 4: "columns"} for name in model.outputs}
    else:
        cells = {name: {0: str(model.axes[0])} for name in model.outputs}
    axes: dict[str, Any] = {INPUT: _open_axes(model), **cells}
    try:
        _export(model, buffer, axes)
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).splitlines()[0]
        remedy = "use another backend"
        raise InputError("ONNX", "a net that it can hold", reason, remedy) from error
    return buffer.getvalue()


def _export(model: Model, buffer: io.BytesIO, axes: dict[str, Any]) -> None:
    with torch.inference_mode(), warnings.catch_warnings():
        # Shape checks compare lengths, of which some are open; and this exporter, which needs no
        # more packages, is not torch's newest.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            AsTuple(model.module).eval(),
            (model.example(),),
            buffer,  # type: ignore[arg-type]  # this exporter takes a buffer too
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(model.outputs),
            dynamic_axes=axes,
        )


def _open_axes(model: Model) -> dict[int, str]:
    return {place: axis for place, axis in enumerate(model.axes) if isinstance(axis, str)}
