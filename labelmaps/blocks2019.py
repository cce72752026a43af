"""The block layout of the 2019 research log, written and read for comparison and for old data.

Layout: a folder with two files per start frame s = 1, 2, … N − 19 (s in six digits):

- `frames_000001.npy`: float32 (20, H, W, 3), RGB in 0..255, frames s … s + 19;
- `maps_000001.npy`: float32 (20, h, w), their label maps.

Consecutive blocks overlap by 19 frames, so that a frame is stored up to 20 times at 4 bytes a
value: 80 bytes where `labelmaps.cache` keeps one. A block of 480 × 960 frames takes 111 MB.
"""

import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmaps.store import disk_errors
from mot.atomic import atomic_path
from mot.errors import InputError

Frame = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

BLOCK_FRAMES = 20
VALUE_BYTES = 4  # float32
OWN_FILE = re.compile(r"(frames|maps)_(\d{6,})\.npy")
ROUNDING = 1e-3  # grey levels


def write_blocks(frames: Iterable[Frame], maps: Iterable[Map], folder: Path) -> int:
    """Write a sequence as overlapping 20-frame blocks; all appear at once, or none.

    Args:
        frames: N ≥ 20 frames (H, W, 3) uint8; may be a stream, 20 are held in memory.
        maps: their N label maps (h, w) float32.
        folder: where to; replaced when it holds such blocks and nothing else.

    Returns:
        Number of blocks, N − 19.

    Raises:
        InputError: fewer than 20 frames, another number of maps, changing shapes, or a folder that
            holds other files or cannot be written.
    """
    folder = Path(folder)
    _require_replaceable(folder)
    window: deque[tuple[Frame, Map]] = deque(maxlen=BLOCK_FRAMES)
    count = 0
    with disk_errors(folder), atomic_path(folder) as temporary:
        temporary.mkdir()
        for number, (frame, label) in enumerate(itertools.zip_longest(frames, maps), 1):
            _require_pair(frame, label, window[-1] if window else None, number)
            window.append((frame, label))
            if len(window) == BLOCK_FRAMES:
                count += 1
                for name, stack in zip(("frames", "maps"), zip(*window, strict=True), strict=True):
                    block = np.stack(stack).astype(np.float32)
                    np.save(temporary / f"{name}_{count:06d}.npy", block)
        if count == 0:
            got = f"{len(window)}"
            raise InputError("frames", f"at least {BLOCK_FRAMES}", got, "take a longer sequence")
    return count


def read_blocks(folder: Path) -> Iterator[tuple[Frame, Map]]:
    """Yield every frame (H, W, 3) uint8 and its map (h, w) float32 once, in order.

    Raises:
        InputError: no blocks, a gap in their numbers, a file that is truncated or of another shape
            or type, values that are no grey levels, or neighbours that disagree on a frame.
    """
    folder = Path(folder)
    numbers = range(1, _count_blocks(folder) + 1)
    shapes = [tuple(part.shape for part in _open_block(folder, number)) for number in numbers]
    for number, shape in zip(numbers, shapes, strict=True):
        if shape != shapes[0]:
            place = f"{folder}, block {number}"
            raise InputError(place, f"shapes {shapes[0]}", shape, "write the blocks again")
    before = None
    for number in numbers:
        block = _open_block(folder, number)
        where = folder / f"frames_{number:06d}.npy"
        if before and not all(
            np.array_equal(now[-2], then[-1]) for now, then in zip(block, before, strict=True)
        ):
            expected = f"{BLOCK_FRAMES - 1} frames of the block before it, with their maps"
            raise InputError(where, expected, "others", "write the blocks again")
        for index in range(BLOCK_FRAMES - 1 if before else 0, BLOCK_FRAMES):
            yield _grey_levels(block[0][index], where), _finite(block[1][index], where)
        before = block


def bytes_per_frame(size_hw: tuple[int, int]) -> int:
    """Bytes that this layout spends on a frame away from the ends, its label map not counted."""
    return BLOCK_FRAMES * VALUE_BYTES * size_hw[0] * size_hw[1] * 3


def _require_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(folder, "a folder", "a file", "choose another place")
    for path in folder.iterdir():
        if not OWN_FILE.fullmatch(path.name):
            raise InputError(
                folder, "a new folder", f"one that holds {path.name}", "choose another"
            )


def _require_pair(
    frame: Frame | None, label: Map | None, before: tuple[Frame, Map] | None, number: int
) -> None:
    where = f"frame {number}"
    if frame is None or label is None:
        got = "no frame" if frame is None else "no map"
        raise InputError(where, "as many frames as maps", got, "pass one map per frame")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or label.ndim != 2:
        got = f"{frame.dtype} {frame.shape} and a map {label.shape}"
        raise InputError(where, "uint8 (H, W, 3) and a map (h, w)", got, "convert them")
    if before and (frame.shape, label.shape) != (before[0].shape, before[1].shape):
        got = f"{frame.shape} and {label.shape}"
        expected = f"shapes {before[0].shape} and {before[1].shape}"
        raise InputError(where, expected, got, "resize the frames to one size")


def _count_blocks(folder: Path) -> int:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    numbers = [int(m[2]) for m in map(OWN_FILE.fullmatch, names) if m]
    if not numbers:
        raise InputError(folder, "a folder with frames_000001.npy …", "none", "check the path")
    for number in range(1, max(numbers) + 1):
        for name in (f"frames_{number:06d}.npy", f"maps_{number:06d}.npy"):
            if name not in names:
                raise InputError(
                    folder / name, "blocks without a gap", "no such file", "restore it"
                )
    return max(numbers)


def _open_block(folder: Path, number: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    opened = []
    for name, rank in (("frames", 4), ("maps", 3)):
        path = folder / f"{name}_{number:06d}.npy"
        try:
            block = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(path, "a whole .npy file", error, "restore it") from error
        fits = block.ndim == rank and block.shape[0] == BLOCK_FRAMES
        if not fits or block.dtype != np.float32 or (rank == 4 and block.shape[3] != 3):
            axes = "H, W, 3" if rank == 4 else "h, w"
            got = f"{block.dtype} {block.shape}"
            raise InputError(path, f"float32 ({BLOCK_FRAMES}, {axes})", got, "write it again")
        opened.append(block)
    return opened[0], opened[1]


def _grey_levels(frame: Map, where: Path) -> Frame:
    levels = np.rint(frame)
    # NaN fails the comparison.
    sound = np.abs(frame - levels).max(initial=0) <= ROUNDING
    if not (sound and levels.min(initial=0) >= 0 and levels.max(initial=0) <= 255):
        raise InputError(where, "whole grey levels in 0..255", "others", "write the block again")
    return levels.astype(np.uint8)


def _finite(label: Map, where: Path) -> Map:
    if not np.isfinite(label).all():
        raise InputError(
            where, "finite label maps beside it", "NaN or infinity", "render them again"
        )
    return np.array(label)
