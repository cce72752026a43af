"""Boxes to label maps: paints every person's kernel on its own window of the map.

Coordinates: pixel k covers k..k+1, so a frame spans 0..W; cell c covers c·stride..(c+1)·stride,
the last one only up to the frame's edge. Density kinds integrate the kernel over each cell, so a
map at stride s is the sum-pooled map at stride 1; nothing is ever resized.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from labelmaps.kernels import MENU, DensityKernel, HeatKernel
from mot.errors import InputError

Map = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Kernels narrower than this are points and wider ones flat, at any frame size; beyond the limits
# differences of cumulatives would drown in rounding.
REACH_LIMITS_PX = (1e-3, 1e6)


def map_size(size_hw: tuple[int, int], stride: int) -> tuple[int, int]:
    """Cells (h, w) that cover a frame of (H, W) pixels; the last ones may reach over its edge.

    Raises:
        InputError: no pixels, or a stride below 1.
    """
    if min(size_hw) < 1 or stride < 1:
        got = f"size {size_hw}, stride {stride}"
        raise InputError("map size", "a frame and a stride of at least 1 px", got, "check both")
    return -(-size_hw[0] // stride), -(-size_hw[1] // stride)


def checked_boxes(boxes_ltwh: npt.ArrayLike) -> Array:
    """Return boxes as float64 (N, 4).

    Raises:
        InputError: another shape, a value that is not finite, a negative width or height.
    """
    boxes = np.asarray(boxes_ltwh, np.float64)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError("boxes", "shape (N, 4)", f"shape {boxes.shape}", "pass left, top, w, h")
    bad = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < 0).any(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        expected = "finite left, top, width, height, sizes not negative"
        raise InputError(f"box {row}", expected, boxes[row].tolist(), "check the annotations")
    return boxes


def inside_frame(boxes: Array, size_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mask (N,) of the boxes whose centre lies in the frame: 0 ≤ x < W, 0 ≤ y < H."""
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    return np.asarray(((centres >= 0) & (centres < size_hw[::-1])).all(axis=1))


def render(
    boxes_ltwh: npt.ArrayLike,
    size_hw: tuple[int, int],
    *,
    stride: int = 4,
    kind: str = "gaussian",
    labelrate: float = 1.0,
) -> Map:
    """Paint the label map of one frame.

    People whose centre lies outside the frame contribute nothing. Each other person's kernel,
    clipped at the frame's edges, is divided by its own sum: a density map sums to the number of
    people whose centre lies inside. Heat kinds (`centre`, `fidt`) are 1 at each centre cell.

    Args:
        boxes_ltwh: (N, 4) left, top, width, height in pixels of the frame; N may be 0.
        size_hw: height and width of the frame in pixels.
        stride: pixels per cell.
        kind: a name of `labelmaps.kernels.MENU`.
        labelrate: gain on the whole map.

    Returns:
        Map (ceil(H / stride), ceil(W / stride)).

    Raises:
        InputError: unknown kind, unusable boxes, size, stride or labelrate.
    """
    if kind not in MENU:
        raise InputError("label map kind", f"one of {', '.join(MENU)}", kind, "choose another kind")
    if not np.isfinite(labelrate):
        raise InputError("labelrate", "a finite gain", labelrate, "try 30")
    cells_hw = map_size(size_hw, stride)
    boxes = checked_boxes(boxes_ltwh)
    boxes = boxes[inside_frame(boxes, size_hw)]
    if len(boxes) == 0:
        return np.zeros(cells_hw, np.float32)
    kernel = MENU[kind]
    if isinstance(kernel, DensityKernel):
        painted = _paint_density(boxes, size_hw, cells_hw, stride, kernel)
    else:
        painted = _paint_heat(boxes, cells_hw, stride, kernel)
    if labelrate != 1.0:
        painted *= np.float32(labelrate)
    return painted


def _paint_density(
    boxes: Array,
    size_hw: tuple[int, int],
    cells_hw: tuple[int, int],
    stride: int,
    kernel: DensityKernel,
) -> Map:
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    reach = np.clip(kernel.reach_px(boxes[:, 2:]), *REACH_LIMITS_PX)
    columns, across = _axis_shares(
        centres[:, 0], reach[:, 0], size_hw[1], cells_hw[1], stride, kernel.cumulative
    )
    rows, down = _axis_shares(
        centres[:, 1], reach[:, 1], size_hw[0], cells_hw[0], stride, kernel.cumulative
    )
    painted = np.zeros(cells_hw, np.float32)
    for (top, bottom), (left, right), ys, xs in zip(rows, columns, down, across, strict=True):
        painted[top:bottom, left:right] += ys[: bottom - top, None] * xs[: right - left]
    return painted


