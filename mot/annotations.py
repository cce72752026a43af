"""MOTChallenge text files to `Boxes` and back: ground truth, detections and results.

The first stop of every number: columns are checked here, with file and line, so that nothing
behind this module meets a short row, a letter or a NaN. docs/formats.md shows the columns.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.boxes import NO_ID, PEDESTRIAN, Boxes
from mot.errors import InputError
from mot.growing import GrowingFile
from mot.plain_table import PlainTable, read_table

CLASSES: Mapping[int, str] = MappingProxyType(
    {
        1: "pedestrian",
        2: "person on vehicle",
        3: "car",
        4: "bicycle",
        5: "motorbike",
        6: "non-motorised vehicle",
        7: "static person",
        8: "distractor",
        9: "occluder",
        10: "occluder on the ground",
        11: "full occluder",
        12: "reflection",
        13: "crowd",
    }
)
"""Class numbers of MOT16, MOT17 and MOT20 (arXiv:1603.00831, table 2; 13 came with MOT20)."""

# 6 is a distractor in MOT20's protocol only; in MOT17 it marks a handful of wheelchairs and
# prams, about which neither a reward nor a punishment is just.
IGNORED_CLASSES = (2, 6, 7, 8, 12, 13)

FEWEST_COLUMNS = 6
WITH_FLAG, WITH_CLASS, WITH_VISIBILITY = 7, 8, 9
WORLD_COORDINATES = 10  # MOT15 rows: columns 8 to 10 are x, y, z in the world, not a class
EXACT_INTEGERS = 2**24  # up to here float32 keeps every integer apart
LARGEST_PIXEL = 1e6


def read_truth(path: str | os.PathLike[str], *, length: int | None = None) -> Boxes:
    """Read a ground truth of MOT15, MOT16, MOT17 or MOT20.

    Args:
        path: the file, usually gt/gt.txt.
        length: frames of the sequence; rows beyond it are an error.

    Returns:
        Every row, other classes and rows that do not count included (see `considered`). `score` is
        the flag: 0 where the file says 0, else 1. MOT15 rows (10 columns) are pedestrians of
        unknown visibility.

    Raises:
        InputError: a file that cannot be read, or a row that is short, has letters, NaN, a size
            without area, a frame outside 1..length, or an id twice in one frame.
    """
    table = read_table(Path(path), fewest=FEWEST_COLUMNS)
    columns = table.values.shape[1]
    boxes = _boxes_of(table, length)
    table.require((boxes.w > 0) & (boxes.h > 0), "width and height above 0", "correct the row")
    has_class = WITH_CLASS <= columns < WORLD_COORDINATES
    category = table.values[:, 7] if has_class else np.full(len(boxes), PEDESTRIAN)
    # Tools that know one class only write -1 for it.
    category = np.where(category == -1, PEDESTRIAN, category)
    table.require(
        (category == np.round(category)) & (np.abs(category) < EXACT_INTEGERS),
        "a whole number as class (column 8)",
        "see docs/formats.md for the classes",
    )
    boxes = boxes.with_columns(
        score=table.values[:, 6] != 0 if columns >= WITH_FLAG else 1.0,
        cls=category,
        visibility=table.values[:, 8] if columns == WITH_VISIBILITY else -1.0,
    )
    table.require(
        (boxes.id >= 0) | ~considered(boxes),
        "an id of 0 or more for a person who counts",
        "number the people",
    )
    _require_single_ids(table, boxes)
    return boxes


def read_detections(path: str | os.PathLike[str], *, length: int | None = None) -> Boxes:
    """Read detections (det/det.txt, or a result file taken as detections): ids become -1.

    Raises:
        InputError: as `read_truth`, but a size of 0 and ids that repeat are allowed.
    """
    table = read_table(Path(path), fewest=FEWEST_COLUMNS)
    boxes = _boxes_of(table, length)
    score = table.values[:, 6] if table.values.shape[1] >= WITH_FLAG else 1.0
    return boxes.with_columns(id=NO_ID, score=score)


def read_results(path: str | os.PathLike[str], *, length: int | None = None) -> Boxes:
    """Read tracks as `write_results` and other trackers write them.

    Raises:
        InputError: as `read_truth`, but a size of 0 is allowed.
    """
    table = read_table(Path(path), fewest=FEWEST_COLUMNS)
    boxes = _boxes_of(table, length)
    score = table.values[:, 6] if table.values.shape[1] >= WITH_FLAG else 1.0
    table.require(boxes.id >= 0, "a track id of 0 or more", "number the tracks")
    _require_single_ids(table, boxes)
    return boxes.with_columns(score=score)


def considered(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Mask (N,) of the rows a scorer counts: pedestrians whose flag is not 0."""
    return np.asarray((boxes.cls == PEDESTRIAN) & (boxes.score > 0))


def ignore_regions(boxes: Boxes) -> npt.NDArray[np.bool_]:
    """Mask (N,) of the rows that are neither right nor wrong to find.

    People who do not count (flag 0), people-like classes and crowds. Cars and other things that
    are no people are background: neither this nor `considered`.
    """
    uncounted = (boxes.cls == PEDESTRIAN) & (boxes.score <= 0)
    return np.asarray(uncounted | np.isin(boxes.cls, IGNORED_CLASSES))


