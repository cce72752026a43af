"""Every error as a row of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.analysis.breakdown import SceneErrors
from mot.analysis.people import touches_border
from mot.analysis.scene import Rows
from mot.atomic import write_text
from mot.boxes import Boxes

MISS, FALSE, SWITCH = KINDS = ("miss", "false_positive", "switch")


@dataclass(frozen=True)
class ErrorRow:
    """One error; None = does not apply, or is not known.

    Attributes:
        sequence: its name.
        frame: 1-based number.
        kind: one of `KINDS`.
        id: of the person, of a false box the track's.
        x, y, w, h: the true box, or the false one, in pixels from 0, as in `Boxes`.
        height_px: the height again, by the name of the table.
        visibility: visible share of the person.
        border: 1 = the box touches the frame's edge.
        cause: a key of the kind's causes.
        gap_frames: of a switch, frames without a match before it.
        old_track, new_track: of a switch, the ids before and after.
    """

    sequence: str
    frame: int
    kind: str
    id: int
    x: float
    y: float
    w: float
    h: float
    height_px: float
    visibility: float | None
    border: int
    cause: str
    gap_frames: int | None = None
    old_track: int | None = None
    new_track: int | None = None


def write_errors(path: Path, scenes: Sequence[SceneErrors]) -> None:
    """Write all errors, by sequence and frame; the file appears whole.

    Raises:
        OSError: it cannot be written.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow([field.name for field in fields(ErrorRow)])
    for errors in scenes:
        for row in error_rows(errors):
            values = [f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)]
            writer.writerow(values)
    write_text(path, table.getvalue())


def error_rows(errors: SceneErrors) -> list[ErrorRow]:
    """All errors of a scene, by frame, kind and id."""
    scene, listed, switches = errors.scene, errors.scene.errors, errors.switches
    facts = np.stack([switches.gap_frames, switches.old, switches.new], axis=1)
    rows = [
        *_rows(errors, MISS, scene.truth, listed.missed, errors.miss_causes),
        *_rows(errors, FALSE, scene.tracks, listed.false, errors.false_causes),
        *_rows(errors, SWITCH, scene.truth, listed.switched, switches.cause, facts),
    ]
    return sorted(rows, key=lambda row: (row.frame, KINDS.index(row.kind), row.id))


def _rows(
    errors: SceneErrors,
    kind: str,
    table: Boxes,
    rows: Rows,
    causes: npt.NDArray[np.str_],
    facts: Rows | None = None,
) -> Iterator[ErrorRow]:
    boxes = table[rows]
    border = touches_border(boxes, errors.scene.size_hw)
    for row, cause in enumerate(causes.tolist()):
        x, y, w, h = boxes.ltwh[row].tolist()
        seen = float(boxes.visibility[row])
        rest = facts[row].tolist() if facts is not None else []
        yield ErrorRow(
            *(errors.scene.name, int(boxes.frame[row]), kind, int(boxes.id[row]), x, y, w, h, h),
            *(None if seen < 0 else seen, int(border[row]), cause, *rest),
        )
