"""Where everybody walks in a rendered scene: paths on a ground plane, seen by a fixed camera.

Lengths on the ground are in body heights, so that a person's size in pixels is the focal length
over the distance. A place in the crowd is handed on: whoever leaves at a border is followed by
somebody who enters at one, so that about the same number is visible all the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.scene_settings import SceneSettings
from mot.walker import CYCLE_LENGTH

Floats = npt.NDArray[np.float64]

STOP_S = (0.7, 2.5)  # how long a walker who stops stands
FADE_S = 0.3  # how long stopping and starting take
PAIR_ASIDE, PAIR_BEHIND = 0.3, 0.22  # body heights between two who walk together
HALF_WIDTH = 0.25  # body heights from a walker's middle to where his box has surely ended


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks level over flat ground.

    Attributes:
        focal_px: focal length in pixels.
        middle_px: column of the vanishing point.
        horizon_px: row of the horizon.
        rise: height of the camera above the ground in body heights.
        near, far: nearest and farthest distance that is walked on, in body heights.
        shift_px: (frames, 2) by how much the picture moves right and down in each frame.
    """

    focal_px: float
    middle_px: float
    horizon_px: float
    rise: float
    near: float
    far: float
    shift_px: Floats

    def size_px(self, distance: Floats) -> Floats:
        """Pixels of one body height at a distance."""
        return self.focal_px / distance

    def haze(self, fog: float, distance: Floats) -> Floats:
        """Share of fog before something at a distance, up to `fog` at the far end."""
        return np.asarray(fog * np.clip(distance / self.far, 0, 1))

    def foot_row(self, size_px: Floats) -> Floats:
        """Row of the ground under somebody of a size, camera movement aside."""
        return self.horizon_px + self.rise * size_px

    def column(self, across: Floats, distance: Floats) -> Floats:
        """Column of a place on the ground, camera movement aside."""
        return self.middle_px + across * self.size_px(distance)


def aim_camera(settings: SceneSettings, rng: np.random.Generator) -> Camera:
    """Place the camera so that the smallest and the largest walkers fit the settings."""
    rise = settings.camera_height * rng.uniform(0.8, 1.25)
    lowest = settings.height * rng.uniform(0.95, 1.02)
    # The heads of the farthest stay inside the picture.
    spread = settings.max_height - settings.min_height
    highest = max(0.3, (lowest - 1.2 * settings.min_height) / max(spread, 1.0))
    rise = min(rise, highest)
    focal = 1.1 * settings.width
    frames = np.arange(settings.frames) / settings.fps
    drift = np.outer(frames, settings.pan_px_s * np.array([1.0, 0.0]))
    if settings.pan_px_s:
        drift -= drift.mean(axis=0)
    steps = rng.normal(0, 1, (settings.frames + 4, 2))
    shake = settings.jitter_px * np.stack(
        [np.convolve(column, np.full(5, 5**-0.5), "valid") for column in steps.T], axis=1
    )
    return Camera(
        focal_px=focal,
        middle_px=settings.width * rng.uniform(0.35, 0.65),
        horizon_px=lowest - rise * settings.max_height,
        rise=rise,
        near=focal / settings.max_height,
        far=focal / settings.min_height,
        shift_px=drift + shake,
    )


@dataclass(frozen=True)
class Path:
    """One person's way through the scene, for T frames from `first` on (0-based).

    Attributes:
        first: frame of the first row.
        across, distance: (T,) place on the ground in body heights.
        heading: (T, 2) unit direction, to the right and away from the camera.
        phase: (T,) gait phase in radians.
        effort: (T,) 1 = walking, 0 = standing.
    """

    first: int
    across: Floats
    distance: Floats
    heading: Floats
    phase: Floats
    effort: Floats


@dataclass(frozen=True)
class _Plan:
    """A straight walk before it is sampled: start, direction, pace, sway, stop, where it bends."""

    start: Floats
    direction: Floats
    pace: float
    sway: float
    wave: float
    wave_phase: float
    stop_at_s: float
    stop_for_s: float


def walk_crowd(settings: SceneSettings, camera: Camera, rng: np.random.Generator) -> list[Path]:
    """Paths of everybody who is ever seen, ordered by first frame; nobody for people = 0."""
    count = int(np.floor(settings.people + rng.random()))
    paths: list[Path] = []
    lanes: list[_Plan] = []
    while count > 0:
        group = 2 if count > 1 and rng.random() < settings.pairs / (2 - settings.pairs) else 1
        count -= group
        paths += _fill_place(settings, camera, rng, group, lanes)
    return sorted(paths, key=lambda path: path.first)


def _fill_place(
    settings: SceneSettings,
    camera: Camera,
    rng: np.random.Generator,
    group: int,
    lanes: list[_Plan],
) -> list[Path]:
    """Walk one person or pair after another through a place in the crowd until the scene ends."""
    paths: list[Path] = []
    first = 0
    while first < settings.frames:
        plan = _plan_walk(settings, camera, rng, first, lanes)
        members = [
            _sample(settings, camera, plan, first, k, rng.uniform(0, 2 * np.pi))
            for k in range(group)
        ]
        # A walk that was never in view is dropped, but time must go on.
        paths += [member for member in members if len(member.across)]
        first = max(first + 2, *(member.first + len(member.across) for member in members))
    return paths


