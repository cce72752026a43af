"""Look at tracks: result files beside the ground truth, one colour per identity.

    python -m mot.view --seq NAME --results FILE [FILE …] --out FILE.mp4|FILE.png [--timeline]
    python -m mot.view VIDEO --results FILE [FILE …] --out FILE.mp4

An mp4 shows the frames with boxes and trails, a png one frame or a few; --timeline draws who was
followed when (`mot.timeline`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mot.annotations import considered, read_results
from mot.atomic import atomic_path, require_new
from mot.chosen_frames import ChosenFrames, spread
from mot.command_line import parse_flags
from mot.draw import draw_boxes, draw_text, draw_trails, mosaic
from mot.errors import InputError, one_line_errors
from mot.frames import stream_frames
from mot.images import Image
from mot.progress import progress_bar
from mot.sequence import Sequence
from mot.timeline import Panel, draw_timeline
from mot.video import VideoWriter

DEFAULT_FPS = 25.0  # for playing only: a folder of images may not know its rate
SUFFIXES = (".mp4", ".png", ".jpg")
MOST_ROWS = 30  # frames in one picture


@dataclass(frozen=True, kw_only=True)
class ViewSettings(ChosenFrames):
    """Show tracks over their frames, and over time."""

    out: Path
    """Where to write: .mp4 for all frames, .png or .jpg for one frame or a few."""
    results: tuple[Path, ...] = ()
    """Result files in MOT's format; each gets a panel beside the ground truth."""
    count: int = 1
    """Of a picture: so many frames spread over those chosen, one below the other; 1 = the first."""
    columns: int = 0
    """Panels side by side; 0 = as square as possible, of a picture of several frames all."""
    timeline: bool = False
    """Draw identity × time bars: into out.png, or beside another --out with the suffix .png."""
    truth: bool = True
    """Show the ground truth as the first panel, where there is one."""
    labels: bool = True
    """Write the identity over each box."""
    trail_s: float = 1.5
    """Length of the trails in seconds, 0 = none."""
    width: int = 640
    """Width of a panel in pixels; 0 = as large as the frames."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            expected = f"a file ending in {', '.join(SUFFIXES)}"
            raise InputError("--out", expected, self.out, "rename it")
        if not 0 <= self.width <= 8192:
            raise InputError("--width", "0 to 8192 pixels", self.width, "choose a smaller width")
        if not 0 <= self.trail_s < float("inf"):
            raise InputError("--trail-s", "seconds from 0 on", self.trail_s, "give 0 for none")
        if not 1 <= self.count <= MOST_ROWS:
            raise InputError("--count", f"1 to {MOST_ROWS}", self.count, "choose fewer frames")
        if self.columns < 0:
            raise InputError("--columns", "0 or more", self.columns, "give 0 for a square")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(ViewSettings, arguments, description=__doc__))


def show(settings: ViewSettings) -> list[Path]:
    """Write the pictures that the settings ask for and return their paths.

    Raises:
        InputError: unknown sequence, malformed results, frames outside the sequence, or a file
            that is in the way.
    """
    is_video = settings.out.suffix.lower() == ".mp4"
    timeline = settings.out.with_suffix(".png")
    require_new({settings.out, timeline} if settings.timeline else {settings.out})
    sequence, first, last = settings.open()
    panels = load_panels(settings, sequence)
    written = []
    if settings.timeline:
        draw_timeline(timeline, panels, first, last, sequence.fps)
        written.append(timeline)
    if is_video:
        _write_video(settings, sequence, panels, first, last)
        written.append(settings.out)
    elif not settings.timeline or settings.out != timeline:
        chosen = spread(range(first, last + 1), settings.count)
        _write_still(settings, sequence, panels, chosen)
        written.append(settings.out)
    for path in written:
        print(path)
    return written


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
    columns: int = 0,
) -> Image:
    """Draw one frame once per panel and put the panels side by side.

    Args:
        image: uint8 (H, W, 3) RGB, already resized by `scale`.
        panels: what to draw, boxes in pixels of the original frame.
        frame: 1-based number.
        scale: size of `image` relative to the original frame.
        labels: write identities.
        trail_frames: length of the trails, 0 = none.
        columns: panels side by side, 0 = as square as possible.
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
    return mosaic(pictures, columns=columns or None)


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
            image,
            panels,
            frame,
            scale=scale,
            labels=settings.labels,
            trail_frames=trail,
            columns=settings.columns or (len(panels) if settings.count > 1 else 0),
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
    settings: ViewSettings, sequence: Sequence, panels: list[Panel], chosen: list[int]
) -> None:
    """Write frames one below the other as a picture."""
    rows = [next(_rendered(settings, sequence, panels, frame, frame)) for frame in chosen]
    picture = mosaic(rows, columns=1)
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    done, data = cv2.imencode(settings.out.suffix.lower(), bgr)
    if not done:
        raise InputError(settings.out, "a picture that encodes", picture.shape, "choose --width")
    with atomic_path(settings.out) as temporary:
        temporary.write_bytes(data.tobytes())


if __name__ == "__main__":
    one_line_errors(main)()
