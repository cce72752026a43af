"""Boxes from a file in the place of a net's: for those who have a detector of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mot.annotations import read_detections
from mot.boxes import Boxes
from mot.errors import InputError
from mot.images import Image
from nets.backends import Engine
from nets.predict import FramePrediction, input_size
from nets.training import choose_device

SEEN_PX = 640 * 360  # enough for the camera's motion and for crops of people


class GivenBoxes:
    """Detections of a file, frame by frame; there is no density.

    Args:
        detections: rows of all frames, scores in 0..1.
        device: for what else looks at the frames: cpu, cuda, mps or auto.
    """

    has_density = False
    needs_all = True
    backend = "boxes"

    def __init__(self, detections: Boxes, *, device: str = "auto") -> None:
        self.engine = Engine(device=str(choose_device(device)))
        self._detections = detections[np.argsort(detections.frame, kind="stable")]

    def input_size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Size at which frames are looked at."""
        return input_size(size_hw, SEEN_PX)

    def restart(self, place: int) -> int:
        """Every frame is a matter of its own."""
        return place

    def predict(
        self, frames: Iterable[tuple[int, Image]], size_hw: tuple[int, int]
    ) -> Iterator[FramePrediction]:
        """Yield the boxes of every frame of a stream, in order."""
        nothing = np.zeros((1, 1), np.float32)
        rows = self._detections
        for number, image in frames:
            first, last = np.searchsorted(rows.frame, [number, number + 1])
            yield FramePrediction(number, image, nothing, rows[first:last])


def read_boxes(path: Path, *, length: int | None = None) -> Boxes:
    """Read the detections of a whole video in MOT's text format; those of tracks lose their ids.

    Args:
        path: the file.
        length: frames of the video; rows beyond it are an error.

    Raises:
        InputError: a file that cannot be read, NaN, a box without area, or a frame that is not in
            the video.
    """
    read = read_detections(path, length=length)
    flat = (read.w <= 0) | (read.h <= 0)
    if flat.any():
        row = read[np.flatnonzero(flat)[:1]]
        got = f"{row.ltwh[0].tolist()} in frame {row.frame[0]:g} ({int(flat.sum())} such rows)"
        raise InputError(path, "width and height above 0", got, "drop these rows")
    return read
