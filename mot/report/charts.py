"""Geometry of the report's two charts: counts over time, and when each identity was seen.

Only numbers and SVG path strings are made here; the template draws them. A chart's SVG is
stretched to whatever width there is and its labels are HTML, so text stays readable on a phone,
follows the page's colours and can be searched.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.draw import colours_of
from mot.report.runs import Runs

POINTS = 1000  # a chart is about as many pixels wide; longer series are averaged down to this
TICKS_Y, TICKS_X = 4, 5  # parts of an axis, at most
IDENTITIES = 150  # bars in one time line; of more, the longest are shown
BAR_SHARE = 0.72  # of a row's height
ROW_PX, THIN_ROW_PX = 18, 6  # height of a row with its label, and without
LABELLED_ROWS = 40  # up to so many identities the rows are high enough for a label

Series = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: its text, and its place in percent from the left or the top."""

    label: str
    percent: float


@dataclass(frozen=True)
class CountChart:
    """Counts per frame as SVG paths in a box of `POINTS` by 100 units.

    Attributes:
        paths: series name -> path of a line; the first point is frame 1, the last the last frame.
        area: path of the truth's area under its line, "" without truth.
        ticks_x, ticks_y: frames and people.
        frames: frame number of each point (the middle of those it is a mean of).
        values: series name -> people at each point, one decimal, for the read-out.
        step: frames per point.
    """

    paths: Mapping[str, str]
    area: str
    ticks_x: list[Tick]
    ticks_y: list[Tick]
    frames: list[int]
    values: Mapping[str, list[float]]
    step: int


@dataclass(frozen=True)
class Bar:
    """One identity in the time line: `path` has a rectangle per unbroken run of frames.

    `percent` is the middle of its row from the top, `colour` the CSS colour it has in the overlay
    video too.
    """

    identity: int
    path: str
    title: str
    percent: float
    colour: str


@dataclass(frozen=True)
class TimeLine:
    """When each identity was seen; paths in a box of `length` by `len(bars)` units.

    Attributes:
        bars: by first frame.
        length: frames.
        ticks_x: frames.
        identities: how many there are in all; more than bars when only the longest are shown.
        height_px: height that gives each bar its room.
        labelled: whether rows are high enough for a label each.
    """

    bars: list[Bar]
    length: int
    ticks_x: list[Tick]
    identities: int
    height_px: int
    labelled: bool


def count_chart(
    series: Mapping[str, npt.NDArray[np.number[Any]]],
    length: int,
    numbers: npt.NDArray[np.int64] | None = None,
) -> CountChart:
    """Lay out counts over time.

    Args:
        series: name -> people per frame, each (n,); the one called "truth" gets an area.
        length: number of the last frame.
        numbers: (n,) the frames that were counted, ascending; None = 1 .. length.
    """
    numbers = np.arange(1, length + 1) if numbers is None else numbers
    count = len(numbers)
    step = -(-count // POINTS)
    starts = np.arange(0, count, step)
    sizes = np.diff(np.append(starts, count))
    means = {k: np.add.reduceat(v.astype(np.float64), starts) / sizes for k, v in series.items()}
    largest = max((float(v.max()) for v in means.values()), default=0.0)
    y_step = round_step(largest, TICKS_Y)
    top = y_step * max(1.0, np.ceil(largest / y_step))
    frames = numbers[starts + (sizes - 1) // 2]
    x = _share(frames, length) * POINTS
    paths = {name: _line(x, 100 - 100 * values / top) for name, values in means.items()}
    truth = paths.get("truth", "")
    return CountChart(
        paths=paths,
        area=f"{truth}L{x[-1]:.1f} 100L{x[0]:.1f} 100Z" if truth else "",
        ticks_x=frame_ticks(length),
        ticks_y=[Tick(f"{v:g}", 100 - 100 * v / top) for v in np.arange(0, top + 1, y_step)],
        frames=[int(f) for f in frames],
        values={name: [round(float(v), 1) for v in values] for name, values in means.items()},
        step=step,
    )


def time_line(runs: Runs, length: int) -> TimeLine:
    """Lay out one bar per identity; a gap in its frames is a gap in the bar.

    Args:
        runs: as `mot.report.runs.runs_of` gives them.
        length: number of the last frame.
    """
    known, row_of_run = np.unique(runs[:, 0], return_inverse=True)
    seen = np.bincount(row_of_run, weights=runs[:, 3], minlength=len(known))
    longest = np.sort(np.argsort(-seen, kind="stable")[:IDENTITIES])
    edges = np.searchsorted(row_of_run, np.arange(len(known) + 1))
    appearance = longest[np.argsort(runs[edges[longest], 1], kind="stable")]
    colours = colours_of(known).tolist()
    bars = [
        _bar(runs[edges[row] : edges[row + 1]], place, len(appearance), colours[row])
        for place, row in enumerate(appearance)
    ]
    labelled = len(bars) <= LABELLED_ROWS
    height = len(bars) * (ROW_PX if labelled else THIN_ROW_PX)
    return TimeLine(bars, length, frame_ticks(length), len(known), height, labelled)


def round_step(span: float, parts: int) -> float:
    """The smallest whole 1, 2, 2.5 or 5 times a power of ten of which `parts` cover the span."""
    wanted = max(span / parts, 1.0)
    unit = 10.0 ** np.floor(np.log10(wanted))
    steps = np.array([1, 2, 2.5, 5, 10]) * unit
    steps = steps[steps % 1 == 0]  # people and frames are whole
    return float(steps[np.argmax(steps >= wanted)])


def frame_ticks(length: int) -> list[Tick]:
    """The first frame, the last, and round numbers between, none of them crowding the last."""
    step = round_step(length, TICKS_X)
    between = np.arange(step, length - step / 2, step)
    frames = np.unique(np.concatenate([[1], between, [length]])).astype(np.int64)
    return [
        Tick(str(frame), float(share) * 100)
        for frame, share in zip(frames, _share(frames, length), strict=True)
    ]


def _share(frames: npt.NDArray[np.int64], length: int) -> Series:
    """Place of frames between the first (0) and the last (1)."""
    return (frames - 1) / max(length - 1, 1)


def _line(x: Series, y: Series) -> str:
    """SVG path through the points; a single point becomes a line across the chart."""
    if len(x) == 1:
        return f"M0 {y[0]:.1f}L{POINTS} {y[0]:.1f}"
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _bar(runs: Runs, place: int, rows: int, colour: tuple[int, int, int]) -> Bar:
    """Rectangles of one identity's runs; a frame takes one unit, from frame - 1 to frame."""
    top = place + (1 - BAR_SHARE) / 2
    path = "".join(
        f"M{first - 1} {top:.2f}H{last}V{top + BAR_SHARE:.2f}H{first - 1}Z"
        for _, first, last, _ in runs.tolist()
    )
    identity, gaps = int(runs[0, 0]), len(runs) - 1
    title = (
        f"id {identity}: frames {runs[0, 1]} to {runs[-1, 2]}, seen in "
        f"{runs[:, 3].sum()}, {gaps} gap{'' if gaps == 1 else 's'}"
    )
    return Bar(identity, path, title, 100 * (place + 0.5) / rows, "rgb({},{},{})".format(*colour))
