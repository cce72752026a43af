"""Targets of the box head: which cell teaches which person's box, and how much it weighs.

After TTFNet (arXiv:1909.00700): cells near a person's centre teach too, with the weight of a
Gaussian of the box's size, so that a peak that is a cell off still reads a good box.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from labelmaps.render import axis_squares, checked_boxes, inside_frame, map_size

REGION = 0.54  # share of the box's width and height that teaches (alpha of TTFNet)
REGION_SIGMAS = 3.0  # the region's half width in sigmas of its weight
SMALLEST_SIGMA_PX = 1e-3  # boxes without area teach their centre cell only

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BoxTargets:
    """Targets of one frame.

    Attributes:
        boxes: (N, 4) left, top, width, height in pixels of the frame.
        stride: pixels per cell.
        weight: (h, w) float32, 1 at centre cells, falling to 0 around them.
        owner: (h, w) int32, index of the box that the cell teaches, −1 = none.
        distances: (4, h, w) float32, made when first asked for: left, top, right, bottom edges'
            distances in input pixels from the cell's centre, ((col + 0.5)·stride,
            (row + 0.5)·stride). Left is xc − left edge, right is right edge − xc: negative where
            the cell's centre is outside the box. 0 where nobody owns the cell.
    """

    boxes: Array
    stride: int
    weight: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int32]

    @cached_property
    def distances(self) -> npt.NDArray[np.float32]:
        """See above."""
        return _distances(self.boxes, self.owner, self.stride)


def box_targets(
    boxes_ltwh: npt.ArrayLike, size_hw: tuple[int, int], *, stride: int = 4
) -> BoxTargets:
    """Assign cells to people whose centre lies in the frame.

    Every person gets its centre cell; the nearer one (larger bottom edge) owns a cell that two
    claim, except that nobody's centre cell goes to a neighbour (of two people with the same centre
    cell the nearer one has it).

    Args:
        boxes_ltwh: (N, 4) left, top, width, height in pixels of the frame.
        size_hw: height and width of the frame in pixels.
        stride: pixels per cell.

    Raises:
        InputError: unusable boxes, size or stride.
    """
    cells_hw = map_size(size_hw, stride)
    boxes = checked_boxes(boxes_ltwh)
    owner = np.full(cells_hw, -1, np.int32)
    inside = np.flatnonzero(inside_frame(boxes, size_hw))
    from_far_to_near = inside[np.argsort((boxes[:, 1] + boxes[:, 3])[inside], kind="stable")]
    if len(inside) == 0:
        return BoxTargets(boxes, stride, np.zeros(cells_hw, np.float32), owner)
    weight = _claim_regions(boxes, from_far_to_near, stride, owner)
    # Stamped one by one in the same order; numpy keeps the last of equal indices.
    columns, rows = ((boxes[:, :2] + boxes[:, 2:] / 2)[from_far_to_near] // stride).astype(int).T
    owner[rows, columns] = from_far_to_near
    weight[rows, columns] = 1.0
    return BoxTargets(boxes, stride, weight, owner)


def _claim_regions(
    boxes: Array, order: npt.NDArray[np.int64], stride: int, owner: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Write the elliptic regions into `owner` in the given order, later ones over earlier ones.

    Returns:
        Weight of each cell (h, w).
    """
    chosen = boxes[order]
    cells = ((chosen[:, :2] + chosen[:, 2:] / 2) // stride).astype(np.int64)
    sigma_px = np.maximum(chosen[:, 2:] * (REGION / 2 / REGION_SIGMAS), SMALLEST_SIGMA_PX)
    columns, across = axis_squares(
        cells[:, 0], sigma_px[:, 0], REGION_SIGMAS, owner.shape[1], stride
    )
    rows, down = axis_squares(cells[:, 1], sigma_px[:, 1], REGION_SIGMAS, owner.shape[0], stride)
    squares = np.full(owner.shape, np.inf, np.float32)
    for index, (top, bottom), (left, right), ys, xs in zip(
        order.tolist(), rows, columns, down, across, strict=True
    ):
        window = ys[: bottom - top, None] + xs[: right - left]
        claimed = window <= REGION_SIGMAS**2
        np.copyto(squares[top:bottom, left:right], window, where=claimed)
        np.copyto(owner[top:bottom, left:right], index, where=claimed)
    weight: npt.NDArray[np.float32] = np.exp(np.float32(-0.5) * squares)
    return weight


def _distances(boxes: Array, owner: npt.NDArray[np.int32], stride: int) -> npt.NDArray[np.float32]:
    distances = np.zeros((4, *owner.shape), np.float32)
    rows, columns = np.nonzero(owner >= 0)
    left, top, width, height = boxes[owner[rows, columns]].T
    xc, yc = (columns + 0.5) * stride, (rows + 0.5) * stride
    distances[:, rows, columns] = np.stack(
        [xc - left, yc - top, left + width - xc, top + height - yc]
    )
    return distances
