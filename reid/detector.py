"""What following people asks of a detector, and detectors that look at some of the frames only."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.errors import require_setting
from mot.footage import Size
from mot.images import Image
from nets.backends import Engine

NEARLY = 0.05  # 29.97 frames a second are three times 10


class Prediction(Protocol):
    """What a detector says of one frame."""

    @property
    def frame(self) -> int:
        """1-based number."""

    @property
    def image(self) -> Image:
        """The frame as the detector saw it, RGB (H, W, 3)."""

    @property
    def density(self) -> npt.NDArray[np.float32]:
        """People per cell (h, w)."""

    @property
    def detections(self) -> Boxes:
        """Boxes in pixels of the original frame, scores in 0..1."""

    @property
    def count(self) -> float:
        """Number of people by density."""

    @property
    def detected(self) -> bool:
        """Whether the detector has looked at the frame; if not, it has no detections."""


class Detector(Protocol):
    """Finds people in a stream of frames: a net, or a file with boxes."""

    @property
    def has_density(self) -> bool:
        """Whether it counts people by density as well."""

    @property
    def needs_all(self) -> bool:
        """Whether it has to look at every frame."""

    @property
    def engine(self) -> Engine:
        """How nets are to be computed, its own and others."""

    def input_size(self, size_hw: Size) -> Size:
        """Height and width at which it wants frames of this size."""

    def restart(self, place: int) -> int:
        """From which place in the stream on it must see frames to say the same of `place`."""

    def predict(self, frames: Iterable[tuple[int, Image]], size_hw: Size) -> Iterator[Prediction]:
        """Yield a prediction for every frame, in order."""


@dataclass(frozen=True)
class LookSettings:
    """How often a detector looks at what is followed."""

    detect_fps: float = 15.0
    """Frames per second that the net looks at, at least, such as every second of 30 and each of 25;
    lower = faster. People go straight from one look to the next. 0 = every frame, as do nets that
    see several at once, because they have learned from neighbours, and --boxes."""

    def __post_init__(self) -> None:
        sensible = self.detect_fps >= 0 and math.isfinite(self.detect_fps)
        require_setting(self, "detect_fps", sensible, "a rate above 0, or 0 for every frame")


def detect_step(fps: float, detect_fps: float) -> int:
    """Every so-many-th of `fps` frames a second is looked at, for at least `detect_fps`; 0 = all.

    >>> detect_step(30, 10), detect_step(25, 10), detect_step(7, 10), detect_step(30, 0)
    (3, 2, 1, 1)
    """
    return max(1, int(fps / detect_fps + NEARLY)) if detect_fps else 1


@dataclass(frozen=True)
class PassedOn:
    """A frame that no detector has looked at; its density is that of the last one before it."""

    frame: int
    image: Image
    density: npt.NDArray[np.float32]
    count: float
    detected = False

    @property
    def detections(self) -> Boxes:
        """Nobody looked."""
        return Boxes.empty()


class Spaced:
    """A detector that looks at the frames 1, 1 + step, … of a stream and passes on the others.

    It looks at the last one too, after which nobody could be followed otherwise. Where frames are
    missing, as in a live stream, it waits no longer than it would with them.

    Args:
        detector: looks.
        step: distance from one look to the next, in frames of the stream.
        every: distance from one frame of the stream to the next, in frame numbers.
    """

    def __init__(self, detector: Detector, step: int, every: int = 1) -> None:
        self._detector, self._step, self._every = detector, step, every

    def restart(self, place: int) -> int:
        """As `Detector.restart`."""
        return self._detector.restart(place // self._step) * self._step

    def predict(self, frames: Iterable[tuple[int, Image]], size_hw: Size) -> Iterator[Prediction]:
        """As `Detector.predict`; the stream begins at a place that `restart` gives."""
        passed: deque[tuple[int, Image]] = deque()

        def chosen() -> Iterator[tuple[int, Image]]:
            due = 0  # number from which on the next frame is looked at
            held: tuple[int, Image] | None = None  # the next may be the last
            for frame in frames:
                if held:
                    passed.append(held)
                    held = None
                if frame[0] < due:
                    held = frame
                else:
                    due = frame[0] + self._step * self._every
                    yield frame
            if held:
                yield held

        last: Prediction | None = None

        def between(limit: float) -> Iterator[Prediction]:
            while last and passed and passed[0][0] < limit:
                yield PassedOn(*passed.popleft(), last.density, last.count)

        for prediction in self._detector.predict(chosen(), size_hw):
            yield from between(prediction.frame)
            yield prediction
            last = prediction
        yield from between(np.inf)
