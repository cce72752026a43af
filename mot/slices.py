"""x–t slices: one line of every frame, stacked over time, so that a person's path is a ridge.

    python -m mot.slices VIDEO --out slices.png
    python -m mot.slices VIDEO --density RUN/NAME-density --results RUN/NAME.txt --out slices.png

`slice_pixels` and `slice_density` give the arrays, `mot.slice_picture` draws them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mot.annotations import considered, read_results
from mot.atomic import require_new
from mot.boxes import Boxes
from mot.chosen_frames import ChosenFrames
from mot.command_line import parse_flags
from mot.cuts import Axis, Crossings, Cut, Line, means_of
from mot.density_files import DensityMaps
from mot.errors import InputError, one_line_errors
from mot.frames import stream_frames
from mot.progress import progress_bar
from mot.sequence import Sequence
from mot.shapes import expect
from mot.slice_picture import SlicePicture, draw_slices

MOST_LINES = 2000  # more than a picture of a page can show; a longer video is averaged down to it
SUFFIXES = (".png", ".jpg", ".pdf", ".svg")


@dataclass(frozen=True, kw_only=True)
class SliceFlags(ChosenFrames):
    """Stack a line of every frame over time."""

    out: Path
    """Picture to write: .png, .jpg, .pdf or .svg."""
    axis: Axis = "x"
    """x: a row of every frame, time runs down; y: a column of every frame, time runs right."""
    at: int | None = None
    """The row (--axis y: the column) in pixels from 0. Default: where most people are, else the
    middle."""
    band: int = 1
    """Mean of so many rows about it."""
    density: Path | None = None
    """Folder of density maps (track.py --density): a second panel."""
    density_of: Literal["all", "band"] = "all"
    """Sum the density over all rows, or over those of the band only."""
    results: Path | None = None
    """Result file in MOT's format, whose tracks are drawn; else the ground truth, if there is."""
    tracks: bool = True
    """Draw tracks."""
    most_lines: int = MOST_LINES
    """Average a longer video down to so many lines at most."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            expected = f"a file ending in {', '.join(SUFFIXES)}"
            raise InputError("--out", expected, self.out, "rename it")
        if self.band < 1:
            raise InputError("--band", "1 row or more", self.band, "change this setting")
        if not 1 <= self.most_lines <= 20_000:
            raise InputError("--most-lines", "1 to 20000", self.most_lines, "change this setting")


def frames_per_line(first: int, last: int, most_lines: int = MOST_LINES, step: int = 1) -> int:
    """Frames that one line is the mean of, a multiple of `step`; see `slice_pixels`."""
    fewest = -(-(last - first + 1) // most_lines)
    return step * -(-fewest // step)


def slice_pixels(
    sequence: Sequence, cut: Cut, first: int, last: int, *, per_line: int = 1
) -> npt.NDArray[np.uint8]:
    """Cut every frame and stack the lines.

    Memory holds the result and a few frames, however long the video is.

    Args:
        sequence: whose frames.
        cut: which line of them.
        first: 1-based number of the first frame.
        last: of the last one, included.
        per_line: each line is the mean of so many frames, the last one of those that are left.

    Returns:
        uint8 (L, W, 3) RGB for axis x, (L, H, 3) for axis y; line 0 begins with frame `first`.

    Raises:
        InputError: as `mot.frames.stream_frames`.
    """
    bar = progress_bar(last - first + 1, unit="frame", title="frames")

    def values() -> Iterator[Line]:
        for _, image in stream_frames(sequence, first=first, last=last):
            bar.update()
            yield cut.of_image(image)

    with bar:
        return np.stack([np.rint(line).astype(np.uint8) for line in means_of(values(), per_line)])


def slice_density(maps: DensityMaps, cut: Cut, frames: range, *, per_line: int = 1) -> Line:
    """Cut the density map of every frame and stack the lines.

    Args:
        maps: density maps.
        cut: which rows or columns of them; `cut.whole` for all.
        frames: 1-based, as `DensityMaps.frames_within` gives them.
        per_line: each line is the mean over so many frames of the video.

    Returns:
        float32 (L, w) of people per column of cells for axis x, (L, h) per row of cells for axis y.
        With `cut.whole` a line's sum is the number of people.

    Raises:
        InputError: a file that is no map, or one of another size.
    """
    size = " ".join(map(str, maps.read(frames[0]).shape))
    bar = progress_bar(len(frames), unit="map", title="density")

    def values() -> Iterator[Line]:
        for frame in frames:
            density = maps.read(frame)
            expect(density, size, f"{maps.folder}, frame {frame}")
            bar.update()
            yield cut.of_density(density)

    with bar:
        return np.stack(list(means_of(values(), max(1, per_line // frames.step))))


def show(flags: SliceFlags) -> Path:
    """Make the picture that the flags ask for and return its path.

    Raises:
        InputError: nothing of that name, a row outside of the frame, malformed results, density of
            another video, or a picture that is there.
    """
    require_new([flags.out])
    sequence, first, last = flags.open()
    boxes, whose = _tracks(flags, sequence)
    boxes = boxes[(boxes.frame >= first) & (boxes.frame <= last)]
    size_hw = sequence.height, sequence.width
    crossings = Crossings(size_hw)
    crossings.add(boxes)
    at = crossings.most(flags.axis) if flags.at is None else flags.at
    cut = Cut.about(flags.axis, at, flags.band, size_hw)
    maps = DensityMaps.open(flags.density) if flags.density else None
    frames = maps.frames_within(first, last, sequence.length) if maps else range(first, last + 1)
    per_line = frames_per_line(first, last, flags.most_lines, frames.step)
    density = None
    density_cut = cut.whole if flags.density_of == "all" else cut
    if maps:
        density = slice_density(maps, density_cut, frames, per_line=per_line)
    pixels = slice_pixels(sequence, cut, first, last, per_line=per_line)
    if per_line > 1:
        count = last - first + 1
        print(f"{count} frames in {len(pixels)} lines: each is the mean of {per_line} frames")
    picture = SlicePicture(
        name=sequence.name,
        pixels=pixels,
        density=density,
        axis=cut.axis,
        band=(cut.start, cut.stop),
        density_band=(density_cut.start, density_cut.stop),
        size_hw=cut.size_hw,
        first=first,
        last=last,
        per_line=per_line,
        fps=sequence.fps,
        boxes=boxes,
        whose=whose,
    )
    draw_slices(flags.out, picture)
    print(flags.out)
    return flags.out


def _tracks(flags: SliceFlags, sequence: Sequence) -> tuple[Boxes, str]:
    """The tracks that are drawn, and what they are called."""
    if not flags.tracks:
        return Boxes.empty(), ""
    if flags.results is not None:
        return read_results(flags.results, length=sequence.length), flags.results.stem
    if sequence.has_truth:
        truth = sequence.truth()
        return truth[considered(truth)], "ground truth"
    return Boxes.empty(), ""


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(SliceFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