def write_results(path: str | os.PathLike[str], boxes: Boxes) -> None:
    """Write tracks as MOT rows, sorted by frame and id; the file appears whole or not at all.

    Rows are `frame,id,left,top,w,h,score,-1,-1,-1`; left and top are 1-based pixels, the box has 2
    decimals and the score 4.

    Raises:
        InputError: a value that is not finite, a negative size, or an id below 0.
    """
    text = _rows_of(boxes.sorted_by_frame(), str(path))
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(text)


def truth_rows(boxes: Boxes) -> str:
    """Rows of MOT17's gt.txt: frame, id, left, top (1-based), w, h, flag, class, visibility.

    The flag is 0 where the score is 0, else 1.
    """
    columns = [boxes.frame, boxes.id, boxes.x + 1, boxes.y + 1, boxes.w, boxes.h, boxes.score != 0]
    rows = zip(*(c.tolist() for c in (*columns, boxes.cls, boxes.visibility)), strict=True)
    return "".join(map("%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,%.6g\n".__mod__, rows))


def detection_rows(boxes: Boxes) -> str:
    """Rows of MOT17's det.txt: frame, -1, left, top (1-based), w, h, score."""
    columns = (boxes.frame, boxes.x + 1, boxes.y + 1, boxes.w, boxes.h, boxes.score)
    rows = zip(*(c.tolist() for c in columns), strict=True)
    return "".join(map("%d,-1,%.2f,%.2f,%.2f,%.2f,%.6g\n".__mod__, rows))


class ResultWriter:
    """Result file that grows frame by frame and holds whole lines at any moment.

    Use it as a context manager.

    Args:
        path: target; what was there is replaced.
        keep: bytes of an earlier run to go on from; 0 = none.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep: int = 0) -> None:
        self.path = Path(path)
        self._file = GrowingFile(self.path, keep=keep)

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._file.size

    def write(self, boxes: Boxes) -> None:
        """Append the tracks of one or more frames.

        Raises:
            InputError: as `write_results`.
            OSError: the disk is full; the file then ends with the last whole frame.
        """
        self._file.write(_rows_of(boxes, str(self.path)))

    def close(self) -> None:
        """Close the file; further writing is an error."""
        self._file.close()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _boxes_of(table: PlainTable, length: int | None) -> Boxes:
    """Check the six columns that all files share; x and y become 0-based."""
    frame, identity, left, top, width, height = table.values[:, :6].T
    table.require(np.isfinite(table.values).all(axis=1), "finite numbers", "remove NaN and inf")
    table.require(
        (frame == np.round(frame)) & (frame >= 1) & (frame < EXACT_INTEGERS),
        "a whole frame number from 1 on (column 1)",
        "count frames from 1",
    )
    if length is not None:
        table.require(
            frame <= length,
            f"a frame within the sequence's {length}",
            "correct the row, or seqLength in seqinfo.ini",
        )
    table.require(
        (identity == np.round(identity)) & (np.abs(identity) < EXACT_INTEGERS),
        f"a whole number below {EXACT_INTEGERS} as id (column 2)",
        "renumber the ids",
    )
    table.require((width >= 0) & (height >= 0), "sizes of 0 or more", "correct the row")
    table.require(
        (np.abs(table.values[:, 2:6]) <= LARGEST_PIXEL).all(axis=1),
        f"left, top, width and height within {LARGEST_PIXEL:.0f} pixels",
        "correct the row",
    )
    return Boxes.of(frame, np.stack([left - 1, top - 1, width, height], axis=1), id=identity)


def _require_single_ids(table: PlainTable, boxes: Boxes) -> None:
    """Refuse an id that stands twice in one frame; rows without an id (-1) may repeat."""
    order = np.lexsort((boxes.id, boxes.frame))  # stable: of two equal rows the later comes second
    frame, identity = boxes.frame[order], boxes.id[order]
    again = (frame[1:] == frame[:-1]) & (identity[1:] == identity[:-1]) & (identity[1:] >= 0)
    good = np.ones(len(boxes), bool)
    good[order[1:][again]] = False
    table.require(good, "each id at most once in a frame", "remove or renumber the second row")


def _rows_of(boxes: Boxes, where: str) -> bytes:
    """Format rows, 1-based; + 0.0 turns -0.0 into 0.0."""
    box = np.round(boxes.ltwh.astype(np.float64) + (1.0, 1.0, 0.0, 0.0), 2) + 0.0
    score = np.round(boxes.score.astype(np.float64), 4) + 0.0
    good = np.isfinite(box).all(axis=1) & np.isfinite(score) & (box[:, 2:] >= 0).all(axis=1)
    good &= (boxes.id >= 0) & np.isfinite(boxes.id) & np.isfinite(boxes.frame) & (boxes.frame >= 1)
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(
            where,
            "tracks with frame and id from 0 on, finite boxes and sizes of 0 or more",
            f"frame {boxes.frame[row]:g}, id {boxes.id[row]:g}, box {boxes.ltwh[row].tolist()}",
            "write confirmed tracks only",
        )
    columns = [boxes.frame.astype(int), boxes.id.astype(int), *box.T, score]
    row_format = "%d,%d,%.2f,%.2f,%.2f,%.2f,%.4f,-1,-1,-1\n"
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return "".join(map(row_format.__mod__, rows)).encode("ascii")
