"""Frames of a sequence as a stream: decoded ahead in a thread, a bounded number in memory.

The way from `mot.sequence` into everything that looks at pixels.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator

from mot.errors import InputError
from mot.images import Image, read_image, read_resized
from mot.sequence import Sequence
from mot.videofile import Shape, decode_video

Numbered = tuple[int, Image]
POLL_S = 0.1  # how often a waiting decoder looks whether its reader is gone


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
    return decode_ahead(lambda: decode(sequence, wanted, shape), ahead)


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


class _Failure:
    """An exception on its way from the decoding thread to the reader."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_End = None
_Item = Numbered | _Failure | None


def decode_ahead(
    start: Callable[[], Iterator[Numbered]], ahead: int, *, drop: bool = False
) -> Iterator[Numbered]:
    """Run a generator in a thread, at most `ahead` items before its reader.

    Args:
        start: makes the generator; called in the thread, which closes it as well.
        ahead: items that wait at most.
        drop: a full queue loses its oldest item instead of keeping the generator waiting.
    """
    waiting: queue.Queue[_Item] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(item: _Item) -> bool:
        while not stopped.is_set():
            if drop and waiting.full():
                with contextlib.suppress(queue.Empty):
                    waiting.get_nowait()
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=POLL_S)
                return True
        return False

    def decode() -> None:
        source = start()
        try:
            for item in source:
                if not put(item):
                    return
            put(_End)
        except BaseException as error:  # whatever it is, it belongs to the reader
            put(_Failure(error))
        finally:
            source.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=decode, name="decode-ahead", daemon=True)

    def stop() -> None:
        stopped.set()
        # An empty place lets a thread that is about to put find out at once.
        with contextlib.suppress(queue.Empty):
            waiting.get_nowait()
        thread.join()

    # A thread still inside a decoder when the interpreter is taken down aborts the process.
    atexit.register(stop)
    thread.start()
    try:
        while (item := waiting.get()) is not _End:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        atexit.unregister(stop)
        stop()
