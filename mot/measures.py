"""What annotated people of a sequence are like: sizes, speeds, tracks, gaps and overlaps as arrays.

`QUANTITIES` is the menu; `mot.statistics` makes tables of it and `mot.statistics_picture` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes, iou_matrix

SPEED_S = 0.5  # steps are measured over so long, so that a pixel's jitter is no speed
HEAT_CELLS = 48  # columns of a heat map; as many rows as make the cells square
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """The people who count in a ground truth, and what their frames are like.

    Attributes:
        name: of the sequence.
        boxes: their rows, ids 0 or more.
        length: frames.
        size_hw: height and width of the frames in pixels.
        fps: frames per second, None = unknown.
    """

    name: str
    boxes: Boxes
    length: int
    size_hw: tuple[int, int]
    fps: float | None


@dataclass(frozen=True)
class Quantity:
    """Something that can be measured of people.

    Attributes:
        label: its name with the unit.
        measure: from people to values (N,); empty where it cannot be known.
        wide: spread over orders of magnitude.
        needs: what a truth must have for it: "", "frame rate" or "visibility".
        figures: decimals in a table.
        whole: values are whole numbers.
    """

    label: str
    measure: Callable[[People], Values]
    wide: bool = False
    needs: str = ""
    figures: int = 2
    whole: bool = False


def per_frame(people: People) -> Values:
    """People in each frame, empty frames included (length,)."""
    return people.boxes.per_frame(people.length).astype(np.float64)


def heights(people: People) -> Values:
    """Height of each box in pixels (N,)."""
    return people.boxes.h.astype(np.float64)


def aspects(people: People) -> Values:
    """Width over height of each box (N,)."""
    return people.boxes.w.astype(np.float64) / people.boxes.h


def visibilities(people: People) -> Values:
    """Visible share of each box for which it is known (K,)."""
    known = people.boxes.visibility[people.boxes.visibility >= 0]
    return known.astype(np.float64)


def speeds(people: People) -> Values:
    """Box heights per second by which centres move in the picture, over `SPEED_S` (M,).

    One value for each box that the same person has another box `SPEED_S` after. A moving camera
    moves people.
    """
    if people.fps is None:
        return np.empty(0)
    step = max(1, round(SPEED_S * people.fps))
    boxes = people.boxes[np.lexsort((people.boxes.frame, people.boxes.id))]
    # One number for person and frame: that of the box to be found lies `step` above.
    key = _ranks(boxes) * (people.length + step + 1) + boxes.frame.astype(np.int64)
    later = np.searchsorted(key, key + step)
    first = np.flatnonzero(np.append(key, -1)[later] == key + step)
    second = later[first]
    box = boxes.ltwh.astype(np.float64)
    centre = box[:, :2] + box[:, 2:] / 2
    moved = np.linalg.norm(centre[second] - centre[first], axis=1)
    return np.asarray(moved * people.fps / step / ((box[first, 3] + box[second, 3]) / 2))


def track_lengths(people: People) -> Values:
    """Seconds from each person's first frame to the last, both included (P,)."""
    if people.fps is None or not len(people.boxes):
        return np.empty(0)
    rank, frame = _ranks(people.boxes), people.boxes.frame
    first = np.full(rank.max() + 1, np.inf)
    last = np.zeros(rank.max() + 1)
    np.minimum.at(first, rank, frame)
    np.maximum.at(last, rank, frame)
    return np.asarray((last - first + 1) / people.fps)


def gaps(people: People) -> Values:
    """Seconds of each time that a person is not annotated between two boxes (G,)."""
    if people.fps is None:
        return np.empty(0)
    order = np.lexsort((people.boxes.frame, people.boxes.id))
    frame, identity = people.boxes.frame[order], people.boxes.id[order]
    missing = np.diff(frame.astype(np.float64)) - 1
    return np.asarray(missing[(np.diff(identity) == 0) & (missing > 0)] / people.fps)


def overlaps(people: People) -> Values:
    """Largest IoU of each box with that of another person in the same frame, 0 = alone (N,)."""
    order = np.argsort(people.boxes.frame, kind="stable")
    boxes = people.boxes[order]
    found = np.zeros(len(boxes))
    starts = np.flatnonzero(np.diff(boxes.frame, prepend=-1))
    # One frame at a time: memory is bounded by the largest crowd.
    for rows in np.split(np.arange(len(boxes)), starts[1:]):
        overlap = iou_matrix(boxes.ltwh[rows], boxes.ltwh[rows])
        np.fill_diagonal(overlap, 0)
        found[rows] = overlap.max(axis=1, initial=0)
    return found


