"""Which frames a picture shows: a part of a video, or of a sequence that is found by its name.

Commands that make pictures have these flags in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro

from mot.errors import InputError
from mot.sequence import Sequence, data_root, find_sequence, open_video


@dataclass(frozen=True, kw_only=True)
class ChosenFrames:
    """A video or a sequence, and which of its frames."""

    video: tyro.conf.Positional[Path | None] = None
    """A video file or a folder of images; or give --seq."""
    seq: str | None = None
    """Name of a sequence (MOT17-02 finds MOT17-02-SDP), or the path of its folder."""
    data: Path = field(default_factory=data_root)
    """Folder that holds sequence folders at some depth."""
    fps: float | None = None
    """Frames per second; overrides what the video or the sequence says, if it says anything."""
    frames: str = ""
    """Frames A:B, 1-based and both included; either may be left out. Default: all."""

    def open(self) -> tuple[Sequence, int, int]:
        """Open the sequence; returns it with the 1-based first and last frame, both included.

        Raises:
            InputError: neither or both of video and name, nothing of that name, or frames outside.
        """
        if self.seq is not None and self.video is None:
            sequence = find_sequence(self.seq, self.data, fps=self.fps)
        elif self.video is not None and self.seq is None:
            sequence = open_video(self.video, fps=self.fps)
        else:
            got = "neither" if self.seq is None else "both"
            raise InputError("command line", "a video, or --seq NAME", got, "give one of them")
        return sequence, *parse_range(self.frames, sequence.length)


def parse_range(text: str, length: int) -> tuple[int, int]:
    """Read frames `A:B`, `A:`, `:B`, `A` or nothing into 1-based first and last frame.

    Raises:
        InputError: letters, or a range that is empty or leaves 1..length.
    """
    start, colon, stop = text.partition(":")
    try:
        first = int(start) if start else 1
        last = int(stop) if stop else (length if colon or not start else first)
    except ValueError:
        first = last = 0
    if not 1 <= first <= last <= length:
        raise InputError(
            "--frames", f"A:B with 1 <= A <= B <= {length}", f"'{text}'", "correct the range"
        )
    return first, last


def spread(frames: range, count: int) -> list[int]:
    """Choose so many of the frames, evenly, first and last among them; of few frames all."""
    places = np.unique(np.rint(np.linspace(0, len(frames) - 1, min(count, len(frames)))))
    return [frames[int(place)] for place in places]
