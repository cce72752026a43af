"""PCK, the percentage of correct keypoints: how many predicted points are near enough to the truth.

A point is correct where it is no farther from the true one than a share of the person's size. Two
sizes are in use, and both are offered:

- box: the larger side of the person's box (Y. Yang, D. Ramanan, "Articulated human detection with
  flexible mixtures of parts", TPAMI 2013, which defines PCK);
- torso: from the left shoulder to the right hip (B. Sapp, B. Taskar, "MODEC", CVPR 2013): about a
  third of the box's, and so the stricter one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.keypoints import Keypoints
from mot.shapes import expect

Array = npt.NDArray[np.float64]

SHARE = 0.2
TORSO = ("left_shoulder", "right_hip")


def box_size(truth: Keypoints) -> Array:
    """Larger side of each person's box in pixels, (N,)."""
    return np.asarray(truth.ltwh[:, 2:].max(axis=1, initial=0), np.float64)


def torso_size(truth: Keypoints) -> Array:
    """Distance from left shoulder to right hip in pixels, (N,); NaN where either is not labelled.

    Raises:
        InputError: the points have no shoulders and hips.
    """
    if not set(TORSO) <= set(truth.names):
        got = ", ".join(truth.names)
        raise InputError("PCK by torso", f"points {' and '.join(TORSO)}", got, "take --by box")
    first, second = (truth.names.index(name) for name in TORSO)
    apart = truth.xy[:, first].astype(np.float64) - truth.xy[:, second]
    known = truth.labelled[:, first] & truth.labelled[:, second]
    return np.where(known, np.hypot(*apart.T), np.nan)


SIZES: dict[str, Callable[[Keypoints], Array]] = {"box": box_size, "torso": torso_size}


def correct_points(
    predicted_xy: npt.ArrayLike, truth: Keypoints, *, share: float = SHARE, by: str = "box"
) -> Array:
    """Which points are correct.

    Args:
        predicted_xy: (N, K, 2) in pixels, rows as in `truth`.
        truth: what is true.
        share: of the size, within which a point is correct.
        by: a key of `SIZES`.

    Returns:
        (N, K): 1 = correct, 0 = not, NaN = not labelled, or of a person without a known size.

    Raises:
        InputError: another shape, an unknown size, or a share that is not above 0.
    """
    predicted = np.asarray(predicted_xy, np.float64)
    expect(predicted, f"{len(truth)} {len(truth.names)} 2", "predicted points")
    if by not in SIZES:
        raise InputError("--by", f"one of {', '.join(SIZES)}", by, "choose one of them")
    if not share > 0:
        raise InputError("--share", "a share above 0", share, "try 0.2")
    size = SIZES[by](truth)
    distance = np.hypot(*np.moveaxis(predicted - truth.xy, -1, 0))
    counted = truth.labelled & np.isfinite(size)[:, None]
    near = distance <= share * np.nan_to_num(size)[:, None]
    return np.where(counted, near.astype(np.float64), np.nan)


def rate(correct: Array) -> float:
    """Percentage of correct ones among those that count; NaN where none does."""
    counted = correct[~np.isnan(correct)]
    return 100 * float(counted.mean()) if len(counted) else float("nan")
