"""A video followed from file to file, ours beside its peers: `python -m benchmarks.endtoend VIDEO`.

Decode, net, tracker, rows on disk. Peers are a detector in OpenVINO with boxmot's ByteTrack; they
get their frames as we do, decoded ahead and resized by FFmpeg, and one thread per core as we have.
Each contestant has a process of its own, and its net is compiled before the clock starts; all take
turns, run by run, so that a machine that slows down slows all of them. Printed are frames per
second by the clock (median, least and most) and CPU time per frame, which other work on the machine
disturbs less.

Detectors come from a folder that you name: `person-detection-retail-0013.xml` of the Open Model Zoo
and `yolov8n.xml`, an OpenVINO export of YOLOv8n. ByteTrack comes with `pip install --no-deps -r
benchmarks/requirements.txt`. What cannot be used is left out with a line that says why.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from mot.annotations import ResultWriter
from mot.boxes import Boxes
from mot.counting import Counter
from mot.errors import InputError
from mot.footage import Footage, footage_of
from mot.frames import stream_frames
from mot.sequence import Sequence, open_video
from mot.terminal import terminal
from mot.track_files import TrackFiles
from nets.predict import Predictor, PredictSettings, open_predictor
from reid.detector import LookSettings
from reid.embedder import Embedder, choose_embedder
from reid.following import Follower
from reid.linking import linker_settings

RETAIL, YOLO = "retail-0013 + ByteTrack", "YOLOv8n + ByteTrack"
BARS = {RETAIL: 1.0, YOLO: 2.0}
MIN_SCORE = 0.1
NMS_IOU = 0.7
PERSON = 0  # COCO's class
PAD_GREY = 114
LOOKS = LookSettings.detect_fps
WARM_FRAMES = 20

Rows = npt.NDArray[np.float32]


class Run(NamedTuple):
    """What following the video took."""

    frames: int
    wall_s: float
    cpu_s: float
    rows: int


@dataclass(frozen=True)
class Ours:
    """Footfall with its defaults, or with other weights, sizes and linking."""

    weights: str | None
    test_px: int
    amp: str
    detect_fps: float
    online: bool

    @property
    def name(self) -> str:
        """What the table calls it; by the whole path, for weights of all runs are named alike."""
        weights = self.weights or "shipped weights"
        size = f", {self.test_px} px" if self.test_px else ""
        amp = "" if self.amp == "auto" else f", bf16 {self.amp}"
        looks = "" if self.detect_fps == LOOKS else f", --detect-fps {self.detect_fps:g}"
        return f"ours: {weights}{size}{amp}{looks}{', online' if self.online else ''}"

    def follow(self, video: Path, frames: int, out: Path) -> int:
        """Follow so many frames into files; returns the rows written."""
        predictor, embedder = _ready(self.weights, self.test_px, self.amp)
        footage = footage_of(open_video(video), max_frames=frames)
        counter = Counter([], [], footage.fps)
        linker = linker_settings("byte", online=self.online)
        rows = 0
        with TrackFiles(out, footage.name, counter, None) as files:
            looks = LookSettings(self.detect_fps)
            for item in Follower(footage, predictor, linker, embedder, looks=looks):
                files.write(item.frame, item.seconds, item.tracks, item.density_count)
                rows += len(item.tracks)
            files.finish({"backend": predictor.backend})
        return rows


@lru_cache(maxsize=1)
def _ready(weights: str | None, test_px: int, amp: str) -> tuple[Predictor, Embedder | None]:
    settings = PredictSettings(test_px=test_px, device="cpu", amp=amp)
    return open_predictor(weights, settings), choose_embedder("auto")


@dataclass(frozen=True)
class Peer:
    """A detector in OpenVINO and boxmot's ByteTrack with its defaults.

    Attributes:
        track_thresh: score from which on ByteTrack begins tracks, None = its own.
    """

    name: str
    model: Path
    read: Callable[[Any, Footage, Sequence], Iterator[tuple[int, Rows]]]
    track_thresh: float | None = None

    def follow(self, video: Path, frames: int, out: Path) -> int:
        """Follow so many frames (0 = all) into a result file; returns the rows written.

        Raises:
            InputError: boxmot is not installed.
        """
        try:
            from boxmot import create_tracker
            from boxmot.trackers import TrackerSpec
        except ImportError as error:
            remedy = "install it as benchmarks/requirements.txt says"
            raise InputError("peers", "boxmot", "no such package", remedy) from error

        sequence = open_video(video)
        footage = footage_of(sequence, max_frames=frames)
        options = () if self.track_thresh is None else (("track_thresh", self.track_thresh),)
        tracker = create_tracker(TrackerSpec("bytetrack", "python", options=options))
        rows = 0
        out.mkdir(parents=True, exist_ok=True)
        with ResultWriter(out / f"{footage.name}.txt") as results:
            for number, found in self.read(_compiled(self.model), footage, sequence):
                tracks = np.asarray(tracker.update(found, None), np.float32).reshape(-1, 8)
                ltwh = np.column_stack([tracks[:, :2], tracks[:, 2:4] - tracks[:, :2]])
                results.write(Boxes.of(number, ltwh, id=tracks[:, 4], score=tracks[:, 5]))
                rows += len(tracks)
        return rows


@lru_cache(maxsize=1)
def _compiled(model: Path) -> Any:
    import openvino as ov

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": os.cpu_count()}
    return ov.Core().compile_model(model, "CPU", hints)


def retail(net: Any, footage: Footage, sequence: Sequence) -> Iterator[tuple[int, Rows]]:
    """Detections of the Open Model Zoo's retail detector: BGR, plain resize to 544×320."""
    *_, height, width = net.input(0).shape
    last = footage.count or sequence.length
    scale = np.array([footage.width, footage.height] * 2, np.float32)
    for number, image in stream_frames(sequence, size_hw=(height, width), last=last):
        bgr = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        found = net(bgr)[0].reshape(-1, 7)
        found = found[(found[:, 2] >= MIN_SCORE) & (found[:, 0] >= 0)]
        yield number, _rows(found[:, 3:7] * scale, found[:, 2])