def heat(people: People) -> Values:
    """Where box centres are: mean people per cell and frame, (rows, `HEAT_CELLS`), square cells."""
    height, width = people.size_hw
    rows = max(1, round(HEAT_CELLS * height / width))
    x = people.boxes.x + people.boxes.w / 2
    y = people.boxes.y + people.boxes.h / 2
    counted, _, _ = np.histogram2d(y, x, bins=(rows, HEAT_CELLS), range=((0, height), (0, width)))
    return np.asarray(counted / people.length)


QUANTITIES: dict[str, Quantity] = {
    "per_frame": Quantity("people per frame", per_frame, figures=1, whole=True),
    "height": Quantity("box height, px", heights, wide=True, figures=0),
    "aspect": Quantity("width / height", aspects),
    "visibility": Quantity("visible share", visibilities, needs="visibility"),
    "speed": Quantity("speed, heights/s", speeds, needs="frame rate"),
    "track_s": Quantity("track length, s", track_lengths, True, "frame rate", 1),
    "gap_s": Quantity("gaps in tracks, s", gaps, True, "frame rate"),
    "overlap": Quantity("largest IoU with another", overlaps),
}


@dataclass(frozen=True)
class Measured:
    """All quantities of one sequence, or of several together.

    Attributes:
        name: of the sequence.
        frames: how many.
        seconds: how long; None = unknown.
        people: identities.
        boxes: their number.
        values: key of `QUANTITIES` to values (N,), empty where it cannot be known.
        heat: see `heat`; None of several.
        lacks: what the truth does not have, "frame rate" or "visibility".
    """

    name: str
    frames: int
    seconds: float | None
    people: int
    boxes: int
    values: dict[str, Values]
    heat: Values | None
    lacks: tuple[str, ...] = ()

    @classmethod
    def of(cls, people: People) -> Measured:
        """Measure everything."""
        values = {key: quantity.measure(people) for key, quantity in QUANTITIES.items()}
        lacks = ["frame rate"] if people.fps is None else []
        lacks += ["visibility"] if len(people.boxes) and not len(values["visibility"]) else []
        return cls(
            people.name,
            people.length,
            None if people.fps is None else people.length / people.fps,
            len(np.unique(people.boxes.id)),
            len(people.boxes),
            values,
            heat(people),
            tuple(lacks),
        )

    @classmethod
    def together(cls, name: str, parts: Sequence[Measured]) -> Measured:
        """All boxes of several sequences as if they were of one."""
        seconds = [part.seconds for part in parts if part.seconds is not None]
        return cls(
            name,
            sum(part.frames for part in parts),
            sum(seconds) if len(seconds) == len(parts) else None,
            sum(part.people for part in parts),
            sum(part.boxes for part in parts),
            {key: np.concatenate([part.values[key] for part in parts]) for key in QUANTITIES},
            None,
        )

    def quantiles(self, key: str) -> Values:
        """The `QUANTILES` of a quantity (5,); NaN where there are no values."""
        values = self.values[key]
        return np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)

    def summary(self) -> dict[str, float | None]:
        """Numbers of a table's row: for each quantity how many, mean, quantiles and largest."""
        row: dict[str, float | None] = {
            "frames": self.frames,
            "seconds": self.seconds,
            "people": self.people,
            "boxes": self.boxes,
        }
        for key, values in self.values.items():
            known = len(values) > 0
            row[f"{key}_n"] = len(values)
            row[f"{key}_mean"] = float(values.mean()) if known else None
            for quantile, value in zip(QUANTILES, self.quantiles(key).tolist(), strict=True):
                row[f"{key}_p{round(100 * quantile):02d}"] = value if known else None
            row[f"{key}_max"] = float(values.max()) if known else None
        return row


def _ranks(boxes: Boxes) -> npt.NDArray[np.int64]:
    """Number of each row's person, from 0 (N,)."""
    return np.unique(boxes.id, return_inverse=True)[1].astype(np.int64)
