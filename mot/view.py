"""Look at tracks: result files beside the ground truth, one colour per identity.

    python -m mot.view --seq NAME --results FILE [FILE …] --out FILE.mp4|FILE.png [--timeline]

An mp4 shows the frames with boxes and trails, a png one frame; --timeline draws who was followed
when (`mot.timeline`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mot.annotations import considered, read_results
from mot.atomic import atomic_path
from mot.command_line import parse_flags
from mot.draw import draw_boxes, draw_text, draw_trails, mosaic
from mot.errors import InputError, one_line_errors
from mot.frames import stream_frames
from mot.images import Image
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence
from mot.timeline import Panel, draw_timeline
from mot.video import VideoWriter

DEFAULT_FPS = 25.0  # for playing only: a folder of images may not know its rate


@dataclass(frozen=True)
class ViewSettings:
    """Show tracks over their frames, and over time."""

    seq: str
    """Name of the sequence (MOT17-02 finds MOT17-02-SDP), or the path of its folder."""
    out: Path
    """Where to write: .mp4 for all frames, .png for one frame."""
    results: tuple[Path, ...] = ()
    """Result files in MOT's format; each gets a panel beside the ground truth."""
    data: Path = field(default_factory=data_root)
    """Folder that holds sequence folders at some depth."""
    frames: str = ""
    """Frames A:B, 1-based and both included; either may be left out. Default: all."""
    timeline: bool = False
    """Draw identity × time bars: into out.png, or beside out.mp4 with the suffix .png."""
    truth: bool = True
    """Show the ground truth as the first panel, where there is one."""
    labels: bool = True
    """Write the identity over each box."""
    trail_s: float = 1.5
    """Length of the trails in seconds, 0 = none."""
    width: int = 640
    """Width of a panel in pixels; 0 = as large as the frames."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in (".mp4", ".png"):
            raise InputError("--out", "a file ending in .mp4 or .png", self.out, "rename it")
        if not 0 <= self.width <= 8192:
            raise InputError("--width", "0 to 8192 pixels", self.width, "choose a smaller width")
        if not 0 <= self.trail_s < float("inf"):
            raise InputError("--trail-s", "seconds from 0 on", self.trail_s, "give 0 for none")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(ViewSettings, arguments, description=__doc__))


def show(settings: ViewSettings) -> list[Path]:
    """Write the pictures that the settings ask for and return their paths.

    Raises:
        InputError: unknown sequence, malformed results, frames outside the sequence.
    """
    sequence = find_sequence(settings.seq, settings.data)
    first, last = parse_range(settings.frames, sequence.length)
    panels = load_panels(settings, sequence)
    written = []
    is_video = settings.out.suffix.lower() == ".mp4"
    if settings.timeline:
        picture = settings.out.with_suffix(".png")
        draw_timeline(picture, panels, first, last, sequence.fps)
        written.append(picture)
    if is_video:
        _write_video(settings, sequence, panels, first, last)
        written.append(settings.out)
    elif not settings.timeline:
        _write_still(settings, sequence, panels, first)
        written.append(settings.out)
    for path in written:
        print(path)
    return written


def parse_range(text: str, length: int) -> tuple[int, int]:
    """Read frames `A:B`, `A:`, `:B`, `A` or nothing into 1-based first and last frame.

    Raises:
        InputError: letters, or a range that is empty or leaves 1..length.
    """
    start, colon, stop = text.partition(":")
    try:
        first = int(start) if start else 1
        last = int(stop) if stop else (length if colon or not start else first)
    except ValueError:
        first = last = 0
    if not 1 <= first <= last <= length:
        raise InputError(
            "--frames", f"A:B with 1 <= A <= B <= {length}", f"'{text}'", "correct the range"
        )
    return first, last


def load_panels(settings: ViewSettings, sequence: Sequence) -> list[Panel]:
    """Read truth and results; the truth comes first and holds only people who count."""
    panels = []
    if settings.truth and sequence.has_truth:
        truth = sequence.truth()
        panels.append(Panel("ground truth", truth[considered(truth)], is_truth=True))
    names = [path.stem for path in settings.results]
    for path in settings.results:
        # Result files of several runs bear the sequence's name; then the run's tells them apart.
        title = path.stem if names.count(path.stem) == 1 else f"{path.parent.name}/{path.stem}"
        panels.append(Panel(title, read_results(path, length=sequence.length)))
    if not panels:
        raise InputError(
            "--results", "result files, or a sequence with ground truth", "neither", "name a file"
        )
    return panels


def render_panels(
    image: Image,
    panels: list[Panel],
    frame: int,
    *,
    scale: float = 1.0,
    labels: bool = True,
    trail_frames: int = 0,
) -> Image:
    """Draw one frame once per panel and put the panels side by side.

    Args:
        image: uint8 (H, W, 3) RGB, already resized by `scale`.
        panels: what to draw, boxes in pixels of the original frame.
        frame: 1-based number.
        scale: size of `image` relative to the original frame.
        labels: write identities.
        trail_frames: length of the trails, 0 = none.
    """
    pictures = []
    for panel in panels:
        recent = panel.boxes[
            (panel.boxes.frame > frame - max(trail_frames, 1)) & (panel.boxes.frame <= frame)
        ].scaled(scale, scale)
        picture = draw_trails(image, recent, frame=frame, frames=max(trail_frames, 1))
        now = recent.at(frame)
        draw_boxes(picture, now, labels=labels, in_place=True)
        pictures.append(draw_text(picture, f"{panel.title}, frame {frame}: {len(now)}"))
    return mosaic(pictures)


def _rendered(
    settings: ViewSettings, sequence: Sequence, panels: list[Panel], first: int, last: int
) -> Iterator[Image]:
    """Yield the mosaic of every frame."""
    scale = min(1.0, settings.width / sequence.width) if settings.width else 1.0
    size = (max(1, round(sequence.height * scale)), max(1, round(sequence.width * scale)))
    trail = round(settings.trail_s * (sequence.fps or DEFAULT_FPS))
    wanted = size if scale < 1 else None
    for frame, image in stream_frames(sequence, size_hw=wanted, first=first, last=last):
        yield render_panels(
            image, panels, frame, scale=scale, labels=settings.labels, trail_frames=trail
        )


def _write_video(
    settings: ViewSettings, sequence: Sequence, panels: list[Panel], first: int, last: int
) -> None:
    """Encode all frames of the range; what is written stays when the command is stopped."""
    pictures = _rendered(settings, sequence, panels, first, last)
    opening = next(pictures)
    fps = sequence.fps or DEFAULT_FPS
    bar = progress_bar(last - first + 1, unit="frame")
    with bar, VideoWriter(settings.out, fps, opening.shape[:2]) as writer:
        writer.write(opening)
        bar.update()
        for picture in pictures:
            writer.write(picture)
            bar.update()


def _write_still(
    settings: ViewSettings, sequence: Sequence, panels: list[Panel], frame: int
) -> None:
    """Write one frame as a picture."""
    picture = next(iter(_rendered(settings, sequence, panels, frame, frame)))
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))
    if not done:
        raise InputError(settings.out, "a picture that encodes", picture.shape, "choose --width")
    with atomic_path(settings.out) as temporary:
        temporary.write_bytes(data.tobytes())


if __name__ == "__main__":
    one_line_errors(main)()
