"""From a stream of frames to maps and detections: windows of T frames, fused, one frame at a time.

Holds one window of frames and the sums of its maps, so that a video of any length takes the same
memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from labelmaps.peaks import find_peaks
from mot.boxes import Boxes
from mot.errors import InputError, require_setting
from mot.shapes import expect
from nets.backends import Runner, make_runner
from nets.frame_stack import FrameStack, build_net
from nets.settings import NetSettings
from nets.training import choose_device
from nets.weights import check_state, load_weights

FloatMap = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]
Fused = tuple[int, Image, dict[str, FloatMap]]
CALIBRATION = "calibration"  # key of a weights file's metadata
SIZE_GRID = 32  # input sizes are multiples of this many pixels: every stride divides them
LEAST_PX = f"at least {SIZE_GRID**2} pixels"


@dataclass(frozen=True)
class PredictSettings:
    """How frames go through the net and come back as detections."""

    test_px: int = 0
    """Pixels per frame that the net sees: frames are resized to about this area; 0 = the area that
    the weights were trained for."""
    overlap: int = 0
    """Frames that neighbouring windows share, 0 .. T − 1; more = slower, steadier."""
    min_score: float = 0.1
    """Centres below this score, before calibration, are dropped; the linker wants weak ones too."""
    nms_iou: float = 0.6
    """Overlap above which the weaker of two detections gives way."""
    backend: str = "auto"
    """torch, openvino or auto (openvino on a CPU, else torch)."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    amp: str = "auto"
    """bf16 arithmetic: on, off or auto."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self)
        require("test_px", self.test_px == 0 or self.test_px >= SIZE_GRID**2, f"0 or {LEAST_PX}")
        require("overlap", self.overlap >= 0, "0 or more frames")
        require("min_score", 0 <= self.min_score <= 1, "a score in 0..1")
        require("nms_iou", 0 < self.nms_iou <= 1, "an overlap in (0, 1]")
        require("amp", self.amp in ("auto", "on", "off"), "auto, on or off")


@dataclass(frozen=True)
class FramePrediction:
    """What the net says of one frame.

    Attributes:
        frame: 1-based number.
        image: the frame as the net saw it, RGB (H, W, 3).
        density: people per cell (h, w), at the net's stride over that image; 0 without that head.
        detections: boxes in pixels of the original frame.
    """

    frame: int
    image: Image
    density: FloatMap
    detections: Boxes

    @property
    def count(self) -> float:
        """Number of people by density."""
        return float(self.density.sum())


@dataclass(frozen=True)
class Calibration:
    """A rising curve from the centre head's score to the share of detections that are people.

    Attributes:
        score: knots, ascending.
        share: 0..1 at the knots; between them linear, beyond them constant.

    Raises:
        InputError: no knots, or another number of shares than of scores.
    """

    score: tuple[float, ...] = (0.0, 1.0)
    share: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not self.score or len(self.score) != len(self.share):
            got = f"{len(self.score)} scores, {len(self.share)} shares"
            raise InputError("calibration", "a share for each score", got, "calibrate again")

    def __call__(self, score: FloatMap) -> FloatMap:
        """Map scores (N,) to shares (N,)."""
        return np.interp(score, self.score, self.share).astype(np.float32)


@dataclass(frozen=True)
class TrainedNet:
    """A net with its weights, in evaluation mode, and what else they carry.

    Attributes:
        net: the net.
        test_px: pixels per frame that it was trained for.
        calibration: of its scores (nets.calibrate); the scores as they are, where there is none.
    """

    net: FrameStack
    test_px: int
    calibration: Calibration = Calibration()

    def uncalibrated(self) -> TrainedNet:
        """The same with the scores as they are."""
        return replace(self, calibration=Calibration())


def load_net(path: Path | str) -> TrainedNet:
    """Build the net that a weights file describes and load it.

    Raises:
        InputError: missing, truncated or foreign file, or weights of another shape.
    """
    state, metadata = load_weights(Path(path))
    missing = [name for name in ("settings", "test_px") if name not in metadata]
    if missing:
        got = f"a file whose metadata lacks {' and '.join(missing)}"
        raise InputError(path, "weights of a Footfall net", got, "name RUN/weights.safetensors")
    net = build_net(NetSettings.from_json(metadata["settings"], where=path))
    check_state(net, state, where=str(path))
    net.load_state_dict(state)
    return TrainedNet(net.eval(), *_read_notes(metadata, path))


def _read_notes(metadata: Mapping[str, str], path: Path | str) -> tuple[int, Calibration]:
    """What weights carry beside the net's settings: pixels per frame and the calibration."""
    remedy = "train or calibrate the net again"
    try:
        score, share = json.loads(metadata.get(CALIBRATION, "[[0, 1], [0, 1]]"))
        curve = Calibration(tuple(map(float, score)), tuple(map(float, share)))
        test_px = int(metadata["test_px"])
    except (TypeError, ValueError) as error:
        raise InputError(path, "numbers as test_px and calibration", error, remedy) from error
    if test_px < SIZE_GRID**2:
        raise InputError(path, f"{LEAST_PX} per frame as test_px", test_px, remedy)
    return test_px, curve