def yolo(net: Any, footage: Footage, sequence: Sequence) -> Iterator[tuple[int, Rows]]:
    """Detections of YOLOv8: RGB / 255, longer side to 640, the rest padded; boxes suppressed."""
    side = net.input(0).shape[-1]
    factor = side / max(footage.width, footage.height)
    inner = round(footage.height * factor), round(footage.width * factor)
    top, left = (side - inner[0]) // 2, (side - inner[1]) // 2
    padded = np.full((1, 3, side, side), PAD_GREY / 255, np.float32)
    last = footage.count or sequence.length
    for number, image in stream_frames(sequence, size_hw=inner, last=last):
        planes = image.transpose(2, 0, 1)
        np.multiply(planes, np.float32(1 / 255), out=_inside(padded, top, left, inner))
        found = net(padded)[0][0]
        score = found[4 + PERSON]
        sure = score >= MIN_SCORE
        xywh, score = found[:4, sure].T, score[sure]
        ltwh = np.column_stack([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, 2:]])
        kept = np.asarray(cv2.dnn.NMSBoxes(ltwh, score, MIN_SCORE, NMS_IOU), int).reshape(-1)
        ltwh = (ltwh[kept] - (left, top, 0, 0)) / factor
        ltrb = np.column_stack([ltwh[:, :2], ltwh[:, :2] + ltwh[:, 2:]])
        yield number, _rows(ltrb, score[kept])


def _inside(padded: Rows, top: int, left: int, inner: tuple[int, int]) -> Rows:
    return padded[0, :, top : top + inner[0], left : left + inner[1]]


def _rows(ltrb: Rows, score: Rows) -> Rows:
    """As boxmot takes detections: left, top, right, bottom, score, class."""
    return np.column_stack([ltrb, score, np.zeros_like(score)]).astype(np.float32)


Contestant = Ours | Peer


