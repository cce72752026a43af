"""Video files through PyAV: how long and large they are, and their frames as RGB by number.

`mot.sequence` probes and `mot.frames` decodes through this. Frames are counted by packets, without
decoding; phones' rotation marks are obeyed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.images import Image

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"}
)
# Nearer starts are reached by decoding from the beginning: cheaper than an index of the packets.
SEEK_FROM_FRAME = 50
TEXT_FORMAT = "tty"  # FFmpeg renders *.txt as a film of a terminal


@dataclass(frozen=True)
class VideoProbe:
    """What a video file says of itself; width and height in pixels after its rotation mark."""

    length: int
    width: int
    height: int
    fps: float | None


@dataclass(frozen=True)
class Shape:
    """Size that the frames of a sequence must have, and the size that is wanted of them.

    Attributes:
        expected_hw: height and width of every frame in pixels.
        wanted_hw: height and width to resize to, None = as they are.
    """

    expected_hw: tuple[int, int]
    wanted_hw: tuple[int, int] | None = None

    def check(self, size_hw: tuple[int, int], where: str) -> None:
        """Raise an InputError when a frame has another size."""
        if size_hw != self.expected_hw:
            (height, width), (got_height, got_width) = self.expected_hw, size_hw
            raise InputError(
                where,
                f"{width}x{height} pixels like the sequence",
                f"{got_width}x{got_height}",
                "make all frames one size, or correct imWidth and imHeight in seqinfo.ini",
            )


def probe_video(path: Path) -> VideoProbe:
    """Count and measure the frames of a video.

    Raises:
        InputError: no video stream, or one without frames.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        promised = int(stream.frames or 0)
        try:
            first = next(container.decode(stream))
        except (StopIteration, av.FFmpegError) as error:
            raise InputError(
                path, "a video with frames", "none that decodes", "check the file"
            ) from error
        turned = int(first.rotation) % 180 != 0
        width, height = (first.height, first.width) if turned else (first.width, first.height)
    index = _index_packets(path)
    # A file cut short still promises what it was; reading it then ends in an error at the cut.
    length = index.shown + max(promised - index.found, 0)
    return VideoProbe(max(length, 1), width, height, float(rate) if rate else None)


def decode_video(
    path: Path, *, first: int = 1, last: int | None = None, step: int = 1, shape: Shape
) -> Iterator[tuple[int, Image]]:
    """Decode frames first, first + step, … up to `last` (1-based) as uint8 (H, W, 3) RGB.

    Ends without a word where the video ends; the caller knows how many frames it wanted.

    Args:
        path: video file.
        first: 1-based number of the first frame.
        last: 1-based number of the last frame, included; None = to the end.
        step: every step-th frame is converted; the others are decoded only.
        shape: the size that frames must have and the size that is wanted.

    Raises:
        InputError: the file cannot be opened, a frame does not decode or has another size.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        number = _seek(path, container, stream, first) if first > SEEK_FROM_FRAME else 1
        frames = container.decode(stream)
        while last is None or number <= last:
            try:
                frame = next(frames, None)
            except av.FFmpegError as error:
                raise InputError(
                    f"{path}, frame {number}", "a frame", error.strerror, "re-encode the video"
                ) from error
            if frame is None:
                return
            if number >= first and (number - first) % step == 0:
                yield number, to_rgb(frame, shape, f"{path}, frame {number}")
            number += 1


def video_seconds(path: Path) -> npt.NDArray[np.float64]:
    """When each frame is shown, in seconds from the first (N,); empty where the file says nothing.

    Raises:
        InputError: the file cannot be opened.
    """
    with _open(path) as container:
        tick = float(container.streams.video[0].time_base)
    times = _index_packets(path).times
    return np.asarray((times - times[:1]) * tick, np.float64)


def to_rgb(frame: Any, shape: Shape, where: str) -> Image:
    """Convert and resize in one pass of FFmpeg's scaler, then turn as the rotation mark says."""
    quarter_turns = round(frame.rotation / 90) % 4
    turned = quarter_turns % 2 == 1
    size_hw = (frame.width, frame.height) if turned else (frame.height, frame.width)
    shape.check(size_hw, where)
    if shape.wanted_hw is None or shape.wanted_hw == size_hw:
        rgb = frame.to_ndarray(format="rgb24")
    else:
        height, width = shape.wanted_hw[::-1] if turned else shape.wanted_hw
        shrinks = height * width < frame.height * frame.width
        rgb = frame.to_ndarray(
            format="rgb24",
            width=width,
            height=height,
            interpolation="AREA" if shrinks else "BILINEAR",
        )
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns) if quarter_turns else rgb)


def _seek(path: Path, container: Any, stream: Any, first: int) -> int:
    """Jump to the last key frame at or before frame `first`; return the number of what comes next.

    Frame numbers are ranks of presentation times; where times are missing or repeat, nothing is
    skipped.
    """
    times = _index_packets(path).times
    if len(times) < first or len(np.unique(times)) < len(times):
        return 1
    container.seek(int(times[first - 1]), stream=stream, backward=True)
    landed = next((frame.pts for frame in container.decode(stream)), None)
    number = int(np.searchsorted(times, landed)) + 1 if landed is not None else 0
    if not 1 <= number <= first or times[number - 1] != landed:
        container.seek(0)
        return 1
    # The decoder has given that frame away already; seeking once more brings it back.
    container.seek(int(times[first - 1]), stream=stream, backward=True)
    return number


@dataclass(frozen=True)
class _Index:
    """Packets of a video: `found` in the file, `shown` as frames, sorted `times` of the latter.

    `times` is empty when a packet has none.
    """

    found: int
    shown: int
    times: npt.NDArray[np.int64]


def _index_packets(path: Path) -> _Index:
    """The packets of a file, which is gone through once, unless it changes."""
    facts = path.stat()
    return _index_of(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=8)
def _index_of(path: Path, size: int, changed_ns: int) -> _Index:
    """Go through the packets without decoding them.

    What comes before the first key frame, or is shown before it, does not decode: recordings that
    begin in the middle have such packets.
    """
    found = 0
    times: list[int | None] = []
    key_time: int | None = None
    with _open(path) as container, contextlib.suppress(av.FFmpegError):  # a cut ends the count
        for packet in container.demux(video=0):
            if packet.size == 0 and packet.dts is None:  # PyAV's mark of the end
                continue
            found += 1
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.is_keyframe and key_time is None:
                times, key_time = [], packet.pts
            times.append(packet.pts)
    known = np.sort(np.array([time for time in times if time is not None], dtype=np.int64))
    if len(known) < len(times):
        return _Index(found, len(times), np.empty(0, np.int64))
    from_key = known if key_time is None else known[known >= key_time]
    return _Index(found, len(from_key), from_key)


def _open(path: Path) -> Any:
    """Open a container that has a video stream."""
    try:
        # Playlists could name files elsewhere; only files on this machine are opened.
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise InputError(path, "a video", reason, "check the path, or re-encode it") from error
    if not container.streams.video:
        container.close()
        raise InputError(path, "a video", "a file without a video stream", "check the path")
    if container.format.name == TEXT_FORMAT:
        container.close()
        raise InputError(path, "a video", "text", "check the path")
    container.streams.video[0].thread_type = "AUTO"
    return container
