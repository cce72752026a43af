"""Frames of a sequence as a stream: decoded ahead in a thread, a bounded number in memory.

The way from `mot.sequence` into everything that looks at pixels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from mot.ahead import run_ahead
from mot.errors import InputError
from mot.images import Image, read_image, read_resized
from mot.sequence import Sequence
from mot.videofile import Shape, decode_video

Numbered = tuple[int, Image]
DECODER = "decode-ahead"  # name of the thread


def stream_frames(
    sequence: Sequence,
    *,
    size_hw: tuple[int, int] | None = None,
    first: int = 1,
    last: int | None = None,
    step: int = 1,
    ahead: int = 8,
) -> Iterator[Numbered]:
    """Yield (frame number, image) from a thread that decodes ahead.

    The thread ends when the stream does, when the reader stops early (close, break or drop it),
    and when decoding fails; the failure is raised here.

    Args:
        sequence: an opened sequence.
        size_hw: height and width to resize to: area means when it shrinks, linear when it grows.
        first: 1-based number of the first frame.
        last: 1-based number of the last frame, included; None = the sequence's end.
        step: distance from one frame to the next.
        ahead: frames that are decoded before they are asked for; memory holds two more.

    Yields:
        1-based frame number and uint8 (H, W, 3) RGB, C-contiguous.

    Raises:
        InputError: a range outside the sequence; a frame that is missing, truncated or of another
            size; a video that ends early. It names the frame.
    """
    last = sequence.length if last is None else last
    if not (1 <= first <= last <= sequence.length and step >= 1 and ahead >= 1):
        raise InputError(
            f"frames of {sequence.name}",
            f"1 <= first <= last <= {sequence.length}, step and ahead from 1 on",
            f"first {first}, last {last}, step {step}, ahead {ahead}",
            "correct the range",
        )
    if size_hw is not None and min(size_hw) < 1:
        raise InputError("size_hw", "height and width from 1 on", size_hw, "correct the size")
    wanted = range(first, last + 1, step)
    shape = Shape((sequence.height, sequence.width), size_hw)
    decode = _decode_video_file if sequence.frames_at.is_file() else _decode_images
    return run_ahead(lambda: decode(sequence, wanted, shape), ahead, name=DECODER)


def window_streams(
    sequence: Sequence, length: int, count: int, size_hw: tuple[int, int]
) -> list[Callable[[], Iterator[Numbered]]]:
    """Windows evenly spread over a sequence, each a `stream_frames` that begins when called.

    Args:
        sequence: an opened sequence.
        length: frames of a window, all of the sequence at most.
        count: windows, fewer where the sequence has no room for so many.
        size_hw: height and width to resize to.
    """
    length = min(length, sequence.length)
    starts = np.unique(np.linspace(1, sequence.length - length + 1, count).round().astype(int))
    return [
        partial(stream_frames, sequence, size_hw=size_hw, first=start, last=start + length - 1)
        for start in starts.tolist()
    ]


def _decode_images(sequence: Sequence, wanted: range, shape: Shape) -> Iterator[Numbered]:
    """Read image files; that all are there is checked first, lest hours of work end in the gap."""
    _require_images(sequence, wanted)
    for number in wanted:
        path = sequence.frames_at / sequence.images[number - 1]
        where = f"{path}, frame {number}"
        if shape.wanted_hw is None:
            image = read_image(path, where)
            size_hw = image.shape[:2]
        else:
            image, size_hw = read_resized(path, shape.wanted_hw, where)
        shape.check(size_hw, where)
        yield number, image


def _require_images(sequence: Sequence, wanted: range) -> None:
    folder = sequence.frames_at
    if not folder.is_dir():
        raise InputError(
            folder,
            f"the frames of {sequence.name}, a folder of images or video.mp4 beside it",
            "neither",
            "unpack the images, or use --detections public, which needs no frames",
        )
    with os.scandir(folder) as entries:
        present = {entry.name for entry in entries}
    for number in wanted:
        if number > len(sequence.images) or sequence.images[number - 1] not in present:
            known = number <= len(sequence.images)
            place = folder / sequence.images[number - 1] if known else folder
            raise InputError(
                f"{place}, frame {number}",
                f"an image for each of {sequence.length} frames",
                "no such file",
                "unpack the sequence again, or correct seqLength in seqinfo.ini",
            )


def _decode_video_file(sequence: Sequence, wanted: range, shape: Shape) -> Iterator[Numbered]:
    """Decode a video, which must hold every frame that is wanted."""
    missing = iter(wanted)
    expected = next(missing)
    for number, image in decode_video(
        sequence.frames_at, first=wanted[0], last=wanted[-1], step=wanted.step, shape=shape
    ):
        yield number, image
        expected = next(missing, 0)
    if expected:
        raise InputError(
            f"{sequence.frames_at}, frame {expected}",
            f"a video of {sequence.length} frames",
            "its end",
            "copy or encode the video again, or correct seqLength in seqinfo.ini",
        )
