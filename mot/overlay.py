"""The overlay of a run: boxes, identities, trails, density, zones and lines over the frames."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.counting import Line, Zone
from mot.draw import draw_boxes, draw_text, draw_trails, overlay_density
from mot.footage import Footage
from mot.images import Image
from mot.video import VideoWriter

TRAIL_S = 2.0
DENSITY_COVER = 0.5
MARK = (255, 255, 255)


class Overlay:
    """Draws what was found over the frames, one after the other.

    Args:
        footage: whose frames come; boxes, zones and lines are in pixels of its frames.
        zones, lines: drawn as well.
    """

    def __init__(
        self, footage: Footage, zones: list[Zone] | None = None, lines: list[Line] | None = None
    ) -> None:
        self._size_hw = footage.size_hw
        self.trail = max(1, round(TRAIL_S * footage.fps))  # numbers of frames
        self._recent: deque[Boxes] = deque(maxlen=-(-self.trail // footage.step))
        self._peak = 0.0
        self._marks = [(zone.name, zone.polygon, True) for zone in zones or []]
        self._marks += [
            (line.name, np.array([line.start, line.end]), False) for line in lines or []
        ]

    def draw(
        self, image: Image, tracks: Boxes, density: npt.NDArray[np.float32] | None = None
    ) -> Image:
        """Return a picture of the next frame.

        Args:
            image: RGB (H, W, 3), the frame at any size; the same for all frames.
            tracks: boxes of this frame in pixels of the original frame.
            density: people per cell (h, w), any size.
        """
        height, width = image.shape[:2]
        scale = width / self._size_hw[1], height / self._size_hw[0]
        shown = tracks.scaled(*scale)
        self._recent.append(shown)
        canvas = image.copy()
        if density is not None:
            # Brightness compares from frame to frame: the brightest so far is the scale.
            self._peak = max(self._peak, float(density.max(initial=0)))
            overlay_density(canvas, density, DENSITY_COVER, peak=self._peak, in_place=True)
        for name, points, closed in self._marks:
            corners = np.rint(points * scale).astype(np.int32)
            cv2.polylines(canvas, [corners], closed, MARK, 1 + width // 800, cv2.LINE_AA)
            left, top = corners[0].tolist()
            draw_text(canvas, name, left=left, top=top, in_place=True)
        if len(shown):
            history = Boxes.concatenate(self._recent)
            frame = int(shown.frame[0])
            draw_trails(canvas, history, frame=frame, frames=self.trail, in_place=True)
        return draw_boxes(canvas, shown, in_place=True)


class OverlayWriter:
    """Encodes the pictures of an `Overlay` as they come; a context manager.

    The video has the size of the first frame that is written, whatever the original's, and shows
    each for as long as it lasted: a live stream loses some.

    Args:
        path: the mp4 file; it is playable at any moment.
        footage: whose frames come.
        zones, lines: drawn as well.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        footage: Footage,
        zones: list[Zone] | None = None,
        lines: list[Line] | None = None,
    ) -> None:
        self.path = path
        self._fps, self._step = footage.fps / footage.step, footage.step
        self._overlay = Overlay(footage, zones, lines)
        self._video: VideoWriter | None = None
        self._first = 0

    def write(
        self,
        number: int,
        image: Image,
        tracks: Boxes,
        density: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Add the frame of this number, which comes after those before; see `Overlay.draw`."""
        if self._video is None:
            height, width = image.shape[:2]
            self._video, self._first = VideoWriter(self.path, self._fps, (height, width)), number
        place = (number - self._first) // self._step
        self._video.write(self._overlay.draw(image, tracks, density), place)

    def close(self) -> None:
        """Finish the file."""
        if self._video is not None:
            self._video.close()

    def __enter__(self) -> OverlayWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
