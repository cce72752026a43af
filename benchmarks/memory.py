"""Does eval hold its memory on a long video? `python -m benchmarks.memory`.

Loops a short rendered scene into a long video with a truth, runs eval's way through it (decode,
predict, link, write) with a tiny net in a process of its own, and prints by how much the peak of
that process's resident memory grows from frame 500 to the end.
"""

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from eval import run_net
from mot.images import Image
from mot.scene_settings import SceneSettings
from mot.sequence import open_sequence
from mot.synthetic import render_frames
from mot.video import VideoWriter
from nets.frame_stack import build_net
from nets.predict import FramePrediction, Predictor, PredictSettings, TrainedNet, load_net
from nets.settings import NetSettings
from nets.weights import save_weights
from reid.linking import linker_settings

SIZE_HW = (128, 224)
FPS = 15.0
LOOP_FRAMES = 60
SETTLED_AT = 500  # frame from which on memory should not grow
PRINT_EVERY = 1000
BAR_MB = 50.0


def write_sequence(folder: Path, frames: int) -> None:
    """A sequence folder whose video shows a short scene over and over."""
    height, width = SIZE_HW
    scene = SceneSettings(
        frames=LOOP_FRAMES, width=width, height=height, fps=FPS, people=10, max_height=60
    )
    images = [image for image, _ in render_frames(scene)]
    with VideoWriter(folder / "video.mp4", FPS, SIZE_HW, preset="ultrafast") as video:
        for number in range(frames):
            video.write(images[number % LOOP_FRAMES])
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname=long\nframeRate={FPS:g}\nseqLength={frames}\n"
        f"imWidth={width}\nimHeight={height}\n"
    )


def write_weights(path: Path) -> None:
    """A tiny untrained net that takes much of what it sees for people, so that there are tracks."""
    torch.manual_seed(0)
    settings = NetSettings(width=0.125, neck_channels=8)
    net = build_net(settings)
    state = net.state_dict()
    state["heads.maps.centre.out.bias"].fill_(2.0)
    notes = {"settings": settings.to_json(), "test_px": str(SIZE_HW[0] * SIZE_HW[1])}
    save_weights(path, state, notes)


def resident_mb(key: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {key}")


class Watch:
    """Notes the memory of this process as frames pass."""

    def __init__(self) -> None:
        self.frames = 0
        self.settled_mb = 0.0

    def tick(self) -> None:
        """Count a frame."""
        self.frames += 1
        if self.frames == SETTLED_AT:
            self.settled_mb = resident_mb("VmHWM")
        if self.frames == SETTLED_AT or self.frames % PRINT_EVERY == 0:
            print(f"  frame {self.frames:6d}  {resident_mb('VmRSS'):7.1f} MB", flush=True)


class WatchedPredictor(Predictor):
    """Predicts as ever while a watch looks on."""

    def __init__(self, trained: TrainedNet, settings: PredictSettings, watch: Watch) -> None:
        super().__init__(trained, settings)
        self.watch = watch

    def predict(
        self, frames: Iterable[tuple[int, Image]], size_hw: tuple[int, int]
    ) -> Iterator[FramePrediction]:
        """See Predictor."""
        for prediction in super().predict(frames, size_hw):
            yield prediction
            self.watch.tick()


def follow_and_watch(folder: Path, weights: Path, out: Path, threads: int) -> tuple[float, float]:
    """Run eval's way through the sequence; peak MB up to frame SETTLED_AT, and in the end."""
    torch.set_num_threads(threads)
    watch = Watch()
    # Neighbours lose enough score to fall below the limit: some 20 people stay, as in MOT17.
    settings = PredictSettings(min_score=0.8, nms_iou=0.1)
    predictor = WatchedPredictor(load_net(weights), settings, watch)
    result = run_net(open_sequence(folder), predictor, linker_settings("byte"), out, video=False)
    tracks = len(set(result.tracks.id.tolist()))
    print(f"  {watch.frames} frames, {len(result.tracks)} boxes in {tracks} tracks")
    return watch.settled_mb, resident_mb("VmHWM")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, weights = Path(name) / "long", Path(name) / "tiny.safetensors"
        write_sequence(folder, args.frames)
        write_weights(weights)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            run = Path(name) / "run"
            watched = pool.submit(follow_and_watch, folder, weights, run, args.threads)
            settled, last = watched.result()
    print(f"peak at frame {SETTLED_AT}: {settled:.1f} MB, in the end: {last:.1f} MB")
    print(f"growth {last - settled:.1f} MB, bar {BAR_MB:g} MB")


if __name__ == "__main__":
    main()
