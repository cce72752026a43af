"""What every format is read to and written from: a sequence's boxes, length, size and rate.

And what formats share: names of classes, names of folders, and the checks of what was read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mot.annotations import CLASSES, EXACT_INTEGERS, LARGEST_PIXEL
from mot.boxes import Boxes
from mot.errors import InputError

Say = Callable[[str], None]
"""Takes a line about what is left behind or taken for granted."""

# What COCO, CVAT's users, mmtracking and MOTChallenge's own pages call the same classes.
ALIASES = {
    "person": 1,
    "people": 1,
    "human": 1,
    "rider": 2,
    "bike": 4,
    "motorcycle": 5,
    "non motorized vehicle": 6,
    "non mot vehicle": 6,
    "occluder on ground": 10,
    "occluder full": 11,
}
_CLASS_BY_NAME = {name.replace("-", " "): number for number, name in CLASSES.items()} | ALIASES


@dataclass(frozen=True)
class Annotated:
    """The annotations of a sequence, wherever they come from.

    Attributes:
        name: what it is called; fit for a folder.
        length: frames.
        width, height: pixels.
        fps: frames per second, None = unknown.
        boxes: 0-based pixels, 1-based frames; `score` 0 = does not count.
        images: file names of frame 1, 2, …, as far as they are known.
    """

    name: str
    length: int
    width: int
    height: int
    fps: float | None
    boxes: Boxes = field(repr=False)
    images: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.length < EXACT_INTEGERS:
            raise InputError(
                self.name, f"1 to {EXACT_INTEGERS - 1} frames", self.length, "count frames from 1"
            )

    def image(self, frame: int) -> str:
        """File name of a 1-based frame."""
        return self.images[frame - 1] if frame <= len(self.images) else f"{frame:06d}.jpg"


@dataclass(frozen=True)
class Hints:
    """What a reader is told because its format may not know it.

    Attributes:
        fps: frames per second.
        size: width and height in pixels.
        classes: class of further names of categories, None = leave their boxes out.
        detections: read the public detections, not the truth.
        sixth: what a sixth column of YOLO text is, id or score.
    """

    fps: float | None = None
    size: tuple[int, int] | None = None
    classes: Mapping[str, int | None] = field(default_factory=dict)
    detections: bool = False
    sixth: str = "id"

    def class_of(self, name: str, where: object) -> int | None:
        """Class of a category's name, None = leave its boxes out; raises InputError if unknown."""
        if name in self.classes:
            return self.classes[name]
        plain = re.sub(r"[\s_-]+", " ", name).strip().lower()
        numbered = re.fullmatch(r"class (\d{1,7})", plain)
        if numbered:
            return int(numbered[1])
        if plain not in _CLASS_BY_NAME:
            raise InputError(
                where,
                f"a category of MOTChallenge ({', '.join(CLASSES.values())})",
                f"'{name}'",
                f"say what it is with --classes '{name}=pedestrian', or '{name}=' to leave it out",
            )
        return _CLASS_BY_NAME[plain]


def class_name(category: float) -> str:
    """Name of a class; `Hints.class_of` leads back."""
    return CLASSES.get(int(category), f"class {int(category)}")


def folder_name(name: str, where: object, say: Say) -> str:
    """A name that is fit for a folder, whatever the file calls its sequence."""
    fit = re.sub(r"[^\w. -]+", "-", name).strip(". -")
    if not fit:
        raise InputError(where, "a sequence with a name", f"'{name}'", "name it")
    if fit != name:
        say(f"{where}: '{name}' becomes {fit}")
    return fit


class Row(NamedTuple):
    """One box as a reader meets it: frame from 1, pixels from 0."""

    frame: float
    id: float
    x: float
    y: float
    w: float
    h: float
    score: float
    category: float
    visibility: float


def to_boxes(rows: Sequence[Row], places: Sequence[object], length: int) -> Boxes:
    """Check rows and make them a table, ordered by frame.

    Args:
        rows: boxes.
        places: where each stands, for errors.
        length: frames of the sequence.

    Raises:
        InputError: not finite, a frame outside 1..length, no area, or an id twice in a frame.
    """
    table = np.array(rows, dtype=np.float64).reshape(-1, len(Row._fields))
    frame, identity, box = table[:, 0], table[:, 1], table[:, 2:6]

    def require(good: npt.ArrayLike, expected: str, remedy: str) -> None:
        bad = np.flatnonzero(~np.asarray(good))
        if len(bad):
            row = rows[bad[0]]
            got = f"frame {row.frame:g}, id {row.id:g}, box {row.x:g} {row.y:g} {row.w:g} {row.h:g}"
            raise InputError(places[bad[0]], expected, got, remedy)

    require(np.isfinite(table).all(axis=1), "finite numbers", "correct it")
    within = (frame >= 1) & (frame <= length) & (frame == np.round(frame))
    require(within, f"a frame within the sequence's {length}", "correct its number")
    require((box[:, 2:] > 0).all(axis=1), "width and height above 0", "correct or remove it")
    near = (np.abs(box) <= LARGEST_PIXEL).all(axis=1)
    require(near, f"pixels within {LARGEST_PIXEL:.0f}", "correct it")
    whole = (identity == np.round(identity)) & (np.abs(identity) < EXACT_INTEGERS)
    require(whole, f"a whole number below {EXACT_INTEGERS} as id", "renumber the ids")
    order = np.lexsort((identity, frame))
    again = (np.diff(frame[order]) == 0) & (np.diff(identity[order]) == 0)
    again &= identity[order][1:] >= 0
    once = np.ones(len(table), bool)
    once[order[1:][again]] = False
    require(once, "each id at most once in a frame", "remove or renumber one of the two")
    return Boxes.of(frame, box, identity, *table[:, 6:].T).sorted_by_frame()