def follow(contestant: Contestant, video: Path, frames: int) -> Run:
    """Follow the video in this process, into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        rows = contestant.follow(video, frames, Path(folder) / "run")
        return Run(frames, time.perf_counter() - wall, time.process_time() - cpu, rows)


def start(
    contestants: list[Contestant], video: Path, console: Console
) -> dict[str, ProcessPoolExecutor]:
    """A process for each that can be used here, its net compiled; those that cannot are named."""
    processes = {}
    for contestant in contestants:
        process = ProcessPoolExecutor(1, get_context("spawn"))
        try:
            process.submit(follow, contestant, video, WARM_FRAMES).result()
        # Whatever keeps a peer from running must not keep us from being measured.
        except Exception as error:
            if isinstance(contestant, Ours):
                raise
            reason = " ".join(str(error).splitlines()[:1])
            line = f"left out: {contestant.name} ({type(error).__name__}: {reason})"
            console.print(line, highlight=False)
            process.shutdown()
        else:
            processes[contestant.name] = process
    return processes


def find_peers(folder: Path | None, console: Console) -> list[Peer]:
    """The peers whose models lie below the folder."""
    found: list[Peer] = []
    for name, file, read in (
        (RETAIL, "person-detection-retail-0013.xml", retail),
        (YOLO, "yolov8n.xml", yolo),
    ):
        models = sorted(folder.rglob(file)) if folder else []
        if models:
            found.append(Peer(name, models[0], read))
        else:
            console.print(f"left out: {name} (no {file} below {folder or '--peers FOLDER'})")
    return found


def speed_table(runs: dict[str, list[Run]], title: str) -> Table:
    """Rates by the clock with their spread, CPU time, and ratios to the peers by both."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    peers = [name for name in BARS if name in runs]
    headings = ["frames/s", "least–most", "CPU ms/frame", "rows"]
    headings += [f"× {name.split(' ')[0]}, clock | CPU" for name in peers]
    for heading in headings:
        table.add_column(heading, justify="right")
    rate = {n: statistics.median(r.frames / r.wall_s for r in some) for n, some in runs.items()}
    cpu = {n: statistics.median(r.cpu_s / r.frames for r in some) for n, some in runs.items()}
    for name, some in runs.items():
        rates = [run.frames / run.wall_s for run in some]
        table.add_row(
            name,
            f"{rate[name]:.1f}",
            f"{min(rates):.1f}–{max(rates):.1f}",
            f"{1000 * cpu[name]:.1f}",
            f"{some[0].rows:,}",
            *(f"{rate[name] / rate[p]:.2f} | {cpu[p] / cpu[name]:.2f}" for p in peers),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--peers", type=Path, help="folder with the peers' OpenVINO models")
    parser.add_argument("--weights", nargs="+", default=[""], help="'' = those that ship")
    parser.add_argument("--test-px", type=int, nargs="+", default=[0], help="0 = the weights' own")
    parser.add_argument("--amp", nargs="+", default=["auto"], help="bf16: auto, on, off")
    looks = "least looks a second, 0 = at every frame"
    parser.add_argument("--detect-fps", type=float, nargs="+", default=[LOOKS], help=looks)
    parser.add_argument("--online", action="store_true", help="ours links online, as ByteTrack")
    parser.add_argument("--frames", type=int, default=150, help="0 = all")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    console = terminal(130)
    contestants: list[Contestant] = [
        Ours(weights or None, test_px, amp, detect_fps, args.online)
        for weights in args.weights
        for test_px in args.test_px
        for amp in args.amp
        for detect_fps in args.detect_fps
    ]
    contestants += find_peers(args.peers, console)
    length = open_video(args.video).length
    frames = min(args.frames or length, length)
    processes = start(contestants, args.video, console)
    runs: dict[str, list[Run]] = {name: [] for name in processes}
    usable = [contestant for contestant in contestants if contestant.name in processes]
    for _ in range(args.repeats):
        for contestant in usable:
            job = partial(follow, contestant, args.video, frames)
            runs[contestant.name].append(processes[contestant.name].submit(job).result())
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    title = f"{args.video.name}, {frames} frames, {os.cpu_count()} cores{load}"
    console.print(speed_table(runs, title))
    bars = (f"{bar:g} × {name}" for name, bar in BARS.items() if name in runs)
    print(f"bar: {' and '.join(bars) or 'none without peers'}")
    for process in processes.values():
        process.shutdown()


if __name__ == "__main__":
    main()
