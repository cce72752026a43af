"""Crops of people in one HDF5 file: written as they come, read one at a time.

Datasets: `images` (N, H, W, 3) uint8 RGB, `identity`, `camera` and `frame` (N,) int64, and `split`
(N,) text, the name of the Market-1501 folder that a crop belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.errors import InputError
from mot.images import Image, resize

# What h5py raises for a file that is cut short, and for one whose content is another.
UNREADABLE = (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError)
REMEDY = "copy it again, or write it with python -m reid.extract --h5"


@contextmanager
def write_store(
    path: Path, columns: Mapping[str, npt.ArrayLike], size_hw: tuple[int, int]
) -> Iterator[Callable[[int, Image], None]]:
    """Yield a function that puts the crop (H, W, 3) of a row into its place; one is in memory.

    The file appears, whole, when the block succeeds.

    Args:
        path: a new file.
        columns: identity, camera, frame and split, (N,) each.
        size_hw: height and width of every crop.

    Raises:
        InputError: the file is there.
    """
    if path.exists():
        raise InputError(path, "a new HDF5 file", "one that is there", "use another --h5")
    shape = (len(np.asarray(columns["identity"])), *size_hw, 3)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in columns.items():
            file[name] = values
        images = file.create_dataset(
            "images",
            shape,
            np.uint8,
            chunks=(1, *shape[1:]),
            compression="lzf",
            fletcher32=True,  # a damaged crop is an error, not noise
        )
        yield images.__setitem__


class CropStore:
    """An HDF5 file of crops, which every process opens for itself.

    Args:
        path: the file.

    Attributes:
        identity, camera: (N,) int64.
        split: (N,) text.

    Raises:
        InputError: a file that is cut short, or something else than crops.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._images = self._open()
        file = self._images.file
        count = len(self._images)
        try:
            self.identity = np.asarray(file["identity"][:], np.int64)
            self.camera = np.asarray(file["camera"][:], np.int64)
            self.split = file["split"].asstr()[:].astype(str)
        except UNREADABLE as error:
            raise self._unreadable(error) from error
        for name in ("identity", "camera", "split"):
            if getattr(self, name).shape != (count,):
                got = f"{name} of shape {getattr(self, name).shape}"
                raise InputError(path, f"{count} rows for {count} images", got, REMEDY)

    def read(self, row: int, size_hw: tuple[int, int]) -> Image:
        """One crop, uint8 (height, width, 3) RGB.

        Raises:
            InputError: its bytes cannot be read.
        """
        if self._images is None:
            self._images = self._open()
        try:
            image = np.asarray(self._images[row], np.uint8)
        except UNREADABLE as error:
            raise self._unreadable(error, f", crop {row}") from error
        return resize(image, size_hw)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_images": None}  # an open file cannot go to another process

    def _open(self) -> Any:
        """Open the file and return its images."""
        try:
            images = h5py.File(self.path, "r")["images"]
            usable = images.ndim == 4 and images.shape[3] == 3 and images.dtype == np.uint8
            got = f"images of shape {images.shape}, {images.dtype}"
        except UNREADABLE as error:
            raise self._unreadable(error) from error
        if not usable:
            raise InputError(self.path, "images (N, H, W, 3) in uint8", got, REMEDY)
        return images

    def _unreadable(self, error: Exception, place: str = "") -> InputError:
        return InputError(f"{self.path}{place}", "a whole HDF5 file of crops", error, REMEDY)
