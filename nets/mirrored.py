"""Test-time mirroring: what a net says of frames and of their mirror images, averaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nets.averaged import mean_maps
from nets.runner import Batch, Maps, Runner

FloatMaps = npt.NDArray[np.float32]

# How channels change in a mirror: left and right edges change places, x turns its sign.
SWAPS = {"box": [2, 1, 0, 3]}
SIGNS = {"motion": np.array([-1, 1], np.float32)[:, None, None]}


def mirrored(runner: Runner) -> Runner:
    """A runner that takes twice the time and returns the mean over a batch and its mirror image.

    Batches are (B, T, 3, H, W), their width a multiple of the net's stride, so that cells fall on
    cells; maps are (B, T, C, h, w).
    """

    def run(batch: Batch) -> Maps:
        straight = runner(batch)
        turned = runner(np.ascontiguousarray(batch[..., ::-1]))
        return mean_maps([straight, {name: _turn(name, maps) for name, maps in turned.items()}])

    return Runner(f"{runner.name}, mirrored", run, parallel=runner.parallel)


def _turn(name: str, maps: FloatMaps) -> FloatMaps:
    """Maps of a mirror image as maps of the image."""
    back = maps[..., ::-1]
    if name in SWAPS:
        back = back[:, :, SWAPS[name]]
    return back * SIGNS[name] if name in SIGNS else back
