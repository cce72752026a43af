"""The picture of slices: panels from pixels and density over time, with tracks drawn over both."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.cuts import Line, brightest
from mot.draw import colours_of

PAGE_INCHES = (7.6, 9.6)  # as much of a page as a picture takes
PANEL_INCHES = 2.9  # height of a panel whose time runs to the right
SHORT_INCHES = 3.2  # the least length of the time axis
LINES_PER_INCH = 45.0
DPI = 130
TITLE_CHARACTERS = 115  # of a line
NAMED = 30  # tracks up to which each is named where it begins
NEAR_EDGE = 0.95  # share of the width from which on names stand to the left
FAINT = 0.35

OUTLINE = [patheffects.withStroke(linewidth=1.9, foreground="black", alpha=0.55)]


@dataclass(frozen=True)
class SlicePicture:
    """What is drawn.

    Attributes:
        name: of the sequence.
        pixels: uint8 (L, P, 3) RGB, see `mot.slices.slice_pixels`.
        density: float32 (L, p) of people per column or row of cells; None = no such panel.
        axis: x (columns over time) or y (rows over time).
        band: first row or column of `pixels` and the one behind its last, in pixels.
        density_band: the same of `density`.
        size_hw: height and width of the frames.
        first, last: 1-based frames.
        per_line: frames per line.
        fps: frames per second; None = unknown, then time is in frames.
        boxes: tracks of these frames in pixels of the frame.
        whose: how the tracks are called, "" = there are none.
    """

    name: str
    pixels: npt.NDArray[np.uint8]
    density: npt.NDArray[np.float32] | None
    axis: str
    band: tuple[int, int]
    density_band: tuple[int, int]
    size_hw: tuple[int, int]
    first: int
    last: int
    per_line: int
    fps: float | None
    boxes: Boxes
    whose: str

    def when(self, frame: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Where frames are on the time axis: in seconds from frame 1, else their numbers."""
        numbers = np.asarray(frame, np.float64)
        return numbers if self.fps is None else (numbers - 1) / self.fps

    def span(self, lines: int) -> tuple[float, float]:
        """Begin of the first of so many lines and end of the last one on the time axis."""
        stop = self.first + lines * self.per_line
        begin, end = self.when([self.first - 0.5, stop - 0.5]).tolist()
        return begin, end