def _plan_walk(
    settings: SceneSettings,
    camera: Camera,
    rng: np.random.Generator,
    first: int,
    lanes: list[_Plan],
) -> _Plan:
    """Draw one walk: at the start anywhere in view, later on from the left or right border.

    `lanes` holds the walks that nobody walks against yet; it is brought up to date.
    """
    size = rng.uniform(settings.min_height, settings.max_height)
    angle = rng.normal(0, 0.2) if rng.random() < 0.7 else rng.uniform(-1.3, 1.3)
    direction = np.array([np.cos(angle) * rng.choice((-1, 1)), np.sin(angle)])
    left, right = 0.02 * settings.width, 0.98 * settings.width
    column = rng.uniform(left, right)
    meets = bool(lanes) and rng.random() < settings.crossings
    if meets:
        partner = lanes.pop(int(rng.integers(len(lanes))))
        distance, side, ahead = _against(settings, camera, rng, partner)
        size = camera.focal_px / distance
        direction = np.array([-side * np.cos(0.3 * angle), np.sin(0.3 * angle)])
        column = ahead if left < ahead < right else column
    pace = settings.speed * max(0.3, rng.normal(1, settings.speed_spread))
    if first > 0:
        outside = HALF_WIDTH * size
        column = -outside if direction[0] > 0 else settings.width + outside
    column -= camera.shift_px[first, 0]
    stops = rng.random() < settings.stops
    plan = _Plan(
        start=np.array([(column - camera.middle_px) / size, camera.focal_px / size]),
        direction=direction,
        pace=pace,
        sway=rng.uniform(0, 0.15),
        wave=rng.uniform(3, 7),
        wave_phase=rng.uniform(0, 2 * np.pi),
        stop_at_s=rng.uniform(0, 6) if stops else np.inf,
        stop_for_s=rng.uniform(*STOP_S),
    )
    if not meets:
        lanes.append(plan)
    return plan


def _against(
    settings: SceneSettings, camera: Camera, rng: np.random.Generator, partner: _Plan
) -> tuple[float, float, float]:
    """Draw a place in somebody's lane and ahead of him: distance, side he walks to, column."""
    distance = float(np.clip(partner.start[1] + rng.normal(0, 0.3), camera.near, camera.far))
    side = float(np.copysign(1.0, partner.direction[0]))
    column = camera.middle_px + partner.start[0] * camera.focal_px / distance
    return distance, side, column + side * rng.uniform(0.08, 0.5) * settings.width


def _sample(
    settings: SceneSettings,
    camera: Camera,
    plan: _Plan,
    first: int,
    member: int,
    phase: float,
) -> Path:
    """Sample a plan at every frame from `first` to where the walker has left the picture."""
    time = np.arange(settings.frames - first) / settings.fps
    standing = np.clip((time - plan.stop_at_s) / FADE_S, 0, 1) * np.clip(
        (plan.stop_at_s + plan.stop_for_s - time) / FADE_S + 1, 0, 1
    )
    effort = 1 - standing
    walked = np.concatenate([[0.0], np.cumsum(effort[:-1])]) * plan.pace / settings.fps
    normal = np.array([-plan.direction[1], plan.direction[0]])
    sway = plan.sway * (
        np.sin(2 * np.pi * walked / plan.wave + plan.wave_phase) - np.sin(plan.wave_phase)
    )
    along, aside = walked - PAIR_BEHIND * member, sway + PAIR_ASIDE * member
    ground = plan.start + np.outer(along, plan.direction) + np.outer(aside, normal)
    # Nobody leaves the walkable strip: its near and far ends turn people back.
    span = camera.far - camera.near
    folded = (ground[:, 1] - camera.near) % (2 * span) if span > 0 else 0 * ground[:, 1]
    distance = camera.near + np.where(folded > span, 2 * span - folded, folded)
    path = Path(
        first=first,
        across=ground[:, 0],
        distance=distance,
        heading=_headings(ground[:, 0], distance, plan.direction),
        phase=phase + 2 * np.pi * walked / CYCLE_LENGTH,
        effort=effort,
    )
    return _until_gone(settings, camera, path)


def _headings(across: Floats, distance: Floats, direction: Floats) -> Floats:
    """Unit directions along a path, (T, 2), smoothed over a few frames; standing keeps the last."""
    steps = (
        np.stack([np.gradient(across), np.gradient(distance)], axis=1)
        if len(across) > 1
        else (np.zeros((len(across), 2)))
    )
    kernel = np.ones(5) / 5
    padded = np.pad(steps, ((2, 2), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)
    length = np.hypot(smooth[:, 0], smooth[:, 1])
    moving = length > 1e-4
    last = np.maximum.accumulate(np.where(moving, np.arange(len(length)), -1))
    unit = np.where(moving[:, None], smooth / np.maximum(length, 1e-9)[:, None], 0)
    headings: Floats = np.where((last >= 0)[:, None], unit[np.maximum(last, 0)], direction)
    return headings


def _until_gone(settings: SceneSettings, camera: Camera, path: Path) -> Path:
    """Cut a path to the frames in which its walker can be seen at all."""
    size = camera.size_px(path.distance)
    shift = camera.shift_px[path.first :, 0]
    column = camera.column(path.across, path.distance) + shift
    reach = 1.4 * HALF_WIDTH * size
    inside = (column > -reach) & (column < settings.width + reach)
    seen = np.flatnonzero(inside)
    if not len(seen):
        begin = end = 0
    else:
        begin = int(seen[0])
        gone = np.flatnonzero(~inside[begin:])
        end = begin + int(gone[0]) if len(gone) else len(inside)
    return Path(
        path.first + begin,
        *(
            part[begin:end]
            for part in (path.across, path.distance, path.heading, path.phase, path.effort)
        ),
    )
