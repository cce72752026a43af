"""From frames to tracks: a detector, the linker's eyes and the linker, one behind the other.

Nothing of it grows with the video. What is known between two frames can be stored, so that a run
is taken up where it was stopped, and goes on to the same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mot.boxes import Boxes
from mot.errors import InputError
from mot.footage import Footage
from mot.images import Image
from reid.detector import Detector, LookSettings, Prediction, Spaced, detect_step
from reid.embedder import Embedder
from reid.linker import LinkerSettings
from reid.linking import LinkStream
from reid.looker import Looker
from reid.stages import Numbered


@dataclass(frozen=True)
class Followed:
    """One frame of a followed video.

    Attributes:
        prediction: image as the detector saw it, density and detections.
        tracks: boxes of confirmed tracks, in pixels of the original frame.
        seconds: from the first frame to this one.
        density_count: number of people by density; None = unknown.
    """

    prediction: Prediction
    tracks: Boxes
    seconds: float
    density_count: float | None

    @property
    def frame(self) -> int:
        """1-based number."""
        return self.prediction.frame


class Follower:
    """Follows people through footage; iterate over it once.

    Args:
        footage: frames.
        detector: finds people in them.
        settings: how detections become tracks.
        embedder: recognises people by their looks; None = nobody does.
        looks: how often the detector looks.
        state: of an earlier run over the same footage with the same settings, to go on from.

    Yields:
        Every frame with its people, in order.

    Raises:
        InputError: frames that cannot be decoded, once all frames before them have been given out.
    """

    def __init__(
        self,
        footage: Footage,
        detector: Detector,
        settings: LinkerSettings,
        embedder: Embedder | None = None,
        *,
        looks: LookSettings = LookSettings(),  # noqa: B008 - frozen
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._footage, self._detector = footage, detector
        size_wh = footage.width, footage.height
        self._looker = Looker(embedder, settings, size_wh, engine=detector.engine)
        rate = 0.0 if detector.needs_all else looks.detect_fps
        step = detect_step(footage.fps / footage.step, rate)
        self._spaced = Spaced(detector, step, footage.step)
        self._stream = LinkStream(settings, footage.fps, detect_step=step * footage.step)
        self._linked = 0  # number of the last frame that the linker has seen
        self._given = 0  # frames that have been given out
        self._ready: deque[Numbered] = deque()
        if state is not None:
            self._stream, self._looker.camera = state["stream"], state["camera"]
            self._linked, self._given = state["linked"], state["given"]
            self._ready = state["ready"]
        self._ended = False
        self._waiting: dict[int, Prediction] = {}
        self._failure: InputError | None = None

    def state(self) -> dict[str, Any]:
        """All that is known between two frames; to be pickled before the next one is asked for."""
        return {
            "stream": self._stream,
            "camera": self._looker.camera,
            "linked": self._linked,
            "given": self._given,
            "ready": self._ready,
        }

    def end(self) -> None:
        """Take no more frames; those that have been taken still come out."""
        self._ended = True
        if self._footage.end:
            self._footage.end()

    def __iter__(self) -> Iterator[Followed]:
        footage = self._footage
        first = 1 + self._given * footage.step  # the one that is to come out next
        for prediction in self._spaced.predict(self._frames(), footage.size_hw):
            if prediction.frame < first:
                continue
            self._waiting[prediction.frame] = prediction
            if prediction.frame > self._linked:
                self._link(prediction)
            yield from self._give()
        self._ready += self._stream.finish()
        yield from self._give()
        if self._failure:
            raise self._failure

    def _frames(self) -> Iterator[tuple[int, Image]]:
        """Frames from the first that matters on; a failure waits until those before are out."""
        footage, detector = self._footage, self._detector
        first = 1 + self._spaced.restart(self._given) * footage.step
        try:
            for frame in footage.read(detector.input_size(footage.size_hw), first):
                if self._ended:
                    return
                yield frame
        except InputError as error:
            self._failure = error

    def _link(self, prediction: Prediction) -> None:
        self._linked = prediction.frame
        if not prediction.detected:
            self._ready += self._stream.skip(prediction.frame)
            return
        count = prediction.count if self._detector.has_density else None
        sight = self._looker(prediction.image, prediction.detections, count=count)
        self._ready += self._stream.push(prediction.frame, prediction.detections, sight)

    def _give(self) -> Iterator[Followed]:
        while self._ready and self._ready[0][0] in self._waiting:
            number, tracks = self._ready.popleft()
            prediction = self._waiting.pop(number)
            self._given += 1
            count = prediction.count if self._detector.has_density else None
            yield Followed(prediction, tracks, self._footage.seconds(number), count)
