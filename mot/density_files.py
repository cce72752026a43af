"""Density maps on disk, one file a frame, as crowd-counting code reads them.

The sum of a map is the number of people. NumPy's format, or HDF5 with the key `density` as CSRNet
(arXiv:1802.10062) keeps its ground truth.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.errors import InputError

FloatMap = npt.NDArray[np.float32]


def save_npy(path: Path, density: FloatMap) -> None:
    """Write an array (h, w)."""
    np.save(path, density)


def save_h5(path: Path, density: FloatMap) -> None:
    """Write an array (h, w) under the key `density`."""
    with h5py.File(path, "w") as file:
        file.create_dataset("density", data=density, compression="gzip")


MENU: dict[str, Callable[[Path, FloatMap], None]] = {"npy": save_npy, "h5": save_h5}


class DensityFiles:
    """Writes one file for each frame, each as a whole.

    Args:
        folder: where they lie; 000001.npy, 000002.npy …
        kind: a key of `MENU`.

    Raises:
        InputError: an unknown kind.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        if kind not in MENU:
            raise InputError("--density", f"one of {', '.join(MENU)}", kind, "choose one")
        self._folder, self._kind = folder, kind

    def write(self, frame: int, density: FloatMap) -> None:
        """Write the people per cell (h, w) of a frame."""
        with atomic_path(self._folder / f"{frame:06d}.{self._kind}") as temporary:
            MENU[self._kind](temporary, density)
