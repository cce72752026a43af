"""The report of a video that was followed: made from the files that the run has left behind.

Nothing of it is kept in memory while the run goes on but the place of its preview's pictures.
Afterwards the tables are read in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.counting import Counter
from mot.footage import Footage
from mot.report.html import SequenceSeries, write_report
from mot.report.preview import Preview, PreviewRecorder
from mot.report.runs import runs_of
from mot.report.scene import Scene
from mot.track_files import COUNTS, ROWS, open_table

REPORT = ".html"
AWAY_S = 0.5  # a live stream loses frames: a track that is away for so long is still one run
LOST = "The run was interrupted: the pictures before frame {:,} are lost."
# heading -> field of the summary
FACTS = {
    "people per frame, tracks": "mean_tracks",
    "people per frame, density": "mean_density",
    "frames per second": "frames_per_second",
}

Ids = npt.NDArray[np.int64]
Counts = npt.NDArray[np.float64]


def recorder_for(
    footage: Footage, out: Path, state: Mapping[str, Any] | None, done: int
) -> PreviewRecorder:
    """Record the preview of a video while it is followed.

    Args:
        footage: whose frames come.
        out: folder of the run.
        state: of the recorder, from the run that this one goes on with.
        done: frames that have been followed before.
    """
    path = out / f"{footage.name}.preview"
    left = None if footage.count is None else max(footage.count - done, 1)
    resumable = not footage.live
    return PreviewRecorder(path, footage.size_hw, count=left, resumable=resumable, state=state)


def write_followed(
    out: Path,
    footage: Footage,
    preview: Preview,
    counter: Counter,
    summary: Mapping[str, Any],
    *,
    video: str | None = None,
) -> Path:
    """Write the report of a run that is complete.

    Args:
        out: folder of the run, where its tables lie.
        footage: that was followed.
        preview: of its frames.
        counter: zones and lines.
        summary: of the run.
        video: overlay video, as a path relative to the report.

    Returns:
        The report.

    Raises:
        OSError: it cannot be written.
    """
    name, table = footage.name, out / f"{footage.name}.csv"
    numbers, counts = _read_counts(out / f"{name}.counts.csv")
    bridge = max(footage.step, round(AWAY_S * footage.fps) if footage.live else 1)
    runs = runs_of(_blocks(table), bridge)
    pictured = np.array(preview.frames, np.float32)
    shown = [block[np.isin(block.frame, pictured)] for block in _blocks(table)]
    lost = bool(preview.frames) and preview.frames[0] > numbers[0]
    scene = Scene(
        footage.size_hw,
        preview,
        Boxes.concatenate(shown),
        zones=counter.zones,
        lines=counter.lines,
        missing=LOST.format(preview.frames[0]) if lost else "",
    )
    series = SequenceSeries(
        length=int(numbers[-1]),
        counts=counts,
        runs=runs,
        numbers=numbers,
        fps=footage.fps,
        video=video,
        scene=scene,
    )
    path = out / f"{name}{REPORT}"
    write_report(
        path,
        title=f"Footfall: {name}",
        scores=[],
        series={name: series},
        config=summary["config"],
        facts=facts_of(summary),
        counted=summary.get("counted", {}),
    )
    return path


def facts_of(summary: Mapping[str, Any]) -> dict[str, str]:
    """What a run came to, as the head of the page says it."""
    facts = {"people": f"{summary['people']:,}", "frames": f"{summary['frames']:,}"}
    for heading, field in FACTS.items():
        if field in summary:
            facts[heading] = f"{summary[field]:,.1f}"
    return facts


def _read_counts(path: Path) -> tuple[Ids, dict[str, Counts]]:
    """Numbers of the frames, and people in each by tracks and, where there is any, by density."""
    with open_table(path, COUNTS) as reader:
        blocks = list(reader)
    columns = {
        name: np.concatenate(
            [block.column(name).to_numpy(zero_copy_only=False) for block in blocks]
        )
        for name in ("frame", "tracks", "density")
    }
    density = columns["density"].astype(np.float64)
    counts = {"tracks": columns["tracks"].astype(np.float64)}
    if np.isfinite(density).all():
        counts["density"] = density
    return columns["frame"].astype(np.int64), counts


def _blocks(path: Path) -> Iterator[Boxes]:
    """The rows of tracks, a block at a time."""
    with open_table(path, ROWS) as blocks:
        for block in blocks:
            frame, identity, score, *sides = (
                block.column(name).to_numpy(zero_copy_only=False)
                for name in ("frame", "id", "score", "x", "y", "w", "h")
            )
            yield Boxes.of(frame, np.stack(sides, axis=1), identity, score)
