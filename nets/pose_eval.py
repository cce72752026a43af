"""Measure a pose net: PCK by keypoint, on held-out rendered scenes or on files of keypoints.

    python -m nets.pose_eval --weights runs/pose/weights.safetensors --sheet pose.jpg
    python -m nets.pose_eval --weights runs/pose/weights.safetensors --poses FILE.json --images DIR

Boxes are the true ones. Rendered scenes are those of the split test, which no training sees.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich import box
from rich.table import Table

from mot.atomic import require_new, write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.keypoints import HIDDEN, SEEN, Keypoints
from mot.pck import SHARE, SIZES, correct_points, rate
from mot.progress import progress_bar
from mot.terminal import terminal
from nets.pose_crops import PoseSource, person_clip, usable
from nets.pose_data import PoseDataSettings, pose_sources
from nets.pose_predict import PoseNet
from nets.pose_sheet import SUFFIXES, Example, draw_sheet

ALL = "all"
SHEET_PEOPLE = 6


@dataclass(frozen=True, kw_only=True)
class PoseEvalFlags:
    """Measure a pose net's PCK."""

    weights: Path
    """Weights of python -m nets.pose."""
    data: PoseDataSettings = field(default_factory=lambda: PoseDataSettings(scenes=20))
    share: float = SHARE
    """A point is correct within this share of the person's size."""
    seen_share: float | None = None
    """Leave out people of whose points fewer are seen. Default: as in the training."""
    csv: Path | None = None
    """The numbers as a file as well."""
    sheet: Path | None = None
    """Picture of some people with maps and skeletons: .png or .jpg."""
    device: str = "auto"
    """cpu, cuda, mps or auto."""

    def __post_init__(self) -> None:
        if self.sheet is not None and self.sheet.suffix.lower() not in SUFFIXES:
            expected = f"a file ending in {', '.join(SUFFIXES)}"
            raise InputError("--sheet", expected, self.sheet, "rename it")
        if not 0 < self.share < 10:
            raise InputError("--share", "a share above 0", self.share, "try 0.2")


@dataclass(frozen=True)
class Measured:
    """A pose net's points beside the truth.

    Attributes:
        truth: N people.
        xy: float32 (N, K, 2), what the net said, in pixels of the frames.
    """

    truth: Keypoints
    xy: npt.NDArray[np.float32]

    def rows(self, share: float) -> list[list[str]]:
        """Cells of the table: PCK by either size of all labelled, of seen and of hidden points.

        A row per point and one of all of them.
        """
        by_size = [self._correct(by, share) for by in SIZES]
        seen = np.where(self.truth.visibility == SEEN, by_size[0], np.nan)
        hidden = np.where(self.truth.visibility == HIDDEN, by_size[0], np.nan)
        columns = [*by_size, seen, hidden]
        points = range(len(self.truth.names))
        chosen = {name: [k] for k, name in enumerate(self.truth.names)} | {ALL: [*points]}
        rows = []
        for name, which in chosen.items():
            count = int(self.truth.labelled[:, which].sum())
            rates = [rate(column[:, which]) for column in columns]
            rows.append([name, str(count), *("–" if r != r else f"{r:.1f}" for r in rates)])
        return rows

    def _correct(self, by: str, share: float) -> npt.NDArray[np.float64]:
        try:
            return correct_points(self.xy, self.truth, share=share, by=by)
        except InputError:  # points without shoulders and hips have no torso
            return np.full(self.truth.visibility.shape, np.nan)


def measure(net: PoseNet, sources: list[PoseSource], seen_share: float) -> Measured:
    """Predict everybody who can be measured, in true boxes.

    Raises:
        InputError: points other than the net's, or nobody to measure.
    """
    truths, points = [], []
    total = sum(len(usable(source.keypoints, seen_share)) for source in sources)
    if not total:
        raise InputError("people", "somebody to measure", "nobody", "lower --seen-share")
    with progress_bar(total, unit="person") as bar:
        for source in sources:
            if source.keypoints.names != net.names:
                expected = f"the net's points: {', '.join(net.names)}"
                raise InputError(source.name, expected, "others", "train on such files")
            rows = usable(source.keypoints, seen_share)
            for frame in np.unique(source.keypoints.frame[rows]).tolist():
                here = rows[source.keypoints.frame[rows] == frame]
                clips = [_clip(source, int(row), net.frames) for row in here]
                pose = net.predict(clips, source.keypoints.ltwh[here])
                truths.append(source.keypoints[here])
                points.append(pose.xy[:, 0])
                bar.update(len(here))
    return Measured(Keypoints.concatenate(truths), np.concatenate(points))


def _clip(source: PoseSource, row: int, frames: int) -> list[npt.NDArray[np.uint8]]:
    numbers, _ = person_clip(source, row, frames)
    return [source.image(number) for number in numbers]


def examples(net: PoseNet, sources: list[PoseSource], seen_share: float) -> list[Example]:
    """Some people from all over the sources, evenly chosen."""
    people = [
        (source, int(row)) for source in sources for row in usable(source.keypoints, seen_share)
    ]
    chosen = np.linspace(0, len(people) - 1, min(SHEET_PEOPLE, len(people)) + 2)[1:-1]
    shown = []
    for index in chosen.astype(int).tolist():
        source, row = people[index]
        truth = source.keypoints[np.array([row])]
        pose = net.predict([_clip(source, row, net.frames)], truth.ltwh)
        shown.append(Example(truth, pose))
    return shown


def show(flags: PoseEvalFlags) -> Measured:
    """Measure, print, draw and write.

    Raises:
        InputError: as `PoseNet.load`, `pose_sources` and `measure`, or a file that is there.
    """
    require_new(path for path in (flags.csv, flags.sheet) if path is not None)
    net = PoseNet.load(flags.weights, flags.device)
    seen_share = net.crops.seen_share if flags.seen_share is None else flags.seen_share
    sources = pose_sources(flags.data, "test")
    measured = measure(net, sources, seen_share)
    headings = ["keypoint", "points", *(f"PCK by {by}" for by in SIZES), "seen", "hidden"]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "keypoint" else "right")
    rows = measured.rows(flags.share)
    for row in rows:
        table.add_row(*row, style="bold" if row[0] == ALL else None)
    console = terminal()
    console.print(table)
    console.print(
        f"PCK@{flags.share:g} in percent of {len(measured.truth)} people; seen and hidden: by box",
        style="dim",
    )
    if flags.csv is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([headings, *rows])
        write_text(flags.csv, text.getvalue())
        print(flags.csv)
    if flags.sheet is not None:
        draw_sheet(flags.sheet, examples(net, sources, seen_share))
        print(flags.sheet)
    return measured


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(PoseEvalFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
