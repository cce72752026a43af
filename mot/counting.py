"""Zones and lines: how many people are in an area, and how many cross a line, which way.

Fed with confirmed tracks frame by frame. A person stands where the lower edge of the box has its
middle. What lasts shorter than the hold time is jitter: a person who stands on a border is counted
once, not with every frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.errors import InputError
from mot.shapes import expect

HOLD_S = 0.3  # a change of side that lasts shorter does not count
FORGET_S = 10.0  # a track that was away for longer starts afresh

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Zone:
    """An area: a polygon (P, 2) in original pixels, 0-based; it may be concave."""

    name: str
    polygon: Points


@dataclass(frozen=True)
class Line:
    """A finite line from start to end, (2,) original pixels each.

    Looking along it from start to end, "in" is from its left to its right.
    """

    name: str
    start: Points
    end: Points


@dataclass(frozen=True)
class Crossing:
    """A person has crossed a line; `people_in` and `people_out` are the totals with this one."""

    frame: int
    line: str
    id: int
    inward: bool
    people_in: int
    people_out: int


@dataclass(frozen=True)
class Occupancy:
    """A zone in one frame: people in it now, and how many have entered and left it so far."""

    zone: str
    people: int
    entered: int
    left: int


def parse_zone(text: str, number: int) -> Zone:
    """Read "x,y,x,y,x,y,…" or "NAME=x,y,…"; without a name it is zone1, zone2 … by `number`.

    Raises:
        InputError: not so, fewer than three corners, or corners on one straight line.
    """
    name, points = _parse("--zone", text, f"zone{number}")
    x, y = points.T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    if len(points) < 3 or area == 0:
        raise InputError("--zone", "three corners or more around an area", text, "add corners")
    return Zone(name, points)


def parse_line(text: str, number: int) -> Line:
    """Read "x,y,x,y" or "NAME=x,y,x,y"; without a name it is line1, line2 … by `number`.

    Raises:
        InputError: not so, or both ends in one place.
    """
    name, points = _parse("--line", text, f"line{number}")
    if len(points) != 2 or (points[0] == points[1]).all():
        raise InputError("--line", "two different ends x,y,x,y", text, "give both ends")
    return Line(name, *points)


def _parse(flag: str, text: str, default: str) -> tuple[str, Points]:
    name, equals, numbers = text.rpartition("=")
    try:
        values = np.array([float(value) for value in numbers.split(",")])
    except ValueError:
        values = np.array([np.nan])
    sound = len(values) % 2 == 0 and np.isfinite(values).all()
    if not sound or (equals and not name.replace("-", "").replace("_", "").isalnum()):
        expected = "NAME=x,y,x,y,… in pixels; NAME of letters, digits, - and _"
        raise InputError(flag, expected, text, "correct it")
    return name or default, values.reshape(-1, 2)


def require_inside(marks: Iterable[Zone | Line], width: int, height: int) -> None:
    """Refuse zones and lines that lie wholly outside the frame, and names given twice.

    A zone and a line must differ in name as well, for totals are known by it.

    Raises:
        InputError: names the first such.
    """
    seen: set[str] = set()
    for mark in marks:
        flag = "--zone" if isinstance(mark, Zone) else "--line"
        points = mark.polygon if isinstance(mark, Zone) else np.array([mark.start, mark.end])
        if mark.name in seen:
            raise InputError(flag, "names that differ", mark.name, "rename one")
        seen.add(mark.name)
        if (points < 0).all(axis=0).any() or (points >= (width, height)).all(axis=0).any():
            got = f"{mark.name} outside of it"
            raise InputError(flag, f"pixels of a {width}x{height} frame", got, "correct it")


def in_polygon(points: Points, polygon: Points) -> Mask:
    """Mark the points (N, 2) inside a polygon (P, 2).

    A ray to the right meets its edges an odd number of times (M. Shimrat, "Algorithm 112",
    CACM 1962).
    """
    expect(points, "N 2", "points")
    x, y = points[:, :1], points[:, 1:]
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    spans = (y0 > y) != (y1 > y)
    at = x0 + (y - y0) * (x1 - x0) / np.where(y1 == y0, 1.0, y1 - y0)
    return np.asarray((spans & (x < at)).sum(axis=1) % 2 == 1)


class _Sides:
    """On which side of K borders each track is, with hysteresis; rows are tracks.

    Attributes:
        id, seen: (N,) track and frame in which it was last there.
        settled, latest: (N, K) the side that counts, and the one of the last frame.
        since: (N, K) frame from which on `latest` has held.
        before, after: (N, K, 2) last place on the settled side, first place on the other.
    """

    def __init__(self, borders: int, fps: float) -> None:
        self._hold, self._forget = HOLD_S * fps, FORGET_S * fps
        self.id = self.seen = np.empty(0, np.intp)
        self.settled = self.latest = np.empty((0, borders), bool)
        self.since = np.empty((0, borders), np.intp)
        self.before = self.after = np.empty((0, borders, 2))

    def update(
        self, frame: int, ids: npt.NDArray[np.intp], points: Points, side: Mask
    ) -> tuple[npt.NDArray[np.intp], Mask]:
        """Take the tracks (M,) of a frame, where they stand (M, 2), and their sides (M, K).

        Returns:
            Row of each track, and (N, K) which borders it has crossed now for good.
        """
        self._admit(frame, ids, points, side)
        rows = np.searchsorted(self.id, ids)
        changed = side != self.latest[rows]
        self.since[rows] = np.where(changed, frame, self.since[rows])
        self.latest[rows] = side
        self.seen[rows] = frame
        home = side == self.settled[rows]
        here = np.broadcast_to(points[:, None], self.before[rows].shape)
        self.before[rows] = np.where(home[..., None], here, self.before[rows])
        self.after[rows] = np.where((changed & ~home)[..., None], here, self.after[rows])
        crossed = np.zeros_like(self.settled)
        crossed[rows] = ~home & (frame - self.since[rows] >= self._hold)
        self.settled = self.settled ^ crossed
        return rows, crossed

    def restart(self, crossed: Mask) -> None:
        """Whoever has crossed stands on the new side from now on."""
        self.before = np.where(crossed[..., None], self.after, self.before)

    def _admit(self, frame: int, ids: npt.NDArray[np.intp], points: Points, side: Mask) -> None:
        """Forget tracks that are long gone; enter new ones on the side where they are."""
        kept = self.seen >= frame - self._forget
        new = np.flatnonzero(~np.isin(ids, self.id[kept]))
        order = np.argsort(np.concatenate([self.id[kept], ids[new]]), kind="stable")
        here = np.broadcast_to(points[new][:, None], (len(new), *self.before.shape[1:]))
        fresh = {
            "id": ids[new],
            "seen": np.full(len(new), frame),
            "settled": side[new],
            "latest": side[new],
            "since": np.full(side[new].shape, frame),
            "before": here,
            "after": here,
        }
        for name, values in fresh.items():
            setattr(self, name, np.concatenate([getattr(self, name)[kept], values])[order])


class Counter:
    """Counts people in zones and over lines; all that it knows can be stored.

    Args:
        zones, lines: what to count at.
        fps: frames per second.
    """

    def __init__(self, zones: list[Zone], lines: list[Line], fps: float) -> None:
        self.zones, self.lines = zones, lines
        self._in_zone, self._beyond = _Sides(len(zones), fps), _Sides(len(lines), fps)
        self._entered = np.zeros((len(zones), 2), int)  # entered, left
        self._crossed = np.zeros((len(lines), 2), int)  # out, in

    def update(self, frame: int, tracks: Boxes) -> tuple[list[Occupancy], list[Crossing]]:
        """Take the confirmed tracks of the next frame; say who is where and who has crossed now."""
        ids = tracks.id.astype(np.intp)
        box = tracks.ltwh.astype(np.float64)
        feet = np.stack([box[:, 0] + box[:, 2] / 2, box[:, 1] + box[:, 3]], axis=1)
        return self._count_zones(frame, ids, feet), self._count_lines(frame, ids, feet)

    def totals(self) -> dict[str, dict[str, int]]:
        """Name of each zone or line to what has passed there so far."""
        zones = {
            zone.name: {"entered": int(entered), "left": int(left)}
            for zone, (entered, left) in zip(self.zones, self._entered, strict=True)
        }
        lines = {
            line.name: {"in": int(inward), "out": int(outward)}
            for line, (outward, inward) in zip(self.lines, self._crossed, strict=True)
        }
        return zones | lines

    def _count_zones(self, frame: int, ids: npt.NDArray[np.intp], feet: Points) -> list[Occupancy]:
        if not self.zones:
            return []
        inside = np.stack([in_polygon(feet, zone.polygon) for zone in self.zones], axis=1)
        rows, crossed = self._in_zone.update(frame, ids, feet, inside)
        settled = self._in_zone.settled
        self._entered[:, 0] += (crossed & settled).sum(axis=0)
        self._entered[:, 1] += (crossed & ~settled).sum(axis=0)
        people = settled[rows].sum(axis=0)
        return [
            Occupancy(zone.name, int(people[k]), *map(int, self._entered[k]))
            for k, zone in enumerate(self.zones)
        ]

    def _count_lines(self, frame: int, ids: npt.NDArray[np.intp], feet: Points) -> list[Crossing]:
        if not self.lines:
            return []
        start = np.array([line.start for line in self.lines])
        along = np.array([line.end for line in self.lines]) - start
        right = _cross(along, feet[:, None] - start) > 0
        sides = self._beyond
        _, crossed = sides.update(frame, ids, feet, right)
        # Where the path from the one side to the other meets the line, as a share of its length.
        path = sides.after - sides.before
        steep = _cross(along, path)
        share = _cross(sides.before - start, path) / np.where(steep == 0, np.nan, steep)
        counted = crossed & (share >= 0) & (share <= 1)
        sides.restart(crossed)
        events = []
        for row, k in np.argwhere(counted):
            inward = bool(sides.settled[row, k])
            self._crossed[k, int(inward)] += 1
            outward, inside = map(int, self._crossed[k])
            name = self.lines[k].name
            events.append(Crossing(frame, name, int(sides.id[row]), inward, inside, outward))
        return events


def _cross(a: Points, b: Points) -> Points:
    """Cross product's third component of vectors (…, 2); y goes down, so > 0 is to the right."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
