"""Test-time image pyramid: what a net says of frames at several sizes, averaged on one grid.

What is too large for the net in the frames themselves is of its size in smaller ones (E. Adelson et
al., "Pyramid methods in image processing", 1984).
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from mot.images import resize
from nets.averaged import mean_maps
from nets.notes import SIZE_GRID
from nets.runner import Batch, Maps, Runner

FloatMaps = npt.NDArray[np.float32]

# Distances in input pixels, by channel: along x (0) or along y (1).
ALONG = {"box": (0, 1, 0, 1), "motion": (0, 1)}


def pyramid(runners: Mapping[float, Runner]) -> Runner:
    """A runner that asks each of them at its size and returns the mean of their maps.

    Batches are uint8 (B, T, 3, H, W); maps (B, T, C, h, w) are those of frames at factor 1, whoever
    saw them. The sum of a density stays what the net said.

    Args:
        runners: by the factor on height and width at which they look, one of them 1.
    """
    base = runners[1]
    sizes = ", ".join(f"{factor:g}" for factor in runners)

    def run(batch: Batch) -> Maps:
        maps = base(batch)
        cells_hw = next(iter(maps.values())).shape[-2:]
        others = [
            _onto(runner(_resized(batch, factor)), cells_hw)
            for factor, runner in runners.items()
            if factor != 1
        ]
        return mean_maps([maps, *others])

    return Runner(f"{base.name}, sizes {sizes}", run, parallel=base.parallel)


def _resized(batch: Batch, factor: float) -> Batch:
    """Frames at about `factor` times their size, on the grid that nets ask for."""
    height, width = (
        max(1, round(side * factor / SIZE_GRID)) * SIZE_GRID for side in batch.shape[-2:]
    )
    frames = batch.reshape(-1, *batch.shape[2:]).transpose(0, 2, 3, 1)
    small = np.stack([resize(np.ascontiguousarray(f), (height, width)) for f in frames])
    turned = small.transpose(0, 3, 1, 2).reshape(*batch.shape[:3], height, width)
    return np.ascontiguousarray(turned)


def _onto(maps: Maps, cells_hw: tuple[int, ...]) -> Maps:
    """Maps resized to a grid of that many cells, their values with them."""
    return {name: _resized_map(name, each, cells_hw) for name, each in maps.items()}


def _resized_map(name: str, each: FloatMaps, cells_hw: tuple[int, ...]) -> FloatMaps:
    rows, columns = cells_hw
    planes = each.reshape(-1, *each.shape[-2:])
    # By area where it shrinks: between the cells that linear looks at somebody would be lost.
    shrinks = rows * columns < planes[0].size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.stack([cv2.resize(plane, (columns, rows), interpolation=how) for plane in planes])
    resized = resized.reshape(*each.shape[:-2], rows, columns)
    if name == "density":
        before, after = (m.sum(axis=(-2, -1), keepdims=True) for m in (each, resized))
        return np.asarray(resized * np.divide(before, np.maximum(after, 1e-12)), np.float32)
    if name in ALONG:
        factors = columns / each.shape[-1], rows / each.shape[-2]
        scale = np.array([factors[axis] for axis in ALONG[name]], np.float32)
        return np.asarray(resized * scale[:, None, None], np.float32)
    return resized
