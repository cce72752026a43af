"""Crops of people and what is known of each: who, seen by which camera.

They lie in folders as in Market-1501, or in one HDF5 file (`reid.crop_store`).
`0007_c2s1_000450_00.jpg` is identity 7 from camera 2, sequence 1, frame 450, box 0. Identity −1 is
junk (parts of people), 0 a distractor (no person of the query). A folder is flat, or holds the
folders of Market-1501: `query`, `bounding_box_test` (the gallery), `bounding_box_train`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.images import IMAGE_SUFFIXES, Image, read_resized, resize
from reid.crop_store import CropStore

Labels = npt.NDArray[np.int64]
QUERY, GALLERY, TRAIN = "query", "bounding_box_test", "bounding_box_train"
JUNK, DISTRACTOR = -1, 0
_NAME = re.compile(r"(-1|\d{4,})_c(\d+)s(\d+)_(\d+)_(\d+)")
NAME_EXAMPLE = "0007_c2s1_000450_00.jpg"


class CropImage(Protocol):
    """A crop that has not been read yet; can be sent to another process."""

    def read(self, size_hw: tuple[int, int]) -> Image:
        """Read it as uint8 (height, width, 3) RGB; raises InputError where it is unreadable."""


@dataclass(frozen=True, slots=True)
class FileCrop:
    """A crop in an image file of its own."""

    path: Path

    def read(self, size_hw: tuple[int, int]) -> Image:
        """Read it as uint8 (height, width, 3) RGB; raises InputError where it is unreadable."""
        return read_resized(self.path, size_hw, str(self.path))[0]


@dataclass(frozen=True, slots=True)
class StoredCrop:
    """A crop in an HDF5 file."""

    store: CropStore
    row: int

    def read(self, size_hw: tuple[int, int]) -> Image:
        """Read it as uint8 (height, width, 3) RGB; raises InputError where it is unreadable."""
        return self.store.read(self.row, size_hw)


@dataclass(frozen=True)
class CropSet:
    """Crops of people; all columns have one entry per crop.

    Attributes:
        images: where to read them; those of a folder are ordered by name.
        identity: (N,) −1 = junk, 0 = distractor.
        camera: (N,) camera, or sequence where the crops were cut from MOT sequences.
    """

    images: tuple[CropImage, ...]
    identity: Labels
    camera: Labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: npt.NDArray[np.bool_ | np.intp]) -> CropSet:
        chosen = np.arange(len(self))[rows]
        images = tuple(self.images[row] for row in chosen)
        return CropSet(images, self.identity[chosen], self.camera[chosen])


def crop_name(identity: int, camera: int, frame: int, *, sequence: int = 1, box: int = 0) -> str:
    """File name of a crop, without its suffix."""
    who = f"{identity:04d}" if identity >= 0 else str(identity)
    return f"{who}_c{camera}s{sequence}_{frame:06d}_{box:02d}"


def read_crops(folder: str | os.PathLike[str]) -> CropSet:
    """List the crops that lie in one folder.

    Raises:
        InputError: no such folder, no image in it, or an image whose name says nobody.
    """
    folder = Path(folder)
    if not folder.is_dir():
        expected = "a folder of crops, or an HDF5 file"
        raise InputError(folder, expected, "no such folder", "check the path")
    with os.scandir(folder) as entries:
        names = sorted(e.name for e in entries if Path(e.name).suffix.lower() in IMAGE_SUFFIXES)
    if not names:
        raise InputError(folder, f"crops such as {NAME_EXAMPLE}", "no images", "check the path")
    parsed = [_NAME.fullmatch(Path(name).stem) for name in names]
    for name, match in zip(names, parsed, strict=True):
        if match is None:
            expected = f"a name such as {NAME_EXAMPLE}"
            raise InputError(folder / name, expected, name, "rename or remove it")
    numbers = np.array([[int(m[1]), int(m[2])] for m in parsed if m], np.int64)
    images = tuple(FileCrop(folder / name) for name in names)
    return CropSet(images, numbers[:, 0], numbers[:, 1])


def read_h5(path: str | os.PathLike[str], split: str) -> CropSet:
    """List the crops of one side (train, query or gallery) that an HDF5 file holds.

    Raises:
        InputError: a file that is cut short or something else, or without crops of this side.
    """
    store = CropStore(Path(path))
    rows = np.flatnonzero(store.split == split)
    if not len(rows):
        got = f"those of {', '.join(sorted(set(store.split))) or 'nobody'}"
        raise InputError(path, f"crops of {split}", got, "name another file, or extract again")
    images = tuple(StoredCrop(store, row) for row in rows.tolist())
    return CropSet(images, store.identity[rows], store.camera[rows])


def join_crops(sets: Sequence[CropSet]) -> CropSet:
    """Put folders together whose people and cameras are different ones: both are numbered on.

    Junk and distractors stay what they are.
    """
    people, cameras = 0, 0
    identities, seen_by = [], []
    for crops in sets:
        known = crops.identity > DISTRACTOR
        identities.append(np.where(known, crops.identity + people, crops.identity))
        seen_by.append(crops.camera + cameras)
        people = max(people, int(identities[-1].max()))
        cameras = int(seen_by[-1].max())
    images = tuple(image for crops in sets for image in crops.images)
    return CropSet(images, np.concatenate(identities), np.concatenate(seen_by))


def training_crops(data: str | os.PathLike[str]) -> CropSet:
    """Crops to learn from: the training side of an HDF5 file or folder, or all of a flat folder.

    Raises:
        InputError: as `read_crops` and `read_h5`.
    """
    data = Path(data)
    if data.is_file():
        return read_h5(data, TRAIN)
    return read_crops(data / TRAIN if (data / TRAIN).is_dir() else data)


def query_and_gallery(data: str | os.PathLike[str]) -> tuple[CropSet, CropSet]:
    """Crops to look for and crops to look among.

    An HDF5 file and the folder of Market-1501 have both. Of a flat folder (or one with a gallery
    only) the first crop of each identity and camera, by name, is a query, and all others are the
    gallery.

    Raises:
        InputError: as `read_crops` and `read_h5`.
    """
    folder = Path(data)
    if folder.is_file():
        return read_h5(folder, QUERY), read_h5(folder, GALLERY)
    if (folder / QUERY).is_dir():
        return read_crops(folder / QUERY), read_crops(folder / GALLERY)
    crops = read_crops(folder / GALLERY if (folder / GALLERY).is_dir() else folder)
    pairs = np.stack([crops.identity, crops.camera], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    query = np.zeros(len(crops), bool)
    query[first] = True
    query &= crops.identity > DISTRACTOR
    return crops[query], crops[~query]


def describe(crops: CropSet) -> str:
    """Number of crops, identities and cameras, in words."""
    people = Counter(crops.identity.tolist())
    people.pop(JUNK, None)
    people.pop(DISTRACTOR, None)
    cameras = len(set(crops.camera.tolist()))
    return f"{len(crops):,} crops of {len(people):,} people from {cameras} cameras"


def cut(image: Image, ltwh: npt.NDArray[np.floating], size_hw: tuple[int, int]) -> Image:
    """Cut a box, clipped to the frame, out of an image and resize it.

    Raises:
        InputError: a box wholly outside the image.
    """
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(ltwh[:2]), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(ltwh[:2] + ltwh[2:]), 0, (width, height)).astype(int)
    part = image[top:bottom, left:right]
    if not part.size:
        expected = f"a box that meets the frame of {width} x {height} pixels"
        raise InputError("crop", expected, ltwh.tolist(), "leave this box out")
    return resize(np.ascontiguousarray(part), size_hw)
