"""How often each keypoint is hidden, and by what: in rendered scenes, or in a file of keypoints.

    python -m mot.keypoint_table                       20 rendered scenes
    python -m mot.keypoint_table FILE.json [--csv hidden.csv]

Of rendered scenes the cause is known: the own body, others (people and things that were painted
nearer), or the frame's border. A file of COCO's only says whether a point is seen, hidden or not
labelled; PoseTrack's do not tell hidden from seen.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro
from rich import box
from rich.table import Table

from mot.atomic import require_new, write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.formats.keypoints_json import KeypointFile, read_keypoints
from mot.joints import CAUSES
from mot.keypoints import HIDDEN, SEEN, UNLABELLED
from mot.progress import progress_bar
from mot.scene_settings import SceneSettings
from mot.stage import render_scene
from mot.synthetic import scene_settings
from mot.terminal import terminal
from mot.walker import COCO_JOINTS

SPLIT = "val"
ALL = "all"


@dataclass(frozen=True, kw_only=True)
class KeypointTableFlags:
    """Count how often each keypoint is hidden."""

    file: tyro.conf.Positional[Path | None] = None
    """COCO or PoseTrack file. Default: rendered scenes."""
    scenes: int = 20
    """Rendered scenes, the first ones of the split val."""
    frames: int = 12
    """Frames of each scene, at a rate of 3 per second so that they differ."""
    csv: Path | None = None
    """The numbers as a file as well."""

    def __post_init__(self) -> None:
        for name in ("scenes", "frames"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name}", "1 or more", getattr(self, name), "raise it")


@dataclass(frozen=True)
class HiddenTable:
    """Shares of people, by keypoint.

    Attributes:
        title: what was counted.
        names: K keypoints.
        states: S states that a point can be in.
        counts: int64 (K, S) people whose point is in each.
    """

    title: str
    names: tuple[str, ...]
    states: tuple[str, ...]
    counts: npt.NDArray[np.int64]

    def rows(self) -> list[list[str]]:
        """Name, people, and the percentage of each state, one row per point and one of all."""
        rows = []
        for name, counts in zip(
            (*self.names, ALL), np.vstack([self.counts, self.counts.sum(axis=0)]), strict=True
        ):
            people = int(counts.sum())
            shares = [f"{100 * c / people:.1f}" if people else "–" for c in counts.tolist()]
            rows.append([name, str(people), *shares])
        return rows


def count_scenes(settings: SceneSettings, scenes: int) -> HiddenTable:
    """Count over the first scenes of the split `val`, which are rendered and not kept.

    Args:
        settings: of all scenes, their seeds aside.
        scenes: how many.
    """
    counts = np.zeros((len(COCO_JOINTS), len(CAUSES)), np.int64)
    with progress_bar(scenes, unit="scene") as bar:
        for number in range(1, scenes + 1):
            for frame in render_scene(scene_settings(settings, SPLIT, number)):
                counts += states_by_point(frame.hidden, len(CAUSES))
            bar.update()
    title = f"{scenes} rendered scenes of {settings.frames} frames, percent of people"
    return HiddenTable(title, COCO_JOINTS, CAUSES, counts)


def count_file(name: str, file: KeypointFile) -> HiddenTable:
    """Count over all people of a file."""
    table = file.keypoints
    counts = states_by_point(table.visibility, SEEN + 1)
    counts = counts[:, [SEEN, HIDDEN, UNLABELLED]]
    states: tuple[str, ...] = ("seen", "hidden", "not labelled")
    if not file.tells_hidden:
        counts, states = counts[:, [0, 2]], ("labelled", "not labelled")
    return HiddenTable(f"{name}, percent of people", table.names, states, counts)


def states_by_point(states: npt.NDArray[np.uint8], kinds: int) -> npt.NDArray[np.int64]:
    """Count how often each of `kinds` numbers stands in each column, (N, K) to (K, kinds)."""
    return np.asarray((states[:, :, None] == np.arange(kinds)).sum(axis=0), np.int64)


def show(flags: KeypointTableFlags) -> HiddenTable:
    """Count, print and write.

    Raises:
        InputError: a malformed file, or a file of numbers that is there.
    """
    if flags.csv is not None:
        require_new([flags.csv], "use another --csv")
    if flags.file is not None:
        counted = count_file(flags.file.name, read_keypoints(flags.file))
    else:
        settings = SceneSettings(frames=flags.frames, fps=3.0)
        counted = count_scenes(settings, flags.scenes)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    headings = ("keypoint", "people", *counted.states)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "keypoint" else "right")
    for row in counted.rows():
        table.add_row(*row, style="bold" if row[0] == ALL else None)
    console = terminal()
    console.print(counted.title, style="bold")
    console.print(table)
    if flags.csv is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([headings, *counted.rows()])
        write_text(flags.csv, text.getvalue())
        print(flags.csv)
    return counted


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(KeypointTableFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
