"""Test-time mirroring: what a net says of frames and of their mirror images, averaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nets.runner import Batch, Maps, Runner

FloatMaps = npt.NDArray[np.float32]

# How channels change in a mirror: left and right edges change places, x turns its sign.
SWAPS = {"box": [2, 1, 0, 3]}
SIGNS = {"motion": np.array([-1, 1], np.float32)[:, None, None]}


def mirrored(runner: Runner) -> Runner:
    """A runner that takes twice the time and returns the mean over a batch and its mirror image.

    Batches are (B, T, 3, H, W), their width a multiple of the net's stride, so that cells fall on
    cells; maps are (B, T, C, h, w). Box distances are averaged as logarithms, as the net learns
    them.
    """

    def run(batch: Batch) -> Maps:
        straight = runner(batch)
        turned = runner(np.ascontiguousarray(batch[..., ::-1]))
        return {
            name: _mean(name, maps, _turn(name, turned[name])) for name, maps in straight.items()
        }

    return Runner(f"{runner.name}, mirrored", run, parallel=runner.parallel)


def _turn(name: str, maps: FloatMaps) -> FloatMaps:
    """Maps of a mirror image as maps of the image."""
    back = maps[..., ::-1]
    if name in SWAPS:
        back = back[:, :, SWAPS[name]]
    return back * SIGNS[name] if name in SIGNS else back


def _mean(name: str, one: FloatMaps, other: FloatMaps) -> FloatMaps:
    mean = np.sqrt(one * other) if name == "box" else (one + other) / 2
    return mean.astype(np.float32, copy=False)
