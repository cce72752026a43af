"""Runners of OpenVINO on a CPU: a module, an OpenVINO model (.xml and .bin), or an ONNX file."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from mot.errors import InputError
from nets.runner import MODULE, Batch, Maps, Model, Place, Runner, trace

XML, BIN = ".xml", ".bin"
READS = (MODULE, XML, ".onnx")
NOTES = "footfall"  # section of a model's runtime information
ONNX_NOTES = "framework"  # where OpenVINO puts the metadata of an ONNX file
STREAMS = 2  # batches at once: threads of one batch wait for one another, those of two do not


def runner(model: Model, place: Place) -> Runner:
    """Compile a model; a steady one again for every shape of batch that it meets.

    Raises:
        InputError: a file that OpenVINO cannot read.
    """
    graph = read(model)
    streams = min(STREAMS, place.threads)
    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if place.bf16 else "f32",
        "INFERENCE_NUM_THREADS": place.threads,
        "NUM_STREAMS": streams if model.steady else 1,
    }
    compiled = _Compiled(graph, hints, steady=model.steady)

    def run(batch: Batch) -> Maps:
        free = compiled.requests(batch.shape)
        request = free.get()
        try:
            results = request.infer([batch], share_inputs=True)
            return {name: np.array(results[k]) for k, name in enumerate(model.outputs)}
        finally:
            free.put(request)

    computes = "bf16" if place.bf16 else "fp32"
    name = model.precision if model.precision == "int8" else computes
    return Runner(f"openvino {name}", run, parallel=streams)


def read(model: Model) -> Any:
    """OpenVINO's graph of a model, its open axes open and named.

    Raises:
        InputError: a file that OpenVINO cannot read.
    """
    import openvino as ov

    if model.form != MODULE:
        return read_file(Path(model.file))
    axes = [-1 if isinstance(axis, str) else axis for axis in model.axes]
    return ov.convert_model(trace(model), input=[(axes, np.uint8)])


def metadata(path: Path) -> dict[str, str]:
    """Text by key that a file carries; nothing where it is another's.

    Raises:
        InputError: a file that OpenVINO cannot read.
    """
    graph = read_file(path)
    section = NOTES if path.suffix.lower() == XML else ONNX_NOTES
    if not graph.has_rt_info([section]):
        return {}
    noted = graph.get_rt_info([section]).value
    return {str(key): str(value) for key, value in noted.items()}


def read_file(path: Path) -> Any:
    """OpenVINO's graph of a file (.xml with its .bin, or .onnx).

    Raises:
        InputError: a missing part, or a file that OpenVINO cannot read.
    """
    import openvino as ov

    weights = path.with_suffix(BIN)
    if path.suffix.lower() == XML and not weights.is_file():
        raise InputError(path, f"{weights.name} beside it", "no such file", "copy both files")
    try:
        return ov.Core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        remedy = "copy the file again, or export the net again"
        raise InputError(path, "a model that OpenVINO reads", reason, remedy) from error


# OpenVINO's Python side sets itself up at its first inference, and hangs where two threads do so
# at once: whatever is compiled is run once, by one thread at a time, before others may.
_ALONE = threading.Lock()


class _Compiled:
    """A graph compiled for the shape at hand, and its requests that are free."""

    def __init__(self, graph: Any, hints: dict[str, Any], *, steady: bool) -> None:
        self._graph, self._hints, self._steady = graph, hints, steady
        self._shape: tuple[int, ...] | None = None
        self._free: SimpleQueue[Any] = SimpleQueue()

    def requests(self, shape: tuple[int, ...]) -> SimpleQueue[Any]:
        """The queue to take a request for this shape from, and to put it back into."""
        with _ALONE:
            if self._shape is None or (self._steady and shape != self._shape):
                self._compile(shape)
            return self._free

    def _compile(self, shape: tuple[int, ...]) -> None:
        import openvino as ov

        graph = self._graph
        if self._steady:
            graph = graph.clone()
            graph.reshape(list(shape))
        compiled = ov.Core().compile_model(graph, "CPU", self._hints)
        requests = [compiled.create_infer_request() for _ in range(self._hints["NUM_STREAMS"])]
        np.array(requests[0].infer([np.zeros(shape, np.uint8)], share_inputs=True)[0])
        self._shape, self._free = shape, SimpleQueue()
        for request in requests:
            self._free.put(request)
