"""A contact sheet of density: frames spread over a video, with the count beside the true one.

    python -m mot.density_sheet VIDEO --density RUN/NAME-density --out sheet.jpg
    python -m mot.density_sheet --seq NAME --density RUN/NAME-density --out sheet.png

The maps are those that track.py --density writes.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mot.annotations import considered
from mot.atomic import atomic_path, require_new
from mot.chosen_frames import ChosenFrames, spread
from mot.command_line import parse_flags
from mot.density_files import DensityMaps, FloatMap
from mot.draw import overlay_density
from mot.errors import InputError, one_line_errors
from mot.frames import stream_frames
from mot.images import Image
from mot.progress import progress_bar
from mot.sequence import Sequence

SUFFIXES = (".png", ".jpg", ".pdf")
WIDTH_INCHES = 7.6
DPI = 130
COVER = 0.75
MOST = 100  # frames on a sheet


@dataclass(frozen=True, kw_only=True)
class SheetFlags(ChosenFrames):
    """Lay the density over frames spread over a video."""

    density: Path
    """Folder of density maps (track.py --density)."""
    out: Path
    """Picture to write: .png, .jpg or .pdf."""
    count: int = 12
    """So many frames, spread evenly."""
    columns: int = 3
    """So many of them side by side."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            expected = f"a file ending in {', '.join(SUFFIXES)}"
            raise InputError("--out", expected, self.out, "rename it")
        for name in ("count", "columns"):
            value = getattr(self, name)
            if not 1 <= value <= MOST:
                raise InputError(f"--{name}", f"1 to {MOST}", value, "change this setting")


@dataclass(frozen=True)
class Tile:
    """One frame of the sheet.

    Attributes:
        frame: 1-based number.
        image: RGB (H, W, 3), at the size it is shown.
        density: people per cell (h, w).
        people: people in the ground truth; None = there is none.
    """

    frame: int
    image: Image
    density: FloatMap
    people: int | None

    @property
    def error(self) -> float:
        """People by density more than there are; NaN without a truth."""
        return float("nan") if self.people is None else float(self.density.sum()) - self.people


def load_tiles(sequence: Sequence, maps: DensityMaps, frames: list[int], width: int) -> list[Tile]:
    """Read the chosen frames and their maps.

    Args:
        sequence: whose frames.
        maps: its density.
        frames: 1-based, ascending.
        width: of the images in pixels; smaller frames stay as they are.

    Raises:
        InputError: a frame or a map that cannot be read, or a malformed truth.
    """
    people = _people(sequence)
    scale = min(1.0, width / sequence.width)
    size = max(1, round(sequence.height * scale)), max(1, round(sequence.width * scale))
    tiles = []
    with progress_bar(len(frames), unit="frame") as bar:
        for frame in frames:
            _, image = next(stream_frames(sequence, size_hw=size, first=frame, last=frame))
            true = None if people is None else int(people[frame - 1])
            tiles.append(Tile(frame, image, maps.read(frame), true))
            bar.update()
    return tiles


def _people(sequence: Sequence) -> npt.NDArray[np.intp] | None:
    """People in every frame of the truth (length,); None where there is no truth."""
    if not sequence.has_truth:
        return None
    truth = sequence.truth()
    return truth[considered(truth)].per_frame(sequence.length)


def draw_sheet(path: Path, sequence: Sequence, tiles: list[Tile], columns: int) -> None:
    """Write the sheet; it appears whole or not at all.

    All tiles have the same scale of brightness, so that they compare.
    """
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    width = WIDTH_INCHES / columns
    height = rows * (width * sequence.height / sequence.width + 0.2) + 0.95
    figure = Figure((WIDTH_INCHES, height), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    peak = max(float(tile.density.max(initial=0)) for tile in tiles)
    small = 9 - 0.75 * max(0, columns - 2)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, tile in zip(grid.flat, tiles, strict=False):
        _draw_tile(axes, tile, sequence.fps, peak, max(small, 4.5))
    scale = ScalarMappable(Normalize(0, max(peak, 1e-6)), "inferno")
    bar = figure.colorbar(scale, ax=grid, location="bottom", shrink=0.5, aspect=40, pad=0.01)
    cells = " × ".join(str(side) for side in tiles[0].density.shape[::-1])
    bar.set_label(f"people per cell, {cells} cells a frame", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    title = textwrap.fill(_title(sequence, tiles), 115)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _draw_tile(axes: Axes, tile: Tile, fps: float | None, peak: float, size: float) -> None:
    axes.imshow(overlay_density(tile.image, tile.density, COVER, peak=peak))
    when = f"frame {tile.frame}" if fps is None else f"{(tile.frame - 1) / fps:.1f} s"
    true = "" if tile.people is None else f", truth {tile.people}"
    axes.set_title(f"{when}: {tile.density.sum():.1f}{true}", fontsize=size, loc="left", pad=2)


def _title(sequence: Sequence, tiles: list[Tile]) -> str:
    """What is shown, and how far the counts are off."""
    one = f"{sequence.name}, frames {tiles[0].frame} to {tiles[-1].frame}: people by density"
    if tiles[0].people is None:
        return one
    errors = np.array([tile.error for tile in tiles])
    return (
        f"{one}; off by {np.abs(errors).mean():.2f} in the mean of these {len(tiles)}, "
        f"bias {errors.mean():+.2f}"
    )


def show(flags: SheetFlags) -> Path:
    """Make the sheet that the flags ask for and return its path.

    Raises:
        InputError: nothing of that name, density of another video, or a picture that is there.
    """
    require_new([flags.out])
    sequence, first, last = flags.open()
    maps = DensityMaps.open(flags.density)
    frames = spread(maps.frames_within(first, last, sequence.length), flags.count)
    width = round(WIDTH_INCHES * DPI / min(flags.columns, len(frames)))
    draw_sheet(flags.out, sequence, load_tiles(sequence, maps, frames, width), flags.columns)
    print(flags.out)
    return flags.out


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(SheetFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
