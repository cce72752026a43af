"""Keypoints to label maps and back: one map per kind of point, a Gaussian at each labelled one.

Heat convention: a map's value is exp(−d²/2σ²), d measured from the exact place of the nearest
point to the cell's centre. So the peak is 1 at the point itself, which mostly lies between cells'
centres, and reading the peak's place off the cells around it (`find_keypoints`) gives the point
back without the rounding to cells. The sum of such a map means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelmaps.render import ignore_mask, map_size
from mot.errors import InputError
from mot.keypoints import Keypoints

Map = npt.NDArray[np.float32]

SIGMA_SHARE = 0.04  # of the larger side of the person's box
MIN_SIGMA_CELLS = 1.0  # narrower ones would fall between the cells' centres
CUT = 4.0  # sigmas at which a Gaussian ends; exp(-8) = 0.0003
FLOOR = 1e-6  # below it a map's logarithm says nothing


@dataclass(frozen=True)
class KeypointTargets:
    """Label maps of T frames.

    Attributes:
        heat: (T, K, h, w) float32 in 0..1.
        weight: (T, K, h, w) float32, 0 = teaches nothing: within the box of somebody whose point K
            is not labelled, so that it may be anywhere there. Else 1.
    """

    heat: Map
    weight: Map


def keypoint_targets(
    keypoints: Keypoints,
    frames: npt.ArrayLike,
    size_hw: tuple[int, int],
    *,
    stride: int = 4,
    sigma_share: float = SIGMA_SHARE,
) -> KeypointTargets:
    """Paint the label maps of some frames.

    Args:
        keypoints: people, in pixels of the frames; those of other frames are passed over.
        frames: (T,) 1-based numbers of the frames to paint.
        size_hw: height and width of the frames in pixels.
        stride: pixels per cell.
        sigma_share: width of the Gaussians as a share of the larger side of a person's box; never
            below `MIN_SIGMA_CELLS`.

    Raises:
        InputError: a size, stride or share that cannot be.
    """
    height, width = map_size(size_hw, stride)
    if not 0 < sigma_share < 1:
        raise InputError("sigma", "a share of the box in (0, 1)", sigma_share, "try 0.04")
    numbers = np.asarray(frames, np.int64).reshape(-1)
    shape = len(numbers), len(keypoints.names), height, width
    heat, weight = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    for index, number in enumerate(numbers.tolist()):
        people = keypoints[keypoints.frame == number]
        _paint(heat[index], people, stride, sigma_share)
        for box, known in zip(people.ltwh, people.labelled, strict=True):
            if not known.all():
                mask = ignore_mask(box[None], size_hw, stride=stride)
                weight[index, ~known] *= ~mask
        # A labelled point teaches wherever it is, also within another person's box.
        np.maximum(weight[index], heat[index] > 0, out=weight[index])
    return KeypointTargets(heat, weight)


def _paint(heat: Map, people: Keypoints, stride: int, sigma_share: float) -> None:
    """Paint one frame's people into (K, h, w), the maximum where they meet.

    All points of a person are painted at once, on the window that holds them.
    """
    sigma = np.maximum(sigma_share * people.ltwh[:, 2:].max(axis=1), MIN_SIGMA_CELLS * stride)
    reach = CUT * sigma
    sizes = heat.shape[:0:-1]  # cells along x, along y
    for row, known in enumerate(people.labelled):
        points = people.xy[row, known].astype(np.float64)
        if not len(points):
            continue
        profiles, windows = [], []
        for axis in (0, 1):
            place = points[:, axis]
            first = int(np.clip((place.min() - reach[row]) // stride, 0, sizes[axis]))
            end = int(np.clip((place.max() + reach[row]) // stride + 1, first, sizes[axis]))
            centres = (np.arange(first, end) + 0.5) * stride
            squares = ((centres - place[:, None]) / sigma[row]) ** 2
            profiles.append(np.where(squares <= CUT**2, np.exp(-0.5 * squares), 0))
            windows.append(slice(first, end))
        across, down = (profile.astype(np.float32) for profile in profiles)
        target = heat[known, windows[1], windows[0]]
        heat[known, windows[1], windows[0]] = np.maximum(target, down[:, :, None] * across[:, None])


def find_keypoints(
    heat: npt.ArrayLike, *, stride: int = 4, refine: bool = True
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read one point per map: the highest cell, moved to where the Gaussian around it peaks.

    A Gaussian's logarithm is a parabola, whose summit three cells in a row give exactly: the
    second-order refinement of DARK (arXiv:1910.06278, eq. 8) along each axis. At the map's edge, or
    where the neighbours do not curve down, the cell's centre stands.

    Args:
        heat: (..., h, w) maps; values below 0 count as 0.
        stride: pixels per cell.
        refine: False for the cells' centres.

    Returns:
        Points (..., 2) in pixels of the input, and scores (...): the maps' values at the highest
        cells.

    Raises:
        InputError: maps without cells, or values that are not finite.
    """
    maps = np.asarray(heat, np.float32)
    if maps.ndim < 2 or 0 in maps.shape[-2:] or not np.isfinite(maps).all():
        got = f"shape {maps.shape}" if np.isfinite(maps).all() else "NaN or infinity"
        raise InputError("keypoint map", "finite maps (..., h, w)", got, "check the net")
    height, width = maps.shape[-2:]
    flat = np.maximum(maps, 0).reshape(-1, height, width)
    best = flat.reshape(len(flat), -1).argmax(axis=1)
    rows, columns = np.divmod(best, width)
    score = flat[np.arange(len(flat)), rows, columns]
    place = np.stack([columns, rows], axis=1) + 0.5
    if refine:
        place += _summits(flat, rows, columns)
    lead = maps.shape[:-2]
    xy = (place * stride).astype(np.float32)
    return xy.reshape(*lead, 2), score.reshape(lead)


def _summits(
    maps: Map, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Offset of the parabolas' summits from the highest cells, (M, 2) in cells, at most a half."""
    logs = np.log(np.maximum(np.pad(maps, ((0, 0), (1, 1), (1, 1))), FLOOR).astype(np.float64))
    which, y, x = np.arange(len(maps)), rows + 1, columns + 1
    middle = logs[which, y, x]
    offsets = np.zeros((len(maps), 2))
    for axis, (dy, dx) in enumerate(((0, 1), (1, 0))):
        before, after = logs[which, y - dy, x - dx], logs[which, y + dy, x + dx]
        curve = before - 2 * middle + after
        at, last = (columns, maps.shape[2] - 1) if axis == 0 else (rows, maps.shape[1] - 1)
        sound = (curve < 0) & (at > 0) & (at < last)
        shift = 0.5 * (before - after) / np.where(sound, curve, 1.0)
        offsets[:, axis] = np.where(sound, np.clip(shift, -0.5, 0.5), 0)
    return offsets
