"""Frames and label maps of a sequence as memory-mapped blocks: each frame is stored once.

Between `mot.frames` (decoding) and the nets: a clip is a view into a block, whatever its start,
length and step, so that training reads any window without decoding or copying.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from labelmaps.kernels import MENU
from labelmaps.render import map_size, render
from labelmaps.store import BlockSpec, open_block, source_key
from mot.annotations import considered
from mot.errors import InputError
from mot.frames import stream_frames
from mot.sequence import Sequence

FRAMES_FORMAT = 1  # raise when cached frames would come out otherwise than before
MAPS_FORMAT = 1  # raise when a kernel or the rendering changes


@dataclass(frozen=True)
class FrameBlock:
    """All frames of a sequence, memory-mapped.

    Pickling passes the file's name, not its content, so that blocks can be handed to workers.

    Attributes:
        frames: (N, H, W, 3) uint8 RGB, read-only.
        scale_x, scale_y: pixels here per pixel of the original frame.
    """

    frames: np.memmap[Any, np.dtype[np.uint8]]
    scale_x: float
    scale_y: float

    def __len__(self) -> int:
        return len(self.frames)

    def clip(self, first_index: int, count: int, step: int = 1) -> npt.NDArray[np.uint8]:
        """Return frames first_index, first_index + step, … (0-based) as a view (count, H, W, 3).

        Raises:
            InputError: the clip is empty or leaves the sequence.
        """
        end = first_index + (count - 1) * step + 1
        if first_index < 0 or count < 1 or step < 1 or end > len(self.frames):
            got = f"first {first_index}, count {count}, step {step}"
            expected = f"a clip within 0..{len(self.frames) - 1}"
            raise InputError("clip", expected, got, "take fewer frames or a smaller step")
        return self.frames[first_index:end:step]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self.frames.filename), self.scale_x, self.scale_y)


def _reopen(path: str, scale_x: float, scale_y: float) -> FrameBlock:
    return FrameBlock(np.load(path, mmap_mode="r", allow_pickle=False), scale_x, scale_y)


def cached_frames(
    sequence: Sequence, root: Path, *, size_hw: tuple[int, int] | None = None
) -> FrameBlock:
    """Map the frames of a sequence, decoding them first where the cache lacks them.

    Args:
        sequence: an opened sequence.
        root: folder of the cache; made where missing.
        size_hw: height and width to store at; None = the sequence's own.

    Raises:
        InputError: frames cannot be read, or the cache cannot be written.
    """
    height, width = size_hw or (sequence.height, sequence.width)
    map_size((height, width), 1)
    key = {
        "format": FRAMES_FORMAT,
        "kind": "frames",
        "size_hw": [height, width],
        "sources": source_key(_frame_files(sequence)),
    }
    spec = BlockSpec(
        folder=_place(sequence, root, f"frames-{height}x{width}"),
        title=f"caching {sequence.name}",
        key=key,
        shape=(sequence.length, height, width, 3),
        dtype=np.uint8,
    )
    frames = open_block(
        spec, lambda: (image for _, image in stream_frames(sequence, size_hw=size_hw))
    )
    return FrameBlock(frames, width / sequence.width, height / sequence.height)


def cached_maps(
    sequence: Sequence,
    root: Path,
    *,
    kind: str = "gaussian",
    stride: int = 4,
    size_hw: tuple[int, int] | None = None,
) -> np.memmap[Any, np.dtype[np.float32]]:
    """Map the label maps of a sequence's considered people, rendering them first where missing.

    Args:
        sequence: a sequence with a ground truth.
        root: folder of the cache; made where missing.
        kind: a name of `labelmaps.kernels.MENU`.
        stride: pixels per cell.
        size_hw: size of the frames that the maps belong to; None = the sequence's own.

    Returns:
        Maps (N, h, w) float32 before labelrate, read-only; index 0 is frame 1.

    Raises:
        InputError: no ground truth or a malformed one; the cache cannot be written.
    """
    if kind not in MENU:
        raise InputError("label map kind", f"one of {', '.join(MENU)}", kind, "choose another kind")
    height, width = size_hw or (sequence.height, sequence.width)
    cells_hw = map_size((height, width), stride)
    sources = [sequence.truth_at] if sequence.has_truth else []
    key = {
        "format": MAPS_FORMAT,
        "kind": kind,
        "stride": stride,
        "size_hw": [height, width],
        "original_hw": [sequence.height, sequence.width],
        "sources": source_key(sources),
    }

    def rendered() -> Iterator[npt.NDArray[np.float32]]:
        truth = sequence.truth()
        people = truth[considered(truth)].scaled(width / sequence.width, height / sequence.height)
        for _, rows in people.by_frame(sequence.length):
            yield render(rows.ltwh, (height, width), stride=stride, kind=kind)

    spec = BlockSpec(
        folder=_place(sequence, root, f"{kind}-{height}x{width}-stride{stride}"),
        title=f"rendering {sequence.name}",
        key=key,
        shape=(sequence.length, *cells_hw),
        dtype=np.float32,
    )
    return open_block(spec, rendered)


def _place(sequence: Sequence, root: Path, what: str) -> Path:
    """Folder of a block; sequences of one name in different folders do not meet."""
    home = hashlib.sha256(str(sequence.frames_at.absolute()).encode()).hexdigest()[:8]
    return Path(root) / f"{sequence.name}-{what}-{home}"


def _frame_files(sequence: Sequence) -> list[Path]:
    if sequence.images:
        return [sequence.frames_at / name for name in sequence.images]
    return [sequence.frames_at]
