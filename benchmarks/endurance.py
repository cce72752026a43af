"""Does track.py last? A long film, and many kills: `python -m benchmarks.endurance`.

`--part memory` follows a short rendered clip over and over, 100,000 frames of it, through the whole
pipeline (a tiny net, a tiny embedder, zones and lines, overlay, tables, stored states) and prints
the peak of resident memory of every 1,000 frames. `--part kills` kills a running track.py at random
times, looks at every file after each kill, and goes on with --resume; the last files must be those
of a run that nobody stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import torch

from benchmarks.memory import peak_mb
from mot.ahead import run_ahead
from mot.annotations import read_results
from mot.boxes import Boxes
from mot.footage import Footage
from mot.images import Image, resize
from mot.scene_settings import SceneSettings
from mot.sources import Source
from mot.synthetic import render_frames
from mot.track_run import StateFile, TrackedVideo
from mot.video import VideoWriter
from nets.clip_net import ClipNet
from nets.menu import build_net
from nets.notes import NetNotes
from nets.predict import FramePrediction, Predictor, PredictSettings, TrainedNet, model_of
from nets.settings import NetSettings
from nets.weights import save_weights
from reid.embedder import Embedder, EmbedderSettings
from reid.following import Followed, Follower
from track import Run, TrackFlags

ROOT = Path(__file__).resolve().parents[1]
SETTLED_AT = 500  # frame from which on memory should not grow
BLOCK = 1000  # every so many frames a line is printed
BAR_KB = 10.0  # growth per 1,000 frames that passes for none: 1 MB in 100,000 frames
TEXTS = (".txt", ".csv", ".counts.csv", ".zones.csv", ".lines.csv")
SCENE = SceneSettings(
    frames=120, people=4, width=96, height=64, fps=15, min_height=14, max_height=30, clutter=2
)
MARKS = {"zone": ("left=0,0,48,0,48,64,0,64",), "line": ("middle=48,0,48,64",)}
KILL_AT = (0.2, 1.0)  # of the time that a whole run takes
# A run stores its state now and then (mot.track_run.SAVE_S); in a short run that must be often.
TRACK = "import mot.track_run as run; run.SAVE_S = {save_s}; import track; track.main()"


def tiny_net() -> tuple[ClipNet, dict[str, str]]:
    """An untrained net, and what its weights file says of it."""
    torch.manual_seed(0)
    settings = NetSettings(frames=3, width=0.125, neck_channels=8, deepest=8)
    net = build_net(settings).eval()
    torch.nn.init.constant_(net.heads.maps["centre"].out.bias, 2.0)
    return net, {"settings": settings.to_json(), "test_px": str(SCENE.width * SCENE.height)}


class KnowingDetector(Predictor):
    """A net whose density counts, but whose boxes are those of the rendered truth.

    An untrained net finds noise; with the truth, people come, go and are lost as in a street.
    """

    def __init__(self, truth: list[Boxes]) -> None:
        net, metadata = tiny_net()
        notes = NetNotes.from_metadata(metadata, "the tiny net")
        trained = TrainedNet(notes, model_of(net, notes))
        super().__init__(trained, PredictSettings(backend="torch", amp="off", min_score=1.0))
        self._truth = truth

    def predict(
        self, frames: Iterable[tuple[int, Image]], size_hw: tuple[int, int]
    ) -> Iterator[FramePrediction]:
        """Yield the net's density with the boxes of the truth."""
        for seen in super().predict(frames, size_hw):
            boxes = self._truth[(seen.frame - 1) % len(self._truth)]
            yield replace(seen, detections=boxes.with_columns(frame=seen.frame))


@cache
def clip() -> tuple[list[Image], list[Boxes]]:
    """Frames of the rendered scene, and the people of each who can be seen."""
    images, truth = zip(*render_frames(SCENE), strict=True)
    return list(images), [boxes[boxes.visibility > 0.3] for boxes in truth]


def looped(frames: int) -> Footage:
    """The clip over and over, from memory."""
    images, _ = clip()

    def read(size_hw: tuple[int, int], first: int) -> Iterator[tuple[int, Image]]:
        shown = [resize(image, size_hw) for image in images]
        numbered = ((n, shown[(n - 1) % len(shown)]) for n in range(first, frames + 1))
        return run_ahead(lambda: numbered, ahead=8, name="film")

    size, fps = (SCENE.width, SCENE.height), SCENE.fps
    return Footage("loop", *size, fps, 1, frames, read, lambda n: (n - 1) / fps, length=frames)


