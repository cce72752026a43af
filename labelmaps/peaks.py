"""Centre and box maps to detections: peaks, their boxes, and soft suppression of rivals.

The way back from `labelmaps.render` and `labelmaps.targets`: what they paint, this reads.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from labelmaps.targets import REGION
from mot.errors import InputError
from mot.shapes import expect

Array = npt.NDArray[np.float32]

NEIGHBOURHOOD = np.ones((3, 3), np.uint8)  # a peak is the maximum of these cells
ABOVE_ONE = 1e-3  # rounding that a probability may carry


def find_peaks(
    centre: npt.ArrayLike,
    distances: npt.ArrayLike,
    *,
    stride: int = 4,
    min_score: float = 0.1,
    max_boxes: int = 500,
    nms_iou: float = 0.6,
) -> tuple[Array, Array]:
    """Read detections from one frame's maps.

    A peak is a cell that no neighbour in 3×3 exceeds; its score is its probability, its box is
    read at the cell's centre. Then a peak loses score to better ones that claim the same person
    (`soften`). Peaks whose box has no area are dropped.

    Args:
        centre: (h, w) probabilities in 0..1.
        distances: (4, h, w) from the cell's centre ((col + 0.5)·stride, (row + 0.5)·stride) to the
            left, top, right and bottom edges, in pixels of the input.
        stride: pixels per cell.
        min_score: detections below are dropped, before and after suppression.
        max_boxes: the best so many peaks are looked at.
        nms_iou: overlap from which on two peaks are rivals wherever their centres are.

    Returns:
        Boxes (N, 4) left, top, width, height in pixels of the input, and scores (N,), both float32,
        best first.

    Raises:
        InputError: maps of other shapes, not finite, or probabilities outside 0..1.
    """
    heat = np.ascontiguousarray(centre, np.float32)
    edges = np.asarray(distances, np.float32)
    size = expect(heat, "h w", "centre map")
    expect(edges, f"4 {size['h']} {size['w']}", "distance map")
    _require_probabilities(heat)
    rows, columns = np.nonzero((heat == cv2.dilate(heat, NEIGHBOURHOOD)) & (heat >= min_score))
    best = np.argsort(-heat[rows, columns], kind="stable")[:max_boxes]
    rows, columns = rows[best], columns[best]
    score = np.minimum(heat[rows, columns], np.float32(1.0))
    left, top, right, bottom = edges[:, rows, columns]
    ltwh = np.stack(
        [
            (columns + 0.5) * stride - left,
            (rows + 0.5) * stride - top,
            left + right,
            top + bottom,
        ],
        axis=1,
    ).astype(np.float32)
    if not np.isfinite(ltwh).all():
        raise InputError("distance map", "finite distances", "NaN or infinity", "check the net")
    sound = (ltwh[:, 2:] > 0).all(axis=1)
    ltwh, score = ltwh[sound], score[sound]
    score = soften(ltwh, score, min_score=min_score, nms_iou=nms_iou)
    order = np.argsort(-score, kind="stable")
    order = order[score[order] >= min_score]
    return ltwh[order], score[order]


def _require_probabilities(heat: Array) -> None:
    lowest, highest = (float(heat.min()), float(heat.max())) if heat.size else (0.0, 0.0)
    # Comparisons with NaN are false, so this catches it too.
    if not (lowest >= 0 and highest <= 1 + ABOVE_ONE):
        raise InputError(
            "centre map",
            "probabilities in 0..1",
            f"values {lowest:.3g}..{highest:.3g}",
            "apply the sigmoid; a NaN comes from the net",
        )


def soften(ltwh: Array, score: Array, *, min_score: float, nms_iou: float) -> Array:
    """Lower the scores of peaks that claim the person of a better one.

    Linear Soft-NMS (arXiv:1704.04503): from the best down, each peak multiplies its rivals' scores
    by 1 − IoU. Rivals overlap by at least `nms_iou`, or have their centre in the region around the
    better one's centre whose cells teach that box (`targets.REGION`).

    Args:
        ltwh: (N, 4) boxes in pixels.
        score: (N,) scores.
        min_score: a peak that has fallen below it lowers no one's score.
        nms_iou: see above.

    Returns:
        Lowered scores (N,) in the same order.
    """
    boxes = ltwh.astype(np.float32)
    factor = _rival_factors(boxes, nms_iou)
    lowered = factor < 1
    contested = np.flatnonzero(lowered.any(axis=0) | lowered.any(axis=1))
    factor = factor[np.ix_(contested, contested)]
    softened = score.astype(np.float32)
    final = softened[contested]
    waiting = final.copy()  # scores of the peaks not yet settled, −1 afterwards
    for _ in range(len(contested)):
        index = int(waiting.argmax())
        if waiting[index] < min_score:
            break
        final[index] = waiting[index]
        waiting *= factor[index]
        waiting[index] = -1.0
        factor[:, index] = 1.0  # settled: nobody's to lower any more
    softened[contested] = np.where(waiting >= 0, waiting, final)
    return softened


def _rival_factors(boxes: Array, nms_iou: float) -> Array:
    """What row's peak multiplies column's score by, (N, N); 1 where they are not rivals."""
    size = boxes[:, 2:]
    centre = boxes[:, :2] + size / 2
    factor = np.ones((len(boxes), len(boxes)), np.float32)
    # Few pairs overlap at all: only those are looked at closely.
    touching = np.triu(np.ones(factor.shape, bool), k=1)
    for axis in (0, 1):
        gap = np.abs(centre[:, axis, None] - centre[:, axis])
        touching &= 2 * gap < size[:, axis, None] + size[:, axis]
    first, second = np.nonzero(touching)
    overlap = _pair_iou(boxes[first], boxes[second])
    apart = (centre[first] - centre[second]) / (REGION / 2)
    for mine, other in ((first, second), (second, first)):
        same_centre = ((apart / size[mine]) ** 2).sum(axis=1) <= 1
        rivals = same_centre | (overlap >= nms_iou)
        factor[mine[rivals], other[rivals]] = 1 - overlap[rivals]
    return factor


def _pair_iou(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Array:
    """Intersection over union of row with row, (N, 4) ltwh boxes with area; (N,)."""
    # Areas of huge or tiny boxes leave float32.
    first, second = first.astype(np.float64), second.astype(np.float64)
    near = np.maximum(first[:, :2], second[:, :2])
    far = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.maximum(far - near, 0).prod(axis=1)
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - shared
    return np.asarray(shared / union, np.float32)
