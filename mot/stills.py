"""Folders of single photos with boxes.csv: people for a detector to learn from, no tracks.

Each photo counts as a frame, so that labels and losses treat stills and video alike.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.boxes import PEDESTRIAN, Boxes
from mot.errors import InputError
from mot.images import IMAGE_SUFFIXES, Image, read_image
from mot.plain_table import read_text

BOXES_FILE = "boxes.csv"
COLUMNS = ("image", "x", "y", "w", "h")
IGNORED = "ignored"  # optional column: 1 for a region that says nothing of people
CROWD = 13  # class of such a row in `Boxes`
MASK_ENDING = "_mask"  # NAME_mask.png holds the people's outlines, not a photo


@dataclass(frozen=True)
class Stills:
    """Photos and the boxes in them.

    Attributes:
        name: name of the folder.
        folder: where photos and boxes.csv lie.
        paths: photos, sorted by name; those without a row show no people.
        boxes: rows whose `frame` is the 1-based index into `paths`; ids are -1; an ignored region
            has the class of crowds.
    """

    name: str
    folder: Path
    paths: tuple[Path, ...] = field(repr=False)
    boxes: Boxes = field(repr=False)

    def __len__(self) -> int:
        return len(self.paths)


def open_stills(folder: str | os.PathLike[str]) -> Stills:
    """Open a folder of photos with boxes.csv (image, x, y, w, h in 0-based pixels, ignored or not).

    Raises:
        InputError: no folder, photos or boxes.csv; a row that is short, has letters or NaN, a box
            without area, or a photo that is not in the folder. It names file and line.
    """
    folder = Path(folder)
    table_at = folder / BOXES_FILE
    if not table_at.is_file():
        raise InputError(folder, f"a folder of photos with {BOXES_FILE}", "none", "check the path")
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if is_photo(entry.name))
    if not names:
        raise InputError(
            folder, f"photos ({' '.join(sorted(IMAGE_SUFFIXES))})", "none", "check the path"
        )
    boxes = _read_boxes(table_at, {name: number for number, name in enumerate(names, 1)})
    return Stills(folder.resolve().name, folder, tuple(folder / name for name in names), boxes)


def read_still(stills: Stills, index: int) -> Image:
    """Decode the photo of a 1-based index (as in `boxes.frame`) to uint8 (H, W, 3) RGB.

    Raises:
        InputError: no such index, or a photo that is missing or truncated.
    """
    if not 1 <= index <= len(stills):
        raise InputError(
            f"stills {stills.name}", f"an index in 1..{len(stills)}", index, "count from 1"
        )
    return read_image(stills.paths[index - 1])


def is_photo(name: str) -> bool:
    """Whether a file of such a name is a photo, and no mask or hidden file."""
    path = Path(name)
    hidden = name.startswith(".")
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.stem.endswith(MASK_ENDING) | hidden


def _read_boxes(path: Path, number_of: dict[str, int]) -> Boxes:
    """Read boxes.csv; `number_of` gives the frame number of a photo's name."""
    try:
        rows = list(csv.reader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(path, "comma-separated text", error, "save it as plain CSV") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if any(name not in header for name in COLUMNS):
        raise InputError(
            f"{path}:1", f"the header {','.join(COLUMNS)}", ",".join(header) or "nothing", "add it"
        )
    filled = [(line, row) for line, row in enumerate(rows[1:], 2) if row]
    for line, row in filled:
        if len(row) != len(header):
            raise InputError(
                f"{path}:{line}", f"{len(header)} columns", len(row), "complete the row"
            )
    if not filled:
        return Boxes.empty()
    by_name = dict(zip(header, zip(*(row for _, row in filled), strict=True), strict=True))
    lines = [line for line, _ in filled]
    for line, name in zip(lines, by_name["image"], strict=True):
        if name.strip() not in number_of:
            raise InputError(
                f"{path}:{line}", "a photo of this folder", f"'{name}'", "correct its name"
            )
    frames = [number_of[name.strip()] for name in by_name["image"]]
    table = _to_numbers([by_name[name] for name in COLUMNS[1:]], path, lines)
    good = np.isfinite(table).all(axis=1) & (table[:, 2:] > 0).all(axis=1)
    if not good.all():
        bad = int(np.argmin(good))
        raise InputError(
            f"{path}:{lines[bad]}",
            "finite numbers, width and height above 0",
            table[bad].tolist(),
            "correct the row",
        )
    category = np.where(_flags(by_name.get(IGNORED), path, lines), CROWD, PEDESTRIAN)
    return Boxes.of(frames, table, category=category).sorted_by_frame()


def boxes_text(boxes: Boxes, names: Sequence[str]) -> str:
    """Text of a boxes.csv: rows of crowds are ignored regions, the others people.

    Args:
        boxes: rows whose `frame` is the 1-based index into `names`.
        names: of the photos.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, IGNORED])
    for frame, ltwh, category in zip(boxes.frame, boxes.ltwh.tolist(), boxes.cls, strict=True):
        sides = [f"{side:.2f}" for side in ltwh]
        writer.writerow([names[int(frame) - 1], *sides, int(category == CROWD)])
    return text.getvalue()


def _flags(column: tuple[str, ...] | None, path: Path, lines: list[int]) -> npt.NDArray[np.bool_]:
    """Read the column of ignored regions, all False where there is none."""
    if column is None:
        return np.zeros(len(lines), bool)
    for line, text in zip(lines, column, strict=True):
        if text.strip() not in ("0", "1"):
            raise InputError(f"{path}:{line}", f"0 or 1 as {IGNORED}", f"'{text}'", "correct it")
    return np.array([text.strip() == "1" for text in column])


def _to_numbers(
    columns: list[tuple[str, ...]], path: Path, lines: list[int]
) -> npt.NDArray[np.float64]:
    """Turn columns of text into (N, 4) numbers."""
    try:
        return np.array(columns, dtype=np.float64).T
    except ValueError:
        for line, fields in zip(lines, zip(*columns, strict=True), strict=True):
            try:
                np.array(fields, dtype=np.float64)
            except ValueError as error:
                raise InputError(
                    f"{path}:{line}", "numbers", ",".join(fields), "correct the row"
                ) from error
        raise