class WatchedFollower(Follower):
    """Notes the peak of resident memory of every block of frames."""

    def __init__(self, *given: Any, block: int) -> None:
        super().__init__(*given)
        self.block = block
        self.peaks: list[tuple[int, float]] = []

    def __iter__(self) -> Iterator[Followed]:
        for item in super().__iter__():
            if item.frame % self.block == 0:
                self.peaks.append((item.frame, 1024 * peak_mb(os.getpid())))
                Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
            yield item


def follow_long(
    frames: int, out: Path, block: int = SETTLED_AT
) -> tuple[TrackedVideo, list[tuple[int, float]]]:
    """Run track.py's pipeline over the looped clip; returns it with (frame, peak in kB) pairs."""
    flags = TrackFlags(("loop",), out=str(out), video=True, **MARKS)
    footage, source = looped(frames), Source("loop", "loop")
    run = Run(flags, source, footage, StateFile(out, "loop", {}, resume=False))
    run.detector = KnowingDetector(clip()[1])
    torch.manual_seed(0)
    shape = EmbedderSettings(backbone="small", width=0.25, channels=16, size=(32, 16))
    given = footage, run.detector, run.linker, Embedder(shape).eval()
    watched = WatchedFollower(*given, block=block)
    run.follower = watched
    return run.follow(), watched.peaks


def slope_kb(peaks: list[tuple[int, float]], settled_at: int = SETTLED_AT) -> float:
    """Growth in kB per 1,000 frames after a frame, by least squares."""
    later = np.array([(frame, peak) for frame, peak in peaks if frame > settled_at])
    return float(np.polyfit(later[:, 0] / 1000, later[:, 1], 1)[0])


