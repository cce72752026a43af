"""Cameras and network streams: frames as they come, numbered by the clock.

A stream that drops is opened again; the frames that were missed meanwhile are time that passed.
Who follows more slowly than frames come loses the oldest that wait, instead of falling behind.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

import av
import cv2

from mot.ahead import run_ahead
from mot.annotations import EXACT_INTEGERS
from mot.errors import InputError
from mot.footage import Footage, Size, require_pace
from mot.frames import DECODER
from mot.images import Image, resize
from mot.sequence import require_rate
from mot.videofile import Shape, to_rgb

_log = logging.getLogger(__name__)

OPEN_S, READ_S = 10.0, 10.0  # how long a stream may take to answer, and to send the next frame
RETRY_S = 0.5
AHEAD = 4
LAST_FRAME = EXACT_INTEGERS - 1  # after 6.5 days of 30 a second; boxes know frames by float32


@dataclass(frozen=True)
class _Facts:
    """What a stream says of itself; `endless` where it has no known end."""

    width: int
    height: int
    fps: float | None
    endless: bool


def is_live(source: str) -> bool:
    """Whether a source is a camera's index or an address, not a path."""
    return _is_camera(source) or "://" in source


def _is_camera(source: str) -> bool:
    """Digits are an index, unless something of that name is there: KITTI numbers its folders."""
    return source.isdecimal() and not Path(source).exists()


def live_name(source: str) -> str:
    """Name for the files of a run."""
    if _is_camera(source):
        return f"camera{source}"
    place = source.split("://", 1)[1].split("?")[0].split("@")[-1]
    name = "".join(c if c.isalnum() or c in ".-_" else "-" for c in place).strip("-.")
    return name or "stream"


def open_live(
    source: str,
    *,
    fps: float | None = None,
    every: int = 1,
    max_frames: int = 0,
    reconnect_s: float = 30.0,
) -> Footage:
    """Open a camera or an address and look at its first frame.

    Args:
        source: index of a camera, or rtsp://, http:// … address.
        fps: frames per second; None = as the stream says.
        every: look at every so-many-th frame.
        max_frames: end after so many; 0 = when the stream ends.
        reconnect_s: a stream that has been away for so long has ended.

    Raises:
        InputError: nothing there, an unknown frame rate, or settings out of range.
    """
    require_pace(every, max_frames)
    require_rate(fps)
    if not reconnect_s >= 0:
        raise InputError("--reconnect-s", "0 s or more", reconnect_s, "change this setting")
    facts = _look(source)
    rate = fps or facts.fps
    if not rate:
        raise InputError(source, "a known frame rate", "none", "give it with --fps")

    ended = threading.Event()

    def read(size_hw: Size, first: int) -> Iterator[tuple[int, Image]]:
        if first != 1:
            raise InputError(source, "a file, to go on from the middle", "a stream", "start anew")
        shape = Shape((facts.height, facts.width), size_hw)

        def frames() -> Iterator[tuple[int, Image]]:
            away = facts.endless, reconnect_s
            numbered = _reconnected(source, shape, rate, *away, ended)
            shown, due = 0, 1
            for number, image in numbered:
                if number >= LAST_FRAME:
                    _log.warning("%s: frame %d is the last that can be told apart", source, number)
                    return
                if number >= due:
                    yield number, image
                    shown, due = shown + 1, number + every
                    if shown == max_frames:
                        return

        coming = run_ahead(frames, AHEAD, name=DECODER, drop=facts.endless)
        yield from takewhile(lambda _: not ended.is_set(), coming)

    count = max_frames or None
    size = facts.width, facts.height
    name = live_name(source)
    return Footage(name, *size, rate, every, count, read, lambda k: (k - 1) / rate, end=ended.set)


