"""Density maps on disk, one file a frame, as crowd-counting code reads them.

The sum of a map is the number of people. NumPy's format, or HDF5 with the key `density` as CSRNet
(arXiv:1802.10062) keeps its ground truth.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.errors import InputError
from mot.shapes import expect

FloatMap = npt.NDArray[np.float32]
KEY = "density"
_NUMBERED = re.compile(r"([0-9]{1,9})\.(\w+)")


def save_npy(path: Path, density: FloatMap) -> None:
    """Write an array (h, w)."""
    np.save(path, density)


def save_h5(path: Path, density: FloatMap) -> None:
    """Write an array (h, w) under the key `density`."""
    with h5py.File(path, "w") as file:
        file.create_dataset(KEY, data=density, compression="gzip")


def load_npy(path: Path) -> Any:
    """Read an array."""
    return np.load(path, allow_pickle=False)


def load_h5(path: Path) -> Any:
    """Read the array under the key `density`."""
    with h5py.File(path, "r") as file:
        return file[KEY][()]


MENU: dict[str, Callable[[Path, FloatMap], None]] = {"npy": save_npy, "h5": save_h5}
READERS: dict[str, Callable[[Path], Any]] = {"npy": load_npy, "h5": load_h5}


def require_kind(kind: str) -> None:
    """Refuse a kind of file that is not on the `MENU`.

    Raises:
        InputError: names those that are.
    """
    if kind not in MENU:
        raise InputError("--density", f"one of {', '.join(MENU)}", kind, "choose one")


class DensityFiles:
    """Writes one file for each frame, each as a whole.

    Args:
        folder: where they lie; 000001.npy, 000002.npy …
        kind: a key of `MENU`.

    Raises:
        InputError: an unknown kind.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        require_kind(kind)
        self._folder, self._kind = folder, kind

    def write(self, frame: int, density: FloatMap) -> None:
        """Write the people per cell (h, w) of a frame."""
        with atomic_path(self._folder / f"{frame:06d}.{self._kind}") as temporary:
            MENU[self._kind](temporary, density)


@dataclass(frozen=True)
class DensityMaps:
    """Reads what `DensityFiles` wrote, one frame at a time.

    Attributes:
        folder: where the files lie.
        files: 1-based frame number to file name, ascending.
    """

    folder: Path
    files: dict[int, str]

    @classmethod
    def open(cls, folder: Path) -> DensityMaps:
        """Look which frames have a map.

        Raises:
            InputError: no such folder, no maps in it, or two of one frame.
        """
        expected = "a folder of density maps (000001.npy or .h5 …)"
        remedy = "write one with track.py --density npy"
        if not folder.is_dir():
            got = "a file" if folder.exists() else "no such folder"
            raise InputError(folder, expected, got, remedy)
        with os.scandir(folder) as entries:
            matches = [m for e in entries if (m := _NUMBERED.fullmatch(e.name)) and m[2] in READERS]
        files = {int(match[1]): match[0] for match in sorted(matches, key=lambda m: int(m[1]))}
        if not files:
            raise InputError(folder, expected, "none", remedy)
        if len(files) < len(matches):
            got = f"{len(matches)} for {len(files)} frames"
            raise InputError(folder, "one map for each frame", got, "remove the others")
        return cls(folder, files)

    def frames_within(self, first: int, last: int, length: int) -> range:
        """The frames first..last that have a map: all, or one in every so many.

        Args:
            first: 1-based number of the first frame.
            last: of the last one, included.
            length: frames of the video, which no map may exceed.

        Raises:
            InputError: maps of more frames than there are, or frames without one.
        """
        numbers = list(self.files)
        if numbers[-1] > length:
            raise InputError(
                self.folder,
                f"maps of a video of {length} frames",
                f"one of frame {numbers[-1]}",
                "name the density of this video",
            )
        shown = [number for number in numbers if first <= number <= last]
        step = int(np.diff(shown).min()) if len(shown) > 1 else 1
        start = shown[0] if shown and shown[0] - first < step else first
        wanted = range(start, last + 1, step)
        missing = next((number for number in wanted if number not in self.files), None)
        if missing is not None or len(wanted) < len(shown):
            raise InputError(
                self.folder,
                f"maps of the frames {first} to {last}, of all or of every so-many-th",
                f"{len(numbers)} of frames {numbers[0]} to {numbers[-1]}, none of {missing}",
                "name the density of this video, or choose fewer --frames",
            )
        return wanted

    def read(self, frame: int) -> FloatMap:
        """People per cell (h, w) of a 1-based frame.

        Raises:
            InputError: no map of this frame, or a file that is none.
        """
        if frame not in self.files:
            raise InputError(self.folder, f"a map of frame {frame}", "none", "choose another frame")
        path = self.folder / self.files[frame]
        remedy = "write the maps again (track.py --density)"
        try:
            values = READERS[path.suffix[1:]](path)
            density = np.asarray(values, np.float32)
        except (OSError, EOFError, KeyError, TypeError, ValueError) as error:
            raise InputError(path, "a density map", error, remedy) from error
        expect(density, "h w", str(path))
        if not np.isfinite(density).all():
            raise InputError(path, "finite numbers", "NaN or inf", remedy)
        return density
