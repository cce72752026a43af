"""From a stream of frames to maps and detections: windows of T frames, fused, one frame at a time.

Holds one window of frames and the sums of its maps, so that a video of any length takes the same
memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from labelmaps.peaks import find_peaks
from mot.ahead import run_ahead
from mot.boxes import Boxes
from mot.errors import InputError, require_setting
from mot.images import resize
from mot.shapes import expect
from nets.averaged import averaged
from nets.backends import FILES, Engine, int8_pays, make_runner, read_metadata
from nets.clip_net import ClipNet
from nets.menu import build_net
from nets.mirrored import mirrored
from nets.notes import LEAST_PX, SIZE_GRID, Calibration, FloatMap, NetNotes
from nets.pyramid import pyramid
from nets.runner import Batch, Maps, Model, Runner
from nets.shipped import default_weights, int8_twin, named_weights
from nets.weights import check_state, load_weights

Image = npt.NDArray[np.uint8]
Window = list[tuple[int, Image]]
Fused = tuple[int, Image, dict[str, FloatMap]]


@dataclass(frozen=True)
class PredictSettings:
    """How frames go through the net and come back as detections."""

    test_px: int = 0
    """Pixels per frame that the net sees: frames are resized to about this area; 0 = the area that
    the weights were trained for."""
    overlap: int = 0
    """Frames that neighbouring windows share, 0 .. T − 1; more = slower, steadier."""
    flip: bool = False
    """Look at the mirror image of every frame too and average: twice the work."""
    scales: tuple[float, ...] = ()
    """Look at frames at these multiples of their test size too, such as 0.6, and average."""
    beside: tuple[str, ...] = ()
    """Weights of more nets of the same shape, whose maps are averaged with those of --weights; one
    that is named twice counts twice. The calibration is that of --weights."""
    min_score: float = 0.1
    """Centres below this score, before calibration, are dropped; the linker wants weak ones too."""
    nms_iou: float = 0.6
    """IoU from which on the weaker of two detections loses score: times 1 − IoU."""
    backend: str = "auto"
    """openvino, onnx, torch or auto (on a CPU the first of them that is installed, else torch)."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""
    amp: str = "auto"
    """Coarser arithmetic: auto (bf16 where it is faster, int8 of nets that ship with such a file on
    an x86 CPU), on (bf16) or off (fp32)."""

    def __post_init__(self) -> None:
        for name in ("scales", "beside"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require = partial(require_setting, self)
        require("test_px", self.test_px == 0 or self.test_px >= SIZE_GRID**2, f"0 or {LEAST_PX}")
        require("overlap", self.overlap >= 0, "0 or more frames")
        once = len(set(self.scales)) == len(self.scales) and 1 not in self.scales
        sensible = once and all(0.1 <= factor <= 4 for factor in self.scales)
        require("scales", sensible, "factors in 0.1..4 other than 1, each once")
        require("min_score", 0 <= self.min_score <= 1, "a score in 0..1")
        require("nms_iou", 0 < self.nms_iou <= 1, "an overlap in (0, 1]")
        require("amp", self.amp in ("auto", "on", "off"), "auto, on or off")

    @property
    def engine(self) -> Engine:
        """What is to compute."""
        return Engine(self.backend, self.device, self.amp)


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
    detected = True

    @property
    def count(self) -> float:
        """Number of people by density."""
        return float(self.density.sum())


@dataclass(frozen=True)
class TrainedNet:
    """A net with its weights and its notes, whatever file they come from.

    Attributes:
        notes: what it says of itself.
        model: what computes its maps.
    """

    notes: NetNotes
    model: Model

    @property
    def net(self) -> ClipNet:
        """The torch module of a weights file.

        Raises:
            InputError: a net that was exported has none.
        """
        if not isinstance(self.model.source, ClipNet):
            remedy = "name the weights that it was exported from"
            raise InputError(self.model.file, "weights (.safetensors)", "an exported net", remedy)
        return self.model.source

    def uncalibrated(self) -> TrainedNet:
        """The same with the scores as they are."""
        return replace(self, notes=replace(self.notes, calibration=Calibration()))


def load_net(path: Path | str | None = None) -> TrainedNet:
    """Load a net: weights (.safetensors), or what `nets.export` made of them.

    Args:
        path: the file, its kind told by its suffix, or footfall-m, footfall-s of those that come
            with Footfall; None = the first of these.

    Raises:
        InputError: missing, truncated or foreign file, or weights of another shape.
    """
    path = default_weights(rendered=False) if path is None else named_weights(path)
    if path.suffix.lower() not in FILES:
        return _load_weights(path)
    if not path.is_file():
        raise InputError(path, "an exported net", "no such file", "name one with --weights FILE")
    notes = NetNotes.from_metadata(read_metadata(path), path)
    return TrainedNet(notes, model_of(path, notes))


def _load_weights(path: Path) -> TrainedNet:
    state, metadata = load_weights(path)
    notes = NetNotes.from_metadata(metadata, path)
    net = build_net(notes.settings)
    check_state(net, state, where=str(path))
    net.load_state_dict(state)
    return TrainedNet(notes, model_of(net.eval(), notes))


def model_of(source: ClipNet | Path, notes: NetNotes) -> Model:
    """A net, or a file that it was exported to, as something that a backend can compute."""
    axes = (1, notes.settings.frames, 3, "height", "width")
    return Model(source, notes.settings.heads, axes, precision=notes.precision)


def require_same_maps(where: str, first: TrainedNet, other: TrainedNet) -> None:
    """Refuse a net whose maps cannot be averaged with the first one's.

    Raises:
        InputError: another number of frames, stride or heads.
    """
    expected, got = (
        "T {}, stride {}, heads {}".format(s.frames, s.stride, " ".join(s.heads))
        for s in (first.notes.settings, other.notes.settings)
    )
    if expected != got:
        raise InputError(where, expected, got, "name a net of the same shape")


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
        trained: net with its notes.
        settings: window overlap, scores, backend.
        runner: how a window is computed; None = chosen by settings.backend.

    Attributes:
        backend: what really computes.

    Raises:
        InputError: an overlap of T frames or more, or weights beside it of another shape.
    """

    def __init__(
        self, trained: TrainedNet, settings: PredictSettings, runner: Runner | None = None
    ) -> None:
        net = trained.notes.settings
        self.frames, self.stride = net.frames, net.stride
        self.calibration = trained.notes.calibration
        self.has_density = "density" in net.heads
        self.test_px = settings.test_px or trained.notes.test_px
        if not 0 <= settings.overlap < self.frames:
            expected = f"0 .. {self.frames - 1} (the net's T is {self.frames})"
            raise InputError("--overlap", expected, settings.overlap, "choose a smaller overlap")
        self.settings, self.engine = settings, settings.engine
        counts = Counter(settings.beside)
        beside = {name: load_net(name) for name in counts}
        for name, other in beside.items():
            require_same_maps(f"--beside {name}", trained, other)

        def joined() -> Runner:
            first = runner or make_runner(trained.model, self.engine)
            others = ((counts[k], make_runner(net.model, self.engine)) for k, net in beside.items())
            return averaged([(1, first), *others])

        # One for each size: a backend compiles for the size that it meets.
        looks = {factor: joined() for factor in (1.0, *settings.scales)}
        look = pyramid(looks) if settings.scales else looks[1.0]
        self.runner = mirrored(look) if settings.flip else look

    @property
    def backend(self) -> str:
        """What really computes."""
        return self.runner.name

    @property
    def needs_all(self) -> bool:
        """Whether no frame may be left out: a net of several has learned from neighbours."""
        return self.frames > 1

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

    def predict_images(self, images: Iterable[Image]) -> Iterator[FramePrediction]:
        """Yield a prediction for every image, in order, numbered from 1.

        Args:
            images: uint8 RGB (H, W, 3), all of one size, neighbours in time where T is above 1.
        """
        waiting = iter(images)
        first = next(waiting, None)
        if first is None:
            return
        size_hw = first.shape[:2]
        seen_hw = self.input_size(size_hw)
        stream = enumerate(chain([first], waiting), start=1)
        yield from self.predict(((k, resize(image, seen_hw)) for k, image in stream), size_hw)

    def _fused(self, frames: Iterable[tuple[int, Image]]) -> Iterator[Fused]:
        """Run windows over the stream and average, per frame, all that saw it."""
        sums: dict[int, tuple[dict[str, FloatMap], float]] = {}
        kept: Window = []
        for window, maps in self._computed(self._windows(frames)):
            self._add_window(window, maps, sums)
            whole = len(window) == self.frames
            done = len(window) - self.settings.overlap if whole else len(window)
            yield from self._finished(window[:done], sums)
            kept = window[done:]
        yield from self._finished(kept, sums)

    def _windows(self, frames: Iterable[tuple[int, Image]]) -> Iterator[Window]:
        """Cut a stream into windows of T frames; the last may be shorter."""
        window: Window = []
        fresh = 0
        for item in frames:
            window.append(item)
            fresh += 1
            if len(window) == self.frames:
                yield window
                window, fresh = window[len(window) - self.settings.overlap :], 0
        if fresh:
            yield window

    def _computed(self, windows: Iterator[Window]) -> Iterator[tuple[Window, Maps]]:
        """Compute windows, several at once where the runner does that best; in order."""
        parallel = self.runner.parallel
        if parallel == 1:
            for window in windows:
                yield window, self.runner(self.batch(window))
            return
        with ThreadPoolExecutor(parallel, "net") as pool:

            def begun() -> Iterator[tuple[Window, Future[Maps]]]:
                for window in windows:
                    yield window, pool.submit(self.runner, self.batch(window))

            # One is waited for, one waits for its place in the queue.
            for window, future in run_ahead(begun, max(1, parallel - 1), name="windows"):
                yield window, future.result()

    def batch(self, window: Window) -> Batch:
        """A window as the net takes it; a short one is filled up with its last frame."""
        filled = window + [window[-1]] * (self.frames - len(window))
        clip = np.stack([image for _, image in filled])
        expect(clip, "T H W 3", "window")
        return np.ascontiguousarray(clip.transpose(0, 3, 1, 2))[None]

    def _add_window(
        self, window: Window, maps: Maps, sums: dict[int, tuple[dict[str, FloatMap], float]]
    ) -> None:
        """Add one window's maps to the sums of its frames."""
        for index, (number, _) in enumerate(window):
            share = min(index + 1, self.frames - index) if self.settings.overlap else 1
            mine = {name: share * values[0, index] for name, values in maps.items()}
            before, weight = sums.get(number, ({}, 0.0))
            added = {name: before[name] + m if before else m for name, m in mine.items()}
            sums[number] = (added, weight + share)

    @staticmethod
    def _finished(
        done: Window, sums: dict[int, tuple[dict[str, FloatMap], float]]
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


def open_predictor(
    weights: Path | str | None, settings: PredictSettings, *, rendered: bool = False
) -> Predictor:
    """A net by its file or name, ready to run; of one that ships in int8 too, what is faster.

    Args:
        weights: as for `load_net`; None = the net that ships for real video or rendered scenes.
        settings: how it is run.
        rendered: whether scenes are rendered.

    Raises:
        InputError: as `load_net` and `Predictor`.
    """
    path = default_weights(rendered=rendered) if weights is None else named_weights(weights)
    return Predictor(load_net(int8_twin(path) if int8_pays(settings.engine) else path), settings)
