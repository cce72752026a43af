"""H.264 out: RGB frames to an mp4 that browsers play and that survives a kill.

The file is fragmented: its head comes first and every fragment is complete in itself, so that what
was written up to the last fragment plays even when the writer never got to close it.
`mot.fragments` sees to it that only whole fragments reach the disk.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2

from mot.errors import InputError
from mot.fragments import FragmentFile
from mot.images import Image
from mot.shapes import expect

FRAGMENT_S = 1.0  # at most this much is lost by a kill, apart from what the encoder holds back
GROWING = "frag_keyframe+empty_moov+default_base_moof"
LARGEST_DENOMINATOR = 1001  # enough for 30000/1001 and its kin
LARGEST_CRF = 51


class VideoWriter:
    """Encode frames as they come; use it as a context manager.

    Args:
        path: target, replaced if it is there.
        fps: frames per second.
        size_hw: height and width of the frames in pixels; odd sizes are padded by one pixel,
            because H.264's colours are stored at half size.
        crf: quality of libx264, 0 (lossless) to 51; 18 looks like the original, 23 is usual.
        preset: libx264's effort, ultrafast to veryslow.
        seekable: for a page that jumps about in it: this many frames at most from one key frame to
            the next, every frame after the one it is made from, the index at the front. The file
            is none before it is closed. 0 = the growing file described above.
        most_bps: bits per second that it may take at most, over any two seconds; 0 = as it comes.

    Raises:
        InputError: rate, size or quality out of range.
        OSError: the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float,
        size_hw: tuple[int, int],
        *,
        crf: int = 23,
        preset: str = "veryfast",
        seekable: int = 0,
        most_bps: int = 0,
    ) -> None:
        if not 0 < fps < 1000:
            raise InputError(
                "video", "0 to 1000 frames per second", fps, "give the rate with --fps"
            )
        if min(size_hw) < 1:
            raise InputError("video", "height and width above 0", size_hw, "check the frames' size")
        if not 0 <= crf <= LARGEST_CRF:
            raise InputError("crf", f"0 to {LARGEST_CRF}", crf, "choose a quality in this range")
        self.path = Path(path)
        self.size_hw = (int(size_hw[0]), int(size_hw[1]))
        self.frames = self._place = 0
        self._file: FragmentFile | None = None
        if seekable:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        else:
            self._file = FragmentFile(self.path)
        self._container: Any = av.open(
            self._file or os.fspath(self.path),
            "w",
            format="mp4",
            options={"movflags": "faststart" if seekable else GROWING, "flush_packets": "1"},
        )
        try:
            options = {"crf": str(crf), "preset": preset}
            # With little look-ahead a frame leaves the encoder soon after it came.
            options |= {"bf": "0"} if seekable else {"rc-lookahead": "10"}
            if most_bps:
                options |= {"maxrate": str(most_bps), "bufsize": str(2 * most_bps)}
            # A key frame, and with it a fragment, every FRAGMENT_S.
            key_every = seekable or max(1, round(fps * FRAGMENT_S))
            self._stream = self._add_stream(fps, key_every, options)
            self._container.start_encoding()  # a place that cannot be written shows now
        except BaseException:
            self.close()
            raise

    def _add_stream(self, fps: float, key_every: int, options: dict[str, str]) -> Any:
        """Set up the encoder."""
        self.rate = Fraction(fps).limit_denominator(LARGEST_DENOMINATOR)
        stream = self._container.add_stream("libx264", rate=self.rate)
        height, width = self.size_hw
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.gop_size = key_every
        stream.options = options
        return stream

    def write(self, rgb: Image, place: int | None = None) -> None:
        """Encode one frame.

        Args:
            rgb: uint8 (H, W, 3) of the writer's size.
            place: when it is shown, in frames from the first, later than those before; None = next.

        Raises:
            InputError: another shape or type.
            OSError: the disk is full; what was written before stays playable.
        """
        height, width = self.size_hw
        expect(rgb, f"{height} {width} 3", "video frame")
        if rgb.dtype.name != "uint8":
            raise InputError("video frame", "uint8 pixels", rgb.dtype, "convert to 0..255")
        down, right = height % 2, width % 2
        if down or right:
            rgb = cv2.copyMakeBorder(rgb, 0, down, 0, right, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = self._place if place is None else place
        self._container.mux(self._stream.encode(frame))
        self._place, self.frames = frame.pts + 1, self.frames + 1

    def close(self) -> None:
        """Write what the encoder still holds and close the file; closing twice is harmless."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode())
        finally:
            try:
                container.close()
            finally:
                if self._file:
                    self._file.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
