"""Boxes of tracks, smoothed in time: each becomes what a line through its neighbours says.

After gaps are filled, over the stream of frames. Local linear regression with Gaussian weights
(W. S. Cleveland, "Robust locally weighted regression", JASA 1979, without the robust rounds): a
steady walk is kept as it is, also at the ends of a track, where a moving average lags behind.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from reid.stages import Numbered

REACH = 3.0  # standard deviations after which a neighbour does not count
LEAST_SIZE = 1.0  # a width or height stays above this many pixels


class Smoother:
    """Smooths centre and size of every track.

    A stage of `reid.stages`: every frame comes out 3 · `sigma_frames` frames later, its boxes in
    the order in which they came.

    Args:
        sigma_frames: standard deviation of the weights in time; 0 = nothing is changed.
    """

    def __init__(self, sigma_frames: float) -> None:
        self._sigma = sigma_frames
        self._reach = math.ceil(REACH * sigma_frames)
        self._held: deque[Numbered] = deque()
        self._waiting: deque[int] = deque()

    def push(self, number: int, boxes: Boxes) -> list[Numbered]:
        """Take the tracks of the next frame, each id once; return the frames that are settled."""
        if not self._reach:
            return [(number, boxes)]
        self._held.append((number, boxes))
        self._waiting.append(number)
        settled = []
        while self._waiting and self._waiting[0] + self._reach <= number:
            settled.append(_smoothed(self._waiting.popleft(), self._held, self._sigma))
        # Of the oldest that waits, what is further back than it reaches is not needed any more.
        while self._held[0][0] + self._reach < self._waiting[0]:
            self._held.popleft()
        return settled

    def finish(self) -> list[Numbered]:
        """Return the frames that are left."""
        rest = [_smoothed(number, self._held, self._sigma) for number in self._waiting]
        self._waiting.clear()
        return rest


def _smoothed(
    number: int, held: deque[tuple[int, Boxes]], sigma_frames: float
) -> tuple[int, Boxes]:
    """Boxes of frame `number`, from those of their tracks in all held frames."""
    boxes = next(rows for frame, rows in held if frame == number)
    if not len(boxes):
        return number, boxes
    near = Boxes.concatenate([b for f, b in held if abs(f - number) <= REACH * sigma_frames])
    order = np.argsort(boxes.id)
    place = np.searchsorted(boxes.id[order], near.id)
    known = np.flatnonzero(boxes.id[order[np.minimum(place, len(order) - 1)]] == near.id)
    track = order[place[known]]
    late = near.frame[known].astype(np.float64) - number
    ltwh = near.ltwh[known].astype(np.float64)
    line = _value_at_zero(track, late, ltwh, np.exp(-0.5 * (late / sigma_frames) ** 2), len(boxes))
    # Left and top of a line through boxes are those of the lines through centre and size.
    x, y, w, h = line.T
    return number, boxes.with_columns(
        x=x, y=y, w=np.maximum(w, LEAST_SIZE), h=np.maximum(h, LEAST_SIZE)
    )


def _value_at_zero(
    group: npt.NDArray[np.intp],
    t: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    groups: int,
) -> npt.NDArray[np.float64]:
    """Weighted regression line of values (N, C) over t (N,) per group, at t = 0; (groups, C)."""

    def total(part: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(group, part, groups).astype(np.float64)

    w0, w1, w2 = total(weight), total(weight * t), total(weight * t * t)
    spread = w0 * w2 - w1 * w1
    single = spread <= 1e-9 * w0 * w0  # one box has no slope
    columns = []
    for column in values.T:
        v0, v1 = total(weight * column), total(weight * t * column)
        line = (w2 * v0 - w1 * v1) / np.where(single, 1.0, spread)
        columns.append(np.where(single, v0 / w0, line))
    return np.stack(columns, axis=1)
