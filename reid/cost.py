"""Which track and which detection can belong together, and how well they overlap.

The linker costs only the pairs returned here. In a large crowd nearly all pairs lie far apart, so a
KD-tree finds the plausible ones first and the work grows with their number, not with N × M.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# Up to this many pairs all of them are costed: building a tree takes longer than that.
_DENSE_PAIRS = 20_000


class Pairs(NamedTuple):
    """Pairs of overlapping boxes as columns (P,), ordered by row, then column."""

    row: Index
    column: Index
    iou: Array


def overlapping_pairs(first_ltwh: Array, second_ltwh: Array, min_iou: float) -> Pairs:
    """Return all pairs with an intersection over union of at least `min_iou` and above 0.

    Args:
        first_ltwh: (N, 4) left, top, width, height; the rows of the pairs.
        second_ltwh: (M, 4); the columns.
        min_iou: 0..1.
    """
    if len(first_ltwh) * len(second_ltwh) <= _DENSE_PAIRS:
        row, column, iou = _dense_iou(first_ltwh, second_ltwh)
    else:
        row, column = near_pairs(first_ltwh, second_ltwh, min_iou)
        iou = _iou(first_ltwh[row].T, second_ltwh[column].T)
    keep = np.flatnonzero((iou >= min_iou) & (iou > 0))
    return Pairs(row[keep], column[keep], iou[keep])


def near_pairs(first_ltwh: Array, second_ltwh: Array, min_iou: float) -> tuple[Index, Index]:
    """Return a superset of the pairs with at least `min_iou`, found by a KD-tree.

    Boxes of widths a and b whose IoU is at least t overlap by at least t·max(a, b) along x, so
    their widths differ by at most the factor 1/t and their centres by at most a·(1/t − 1)/2 or,
    when the second is the narrower one, a·(1 − t); the same holds along y. So each box of the first
    set has a radius of its own, and a single large box does not widen everyone's search.
    """
    if not len(first_ltwh) or not len(second_ltwh):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    reach = first_ltwh[:, 2:] * np.maximum((1 / max(min_iou, 1e-9) - 1) / 2, 1 - min_iou)
    # Any overlap at all bounds the distance as well: half of both sizes.
    reach = np.minimum(reach, (first_ltwh[:, 2:] + second_ltwh[:, 2:].max(axis=0)) / 2)
    # The tree searches squares; typical boxes become squares when x and y are in units of them.
    unit = np.maximum(np.median(first_ltwh[:, 2:], axis=0), 1e-9)
    centres = (second_ltwh[:, :2] + second_ltwh[:, 2:] / 2) / unit
    tree = cKDTree(centres, balanced_tree=False, compact_nodes=False)
    found = tree.query_ball_point(
        (first_ltwh[:, :2] + first_ltwh[:, 2:] / 2) / unit,
        (reach / unit).max(axis=1) * (1 + 1e-9),
        p=np.inf,
        return_sorted=True,
    )
    counts = np.fromiter(map(len, found), np.intp, len(found))
    column = np.fromiter((c for cell in found for c in cell), np.intp, int(counts.sum()))
    return np.repeat(np.arange(len(found)), counts), column


def _dense_iou(first_ltwh: Array, second_ltwh: Array) -> tuple[Index, Index, Array]:
    """Cost all pairs by broadcasting; return those that overlap."""
    iou = _iou(first_ltwh.T[:, :, None], second_ltwh.T[:, None, :])
    row, column = np.nonzero(iou)
    return row, column, iou[row, column]


def _iou(first: Array, second: Array) -> Array:
    """Intersection over union of (4, …) columns left, top, w, h, broadcast; sizes are positive."""
    left, top, width, height = first
    left_2, top_2, width_2, height_2 = second
    across = np.minimum(left + width, left_2 + width_2) - np.maximum(left, left_2)
    down = np.minimum(top + height, top_2 + height_2) - np.maximum(top, top_2)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    ratio: Array = shared / (width * height + width_2 * height_2 - shared)
    return ratio
