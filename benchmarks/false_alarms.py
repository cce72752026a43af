"""What a net finds where nobody is: `python -m benchmarks.false_alarms`.

Frames without people: black, white and noise; rendered streets with shrubs, flowers, signs and
bins but nobody in them; and, with --truth, windows of real frames that no row of the truth touches
(people who are not in the truth are false alarms here all the same: look at --out). Counted are
detections that may start a track, by the linker's default.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.table import Table

from mot.boxes import Boxes
from mot.command_line import parse_flags
from mot.draw import draw_boxes
from mot.errors import one_line_errors, require_setting
from mot.frames import stream_frames
from mot.progress import progress_bar
from mot.scene_settings import SceneSettings
from mot.sequence import Sequence, list_sequences, open_sequence
from mot.synthetic import render_frames, scene_settings
from mot.terminal import terminal
from nets.predict import PredictSettings, open_predictor
from reid.settings import LinkerSettings

Image = npt.NDArray[np.uint8]
SIZE_HW = (544, 960)
LEAST_SHARE = 0.3  # of the frame's width and height that a window has
TRIES = 60  # windows drawn per real frame
CLUTTER = (8, 30)  # shrubs and the like in a rendered street: as by default, and many
BAR = 0.05


@dataclass(frozen=True)
class AlarmFlags:
    """Count what a net finds in frames without people."""

    weights: str | None = None
    """Weights of a net, as eval.py has them."""
    truth: Path | None = None
    """Folder of real sequences whose truth says where nobody is; none = rendered frames alone."""
    scenes: int = 4
    """Rendered streets for each number of shrubs."""
    frames: int = 30
    """Frames of each rendered street, of each plain kind, and looked at of each sequence."""
    out: Path | None = None
    """Folder for pictures of the frames with false alarms."""
    predict: PredictSettings = field(default_factory=PredictSettings)

    def __post_init__(self) -> None:
        for name in ("scenes", "frames"):
            require_setting(self, name, getattr(self, name) >= 1, "at least 1")


def plain_frames(count: int) -> Iterator[tuple[str, Image]]:
    """Black, white and noise."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield "black", np.zeros((*SIZE_HW, 3), np.uint8)
        yield "white", np.full((*SIZE_HW, 3), 255, np.uint8)
        yield "noise", rng.integers(0, 256, (*SIZE_HW, 3), np.uint8)


def rendered_frames(scenes: int, frames: int) -> Iterator[tuple[str, Image]]:
    """Streets of the test split in which nobody walks."""
    for clutter in CLUTTER:
        wanted = SceneSettings(people=0, clutter=clutter, frames=frames)
        for number in range(1, scenes + 1):
            for image, _ in render_frames(scene_settings(wanted, "test", number)):
                yield f"rendered, {clutter} shrubs and the like", image


def empty_windows(sequence: Sequence, count: int) -> Iterator[tuple[str, Image]]:
    """The largest of some drawn windows of each looked-at frame that no truth row touches."""
    truth = sequence.truth()
    rng = np.random.default_rng(zlib.crc32(sequence.name.encode()))
    step = max(1, sequence.length // count)
    for frame, image in stream_frames(sequence, step=step):
        window = draw_window(truth.at(frame).ltrb, image.shape[:2], rng)
        if window is not None:
            left, top, right, bottom = window
            yield sequence.name, image[top:bottom, left:right]


def draw_window(
    taken: npt.NDArray[np.float32], size_hw: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of a window that touches none of the boxes (N, 4) ltrb, or None."""
    height, width = size_hw
    sizes = rng.uniform(LEAST_SHARE, 1.0, (TRIES, 2)) * (width, height)
    corners = rng.uniform(0, 1, (TRIES, 2)) * ((width, height) - sizes)
    windows = np.concatenate([corners, corners + sizes], axis=1)
    before = windows[:, None, 2:] <= taken[:, :2]
    behind = windows[:, None, :2] >= taken[:, 2:]
    free = np.all(np.any(before | behind, axis=2), axis=1)
    if not free.any():
        return None
    best = int(np.argmax(np.where(free, sizes.prod(axis=1), -1)))
    left, top, right, bottom = windows[best].round().astype(int).tolist()
    return left, top, right, bottom


def count_alarms(flags: AlarmFlags) -> dict[str, list[int]]:
    """False alarms of every frame, by kind of frame."""
    predictor = open_predictor(flags.weights, flags.predict)
    birth = LinkerSettings().birth_score
    found: dict[str, list[int]] = {}
    with progress_bar(None, unit="frame") as bar:
        for kind, image in frames_without_people(flags):
            # A frame stands alone: a net of T frames sees it T times.
            [prediction, *_] = predictor.predict_images([image] * predictor.frames)
            detections = prediction.detections
            alarms = detections[detections.score >= birth]
            counts = found.setdefault(kind, [])
            counts.append(len(alarms))
            if flags.out is not None and len(alarms):
                write_picture(flags.out / f"{kind}-{len(counts):04d}.jpg", image, alarms)
            bar.update()
    return found


def frames_without_people(flags: AlarmFlags) -> Iterator[tuple[str, Image]]:
    """Every frame to look at, with its kind."""
    yield from plain_frames(flags.frames)
    yield from rendered_frames(flags.scenes, flags.frames)
    if flags.truth is not None:
        for sequence in map(open_sequence, list_sequences(flags.truth)):
            if sequence.has_truth:
                yield from empty_windows(sequence, flags.frames)


def write_picture(path: Path, image: Image, alarms: Boxes) -> None:
    """Draw false alarms over their frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = draw_boxes(image, alarms)
    cv2.imwrite(str(path), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(AlarmFlags, arguments, description=__doc__)
    table = Table("frames without people", "frames", "false alarms", "a frame", "worst frame")
    found = count_alarms(flags)
    for kind, counts in [*found.items(), ("all", [n for c in found.values() for n in c])]:
        rate = np.mean(counts)
        row = (len(counts), sum(counts), f"{rate:.3f}", max(counts))
        table.add_row(kind, *map(str, row), style=None if rate <= BAR else "bold")
    terminal().print(table)


if __name__ == "__main__":
    main()
