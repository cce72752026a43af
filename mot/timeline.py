"""Who was followed when: a picture of identity × time bars, for ground truth and tracks.

Where there is a ground truth, each result gets a second picture: the truth's people as rows,
coloured by the track that covers them. A change of colour is an identity switch, grey is a miss.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from mot.atomic import atomic_path
from mot.boxes import NO_ID, Boxes, iou_matrix
from mot.draw import colours_of

MISSED = (0.82, 0.82, 0.82)
LEAST_IOU = 0.5
ROW_INCHES = 0.11
WIDTH_INCHES = 7.0
HEIGHT_INCHES = (2.4, 24.0)
DPI = 110
NAMES_SHOWN = 60  # rows up to which every identity is written at the axis

Runs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One set of boxes and what to call it."""

    title: str
    boxes: Boxes
    is_truth: bool = False


def find_runs(boxes: Boxes, shown_as: npt.NDArray[np.floating] | None = None) -> Runs:
    """Join consecutive frames of one identity into bars.

    Args:
        boxes: rows with ids; at most one row per id and frame.
        shown_as: (N,) number that colours each row, by default its id; a bar ends where it
            changes.

    Returns:
        (runs, 4): id, first frame, last frame, shown_as; ordered by id and frame.
    """
    if not len(boxes):
        return np.empty((0, 4))
    shown = boxes.id if shown_as is None else np.asarray(shown_as)
    order = np.lexsort((boxes.frame, boxes.id))
    identity, frame, colour = boxes.id[order], boxes.frame[order], shown[order]
    breaks = (np.diff(identity) != 0) | (np.diff(frame) != 1) | (np.diff(colour) != 0)
    starts = np.flatnonzero(np.concatenate([[True], breaks]))
    ends = np.concatenate([starts[1:], [len(order)]]) - 1
    return np.stack([identity[starts], frame[starts], frame[ends], colour[starts]], axis=1).astype(
        np.float64
    )


def covering_tracks(truth: Boxes, tracks: Boxes) -> npt.NDArray[np.float64]:
    """Id of the track that covers each truth row, -1 = none: (N,).

    Per frame a one-to-one matching with the greatest sum of IoU among pairs of 0.5 or more; a pair
    that was matched in the frame before is kept while it is still one, as CLEAR MOT does.
    """
    covered = np.full(len(truth), NO_ID, np.float64)
    before: dict[float, float] = {}
    for frame in np.intersect1d(truth.frame, tracks.frame):
        rows = np.flatnonzero(truth.frame == frame)
        theirs = tracks.at(int(frame))
        overlap = iou_matrix(truth.ltwh[rows], theirs.ltwh)
        kept = np.array([before.get(identity, NO_ID) for identity in truth.id[rows].tolist()])
        bonus = (kept[:, None] == theirs.id[None]) & (kept[:, None] >= 0)
        gain = np.where(overlap >= LEAST_IOU, overlap + bonus * (len(rows) + 1.0), 0)
        first, second = linear_sum_assignment(gain, maximize=True)
        good = gain[first, second] > 0
        covered[rows[first[good]]] = theirs.id[second[good]]
        before |= dict(
            zip(truth.id[rows[first[good]]].tolist(), theirs.id[second[good]].tolist(), strict=True)
        )
    return covered


def draw_timeline(
    path: Path, panels: list[Panel], first: int, last: int, fps: float | None = None
) -> None:
    """Write the picture of all panels for frames first..last.

    Args:
        path: target .png; appears whole or not at all.
        panels: ground truth and results.
        first: 1-based first frame.
        last: 1-based last frame.
        fps: when known, the time axis also shows seconds.
    """
    cut = [
        Panel(p.title, p.boxes[(p.boxes.frame >= first) & (p.boxes.frame <= last)], p.is_truth)
        for p in panels
    ]
    charts: list[tuple[str, Runs]] = []
    truth = next((panel for panel in cut if panel.is_truth), None)
    for panel in cut:
        charts.append((f"{panel.title}: {_people(panel.boxes)}", find_runs(panel.boxes)))
        if truth is not None and not panel.is_truth:
            covered = covering_tracks(truth.boxes, panel.boxes)
            charts.append((_coverage_title(panel.title, truth.boxes, covered),
                           find_runs(truth.boxes, covered)))  # fmt: skip
    rows = [max(1, len(np.unique(runs[:, 0]))) for _, runs in charts]
    low, high = HEIGHT_INCHES
    heights = [float(np.clip(ROW_INCHES * n, low, high)) for n in rows]
    figure = Figure(figsize=(WIDTH_INCHES * 1.3, sum(heights) + 0.8 * len(charts)), dpi=DPI)
    axes = figure.subplots(len(charts), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (title, runs) in zip(axes, charts, strict=True):
        _draw_bars(axis, title, runs, first, last)
    if fps is not None:
        seconds = axes[0].secondary_xaxis("top", functions=(lambda f: f / fps, lambda s: s * fps))
        seconds.set_xlabel("seconds")
    axes[-1].set_xlabel("frame")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _people(boxes: Boxes) -> str:
    """Say how many identities and boxes there are."""
    return f"{len(np.unique(boxes.id))} identities, {len(boxes)} boxes"


def _coverage_title(title: str, truth: Boxes, covered: npt.NDArray[np.float64]) -> str:
    """Say how much of the truth is covered and how often the covering track changes."""
    order = np.lexsort((truth.frame, truth.id))
    order = order[covered[order] >= 0]
    identity, track = truth.id[order], covered[order]
    switches = int(np.sum((np.diff(identity) == 0) & (np.diff(track) != 0)))
    share = 100 * len(order) / max(len(truth), 1)
    return f"truth as covered by {title}: {share:.0f} % of boxes, {switches} switches"


def _draw_bars(axis: Axes, title: str, runs: Runs, first: int, last: int) -> None:
    """Draw one chart; rows are identities in the order of their first frame."""
    identities, row = np.unique(runs[:, 0], return_inverse=True)
    began = np.full(len(identities), np.inf)
    np.minimum.at(began, row, runs[:, 1])
    rank = np.empty(len(identities), int)
    rank[np.lexsort((identities, began))] = np.arange(len(identities))
    colours = colours_of(runs[:, 3]) / 255.0
    colours[runs[:, 3] < 0] = MISSED
    axis.barh(
        rank[row],
        runs[:, 2] - runs[:, 1] + 1,
        left=runs[:, 1] - 0.5,
        height=0.8,
        color=[tuple(colour) for colour in colours],
    )
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlim(first - 0.5, last + 0.5)
    axis.set_ylim(max(len(identities), 1) - 0.4, -0.6)
    axis.set_ylabel("identity")
    few = len(identities) <= NAMES_SHOWN
    places = np.argsort(rank) if few else np.empty(0, int)
    names = [f"{identities[k]:.0f}" for k in places]
    axis.set_yticks(np.arange(len(places)), names, fontsize=6)
