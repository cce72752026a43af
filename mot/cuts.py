"""Where slices are cut: a band of rows or columns of every frame becomes one line.

`mot.slices` stacks the lines of a video, `mot.report.slices` those of a report's pictures.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.density_files import FloatMap
from mot.errors import InputError
from mot.images import Image
from mot.shapes import expect

Axis = Literal["x", "y"]
Line = npt.NDArray[np.float32]
BRIGHTEST = 0.998  # share of a density's cells below the brightest shade: single peaks darken all


def brightest(density: Line) -> float:
    """The value of a density's lines (L, p) that is drawn brightest, as are those above it."""
    return max(float(np.quantile(density, BRIGHTEST)), 1e-6)


@dataclass(frozen=True)
class Cut:
    """Where frames are cut: the mean of rows start..stop − 1 (axis x), or of columns (axis y).

    Attributes:
        axis: what is left of a frame, x or y.
        start, stop: pixels, 0-based.
        size_hw: height and width of the frames.
    """

    axis: Axis
    start: int
    stop: int
    size_hw: tuple[int, int]

    @classmethod
    def about(cls, axis: Axis, at: int, band: int, size_hw: tuple[int, int]) -> Cut:
        """Cut through a band of pixels about `at`, as much of it as lies in the frame.

        Raises:
            InputError: `at` is outside of the frame.
        """
        across = size_hw[0 if axis == "x" else 1]
        what = "row" if axis == "x" else "column"
        if not 0 <= at < across:
            raise InputError("--at", f"a {what} from 0 to {across - 1}", at, "choose one in it")
        start = at - (band - 1) // 2
        return cls(axis, max(start, 0), min(start + band, across), size_hw)

    @property
    def whole(self) -> Cut:
        """The same over all rows or columns."""
        return Cut(self.axis, 0, self.size_hw[0 if self.axis == "x" else 1], self.size_hw)

    def of_image(self, image: Image) -> Line:
        """Mean over the band of an image (H, W, 3): (W, 3) for axis x, (H, 3) for axis y."""
        expect(image, f"{self.size_hw[0]} {self.size_hw[1]} 3", "frame")
        across = 0 if self.axis == "x" else 1
        band = image[self.start : self.stop] if across == 0 else image[:, self.start : self.stop]
        return np.asarray(band.mean(axis=across, dtype=np.float32))

    def of_density(self, density: FloatMap) -> Line:
        """People in the band of a map (h, w), per column (w,) for axis x, per row (h,) for axis y.

        A cell that the band covers in part counts by that part, so that bands that tile a frame
        have its people between them.
        """
        expect(density, "h w", "density")
        rows = density if self.axis == "x" else density.T
        edges = np.linspace(0, self.size_hw[0 if self.axis == "x" else 1], len(rows) + 1)
        covered = np.clip(edges, self.start, self.stop)
        share = np.diff(covered) / np.diff(edges)
        return np.asarray(share.astype(np.float32) @ rows)


class Crossings:
    """How many boxes cross each row and each column of a video's frames; adds up as they come.

    Args:
        size_hw: height and width of the frames.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw
        # Steps: +1 where a box begins, −1 where it has ended.
        self._steps = tuple(np.zeros(side + 1, np.int64) for side in size_hw)

    def add(self, boxes: Boxes) -> None:
        """Take boxes, in pixels of the frames."""
        sides = (boxes.y, boxes.h), (boxes.x, boxes.w)
        for steps, (begin, size) in zip(self._steps, sides, strict=True):
            across = len(steps) - 1
            np.add.at(steps, np.clip(np.ceil(begin), 0, across).astype(int), 1)
            np.add.at(steps, np.clip(np.ceil(begin + size), 0, across).astype(int), -1)

    def copy(self) -> Crossings:
        """The same numbers, which adding to either leaves alone in the other."""
        return copy.deepcopy(self)

    def most(self, axis: Axis) -> int:
        """The row (axis x) or column (axis y) that most boxes cross; the middle without boxes."""
        steps = self._steps[0 if axis == "x" else 1]
        crossed = np.cumsum(steps)[:-1]
        return int(np.argmax(crossed)) if crossed.any() else len(crossed) // 2


def means_of(values: Iterator[Line], count: int) -> Iterator[Line]:
    """Mean of every `count` arrays, the last of those that are left."""
    total: Line | None = None
    added = 0
    for value in values:
        total = value if total is None else total + value
        added += 1
        if added == count:
            yield total / np.float32(added)
            total, added = None, 0
    if total is not None:
        yield total / np.float32(added)