def input_size(size_hw: tuple[int, int], test_px: int) -> tuple[int, int]:
    """Size the net sees: the frame's shape at about `test_px` pixels, on a grid of 32."""
    height, width = size_hw
    factor = (test_px / (height * width)) ** 0.5
    rows = max(1, round(height * factor / SIZE_GRID))
    columns = max(1, round(width * factor / SIZE_GRID))
    return rows * SIZE_GRID, columns * SIZE_GRID


class Predictor:
    """A net ready to run over streams of frames.

    Args:
        trained: net with weights.
        settings: window overlap, scores, backend.
        runner: how a window is computed; None = chosen by settings.backend.
    """

    def __init__(
        self, trained: TrainedNet, settings: PredictSettings, runner: Runner | None = None
    ) -> None:
        net = trained.net
        self.frames, self.stride = net.settings.frames, net.settings.stride
        self.calibration = trained.calibration
        self.has_density = "density" in net.settings.heads
        self.test_px = settings.test_px or trained.test_px
        if not 0 <= settings.overlap < self.frames:
            expected = f"0 .. {self.frames - 1} (the net's T is {self.frames})"
            raise InputError("--overlap", expected, settings.overlap, "choose a smaller overlap")
        self.settings = settings
        self.device = str(choose_device(settings.device))
        self.backend = settings.backend
        self.run_window = runner or make_runner(
            net, backend=settings.backend, device=settings.device, amp=settings.amp
        )

    def input_size(self, size_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width at which the net sees frames of this size."""
        return input_size(size_hw, self.test_px)

    def restart(self, place: int) -> int:
        """From which place in a stream on the windows must run to say the same of frame `place`.

        Places count from 0. The windows begin where those of a run from the start do.
        """
        hop = self.frames - self.settings.overlap
        return max(0, (place - self.frames) // hop + 1) * hop

    def predict(
        self, frames: Iterable[tuple[int, Image]], size_hw: tuple[int, int]
    ) -> Iterator[FramePrediction]:
        """Yield a prediction for every frame of a stream, in order.

        Args:
            frames: (1-based number, RGB frame (H, W, 3) at `input_size` of `self.test_px`).
            size_hw: size of the original frames, in whose pixels boxes are returned.
        """
        for number, image, maps in self._fused(frames):
            yield self._detect(number, image, maps, size_hw)

    def _fused(self, frames: Iterable[tuple[int, Image]]) -> Iterator[Fused]:
        """Run windows over the stream and average, per frame, all that saw it."""
        window: list[tuple[int, Image]] = []
        sums: dict[int, tuple[dict[str, FloatMap], float]] = {}
        fresh = 0
        for item in frames:
            window.append(item)
            fresh += 1
            if len(window) == self.frames:
                self._add_window(window, sums)
                kept = window[len(window) - self.settings.overlap :]
                yield from self._finished(window[: len(window) - len(kept)], sums)
                window, fresh = kept, 0
        if fresh:
            self._add_window(window, sums)
        yield from self._finished(window, sums)

    def _add_window(
        self, window: list[tuple[int, Image]], sums: dict[int, tuple[dict[str, FloatMap], float]]
    ) -> None:
        """Add one window's maps; a short last window is filled up with its last frame."""
        filled = window + [window[-1]] * (self.frames - len(window))
        clip = np.stack([image for _, image in filled])
        expect(clip, "T H W 3", "window")
        maps = self.run_window(np.ascontiguousarray(clip.transpose(0, 3, 1, 2))[None])
        for index, (number, _) in enumerate(window):
            share = min(index + 1, self.frames - index) if self.settings.overlap else 1
            mine = {name: share * values[0, index] for name, values in maps.items()}
            before, weight = sums.get(number, ({}, 0.0))
            added = {name: before[name] + m if before else m for name, m in mine.items()}
            sums[number] = (added, weight + share)

    @staticmethod
    def _finished(
        done: list[tuple[int, Image]], sums: dict[int, tuple[dict[str, FloatMap], float]]
    ) -> Iterator[Fused]:
        for number, image in done:
            added, weight = sums.pop(number)
            maps = {name: values / weight for name, values in added.items()}
            yield number, image, maps

    def _detect(
        self,
        number: int,
        image: Image,
        maps: dict[str, FloatMap],
        size_hw: tuple[int, int],
    ) -> FramePrediction:
        seen_hw = image.shape[:2]
        cells = -(-seen_hw[0] // self.stride), -(-seen_hw[1] // self.stride)
        density = maps["density"][0] if "density" in maps else np.zeros(cells, np.float32)
        if "box" not in maps:
            return FramePrediction(number, image, density, Boxes.empty())
        ltwh, score = find_peaks(
            expit(maps["centre"][0]),
            maps["box"],
            stride=self.stride,
            min_score=self.settings.min_score,
            nms_iou=self.settings.nms_iou,
        )
        back = np.array([size_hw[1] / seen_hw[1], size_hw[0] / seen_hw[0]] * 2, np.float32)
        found = Boxes.of(number, ltwh * back, score=self.calibration(score))
        return FramePrediction(number, image, density, found)
