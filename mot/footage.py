"""What is to be followed: frames with numbers and times, from a file, a folder or a live stream.

Sequences know their length and can be read from any frame on; a live stream cannot. The pipeline
sees both as `Footage`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.frames import stream_frames
from mot.images import Image
from mot.sequence import Sequence
from mot.videofile import video_seconds

Size = tuple[int, int]
EVEN_S = 0.0025  # containers that count milliseconds round each frame's time


@dataclass(frozen=True)
class Footage:
    """Frames of one camera, as they are to be looked at.

    Attributes:
        name: for the files of the run.
        width, height: of the original frames, in pixels.
        fps: original frames per second, by which their numbers count.
        step: every step-th frame is looked at.
        count: frames that will be looked at; None = until the stream ends.
        read: (height and width to resize to, 1-based frame to start at) to (number, RGB image).
        seconds: from the first frame to the one of this number.
        end: ends a live stream, as if it had no more frames; None = recorded.
        length: frames that there are; None = nobody knows.
        times: in words, where `seconds` comes from.
    """

    name: str
    width: int
    height: int
    fps: float
    step: int
    count: int | None
    read: Callable[[Size, int], Iterator[tuple[int, Image]]]
    seconds: Callable[[int], float]
    end: Callable[[], None] | None = None
    length: int | None = None
    times: str = "by the frame rate"

    @property
    def live(self) -> bool:
        """Whether frames are lost that nobody waits for, and none comes twice."""
        return self.end is not None

    @property
    def size_hw(self) -> Size:
        """Height and width of the original frames in pixels."""
        return self.height, self.width


def footage_of(
    sequence: Sequence, *, every: int = 1, max_frames: int = 0, own_rate: bool = False
) -> Footage:
    """The frames 1, 1 + every, … of a sequence.

    Args:
        sequence: with a known frame rate.
        every: distance from one frame to the next.
        max_frames: look at so many at most; 0 = all.
        own_rate: the rate is the video file's own, so that its times are to be believed: where
            the rate varies, they tell it.

    Raises:
        InputError: an unknown frame rate, or settings out of range.
    """
    require_pace(every, max_frames)
    fps = sequence.require_fps()
    count = len(range(0, sequence.length, every))
    count = min(count, max_frames or count)
    last = 1 + (count - 1) * every

    def read(size_hw: Size, first: int) -> Iterator[tuple[int, Image]]:
        return stream_frames(sequence, size_hw=size_hw, first=first, last=last, step=every)

    def evenly(number: int) -> float:
        return (number - 1) / fps

    seconds: Callable[[int], float] = evenly
    words = "by the frame rate"
    if own_rate and sequence.frames_at.is_file():
        times = video_seconds(sequence.frames_at)
        if len(times) >= sequence.length:
            seconds = lambda number: float(times[number - 1])  # noqa: E731 - two ways of one thing
            words = _times_in_words(times)
    size = sequence.width, sequence.height
    length = sequence.length
    return Footage(
        sequence.name, *size, fps, every, count, read, seconds, length=length, times=words
    )


def require_pace(every: int, max_frames: int) -> None:
    """Refuse to look at every 0th frame, or at fewer than none.

    Raises:
        InputError: names the flag.
    """
    if every < 1:
        raise InputError("--every", "1 or more", every, "change this setting")
    if max_frames < 0:
        raise InputError("--max-frames", "0 (all) or more", max_frames, "change this setting")


def _times_in_words(times: npt.NDArray[np.float64]) -> str:
    """Whether a file's own times (N,) are even."""
    apart = np.diff(times)
    if len(apart) < 2 or apart.max() - apart.min() <= EVEN_S:
        return "the file's own, even"
    return f"the file's own, uneven: {apart.min():.3f} to {apart.max():.3f} s apart"
