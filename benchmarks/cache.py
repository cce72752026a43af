"""The cache against the block layout of 2019: `python -m benchmarks.cache`.

2019 kept a 20-frame float32 block for every start frame: each frame 20 times at 4 bytes a value,
80 bytes where the cache keeps one; the first and last 19 frames of a sequence fewer times. Prints
the bytes of both for one sequence, and what reading a clip costs.
"""

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from labelmaps.blocks2019 import BLOCK_FRAMES, bytes_per_frame, write_blocks
from labelmaps.cache import FrameBlock, cached_frames
from mot.sequence import Sequence, open_video

FRAMES, SIZE_HW = 600, (24, 48)
BAR = 75


def noise_folder(folder: Path) -> Sequence:
    """Write a sequence of small noisy images."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, FRAMES + 1):
        image = rng.integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:06d}.png"), image)
    return open_video(folder, fps=25)


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def clip_cost_us(block: FrameBlock, count: int) -> float:
    """Microseconds to take a clip, mean over all starts."""
    starts = range(len(block) - count + 1)
    start = time.perf_counter()
    for first in starts:
        block.clip(first, count)
    return (time.perf_counter() - start) / len(starts) * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sequence = noise_folder(root / "frames")
        start = time.perf_counter()
        block = cached_frames(sequence, root / "cache")
        built = time.perf_counter() - start
        label: npt.NDArray[np.float32] = np.zeros((1, 1), np.float32)  # maps kept out of the figure
        write_blocks(block.frames, (label for _ in range(FRAMES)), root / "blocks")
        ours = folder_bytes(root / "cache") / FRAMES
        theirs = folder_bytes(root / "blocks") / FRAMES
        height, width = SIZE_HW
        print(
            f"{FRAMES} frames of {height} x {width}, label maps not counted, {built:.2f} s to build"
        )
        print(f"  cache    {ours:12.0f} bytes per frame   (H x W x 3 = {height * width * 3})")
        print(
            f"  2019     {theirs:12.0f} bytes per frame   (x {BLOCK_FRAMES} copies x 4 bytes, ",
            end="",
        )
        print(f"less at the ends; {bytes_per_frame(SIZE_HW)} away from them)")
        print(f"  ratio           1/{theirs / ours:.1f}   bar 1/{BAR}")
        clip = block.clip(100, 5, 2)
        shared = np.shares_memory(clip, block.frames)
        print(f"  a clip shares the block's memory: {shared}, writable: {clip.flags.writeable}")
        print(f"  taking a clip of 5 frames: {clip_cost_us(block, 5):.2f} us")


if __name__ == "__main__":
    main()
