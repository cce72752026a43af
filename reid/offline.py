"""Tracks of a whole video, joined across long gaps once everything is known.

The linker cuts a person's track where nothing is detected for longer than its `max_gap_s`. Here all
pairs of an end and a later start are weighed at once: how likely is it that this person went there?
The links of largest total evidence are chosen, each end and start at most once. That is the
min-cost flow over tracklets of Zhang, Li, Nevatia (CVPR 2008) with every tracklet kept, which as a
graph is a bipartite matching and is solved as one (`reid.assign`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.errors import require_setting
from reid.assign import optimal
from reid.cost import count_up
from reid.motion import centred

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# A speed that was read from a few hundredths of a second is mostly noise: rest is believed in as
# much as boxes whose times have this variance, in s².
REST_S2 = 0.02
FREEDOM = 3.0  # of the Student t distribution of residuals: now and then somebody turns around
# Share of the log volume that a growing uncertainty costs: 0 would join everybody after a while.
VOLUME_SHARE = 0.5


@dataclass(frozen=True)
class OfflineSettings:
    """How tracks are joined when the whole video is known.

    Lengths are in heights of the person, durations in seconds. Each residual's deviation grows
    from `…_start` by `…_growth` per second of the gap.
    """

    join_gap_s: float = 2.0
    """Longest gap across which tracks are joined, in seconds; longer = more people found again,
    more wrong joins."""
    allowance: float = 1.5
    """Nats that a join's residuals and the length of its gap may use up; higher = more joins, also
    wrong ones. With the other defaults 1.5 is spent after 1.8 s, however well a join fits."""
    ends_s: float = 0.4
    """Seconds of a track from which the speed at its ends is read; longer = steadier, later."""
    memory_s: float = 0.5
    """Time constant in seconds with which that speed is forgotten; longer = straighter paths."""
    across_start: float = 0.2
    """Sideways residual without a gap, in heights; higher = more joins."""
    across_growth: float = 0.35
    """Its growth in heights per second; higher = more joins over long gaps."""
    down_start: float = 0.06
    """Vertical residual without a gap, in heights; higher = more joins."""
    down_growth: float = 0.05
    """Its growth in heights per second; higher = more joins over long gaps."""
    size_start: float = 0.12
    """Residual of the log of the height without a gap; higher = more joins."""
    size_growth: float = 0.06
    """Its growth per second; higher = more joins over long gaps."""

    def __post_init__(self) -> None:
        for field in fields(self):
            positive = field.name.endswith("_start") or field.name in ("ends_s", "memory_s")
            value = getattr(self, field.name)
            lawful = math.isfinite(value) and (value > 0 if positive else value >= 0)
            wanted = "a finite number > 0" if positive else "a finite number of 0 or more"
            require_setting(self, field.name, lawful, wanted)


@dataclass(frozen=True)
class _Ends:
    """One end of every track: frame (N,), centre and size there (N, 4), their speed per second."""

    frame: Array
    xywh: Array
    speed: Array


def join_tracks(tracks: Boxes, *, fps: float, settings: OfflineSettings) -> Boxes:
    """Give the parts of one person's track one identity.

    Args:
        tracks: of a whole video, each id once per frame; no two parts of a join overlap in time.
        fps: frames per second.
        settings: what counts as one person.

    Returns:
        The same boxes ordered by frame, then id; ids count from 1 in order of first appearance.
    """
    rows = tracks[np.lexsort((tracks.frame, tracks.id))]
    if not len(rows):
        return rows
    _, start, part = np.unique(rows.id, return_index=True, return_inverse=True)
    last = np.append(start[1:], len(rows)) - 1
    end, begin = (_read_ends(rows, start, edge, fps, settings) for edge in (last, start))
    source, target = _candidates(end.frame, begin.frame, settings.join_gap_s * fps)
    evidence = _evidence(end, begin, source, target, fps, settings)
    kept = np.flatnonzero(evidence > 0)
    chosen = kept[optimal(source[kept], target[kept], evidence[kept])] if len(kept) else kept
    person = _follow(source[chosen], target[chosen], begin.frame)
    return rows.with_columns(id=person[part]).sorted_by_frame()


def _read_ends(
    rows: Boxes, start: Index, edge: Index, fps: float, settings: OfflineSettings
) -> _Ends:
    """Regress centre and size over time near one row (the edge) of every track."""
    length = np.diff(np.append(start, len(rows)))
    seconds = (rows.frame - np.repeat(rows.frame[edge], length)).astype(np.float64) / fps
    weight = (abs(seconds) <= settings.ends_s).astype(np.float64)
    boxes = centred(rows.ltwh)

    def total(values: Array) -> Array:
        sums: Array = np.add.reduceat(values, start, axis=0)
        return sums

    n, t1 = total(weight)[:, None], total(weight * seconds)[:, None]
    t2 = total(weight * seconds**2)[:, None]
    b0, b1 = total(weight[:, None] * boxes), total((weight * seconds)[:, None] * boxes)
    spread, course = n * t2 - t1 * t1, n * b1 - t1 * b0
    # One box alone has no slope.
    position = (b0 - course / np.where(spread > 0, spread, 1.0) * t1) / n
    speed = course / (spread + REST_S2 * n * n)
    position[:, 2:] = np.maximum(position[:, 2:], 1.0)
    return _Ends(rows.frame[edge].astype(np.float64), position, speed)


def _candidates(end: Array, begin: Array, longest: float) -> tuple[Index, Index]:
    """Pairs (source, target) of tracks where the target begins up to `longest` frames later."""
    order = np.argsort(begin, kind="stable")
    first = np.searchsorted(begin[order], end, "right")
    count = np.searchsorted(begin[order], end + longest + 1e-6, "right") - first
    source = np.repeat(np.arange(len(end)), count)
    return source, order[first[source] + count_up(count)]


def _evidence(
    end: _Ends, begin: _Ends, source: Index, target: Index, fps: float, s: OfflineSettings
) -> Array:
    """What is left of the allowance for each pair, in nats; above 0 = rather one person than two.

    The path between both sides is expected to take half of either's speed for a while.
    """
    gap = (begin.frame[target] - end.frame[source]) / fps
    before, after = end.xywh[source], begin.xywh[target]
    speed = (end.speed[source, :2] + begin.speed[target, :2]) / 2
    way = speed * (s.memory_s * (1 - np.exp(-gap / s.memory_s)))[:, None]
    height = np.sqrt(before[:, 3] * after[:, 3])
    across, down = ((after[:, :2] - before[:, :2] - way) / height[:, None]).T
    size = np.log(after[:, 3] / before[:, 3])
    evidence = np.full(len(gap), s.allowance, np.float64)
    for residual, start, growth in (
        (across, s.across_start, s.across_growth),
        (down, s.down_start, s.down_growth),
        (size, s.size_start, s.size_growth),
    ):
        deviation = start + growth * gap
        evidence -= (FREEDOM + 1) / 2 * np.log1p((residual / deviation) ** 2 / FREEDOM)
        evidence -= VOLUME_SHARE * np.log(deviation / start)
    return evidence


def _follow(source: Index, target: Index, begin: Array) -> Index:
    """Number of each track's person, from 1, in order of first appearance."""
    parts = len(begin)
    before = np.arange(parts)
    before[target] = source
    # Each round doubles how far back everybody looks, until all see the first part of their person.
    while (before[before] != before).any():
        before = before[before]
    firsts = np.unique(before)
    order = firsts[np.argsort(begin[firsts], kind="stable")]
    number = np.zeros(parts, np.intp)
    number[order] = np.arange(1, len(order) + 1)
    return number[before]
