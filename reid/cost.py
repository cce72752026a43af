"""Which track and which detection can belong together, and how well they overlap.

The linker costs only the pairs returned here. In a large crowd nearly all pairs lie far apart, so a
grid finds the plausible ones first and the work grows with their number, not with N × M.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# Up to this many pairs all of them are compared: the search would take longer than that.
_DENSE_PAIRS = 40_000
# Pairs that are costed at a time: larger arrays leave the cache, which takes thrice as long.
_BATCH = 16_384


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
    count = len(second_ltwh)
    dense = len(first_ltwh) * count <= _DENSE_PAIRS
    find = all_near_pairs if dense else near_pairs
    row, column = find(first_ltwh, second_ltwh, min_iou)
    if not len(row):
        return Pairs(row, column, np.empty(0))
    iou = _iou(first_ltwh.T, second_ltwh.T, row, column)
    # The smallest normal number stands for "above 0".
    keep = (iou >= max(min_iou, sys.float_info.min)).nonzero()[0]
    if not dense:
        keep = keep[np.argsort(row[keep] * count + column[keep])]
    return Pairs(row[keep], column[keep], iou[keep])


def all_near_pairs(first_ltwh: Array, second_ltwh: Array, min_iou: float) -> tuple[Index, Index]:
    """Return a superset of the pairs with at least `min_iou`, ordered, by comparing all edges.

    Boxes whose IoU is at least t overlap by at least t of the first one's size along both axes: so
    they still touch when the first one's edges are drawn in by that much. A hundredth less, so that
    rounding loses no pair.
    """
    # In one piece: comparing columns that lie apart takes four times as long.
    first, second = np.ascontiguousarray(first_ltwh.T), np.ascontiguousarray(second_ltwh.T)
    size = first[2:]
    drawn_in = (0.99 * min_iou) * size
    # (2, N, M): along x and y. Four comparisons of booleans cost a third of an IoU for every pair.
    near = (first[:2] + drawn_in)[:, :, None] <= (second[:2] + second[2:])[:, None]
    near &= (first[:2] + size - drawn_in)[:, :, None] >= second[:2, None]
    flat = (near[0] & near[1]).ravel().nonzero()[0]
    row, column = np.divmod(flat, max(len(second_ltwh), 1))
    return row, column


def near_pairs(first_ltwh: Array, second_ltwh: Array, min_iou: float) -> tuple[Index, Index]:
    """Return a superset of the pairs with at least `min_iou`, unordered, by a grid of strips.

    Boxes of widths a and b whose IoU is at least t overlap by at least t·max(a, b) along x, so
    b is at most a/t and their centres are at most (a + b)/2 − t·max(a, b) apart. That is largest
    for the largest b there can be, or from t = 1/2 on for b = a; the same holds along y. So each
    box of the first set has a reach of its own, and a single large box does not widen everyone's
    search.

    The second set's centres are sorted by horizontal strip, then by x: what a box of the first set
    can reach is one run of that order per strip.
    """
    if not len(first_ltwh) or not len(second_ltwh):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    size, largest = first_ltwh[:, 2:], second_ltwh[:, 2:].max(axis=0)
    partner = np.minimum(size / max(min_iou, 1e-9) if min_iou < 0.5 else size, largest)
    reach = (size + partner) / 2 - min_iou * np.maximum(size, partner)
    centre = second_ltwh[:, :2] + second_ltwh[:, 2:] / 2
    origin = centre.min(axis=0)
    centre -= origin
    middle = first_ltwh[:, :2] + size / 2 - origin
    # Rounding must not lose a pair.
    reach = reach + 1e-9 * (size + np.abs(middle) + centre.max())

    # About one strip per box and axis; never more strips than boxes, however far they are apart.
    median = float(np.partition(reach[:, 1], len(reach) // 2)[len(reach) // 2])
    height = max(2 * median, float(centre[:, 1].max()) / len(centre), 1e-9)
    strip = np.floor(centre[:, 1] / height)
    top = np.maximum(np.floor((middle[:, 1] - reach[:, 1]) / height), 0)
    bottom = np.minimum(np.floor((middle[:, 1] + reach[:, 1]) / height), strip.max())
    strips = np.maximum(bottom - top + 1, 0).astype(np.intp)
    row = np.repeat(np.arange(len(first_ltwh)), strips)
    searched = top[row] + count_up(strips)

    # One sorted axis for all strips: they lie end to end, a gap apart.
    right_end = float(centre[:, 0].max())
    gap = right_end + 1.0
    place = strip * (right_end + 2 * gap) + centre[:, 0]
    order = np.argsort(place, kind="stable")
    ranked = place[order]
    start = searched * (right_end + 2 * gap)
    left = np.clip(middle[:, 0] - reach[:, 0], -gap / 2, right_end + gap / 2)
    right = np.clip(middle[:, 0] + reach[:, 0], -gap / 2, right_end + gap / 2)
    begin = np.searchsorted(ranked, start + left[row], "left")
    found = np.searchsorted(ranked, start + right[row], "right") - begin
    return np.repeat(row, found), order[np.repeat(begin, found) + count_up(found)]


def count_up(counts: Index) -> Index:
    """0 … count − 1 for each count, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _iou(first: Array, second: Array, row: Index, column: Index) -> Array:
    """Intersection over union of P pairs of (4, N) and (4, M) columns left, top, w, h."""
    if len(row) > _BATCH:
        cuts = range(_BATCH, len(row), _BATCH)
        batches = zip(np.split(row, cuts), np.split(column, cuts), strict=True)
        return np.concatenate([_iou(first, second, *batch) for batch in batches])
    one, other = first.take(row, axis=1), second.take(column, axis=1)
    start = np.maximum(one[:2], other[:2])
    end = np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    across, down = np.maximum(end - start, 0.0)
    shared = across * down
    ratio: Array = shared / (one[2] * one[3] + other[2] * other[3] - shared)
    return ratio
