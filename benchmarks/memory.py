"""Does eval hold its memory on a long video? `python -m benchmarks.memory`.

Loops a short rendered scene into a long video with a truth, runs `eval.py` on it with the weights
shipped for rendered scenes, and reads the peak of that process's resident memory from outside: at
frame 500, when all frames are followed, and when the scores are written.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mot.annotations import truth_rows
from mot.scene_settings import SceneSettings
from mot.seqinfo import SEQINFO, seqinfo_text
from mot.synthetic import render_frames
from mot.video import VideoWriter
from nets.shipped import default_weights

ROOT = Path(__file__).resolve().parents[1]
SETTLED_AT = 500  # frame from which on memory should not grow
BAR_MB = 50.0
LOOP_FRAMES = 60
IDS_PER_TURN = 1000
POLL_S = 0.2
TAIL_BYTES = 200  # of the result file: its last row is in there


def write_sequence(folder: Path, frames: int, scene: SceneSettings) -> None:
    """A sequence folder whose video shows a rendered scene over and over, with new identities."""
    (folder / "gt").mkdir(parents=True)
    shown = list(render_frames(scene))
    with (
        VideoWriter(folder / "video.mp4", scene.fps, (scene.height, scene.width)) as video,
        (folder / "gt" / "gt.txt").open("w") as truth,
    ):
        for index in range(frames):
            turn, place = divmod(index, scene.frames)
            image, boxes = shown[place]
            video.write(image)
            known = boxes.id + IDS_PER_TURN * turn
            truth.write(truth_rows(boxes.with_columns(frame=index + 1, id=known)))
    (folder / SEQINFO).write_text(
        seqinfo_text("long", frames, scene.width, scene.height, scene.fps)
    )


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process so far; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM:")), 0.0)


def frames_done(result: Path) -> int:
    """Frame of the last whole row that has been written."""
    if not result.is_file():
        return 0
    with result.open("rb") as file:
        file.seek(max(0, result.stat().st_size - TAIL_BYTES))
        rows = file.read().splitlines()[1:-1]
    return int(rows[-1].split(b",")[0]) if rows else 0


def watch(process: subprocess.Popen[bytes], result: Path) -> list[tuple[int, float]]:
    """(frames done, peak MB so far) while eval.py runs."""
    samples = []
    while process.poll() is None:
        if peak := peak_mb(process.pid):
            samples.append((frames_done(result), peak))
        time.sleep(POLL_S)
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=10)
    args = parser.parse_args()
    if args.frames <= 2 * SETTLED_AT or not Path("/proc/self/status").is_file():
        parser.error(f"needs /proc (Linux) and more than {2 * SETTLED_AT} frames")
    scene = SceneSettings(frames=LOOP_FRAMES, people=args.people)
    with tempfile.TemporaryDirectory() as name:
        write_sequence(Path(name) / "long", args.frames, scene)
        command = [sys.executable, str(ROOT / "eval.py"), "--data", name, "--seq", "long"]
        weights = default_weights(rendered=True)
        out = Path(name) / "run"
        with subprocess.Popen([*command, "--weights", str(weights), "--out", str(out)]) as process:
            samples = watch(process, out / "long.txt")
        if process.returncode:
            sys.exit(process.returncode)
    settled = next(peak for done, peak in samples if done >= SETTLED_AT)
    followed = max(peak for done, peak in samples if done < 0.99 * args.frames)
    whole = samples[-1][1]
    print(f"peak at frame {SETTLED_AT} {settled:.1f} MB, bar: growth below {BAR_MB:g} MB")
    print(
        f"growth while following {followed - settled:.1f} MB, with scoring {whole - settled:.1f} MB"
    )


if __name__ == "__main__":
    main()