def draw_slices(path: Path, picture: SlicePicture) -> None:
    """Write the picture; it appears whole or not at all.

    For axis x the panels stand side by side and time runs down; for axis y they lie one above the
    other and time runs to the right. In the panel from pixels a track is bold where its box meets
    the band, and thin where the person is above or below it.
    """
    panels = [("pixels", picture.band)]
    panels += [("density", picture.density_band)] if picture.density is not None else []
    down = picture.axis == "x"
    if down:
        lines = len(picture.pixels) / LINES_PER_INCH
        length = float(np.clip(lines, SHORT_INCHES, PAGE_INCHES[1] - 1))
        figure = Figure((PAGE_INCHES[0], length + 1.0), dpi=DPI, layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    else:
        height = PANEL_INCHES * len(panels) + 0.4
        figure = Figure((PAGE_INCHES[0], height), dpi=DPI, layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)
    for axes, (kind, band) in zip(grid.flat, panels, strict=True):
        if kind == "density" and picture.density is not None:
            _show_density(axes, picture, picture.density)
        else:
            _show(axes, picture, picture.pixels)
        _draw_tracks(axes, picture, band)
        axes.set_title(f"{kind}, {_band_name(picture, band)}", fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
    _name_axes(grid, picture)
    title = textwrap.fill(_title(picture), TITLE_CHARACTERS)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _show(axes: Axes, picture: SlicePicture, values: npt.NDArray[Any], **style: Any) -> Any:
    """Lay the lines (L, P) or (L, P, 3) over the axes: pixels along the one, time the other."""
    begin, end = picture.span(len(values))
    extent = picture.size_hw[1 if picture.axis == "x" else 0]
    if picture.axis == "x":
        place = (0.0, float(extent), end, begin)
    else:
        values, place = values.swapaxes(0, 1), (begin, end, float(extent), 0.0)
    return axes.imshow(values, aspect="auto", extent=place, interpolation="antialiased", **style)


def _show_density(axes: Axes, picture: SlicePicture, density: Line) -> None:
    """Draw the density with its scale."""
    people = _per_100_px(picture, density)
    image = _show(axes, picture, people, cmap="inferno", vmin=0, vmax=brightest(people))
    down = picture.axis == "x"
    bar = axes.figure.colorbar(
        image, ax=axes, location="bottom" if down else "right", pad=0.02, extend="max"
    )
    bar.set_label("people per 100 px" if down else "people\nper 100 px", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _per_100_px(picture: SlicePicture, density: Line) -> Line:
    """People per cell (L, p) to people per 100 pixels, which does not depend on the cells' size."""
    extent = picture.size_hw[1 if picture.axis == "x" else 0]
    return density * np.float32(100 * density.shape[1] / extent)


def _draw_tracks(axes: Axes, picture: SlicePicture, band: tuple[int, int]) -> None:
    """Draw the centres of the boxes over time."""
    order = np.lexsort((picture.boxes.frame, picture.boxes.id))
    boxes = picture.boxes[order]
    if not len(boxes):
        return
    starts = np.flatnonzero(np.diff(boxes.id, prepend=-1))
    few = len(starts) <= NAMED
    ahead = np.diff(boxes.frame)
    step = ahead[ahead > 0].min(initial=np.inf)  # a run may have looked at every third frame only
    limits = axes.get_xlim(), axes.get_ylim()
    for rows in np.split(np.arange(len(boxes)), starts[1:]):
        track = boxes[rows]
        along, time, meets = _path(track, picture, band, step)
        colour = tuple(colours_of(track.id[:1])[0] / 255.0)
        for shown, width, alpha in ((~meets, 0.7, FAINT), (meets, 1.1, 1.0)):
            line = np.where(shown, along, np.nan)
            places = (line, time) if picture.axis == "x" else (time, line)
            effects = OUTLINE if alpha == 1 else None
            axes.plot(*places, color=colour, lw=width, alpha=alpha, path_effects=effects)
        if few:
            _name_track(axes, picture, f"{track.id[0]:.0f}", along[0], time[0], colour)
    axes.set(xlim=limits[0], ylim=limits[1])


def _path(
    track: Boxes, picture: SlicePicture, band: tuple[int, int], step: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Where one track is along the line, when, and whether its box meets the band; gaps NaN."""
    along = track.x + track.w / 2 if picture.axis == "x" else track.y + track.h / 2
    begin, size = (track.y, track.h) if picture.axis == "x" else (track.x, track.w)
    meets = (begin < band[1]) & (begin + size > band[0])
    gaps = np.flatnonzero(np.diff(track.frame) > step) + 1
    time = picture.when(track.frame)
    return (
        np.insert(along.astype(np.float64), gaps, np.nan),
        np.insert(time, gaps, np.nan),
        np.insert(meets, gaps, False),
    )


def _name_track(
    axes: Axes, picture: SlicePicture, name: str, along: float, time: float, colour: Any
) -> None:
    """Write the identity where the track begins."""
    x, y = (along, time) if picture.axis == "x" else (time, along)
    late = (x - min(axes.get_xlim())) > NEAR_EDGE * abs(np.diff(axes.get_xlim())[0])
    axes.annotate(
        name,
        (x, y),
        xytext=(-2 if late else 2, -2),
        ha="right" if late else "left",
        textcoords="offset points",
        va="top",
        color=colour,
        fontsize=6.5,
        clip_on=True,
        annotation_clip=True,
        path_effects=[patheffects.withStroke(linewidth=1.6, foreground="black", alpha=0.8)],
    )


def _band_name(picture: SlicePicture, band: tuple[int, int]) -> str:
    one, many = ("row", "rows") if picture.axis == "x" else ("column", "columns")
    across = picture.size_hw[0 if picture.axis == "x" else 1]
    if band == (0, across):
        return f"all {many}"
    return f"{one} {band[0]}" if band[1] - band[0] == 1 else f"{many} {band[0]}–{band[1] - 1}"


def _name_axes(grid: Any, picture: SlicePicture) -> None:
    time = "frame" if picture.fps is None else "time in seconds"
    for axes in grid[-1] if picture.axis == "x" else grid[:, 0]:
        if picture.axis == "x":
            axes.set_xlabel("x in pixels", fontsize=8)
        else:
            axes.set_ylabel("y in pixels", fontsize=8)
    if picture.axis == "x":
        grid[0, 0].set_ylabel(time, fontsize=8)
    else:
        grid[-1, 0].set_xlabel(time, fontsize=8)


def _title(picture: SlicePicture) -> str:
    """What is shown, in one line."""
    parts = [f"{picture.name}, frames {picture.first} to {picture.last}"]
    if picture.per_line > 1:
        parts.append(f"each line the mean of {picture.per_line} frames")
    if picture.whose:
        people = len(np.unique(picture.boxes.id))
        parts.append(f"lines: centres of {people} people ({picture.whose})")
    return "; ".join(parts)
