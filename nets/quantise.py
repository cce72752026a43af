"""Graphs in int8: post-training quantisation by NNCF, from a few windows of frames.

Weights and the inputs of convolutions become whole numbers of 8 bits; ranges are measured on the
windows. NNCF is no part of what Footfall runs on.
"""

from __future__ import annotations

import logging
from typing import Any

from nets.runner import Batch


def quantise(graph: Any, clips: list[Batch], entry: str | None = None) -> Any:
    """Quantise a graph of OpenVINO or an ONNX model.

    Args:
        graph: as the library holds it.
        clips: what the net sees, uint8; ranges of activations are measured on them.
        entry: name of the input, for ONNX.
    """
    import nncf  # type: ignore[import-untyped]

    logging.getLogger("nncf").setLevel(logging.ERROR)
    batches = [{entry: clip} if entry else clip for clip in clips]
    return nncf.quantize(
        graph,
        nncf.Dataset(batches),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(batches),
        fast_bias_correction=True,
    )
