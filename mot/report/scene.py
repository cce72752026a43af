"""What the page's player shows of one sequence: pictures, boxes, maps and marks, as data.

Boxes travel for the frames of the preview only. docs/report.md lists the fields.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mot.boxes import FILLED_SCORE, Boxes
from mot.counting import Line, Zone
from mot.draw import colours_of
from mot.overlay import TRAIL_S
from mot.report.preview import FILM_FPS, LEVELS, Preview
from mot.report.runs import Runs

ROUGH_PX = 640  # from this width on, boxes are given in whole pixels
FEW_FRAMES = 1500  # boxes of a sequence without pictures: as many as a preview would have
NO_PICTURES = "There are no pictures: "


@dataclass(frozen=True)
class Scene:
    """A sequence to look at.

    Attributes:
        size_hw: height and width of the original frames, in whose pixels boxes are.
        preview: pictures; without any, boxes are shown on an empty ground.
        tracks: rows of tracks, at least those of the preview's frames.
        truth: rows of the truth that are scored; None = there is no truth.
        zones, lines: drawn as well.
        missing: why there are no pictures, or why not of all parts; "" = nothing is missing.
    """

    size_hw: tuple[int, int]
    preview: Preview
    tracks: Boxes
    truth: Boxes | None = None
    zones: Sequence[Zone] = ()
    lines: Sequence[Line] = ()
    missing: str = ""


def without_pictures(length: int, reason: str) -> tuple[Preview, str]:
    """A preview of evenly spread frames that has no film, and what the page says of it."""
    step = -(-length // FEW_FRAMES)
    return Preview(list(range(1, length + 1, step)), b""), f"{NO_PICTURES}{reason}"


def scene_data(scene: Scene, runs: Runs, fps: float | None) -> dict[str, Any]:
    """The fields that the page's script reads, ready for JSON.

    Args:
        scene: what is shown.
        runs: of all tracks; see `mot.report.runs.runs_of`.
        fps: original frames per second, if known.
    """
    preview = scene.preview
    height, width = scene.size_hw
    numbers = np.array(preview.frames, np.int64)
    tracks = scene.tracks[np.isin(scene.tracks.frame, numbers)]
    data: dict[str, Any] = {
        "size": [width, height],
        "frames": preview.frames,
        "fps": fps,
        "filmFps": FILM_FPS,
        "trail": max(1, round(TRAIL_S * fps)) if fps else 1,
        "tracks": rows_by_frame(tracks, numbers, width),
        "truth": None,
        "people": _people(runs),
        "marks": [
            {"name": zone.name, "points": np.round(zone.polygon, 1).tolist(), "closed": True}
            for zone in scene.zones
        ]
        + [
            {"name": line.name, "points": [line.start.tolist(), line.end.tolist()], "closed": False}
            for line in scene.lines
        ],
        "density": None,
    }
    if scene.truth is not None:
        data["truth"] = rows_by_frame(scene.truth, numbers, width)
    if preview.density:
        maps = preview.density
        rows, columns = maps.shape
        data["density"] = {"size": [columns, rows], "reach": maps.reach[::-1], "peaks": maps.peaks}
    return data


def rows_by_frame(boxes: Boxes, numbers: npt.NDArray[np.int64], width: int) -> list[list[float]]:
    """Boxes of each frame as one flat list: id, x, y, w, h, and 1 where it only fills a gap."""
    decimals = 0 if width >= ROUGH_PX else 1
    ordered = boxes.sorted_by_frame()
    ltwh = np.round(ordered.ltwh.astype(np.float64), decimals)
    filled = (ordered.score == FILLED_SCORE) & (ordered.id >= 0)
    table = np.column_stack([ordered.id, ltwh, filled])
    starts = np.searchsorted(ordered.frame, numbers).tolist()
    ends = np.searchsorted(ordered.frame, numbers, side="right").tolist()
    flat = table.reshape(-1).tolist()
    whole = [int(v) if v == int(v) else round(v, decimals) for v in flat]
    return [whole[6 * a : 6 * b] for a, b in zip(starts, ends, strict=True)]


def _people(runs: Runs) -> dict[str, list[Any]]:
    """When each identity was seen, and its colour."""
    known, row_of_run = np.unique(runs[:, 0], return_inverse=True)
    edges = np.searchsorted(row_of_run, np.arange(len(known) + 1))
    return {
        "id": known.tolist(),
        "first": runs[edges[:-1], 1].tolist(),
        "last": runs[edges[1:] - 1, 2].tolist(),
        "seen": np.bincount(row_of_run, weights=runs[:, 3], minlength=len(known))
        .astype(int)
        .tolist(),
        "gaps": (np.diff(edges) - 1).tolist(),
        "colour": ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in colours_of(known).tolist()],
    }


def density_colours() -> str:
    """The colour map of `mot.draw.overlay_density`: base64 of 256 RGB triples."""
    ramp = np.arange(LEVELS + 1, dtype=np.uint8)[None]
    rgb = cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)[0, :, ::-1]
    return base64.b64encode(np.ascontiguousarray(rgb).tobytes()).decode()
