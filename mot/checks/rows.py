"""Defects of a text file of boxes: gt.txt or det.txt, all of them, not only the first.

Whole columns are looked at at once; what cannot be read as numbers is left out of the rest.
docs/formats.md says what a row should be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.annotations import (
    CLASSES,
    EXACT_INTEGERS,
    FEWEST_COLUMNS,
    LARGEST_PIXEL,
    WITH_CLASS,
    WITH_FLAG,
    WITH_VISIBILITY,
    WORLD_COORDINATES,
)
from mot.boxes import PEDESTRIAN
from mot.checks.finding import ERROR, NOTE, WARNING, Findings
from mot.errors import InputError
from mot.plain_table import scan_table

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

PEOPLE = (1, 2, 7)  # classes whose boxes move as people do
LEAST_JUMP = 0.3  # box heights a frame that are taken for an imprecise box at any rate
USUAL_FPS = 10.0  # of a sequence that does not know its rate
ANY_RANGE_DETECTOR = "-DPM"  # how MOT17 names the folder of a detector with unbounded scores


@dataclass(frozen=True)
class Facts:
    """What is known of a sequence from elsewhere; None = unknown.

    Attributes:
        length: frames.
        size: width and height in pixels.
        fps: frames per second.
        jump: box heights that a person may move in a second.
    """

    length: int | None
    size: tuple[int, int] | None
    fps: float | None
    jump: float


def check_truth(path: Path, facts: Facts, findings: Findings) -> int:
    """Check a ground truth and return the number of its rows."""
    rows = _Rows.read(path, findings)
    if rows is None:
        return 0
    _check_common(rows, facts)
    rows.report((rows.w <= 0) | (rows.h <= 0), ERROR, "size", rows.say_size)
    _check_classes(rows)
    counts = (rows.category == PEDESTRIAN) & (rows.flag != 0)
    nobody = counts & (rows.id < 0)
    rows.report(nobody, ERROR, "id", lambda i: f"a person who counts has id {rows.id[i]:g}")
    _check_identities(rows)
    _check_jumps(rows, facts)
    return rows.count


def check_detections(path: Path, facts: Facts, findings: Findings) -> int:
    """Check public detections and return the number of their rows."""
    rows = _Rows.read(path, findings)
    if rows is None:
        return 0
    _check_common(rows, facts)
    rows.report((rows.w < 0) | (rows.h < 0), ERROR, "size", rows.say_size)
    empty = ((rows.w == 0) | (rows.h == 0)) & (rows.w >= 0) & (rows.h >= 0)
    rows.report(empty, WARNING, "size", rows.say_size)
    outside = (rows.flag < 0) | (rows.flag > 1)
    if outside.any():
        free = rows.columns >= WORLD_COORDINATES or ANY_RANGE_DETECTOR in str(path)
        reason = ", as such detectors' are" if free else ""
        what = (
            f"{int(outside.sum()):,} of {len(outside):,} scores lie outside 0..1 "
            f"({rows.flag.min():g} to {rows.flag.max():g}){reason}"
        )
        findings.add(path, 0, NOTE if free else WARNING, "score", what)
    return rows.count


@dataclass(frozen=True)
class _Rows:
    """Rows of finite numbers, by column; left and top are 1-based as in the file."""

    path: Path
    findings: Findings
    count: int
    columns: int
    lines: npt.NDArray[np.int64]
    frame: Numbers
    id: Numbers
    x: Numbers
    y: Numbers
    w: Numbers
    h: Numbers
    flag: Numbers
    category: Numbers
    visibility: Numbers

    @classmethod
    def read(cls, path: Path, findings: Findings) -> _Rows | None:
        """Read what can be read, and report what cannot; None where there is nothing to check."""
        try:
            scan = scan_table(path)
        except InputError as error:
            findings.add_error(error, "unreadable")
            return None
        for remark in scan.remarks:
            findings.add(path, 0, NOTE, "text", remark)
        for line, what in scan.faults:
            findings.add(path, line, ERROR, "columns" if "columns" in what else "numbers", what)
        rows, columns = scan.values.shape
        count = rows + len(scan.faults)
        if not count:
            findings.add(path, 0, WARNING, "empty", "has no rows")
            return None
        if columns < FEWEST_COLUMNS:
            what = f"{columns} columns, at least {FEWEST_COLUMNS} are needed"
            findings.add(path, int(scan.lines[0]) if rows else 0, ERROR, "columns", what)
            return None
        finite = np.isfinite(scan.values).all(axis=1)
        say = "NaN or infinity among the numbers"
        findings.add_rows(path, scan.lines, ~finite, ERROR, "nan", lambda _: say)
        values, lines = scan.values[finite], scan.lines[finite]
        has_class = WITH_CLASS <= columns < WORLD_COORDINATES
        category = values[:, 7] if has_class else np.full(len(values), PEDESTRIAN)
        frame, identity, x, y, w, h = values[:, :6].T
        flag = values[:, 6] if columns >= WITH_FLAG else np.ones(len(values))
        category = np.where(category == -1, PEDESTRIAN, category)
        unknown = np.full(len(values), -1.0)
        visibility = values[:, 8] if columns == WITH_VISIBILITY else unknown
        box = (x, y, w, h)
        return cls(
            path, findings, count, columns, lines, frame, identity, *box, flag, category, visibility
        )

    def report(
        self, bad: npt.ArrayLike, severity: str, kind: str, say: Callable[[int], str]
    ) -> None:
        """Add a finding for each bad row."""
        self.findings.add_rows(self.path, self.lines, bad, severity, kind, say)

    def say_size(self, row: int) -> str:
        """Describe the size of a box."""
        return f"a box of {self.w[row]:g} x {self.h[row]:g} pixels"


def _check_common(rows: _Rows, facts: Facts) -> None:
    """Check what holds for every kind of file."""
    odd = (rows.frame != np.round(rows.frame)) | (rows.frame < 1)
    rows.report(odd, ERROR, "frame", lambda i: f"frame {rows.frame[i]:g}, they count from 1")
    if facts.length is not None:
        late = (rows.frame > facts.length) & ~odd
        say_late = f"the sequence has {facts.length}"
        rows.report(late, ERROR, "frame", lambda i: f"frame {rows.frame[i]:g}, {say_late}")
    bad = (rows.id != np.round(rows.id)) | (np.abs(rows.id) >= EXACT_INTEGERS)
    whole = f"whole numbers below {EXACT_INTEGERS} are ids"
    rows.report(bad, ERROR, "id", lambda i: f"id {rows.id[i]:g}, {whole}")
    box = np.stack([rows.x, rows.y, rows.w, rows.h])
    far = (np.abs(box) > LARGEST_PIXEL).any(axis=0)
    rows.report(far, ERROR, "far", lambda i: f"a box more than {LARGEST_PIXEL:.0f} pixels away")
    if facts.size is not None:
        width, height = facts.size
        left, top = rows.x - 1, rows.y - 1
        beyond = (left >= width) | (top >= height) | (left + rows.w <= 0) | (top + rows.h <= 0)
        beyond &= ~far & (rows.w > 0) & (rows.h > 0)
        rows.report(beyond, WARNING, "outside", lambda i: _say_outside(rows, i, width, height))


def _say_outside(rows: _Rows, i: int, width: int, height: int) -> str:
    box = ", ".join(f"{value:g}" for value in (rows.x[i], rows.y[i], rows.w[i], rows.h[i]))
    return f"the box {box} lies outside of the {width}x{height} frame"


def _check_classes(rows: _Rows) -> None:
    """Check flag, class and visibility."""
    part = rows.category != np.round(rows.category)
    rows.report(part, ERROR, "class", lambda i: f"class {rows.category[i]:g} is no whole number")
    unknown = ~part & ~np.isin(rows.category, list(CLASSES))
    known = f"{min(CLASSES)} to {max(CLASSES)} are known"
    rows.report(unknown, WARNING, "class", lambda i: f"class {rows.category[i]:g}, {known}")
    odd = (rows.visibility != -1) & ((rows.visibility < 0) | (rows.visibility > 1))
    rows.report(
        odd, WARNING, "visibility", lambda i: f"visibility {rows.visibility[i]:g}, not in 0..1"
    )
    flags = np.unique(rows.flag[(rows.flag != 0) & (rows.flag != 1)])
    if len(flags):
        values = ", ".join(f"{flag:g}" for flag in flags[:5]) + (", …" if len(flags) > 5 else "")
        what = f"flags (column 7) of {values}: they count, as all but 0 do"
        rows.findings.add(rows.path, 0, NOTE, "flag", what)


def _check_identities(rows: _Rows) -> None:
    """Check that an id stands once in a frame, and for one class."""
    order = np.lexsort((rows.lines, rows.frame, rows.id))
    order = order[rows.id[order] >= 0]
    earlier, later = order[:-1], order[1:]
    same = rows.id[earlier] == rows.id[later]
    twice = same & (rows.frame[earlier] == rows.frame[later])
    before = np.full(len(rows.id), -1)
    before[later] = earlier

    def say_twice(i: int) -> str:
        first = rows.lines[before[i]]
        return f"id {rows.id[i]:g} stands in frame {rows.frame[i]:g} already (line {first})"

    def say_class(i: int) -> str:
        was, now = rows.category[before[i]], rows.category[i]
        place = f"frame {rows.frame[before[i]]:g}, line {rows.lines[before[i]]}"
        return f"id {rows.id[i]:g} is {_name(now)} here and {_name(was)} before ({place})"

    rows.report(_mask(later[twice], rows), ERROR, "duplicate", say_twice)
    changed = later[same & ~twice & (rows.category[earlier] != rows.category[later])]
    _, first = np.unique(rows.id[changed], return_index=True)  # one finding for an id is enough
    rows.report(_mask(changed[first], rows), WARNING, "class-change", say_class)


def _check_jumps(rows: _Rows, facts: Facts) -> None:
    """Check that nobody moves implausibly far between neighbouring frames."""
    moving = np.isin(rows.category, PEOPLE) & (rows.id >= 0) & (rows.w > 0) & (rows.h > 0)
    order = np.lexsort((rows.frame, rows.id))
    order = order[moving[order]]
    earlier, later = order[:-1], order[1:]
    next_to = (rows.id[earlier] == rows.id[later]) & (rows.frame[later] - rows.frame[earlier] == 1)
    across = rows.x + rows.w / 2, rows.y + rows.h / 2
    distance = np.hypot(*(centre[later] - centre[earlier] for centre in across))
    tallest = np.maximum(rows.h[earlier], rows.h[later])
    limit = max(LEAST_JUMP, facts.jump / (facts.fps or USUAL_FPS))
    far = next_to & (distance > limit * tallest)
    moved = np.zeros(len(rows.id))
    moved[later] = distance / np.maximum(tallest, 1e-9)
    say = f"times its height away from where it was a frame before, over {limit:.2g} is suspicious"
    rows.report(
        _mask(later[far], rows), WARNING, "jump",
        lambda i: f"id {rows.id[i]:g} is {moved[i]:.1f} {say}",
    )  # fmt: skip


def _mask(indices: npt.NDArray[np.int64], rows: _Rows) -> Mask:
    mask = np.zeros(len(rows.id), bool)
    mask[indices] = True
    return mask


def _name(category: float) -> str:
    return f"class {category:g} ({CLASSES.get(int(category), 'unknown')})"
