"""People cut out of photos along their outlines, for composites (nets.composites) to paste.

The outlines lie beside the photos: NAME_mask.png of the size of NAME.jpg, black where nobody is,
with a value (or colour) of its own for each person.
"""

from __future__ import annotations

import os
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.images import Image, read_image, resize
from mot.progress import progress_bar
from mot.stills import MASK_ENDING, is_photo

Mask = npt.NDArray[np.bool_]
SMALLEST_CUT_PX = 60  # lower people lack detail
LARGEST_CUT_PX = 400  # higher ones are shrunk: crops show people at less
BORDER_PX = 2  # an outline that comes so near to the photo's border may go on beyond it
HEIGHT_PER_WIDTH = (1.3, 5.0)  # of a whole person who stands or walks
FILL = (0.25, 0.85)  # share of the box that the outline fills
TOUCHING = 0.08  # share of the surroundings that may be other people, who may hide a part


@dataclass(frozen=True)
class Outline:
    """Where one whole person stands in a photo.

    Attributes:
        photo: the picture.
        mask: picture of the outlines.
        value: of this person's pixels in it, as `_read_values` numbers them.
        rows, columns: the tight box.
    """

    photo: Path
    mask: Path
    value: int
    rows: slice
    columns: slice


class Cutouts:
    """Cut-outs by number, each read from its photo when it is first asked for, then kept.

    Copies for other processes carry the outlines' places alone: each process reads what it draws.
    """

    def __init__(self, outlines: Many[Outline]) -> None:
        self._outlines = tuple(outlines)
        self._kept: dict[int, Image] = {}

    def __len__(self) -> int:
        return len(self._outlines)

    def __getstate__(self) -> dict[str, Any]:
        return {"_outlines": self._outlines, "_kept": {}}

    def read(self, index: int) -> Image:
        """One person, tightly cut: uint8 (h, w, 4) RGB and alpha 0 or 255; not to be changed.

        Raises:
            InputError: a photo or mask that cannot be read, or a mask of another size.
        """
        if index not in self._kept:
            self._keep_all_of(self._outlines[index].photo)
        return self._kept[index]

    def _keep_all_of(self, photo: Path) -> None:
        """Cut out everybody in a photo: decoding it is what takes long."""
        numbers = [n for n, outline in enumerate(self._outlines) if outline.photo == photo]
        mask = self._outlines[numbers[0]].mask
        image, values = read_image(photo), _read_values(mask)
        if image.shape[:2] != values.shape:
            (height, width), (rows, columns) = image.shape[:2], values.shape
            expected = f"{width}x{height}, the size of its photo"
            raise InputError(mask, expected, f"{columns}x{rows}", "restore or remove the mask")
        for number in numbers:
            outline = self._outlines[number]
            place = outline.rows, outline.columns
            alpha = np.where(values[place] == outline.value, 255, 0).astype(np.uint8)
            self._kept[number] = _at_most(np.dstack([image[place], alpha]), LARGEST_CUT_PX)


def open_cutouts(folders: Many[str | os.PathLike[str]]) -> Cutouts:
    """Find the whole people in the masks of folders of photos.

    Left out are those lower than 60 px, those who reach the photo's border or stand against another
    person (a part of them may be hidden), and outlines that are no standing person's.

    Raises:
        InputError: no such folder, a folder without masks, a mask that cannot be read, or no whole
            person in all of them.
    """
    pairs = [pair for folder in folders for pair in _pairs(Path(folder))]
    found: list[Outline] = []
    with progress_bar(len(pairs), unit="mask", title="cut-outs") as bar:
        for photo, mask in pairs:
            found += _whole_people(photo, mask)
            bar.update()
    if not found:
        expected = f"a whole person of {SMALLEST_CUT_PX} px or more in a mask"
        where = " ".join(str(folder) for folder in folders)
        raise InputError(where, expected, "none", "name a folder with others for --cutouts")
    return Cutouts(found)


def _pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Photos that have a mask, sorted by name, and their masks."""
    expected = f"a folder of photos NAME.jpg with NAME{MASK_ENDING}.png beside them"
    if not folder.is_dir():
        raise InputError(folder, expected, "no such folder", "check --cutouts")
    photos = sorted(path for path in folder.iterdir() if is_photo(path.name))
    pairs = [(photo, photo.with_name(f"{photo.stem}{MASK_ENDING}.png")) for photo in photos]
    pairs = [(photo, mask) for photo, mask in pairs if mask.is_file()]
    if not pairs:
        raise InputError(folder, expected, "no mask", "name another folder for --cutouts")
    return pairs


def _read_values(mask: Path) -> npt.NDArray[np.int32]:
    """Number of the person at each pixel (H, W), 0 = nobody; colours of a palette tell as well."""
    red, green, blue = cv2.split(read_image(mask).astype(np.int32))
    values: npt.NDArray[np.int32] = (red * 256 + green) * 256 + blue
    return values


def _whole_people(photo: Path, mask: Path) -> list[Outline]:
    """Outlines in a mask that are those of whole people."""
    values = _read_values(mask)
    found = []
    for value in np.unique(values[values > 0]).tolist():
        person = values == value
        rows, columns = _extent(person.any(axis=1)), _extent(person.any(axis=0))
        if _is_whole(person, values > 0, rows, columns):
            found.append(Outline(photo, mask, value, rows, columns))
    return found


def _extent(occupied: Mask) -> slice:
    """From the first to the last true value."""
    at = np.flatnonzero(occupied)
    return slice(int(at[0]), int(at[-1]) + 1)


def _is_whole(person: Mask, anybody: Mask, rows: slice, columns: slice) -> bool:
    """Whether an outline is one of a standing person of whom nothing is hidden."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height < SMALLEST_CUT_PX or not _within(height / width, HEIGHT_PER_WIDTH):
        return False
    near_border = min(rows.start, columns.start) < BORDER_PX
    far_border = rows.stop > len(person) - BORDER_PX or columns.stop > len(person[0]) - BORDER_PX
    if near_border or far_border or not _within(person[rows, columns].mean(), FILL):
        return False
    grown = cv2.dilate(person.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    around = grown & ~person
    return bool(anybody[around].mean() <= TOUCHING)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return bool(limits[0] <= value <= limits[1])


def _at_most(cutout: Image, height_px: int) -> Image:
    """Shrink a cut-out to a height where it is higher."""
    height, width = cutout.shape[:2]
    if height <= height_px:
        return cutout
    return resize(cutout, (height_px, max(1, round(width * height_px / height))))
