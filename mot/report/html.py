"""One self-contained HTML page per run: scores, a player, counts, identities, errors, settings.

Nothing is fetched: styles, script, pictures and charts are in the file.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import numpy.typing as npt

from mot.atomic import write_text
from mot.errors import InputError
from mot.report.charts import CountChart, TimeLine, count_chart, time_line
from mot.report.gallery import Wing
from mot.report.runs import Runs
from mot.report.scene import Scene, density_colours, scene_data
from mot.report.slices import SlicePanel, slice_panel
from mot.report.table import COLUMNS, cells
from mot.scoring import COMBINED, SequenceScores, combine, protocol_line
from mot.shapes import expect

HEADLINES = ("HOTA", "MOTA", "IDF1", "count\nMAE")


@dataclass(frozen=True)
class SequenceSeries:
    """What the report draws of one sequence.

    Attributes:
        length: number of the last frame.
        counts: "truth", "tracks" and "density" -> people per frame, (n,), as far as there are.
        runs: when each identity was seen; see `mot.report.runs.runs_of`.
        numbers: (n,) frames that were counted, ascending; None = 1 .. length.
        fps: frames per second, if known; then times are shown too.
        video: overlay video, as a path relative to the report.
        scene: pictures with boxes to look at; None = no player.
        gallery: errors to look at, where there is a truth.
    """

    length: int
    counts: Mapping[str, npt.NDArray[np.number[Any]]]
    runs: Runs
    numbers: npt.NDArray[np.int64] | None = None
    fps: float | None = None
    video: str | None = None
    scene: Scene | None = None
    gallery: Sequence[Wing] = ()


@dataclass(frozen=True)
class Panel:
    """One sequence as the template takes it; `film` and `levels` are base64."""

    name: str
    anchor: str
    facts: str
    row: Mapping[str, str] | None
    chart: CountChart
    time_line: TimeLine
    fps: float | None
    video: str | None
    size: str
    pictures: str
    scene: Mapping[str, Any] | None
    film: str
    levels: str
    slices: SlicePanel | None
    gallery: Sequence[Wing]


def write_report(
    path: Path,
    *,
    title: str,
    scores: Sequence[SequenceScores],
    series: Mapping[str, SequenceSeries],
    config: Mapping[str, Any],
    facts: Mapping[str, str] | None = None,
    counted: Mapping[str, Mapping[str, int]] | None = None,
) -> None:
    """Write the report as one HTML file, atomically.

    Args:
        path: the file to write.
        title: heading of the page.
        scores: one per scored sequence; none where there is no truth.
        series: sequence name -> what is drawn of it.
        config: settings of the run; nested mappings are shown as they are.
        facts: what stands at the head of a page without scores.
        counted: zone or line -> what was counted there.

    Raises:
        InputError: counts of another length than their frames, a video path that is absolute, a
            sequence scored twice.
        OSError: the file cannot be written.
    """
    rows = {s.name: _row(s) for s in scores}
    panels = [
        _panel(name, number, drawn, rows.get(name))
        for number, (name, drawn) in enumerate(series.items(), start=1)
    ]
    if scores:
        rows[COMBINED] = _row(combine(scores))
    page = _template().render(
        title=title,
        columns={heading.replace("\n", " "): meaning for heading, (*_, meaning) in COLUMNS.items()},
        headlines=[heading.replace("\n", " ") for heading in HEADLINES],
        rows=rows,
        combined=COMBINED,
        protocol=protocol_line(scores) if scores else None,
        panels=panels,
        settings=flatten(config),
        facts=facts or {},
        counted=counted or {},
        density_colours=density_colours(),
    )
    write_text(path, page)


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mot.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.policies["json.dumps_kwargs"] = {
        "separators": (",", ":")
    }  # series keep their order
    return environment.get_template("report.html.jinja")


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
    frames = drawn.length if drawn.numbers is None else len(drawn.numbers)
    for kind, count in drawn.counts.items():
        expect(count, f"{frames}", f"{kind} count of {name}")
    seconds = f", {drawn.length / drawn.fps:.1f} s at {drawn.fps:g} frames/s" if drawn.fps else ""
    scene = drawn.scene
    density = scene.preview.density if scene else None
    return Panel(
        name=name,
        anchor=f"sequence-{number}",
        facts=f"{frames:,} frames{seconds}",
        row=row,
        chart=count_chart(drawn.counts, drawn.length, drawn.numbers),
        time_line=time_line(drawn.runs, drawn.length),
        fps=drawn.fps,
        video=_video_link(drawn.video, name),
        size=f"{scene.size_hw[1]} / {scene.size_hw[0]}" if scene else "",
        pictures=_say_pictures(scene, frames) if scene else "",
        scene=scene_data(scene, drawn.runs, drawn.fps) if scene else None,
        film=b64encode(scene.preview.film).decode() if scene else "",
        levels=b64encode(density.levels).decode() if density else "",
        slices=_slices(scene, drawn.fps) if scene else None,
        gallery=drawn.gallery,
    )


def _slices(scene: Scene, fps: float | None) -> SlicePanel | None:
    """The slices of a scene's pictures, where there are any."""
    preview = scene.preview
    if preview.slices is None:
        return None
    reach = preview.density.reach if preview.density else (1.0, 1.0)
    return slice_panel(preview.slices, preview.frames, scene.tracks, scene.size_hw, reach, fps)


def _say_pictures(scene: Scene, frames: int) -> str:
    """Which frames the player holds."""
    held = scene.preview.frames
    if not scene.preview.film:
        return scene.missing
    steps = np.unique(np.diff(held))
    if len(held) == frames:
        said = f"All {frames:,} frames."
    elif len(steps) == 1:
        said = f"{len(held):,} of {frames:,} frames: {held[0]:,}, {held[1]:,}, … {held[-1]:,}."
    else:
        said = f"{len(held):,} of {frames:,} frames, from {held[0]:,} to {held[-1]:,}."
    return f"{said} {scene.missing}".strip()


def _video_link(video: str | None, name: str) -> str | None:
    """A relative path as a link; an absolute one would break as soon as the folder moves."""
    if video is None:
        return None
    if Path(video).is_absolute() or "://" in video:
        raise InputError(
            f"video of {name}", "a path relative to the report", video, "write it beside the report"
        )
    return quote(video)
