"""The overlay video of a run: boxes, identities, trails and density over the frames."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.draw import draw_boxes, draw_trails, overlay_density
from mot.images import Image
from mot.sequence import Sequence
from mot.video import VideoWriter

TRAIL_S = 2.0
DENSITY_COVER = 0.5


class OverlayWriter:
    """Draws what was found over the frames and encodes them as they come; a context manager.

    The video has the size of the first frame that is written, whatever the original's.

    Args:
        path: the mp4 file; it is playable at any moment.
        sequence: whose frames come; boxes are in pixels of its frames.

    Raises:
        InputError: unknown frame rate.
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, sequence: Sequence) -> None:
        self.path = path
        self.size_hw = (sequence.height, sequence.width)
        self.fps = sequence.require_fps()
        self.trail = max(1, round(TRAIL_S * self.fps))
        self._recent: deque[Boxes] = deque(maxlen=self.trail)
        self._peak = 0.0
        self._video: VideoWriter | None = None

    def write(
        self, image: Image, tracks: Boxes, density: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Add the next frame.

        Args:
            image: RGB (H, W, 3), the frame at any size; the same for all frames.
            tracks: boxes of this frame in pixels of the original frame.
            density: people per cell (h, w), any size.
        """
        height, width = image.shape[:2]
        if self._video is None:
            self._video = VideoWriter(self.path, self.fps, (height, width))
        shown = tracks.scaled(width / self.size_hw[1], height / self.size_hw[0])
        self._recent.append(shown)
        canvas = image.copy()
        if density is not None:
            # Brightness compares from frame to frame: the brightest so far is the scale.
            self._peak = max(self._peak, float(density.max(initial=0)))
            overlay_density(canvas, density, DENSITY_COVER, peak=self._peak, in_place=True)
        if len(shown):
            history = Boxes.concatenate(self._recent)
            frame = int(shown.frame[0])
            draw_trails(canvas, history, frame=frame, frames=self.trail, in_place=True)
        self._video.write(draw_boxes(canvas, shown, in_place=True))

    def close(self) -> None:
        """Finish the file."""
        if self._video is not None:
            self._video.close()

    def __enter__(self) -> OverlayWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