def _axis_shares(
    centres: Array,
    reach: Array,
    size: int,
    cells: int,
    stride: int,
    cumulative: Callable[[Array], Array],
) -> tuple[list[list[int]], Map]:
    """Each person's mass per cell along one axis.

    Returns:
        First and end cell of each window (N × 2), and shares (N, K) padded with zeros, which sum
        to 1 over the part of the kernel that lies in the frame.
    """
    first = np.clip((centres - reach) // stride, 0, cells - 1).astype(np.int64)
    end = np.clip(-(-(centres + reach) // stride), first + 1, cells).astype(np.int64)
    widest = int((end - first).max())
    edges = np.minimum((first[:, None] + np.arange(widest + 1)) * stride, size)
    u = np.clip((edges - centres[:, None]) / reach[:, None], -1.0, 1.0)
    shares = np.diff(cumulative(u), axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.stack([first, end], axis=1).tolist(), shares.astype(np.float32)


def _paint_heat(boxes: Array, cells_hw: tuple[int, int], stride: int, kernel: HeatKernel) -> Map:
    """Value of the nearest person, nearest in that person's own units.

    The value falls with distance, so that the maximum over people is the value at the smallest
    distance: windows hold sums of two squares, and the costly function runs once per cell.
    """
    cells = ((boxes[:, :2] + boxes[:, 2:] / 2) // stride).astype(np.int64)
    unit = kernel.unit_px(boxes[:, 2:], stride)
    columns, across = axis_squares(cells[:, 0], unit[:, 0], kernel.cut, cells_hw[1], stride)
    rows, down = axis_squares(cells[:, 1], unit[:, 1], kernel.cut, cells_hw[0], stride)
    nearest = np.full(cells_hw, np.inf, np.float32)
    for (top, bottom), (left, right), ys, xs in zip(rows, columns, down, across, strict=True):
        window = nearest[top:bottom, left:right]
        np.minimum(window, ys[: bottom - top, None] + xs[: right - left], out=window)
    near = nearest <= np.float32(kernel.cut**2)
    painted = np.zeros(cells_hw, np.float32)
    painted[near] = kernel.fall(nearest[near])
    return painted


def axis_squares(
    cells_at: Ints, unit_px: Array, cut: float, cells: int, stride: int
) -> tuple[list[list[int]], Map]:
    """Squared distance of cells to each person's centre cell along one axis, in units.

    Args:
        cells_at: centre cells (N,), within the map.
        unit_px: what counts as distance 1 for each person (N,), in pixels.
        cut: distance at which the windows end.
        cells: length of the axis.
        stride: pixels per cell.

    Returns:
        First and end cell of each window (N × 2), and squares (N, K), valid within the window.
    """
    reach = np.minimum(np.ceil(cut * unit_px / stride), cells).astype(np.int64)
    first = np.maximum(cells_at - reach, 0)
    end = np.minimum(cells_at + reach + 1, cells)
    offsets = first[:, None] + np.arange(int((end - first).max())) - cells_at[:, None]
    squares = (offsets * (stride / unit_px[:, None])) ** 2
    return np.stack([first, end], axis=1).tolist(), squares.astype(np.float32)


def ignore_mask(
    boxes_ltwh: npt.ArrayLike, size_hw: tuple[int, int], *, stride: int = 4
) -> npt.NDArray[np.bool_]:
    """Mark the cells whose centre lies in one of the boxes (N, 4); True = teach nothing here.

    A box too small to hold a cell's centre marks the cell that its own centre is in.

    Raises:
        InputError: unusable boxes, size or stride.
    """
    height, width = map_size(size_hw, stride)
    boxes = checked_boxes(boxes_ltwh)
    mask = np.zeros((height, width), bool)
    limits = np.array([width, height])
    first = np.ceil(boxes[:, :2] / stride - 0.5)
    end = np.ceil((boxes[:, :2] + boxes[:, 2:]) / stride - 0.5)
    own = (boxes[:, :2] + boxes[:, 2:] / 2) // stride
    first = np.where(end > first, first, own)
    end = np.maximum(end, first + 1)
    lefts_tops = np.clip(first, 0, limits).astype(np.int64).tolist()
    rights_bottoms = np.clip(end, 0, limits).astype(np.int64).tolist()
    for (left, top), (right, bottom) in zip(lefts_tops, rights_bottoms, strict=True):
        mask[top:bottom, left:right] = True
    return mask