@contextlib.contextmanager
def interrupt_ends(footage: Footage) -> Iterator[None]:
    """Let Ctrl-C end a live stream, so that its files are finished; once more breaks off.

    Not in a worker, whose Ctrl-C is the matter of the process that began it.
    """
    end, before = footage.end, signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread()
    if end is None or not ours or before is signal.SIG_IGN:
        yield
        return

    def finish(number: int, frame: FrameType | None) -> None:
        end()
        signal.signal(signal.SIGINT, before)
        _log.warning("ending %s; Ctrl-C once more breaks off", footage.name)

    signal.signal(signal.SIGINT, finish)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _look(source: str) -> _Facts:
    if _is_camera(source):
        with _camera(source) as capture:
            shown, frame = capture.read()
            if not shown:
                raise InputError(f"camera {source}", "a frame", "none", "is another program on it?")
            rate = capture.get(cv2.CAP_PROP_FPS)
            return _Facts(frame.shape[1], frame.shape[0], rate or None, endless=True)
    with _stream(source) as container:
        stream = container.streams.video[0]
        try:
            first = next(container.decode(stream))
        except (StopIteration, av.FFmpegError) as error:
            raise InputError(source, "a video stream", "no frame", "check the address") from error
        turned = int(first.rotation) % 180 != 0
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        rate = stream.average_rate or stream.guessed_rate
        endless = not container.duration
        return _Facts(width, height, float(rate) if rate else None, endless)


def _reconnected(
    source: str,
    shape: Shape,
    fps: float,
    endless: bool,
    reconnect_s: float,
    ended: threading.Event,
) -> Iterator[tuple[int, Image]]:
    """Frames, opened again when they stop coming; an endless stream is numbered by the clock.

    The first is frame 1, however long it took to come.
    """
    started, last = None, time.monotonic()
    number, frames, gone = 0, _frames(source), False
    while not ended.is_set():
        try:
            frame = next(frames, None)
        except InputError:
            if not endless:
                raise
            frame = None
        now = time.monotonic()
        if frame is not None:
            if gone:
                _log.warning("%s is back after %.1f s", source, now - last)
            started = now if started is None else started
            due = 1 + round((now - started) * fps) if endless else 0
            number, last, gone = max(number + 1, due), now, False
            yield number, _to_image(frame, shape, f"{source}, frame {number}")
        elif not endless:
            return
        elif now - last > reconnect_s:
            _log.warning("%s sent nothing for %.0f s: taken for its end", source, reconnect_s)
            return
        else:
            gone = True
            time.sleep(RETRY_S)
            frames = _frames(source)


def _frames(source: str) -> Iterator[Any]:
    """Frames of one connection as OpenCV (camera) or PyAV (address) gives them."""
    if _is_camera(source):
        with _camera(source) as capture:
            while (read := capture.read())[0]:
                yield read[1]
        return
    with _stream(source) as container:
        try:
            yield from container.decode(video=0)
        except av.FFmpegError as error:
            raise InputError(source, "a frame", error.strerror, "check the connection") from error


def _to_image(frame: Any, shape: Shape, where: str) -> Image:
    """RGB at the size that is wanted."""
    if isinstance(frame, av.VideoFrame):
        return to_rgb(frame, shape, where)
    shape.check(frame.shape[:2], where)
    rgb: Image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    return rgb if shape.wanted_hw is None else resize(rgb, shape.wanted_hw)


@contextlib.contextmanager
def _camera(index: str) -> Iterator[Any]:
    try:
        capture = cv2.VideoCapture(int(index))
    except cv2.error as error:  # no index has so many digits
        raise InputError(f"camera {index}", "a camera", "none", "check the index") from error
    try:
        if not capture.isOpened():
            raise InputError(f"camera {index}", "a camera", "none", "check index and rights")
        yield capture
    finally:
        capture.release()


@contextlib.contextmanager
def _stream(address: str) -> Iterator[Any]:
    options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
    try:
        container = av.open(address, options=options, timeout=(OPEN_S, READ_S))
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(address, "a stream", reason, "check the address") from error
    try:
        if not container.streams.video:
            raise InputError(address, "a video stream", "none in it", "check the address")
        yield container
    finally:
        container.close()
