"""One self-contained HTML page per run: scores, counts over time, identities, video, settings.

Nothing is fetched: styles, script and charts are in the file; only a video lies beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import numpy.typing as npt

from mot.atomic import write_text
from mot.boxes import Boxes
from mot.errors import InputError
from mot.preprocessing import check_frames
from mot.report.charts import CountChart, TimeLine, count_chart, time_line
from mot.report.table import COLUMNS, cells
from mot.scoring import COMBINED, SequenceScores, combine, frame_counts, protocol_line
from mot.shapes import expect

HEADLINES = ("HOTA", "MOTA", "IDF1", "count\nMAE")


@dataclass(frozen=True)
class SequenceSeries:
    """What the report draws of one sequence.

    Attributes:
        length: frames.
        tracks: track rows.
        truth_count: people per frame in the truth, (length,), if there is one.
        density_count: people per frame by the density map, (length,), if there is one.
        fps: frames per second, if known; then times are shown too, and the video can be sought.
        video: overlay video, as a path relative to the report.
    """

    length: int
    tracks: Boxes
    truth_count: npt.NDArray[np.number[Any]] | None = None
    density_count: npt.NDArray[np.number[Any]] | None = None
    fps: float | None = None
    video: str | None = None


@dataclass(frozen=True)
class Panel:
    """One sequence as the template takes it."""

    name: str
    anchor: str
    facts: str
    row: Mapping[str, str] | None
    chart: CountChart
    time_line: TimeLine
    fps: float | None
    video: str | None


def write_report(
    path: Path,
    *,
    title: str,
    scores: Sequence[SequenceScores],
    series: Mapping[str, SequenceSeries],
    config: Mapping[str, Any],
) -> None:
    """Write the report as one HTML file, atomically.

    Args:
        path: the file to write.
        title: heading of the page.
        scores: one per scored sequence; none where there is no truth.
        series: sequence name -> what is drawn of it.
        config: settings of the run; nested mappings are shown as they are.

    Raises:
        InputError: a series of another length than its sequence, a video path that is absolute,
            a sequence scored twice.
        OSError: the file cannot be written.
    """
    rows = {s.name: _row(s) for s in scores}
    panels = [
        _panel(name, number, drawn, rows.get(name))
        for number, (name, drawn) in enumerate(series.items(), start=1)
    ]
    if scores:
        rows[COMBINED] = _row(combine(scores))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mot.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {}  # keep the order of the series
    page = environment.get_template("report.html.jinja").render(
        title=title,
        columns={heading.replace("\n", " "): meaning for heading, (*_, meaning) in COLUMNS.items()},
        headlines=[heading.replace("\n", " ") for heading in HEADLINES],
        rows=rows,
        combined=COMBINED,
        protocol=protocol_line(scores) if scores else None,
        panels=panels,
        settings=flatten(config),
    )
    write_text(path, page)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and texts, in their order."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        elif isinstance(value, (list, tuple)):
            flat[name] = json.dumps(value, default=str, ensure_ascii=False)
        else:
            flat[name] = str(value)
    return flat


def _row(scores: SequenceScores) -> dict[str, str]:
    """Formatted scores by heading."""
    return dict(zip((h.replace("\n", " ") for h in COLUMNS), cells(scores), strict=True))


def _panel(name: str, number: int, drawn: SequenceSeries, row: Mapping[str, str] | None) -> Panel:
    """Check one sequence's series and lay out its charts."""
    check_frames(drawn.tracks, drawn.length, f"tracks of {name}")
    counts: dict[str, npt.NDArray[Any]] = {}
    if drawn.truth_count is not None:
        counts["truth"] = drawn.truth_count
    counts["tracks"] = frame_counts(drawn.tracks, drawn.length)
    if drawn.density_count is not None:
        counts["density"] = drawn.density_count
    for kind, count in counts.items():
        expect(count, f"{drawn.length}", f"{kind} count of {name}")
    seconds = f", {drawn.length / drawn.fps:.1f} s at {drawn.fps:g} frames/s" if drawn.fps else ""
    return Panel(
        name=name,
        anchor=f"sequence-{number}",
        facts=f"{drawn.length:,} frames{seconds}",
        row=row,
        chart=count_chart(counts, drawn.length),
        time_line=time_line(drawn.tracks, drawn.length),
        fps=drawn.fps,
        video=_video_link(drawn.video, name),
    )


def _video_link(video: str | None, name: str) -> str | None:
    """A relative path as a link; an absolute one would break as soon as the folder moves."""
    if video is None:
        return None
    if Path(video).is_absolute() or "://" in video:
        raise InputError(
            f"video of {name}", "a path relative to the report", video, "write it beside the report"
        )
    return quote(video)
