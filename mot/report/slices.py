"""x–t and y–t slices for the page: one row and one column of all pictures, stacked over time.

A person's path is a ridge, from pixels and from density. `SliceStack` gathers the lines while the
preview's film is made; `slice_panel` lays them out, with the tracks over them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.cuts import Axis, Crossings, Cut, Line, brightest, means_of
from mot.draw import colours_of
from mot.images import Image
from mot.report.gallery import data_url

MOST_LINES = 600  # what a page shows of a length of time
AXES: tuple[Axis, Axis] = ("x", "y")


@dataclass(frozen=True)
class Slices:
    """Lines of a preview's pictures over time; the first entry is x–t, the second y–t.

    Attributes:
        at: where the row and the column are that were cut, shares of height and width.
        per_line: pictures per line, which is their mean.
        pixels: uint8 (L, W, 3) and (L, H, 3).
        density: float32 (L, w) and (L, h), people per column and per row of cells; None where the
            net has no density.
    """

    at: tuple[float, float]
    per_line: int
    pixels: tuple[Image, Image]
    density: tuple[Line, Line] | None


class SliceStack:
    """Gathers lines of pictures that come one by one.

    Cut are the row and the column that most boxes cross.

    Args:
        size_hw: height and width of the pictures.
        count: pictures that are to come.
        crossings: of the boxes, in pixels of the original frames.
        maps: density map (h, w) of each picture; none = there is no density.
    """

    def __init__(
        self,
        size_hw: tuple[int, int],
        count: int,
        crossings: Crossings,
        maps: Iterable[Line] = (),
    ) -> None:
        self._per_line = max(1, -(-count // MOST_LINES))
        sums = [(density.sum(axis=0), density.sum(axis=1)) for density in maps]
        self._density: tuple[Line, Line] | None = None
        if sums:
            across, down = (np.stack(lines).astype(np.float32) for lines in zip(*sums, strict=True))
            self._density = self._mean(across), self._mean(down)
        row, column = (
            (crossings.most(axis) + 0.5) / side
            for axis, side in zip(AXES, crossings.size_hw, strict=True)
        )
        self._at = row, column
        places = [int(share * side) for share, side in zip(self._at, size_hw, strict=True)]
        self._cuts = [
            Cut.about(axis, place, 1, size_hw) for axis, place in zip(AXES, places, strict=True)
        ]
        self._lines: tuple[list[Line], list[Line]] = ([], [])

    def add(self, picture: Image) -> None:
        """Take the next picture."""
        for lines, cut in zip(self._lines, self._cuts, strict=True):
            lines.append(cut.of_image(picture))

    def finish(self) -> Slices | None:
        """All lines; None where no picture came."""
        if not self._lines[0]:
            return None
        across, down = (
            np.rint(self._mean(np.stack(lines))).astype(np.uint8) for lines in self._lines
        )
        return Slices(self._at, self._per_line, (across, down), self._density)

    def _mean(self, lines: Line) -> Line:
        return np.stack(list(means_of(iter(lines), self._per_line)))


@dataclass(frozen=True)
class SliceView:
    """One picture of the panel.

    Attributes:
        title: what it shows.
        image: data URL.
        width, height: of the picture in the units of the lines drawn over it.
    """

    title: str
    image: str
    width: float
    height: float


@dataclass(frozen=True)
class SliceFigure:
    """Pixels and density over time along one axis, and the tracks over both.

    Attributes:
        axis: x or y.
        views: from pixels, and from density where there is some.
        size: width and height that the views show of their pictures.
        tracks: SVG paths by identity.
    """

    axis: str
    views: list[SliceView]
    size: tuple[float, float]
    tracks: list[SlicePath]


@dataclass(frozen=True)
class SlicePath:
    """One track: its identity, colour and SVG path."""

    identity: str
    colour: str
    path: str


@dataclass(frozen=True)
class SlicePanel:
    """What the page shows.

    Attributes:
        span: from when to when, in words.
        figures: x–t and y–t.
    """

    span: str
    figures: list[SliceFigure]


def slice_panel(
    slices: Slices,
    frames: list[int],
    tracks: Boxes,
    size_hw: tuple[int, int],
    reach: tuple[float, float],
    fps: float | None,
) -> SlicePanel:
    """Lay out the slices of a preview.

    Args:
        slices: of its pictures.
        frames: 1-based number of each picture.
        tracks: in pixels of the original frames; rows of frames without a picture are left out.
        size_hw: of the original frames.
        reach: how far the density's cells cover the frame, (down, right); 1 = to its edge.
        fps: frames per second, if known.
    """
    numbers = np.array(frames, np.int64)
    rows = tracks[np.isin(tracks.frame, numbers) & (tracks.id >= 0)]
    time = (np.searchsorted(numbers, rows.frame.astype(np.int64)) + 0.5) / slices.per_line
    middle = rows.ltwh[:, :2] + rows.ltwh[:, 2:] / 2
    figures = []
    for index, axis in enumerate(AXES):
        extent = float(size_hw[1 - index])
        lines = len(slices.pixels[index])
        across = time, middle[:, index]
        place = ("row", "column")[index], int(slices.at[index] * size_hw[index])
        views = [_view(f"pixels of {place[0]} {place[1]}", slices.pixels[index], axis, extent)]
        if slices.density is not None:
            shown = _shades(slices.density[index])
            wide = extent * reach[1 - index]
            views.append(_view(f"density of all {place[0]}s", shown, axis, wide))
        size = (extent, float(lines)) if axis == "x" else (float(lines), extent)
        paths = _paths(rows.id, numbers, rows.frame, *across, down=axis == "x")
        figures.append(SliceFigure(axis, views, size, paths))
    return SlicePanel(_span(frames, fps), figures)


def _view(title: str, lines: Image, axis: str, extent: float) -> SliceView:
    """A picture of lines (L, P, 3): time runs down for x, to the right for y."""
    count = float(len(lines))
    if axis == "x":
        return SliceView(title, data_url(lines), extent, count)
    upright = np.ascontiguousarray(lines.swapaxes(0, 1))
    return SliceView(title, data_url(upright), count, extent)


def _shades(density: Line) -> Image:
    """People per cell (L, p) in colours, uint8 (L, p, 3)."""
    level = np.rint(255 * np.clip(density / brightest(density), 0, 1)).astype(np.uint8)
    coloured = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[:, :, ::-1]
    # Enlarged, for JPEG would smear single cells.
    return np.asarray(np.repeat(coloured, 4, axis=1), np.uint8)


def _paths(
    ids: npt.NDArray[np.float32],
    numbers: npt.NDArray[np.int64],
    frame: npt.NDArray[np.float32],
    time: npt.NDArray[np.float64],
    along: npt.NDArray[np.floating],
    *,
    down: bool,
) -> list[SlicePath]:
    """Centres of the boxes over time as SVG paths; a picture without the person is a gap."""
    order = np.lexsort((frame, ids))
    picture = np.searchsorted(numbers, frame.astype(np.int64))
    paths = []
    for rows in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        if not len(rows):
            continue
        starts = np.concatenate([[True], np.diff(picture[rows]) > 1])
        steps = [
            f"{'M' if start else 'L'}{x:.1f},{y:.1f}"
            for start, x, y in zip(
                starts.tolist(),
                (along if down else time)[rows].tolist(),
                (time if down else along)[rows].tolist(),
                strict=True,
            )
        ]
        colour = "#{:02x}{:02x}{:02x}".format(*colours_of(ids[rows[:1]])[0].tolist())
        paths.append(SlicePath(f"{ids[rows[0]]:.0f}", colour, "".join(steps)))
    return paths


def _span(frames: list[int], fps: float | None) -> str:
    first, last = frames[0], frames[-1]
    if fps is None:
        return f"frames {first:,} to {last:,}"
    return f"{(first - 1) / fps:.1f} s to {(last - 1) / fps:.1f} s"