def draw(peaks: list[tuple[int, float]], path: Path) -> None:
    """Draw the peaks as a picture."""
    from matplotlib.figure import Figure

    frames, kb = np.array(peaks).T
    figure = Figure(figsize=(8, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(frames, kb / 1024)
    top = 1.1 * kb.max() / 1024
    axes.set(xlabel="frame", ylabel="MB", ylim=(0, top), title="peak of resident memory")
    figure.savefig(path, dpi=120)


@dataclass(frozen=True)
class Kill:
    """A run that was killed: after how long, and how many frames its tables and overlay hold."""

    after_s: float
    frames: int
    shown: int


def whole_files(out: Path, name: str) -> tuple[int, int]:
    """Read every file of a run; returns the frames of the tables and those of the overlays.

    Raises:
        AssertionError, InputError, ValueError, OSError: a file that is not whole.
    """
    frames = shown = 0
    for path in sorted(out.iterdir()):
        if path.name.startswith("."):
            continue  # what atomic_path was writing
        raw = path.read_bytes()
        if path.name.endswith(TEXTS):
            assert raw[-1:] in (b"", b"\n"), f"{path.name} ends within a line"
        if path.suffix == ".txt":
            read_results(path)
        elif path.suffix == ".csv" and raw:
            table = pd.read_csv(path)
            frames = max(frames, int(table.frame.max()) if len(table) else 0)
        elif path.suffix == ".mp4" and raw:
            with av.open(str(path)) as container:
                shown += sum(1 for _ in container.decode(video=0))
        elif path.suffix == ".json":
            json.loads(raw)
        elif path.suffix == ".parquet":
            pd.read_parquet(path)
        elif path.name == f"{name}.resume":
            pickle.loads(raw)
    return frames, shown


def arguments_for(folder: Path, out: Path) -> list[str]:
    """What track.py is called with for the film in the folder: all that it can write."""
    flags = ["--weights", str(folder / "tiny.safetensors"), "--embedder", "none", "--video"]
    flags += ["--backend", "torch", "--amp", "off", "--min-score", "0.9", "--out", str(out)]
    for flag, [mark] in MARKS.items():
        flags += [f"--{flag}", mark]
    return [str(folder / "film.mp4"), *flags, "--resume"]


def run_command(arguments: list[str], save_s: float, limit_s: float | None) -> bool:
    """Run a track.py of its own; False where it was killed when its time was over."""
    line = [sys.executable, "-c", TRACK.format(save_s=save_s), *arguments]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        said = process.communicate(timeout=limit_s)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    assert process.returncode == 0, said.decode()
    return True


def prepare(folder: Path, frames: int) -> None:
    """Write film and weights."""
    net, notes = tiny_net()
    save_weights(folder / "tiny.safetensors", net.state_dict(), notes)
    images, _ = clip()
    with VideoWriter(folder / "film.mp4", SCENE.fps, (SCENE.height, SCENE.width)) as video:
        for index in range(frames):
            video.write(images[index % len(images)])


def kill_often(
    folder: Path,
    *,
    kills: int,
    frames: int,
    save_s: float,
    seed: int = 0,
    run: Callable[[list[str], float, float | None], bool] = run_command,
) -> Iterator[Kill]:
    """Kill runs at random times until so many are killed, then let the last one end.

    Args:
        folder: where film and results go.
        kills: runs to kill.
        frames: of the film.
        save_s: seconds between stored states.
        seed: of the random times.
        run: calls track.py with arguments and a limit in seconds, as `run_command` does.

    Raises:
        AssertionError: a file that is not whole after a kill, or other bytes at the end.
    """
    dice, whole = random.Random(seed), folder / "whole"
    prepare(folder, frames)
    start = time.monotonic()
    run(arguments_for(folder, whole), save_s, None)
    whole_s, round_ = time.monotonic() - start, 0
    while kills:
        round_ += 1
        out, complete = folder / f"killed-{round_}", False
        while kills and not complete:
            limit_s = dice.uniform(*KILL_AT) * whole_s
            complete = run(arguments_for(folder, out), save_s, limit_s)
            if not complete:
                kills -= 1
                seen = whole_files(out, "film") if out.is_dir() else (0, 0)
                yield Kill(limit_s, *seen)
        complete = complete or run(arguments_for(folder, out), save_s, None)
        for ending in TEXTS:
            same = (whole / f"film{ending}").read_bytes() == (out / f"film{ending}").read_bytes()
            assert same, f"{out}/film{ending} differs from the run that nobody stopped"


def report_memory(frames: int, folder: Path, picture: Path) -> bool:
    """Follow the long film and say how flat it was."""
    start = time.monotonic()
    run, peaks = follow_long(frames, folder / "long")
    for frame, peak in peaks:
        if frame % BLOCK == 0 or frame == SETTLED_AT:
            print(f"frame {frame:7d}   peak {peak:9.0f} kB")
    draw(peaks, picture)
    slope = slope_kb(peaks)
    people, work_s = run.summary["people"], time.monotonic() - start
    print(f"{frames} frames, {people} identities, {work_s:.0f} s; picture: {picture}")
    print(f"growth after frame {SETTLED_AT}: {slope:+.2f} kB per 1,000 frames (bar: {BAR_KB:g})")
    return slope < BAR_KB


def report_kills(kills: int, frames: int, folder: Path, save_s: float, seed: int) -> None:
    """Kill runs and print what each left behind."""
    print("kill  after s  frames in tables  frames in overlays  files")
    story = kill_often(folder, kills=kills, frames=frames, save_s=save_s, seed=seed)
    for number, kill in enumerate(story, 1):
        row = f"{number:4d}  {kill.after_s:7.1f}  {kill.frames:16d}  {kill.shown:18d}  whole"
        print(row, flush=True)
    print("the last files of every run are, byte for byte, those of a run that nobody stopped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("memory", "kills", "both"), default="both")
    parser.add_argument("--frames", type=int, default=100_000, help="of the long film")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--film", type=int, default=1500, help="frames of the film that is killed")
    parser.add_argument("--save-s", type=float, default=0.5, help="seconds between stored states")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("endurance.png"))
    args = parser.parse_args()
    if not Path("/proc/self/clear_refs").exists() or args.frames <= SETTLED_AT + 2 * BLOCK:
        parser.error(f"needs /proc (Linux) and more than {SETTLED_AT + 2 * BLOCK} frames")
    cv2.setNumThreads(1)
    flat = True
    with tempfile.TemporaryDirectory() as name:
        if args.part != "kills":
            flat = report_memory(args.frames, Path(name), args.picture)
        if args.part != "memory":
            report_kills(args.kills, args.film, Path(name), args.save_s, args.seed)
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
