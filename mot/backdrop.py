"""The still background of a rendered scene: ground, walls, sky, and the scene's light."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mot.crowd import Camera
from mot.images import Image
from mot.scene_settings import FOG_COLOUR, SceneSettings

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

GROUNDS = ((128, 126, 122), (98, 98, 102), (150, 138, 118), (88, 108, 62), (168, 160, 150))
WALLS = ((150, 128, 104), (120, 88, 72), (176, 168, 156), (96, 104, 112), (188, 160, 110))


def margins(camera: Camera) -> tuple[int, int]:
    """Pixels by which the background must exceed the frame on each side: (columns, rows)."""
    reach = np.ceil(np.abs(camera.shift_px).max(axis=0)).astype(int) + 1
    return int(reach[0]), int(reach[1])


def paint_backdrop(settings: SceneSettings, camera: Camera, rng: np.random.Generator) -> Image:
    """Paint the background, larger than the frame by `margins` on every side: uint8 RGB."""
    extra_x, extra_y = margins(camera)
    width, height = settings.width + 2 * extra_x, settings.height + 2 * extra_y
    horizon = float(np.clip(camera.horizon_px + extra_y, -height, height))
    picture = _ground(settings, camera, rng, width, height, horizon, extra_x)
    # Walls stand where the walkable ground ends.
    foot = int(camera.foot_row(np.array(settings.min_height)) - rng.uniform(4, 14)) + extra_y
    if foot > 0:
        picture[: min(foot, height)] = _street(rng, width, height, foot)[: min(foot, height)]
        _hedge(picture, rng, foot)
    picture += texture(rng, width, height, 3.0)[..., None] * 2.0
    if settings.fog:
        size = np.maximum(np.arange(height) - horizon, 1e-3) / camera.rise
        haze = camera.haze(settings.fog, camera.focal_px / size).astype(np.float32)[:, None, None]
        picture = picture * (1 - haze) + haze * np.array(FOG_COLOUR, np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def texture(rng: np.random.Generator, width: int, height: int, coarsest: float) -> Picture:
    """Sum octaves of smooth noise, finest cell 1.5 px: float32 (height, width), about ±1."""
    total = np.zeros((height, width), np.float32)
    cell, weight, power = 1.5, 0.35, 0.0
    while cell <= coarsest:
        rows, columns = max(2, int(height / cell)), max(2, int(width / cell / 1.6))
        grid = rng.normal(0, 1, (rows, columns)).astype(np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        power += weight**2
        cell, weight = cell * 2.2, weight * 1.15
    return total / np.float32(np.sqrt(max(power, 1e-9)))


def _ground(
    settings: SceneSettings,
    camera: Camera,
    rng: np.random.Generator,
    width: int,
    height: int,
    horizon: float,
    extra_x: int,
) -> Picture:
    """Paint ground with worn patches, paving in perspective and now and then a lawn."""
    base = np.array(GROUNDS[rng.integers(len(GROUNDS))], np.float32) * rng.uniform(0.75, 1.2)
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = base
    picture += texture(rng, width, height, width / 5)[..., None] * rng.uniform(3, 9)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    # Ground coordinates of every pixel, in body heights.
    size = np.maximum((rows - horizon) / camera.rise, 1.0)
    distance = camera.focal_px / size
    across = (columns - extra_x - camera.middle_px) / size
    if rng.random() < 0.6:
        tile = rng.uniform(0.4, 1.3)
        line = np.minimum(_to_line(distance, tile), _to_line(across, tile * rng.uniform(0.6, 1.6)))
        strength = rng.uniform(6, 22) * np.clip((size - 18) / 50, 0, 1)
        picture -= (strength * np.clip(1.4 - line * size, 0, 1))[..., None]
    if rng.random() < 0.4:
        edge = rng.uniform(camera.near, camera.far)
        slope = rng.uniform(-0.6, 0.6)
        lawn = (distance > edge + slope * across)[..., None]
        grass = np.array((84, 110, 54), np.float32) * rng.uniform(0.7, 1.2)
        grain = texture(rng, width, height, 6)[..., None] * 8
        picture = np.where(lawn, grass + grain, picture)
    return picture


def _to_line(values: Picture, period: float) -> Picture:
    """Distance to the nearest multiple of a period."""
    rest = np.mod(values, period)
    return np.minimum(rest, period - rest)


def _street(rng: np.random.Generator, width: int, height: int, foot: int) -> Picture:
    """Paint a row of houses with windows and doors whose feet stand on row `foot`."""
    rows = max(foot, 1)
    sky = np.array((196, 212, 232), np.float32) * rng.uniform(0.8, 1.1)
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = sky
    left = -int(rng.uniform(0, 60))
    while left < width:
        right = left + int(rng.uniform(0.15, 0.5) * width) + 8
        top = int(rows * rng.uniform(-0.4, 0.45))
        wall = np.array(WALLS[rng.integers(len(WALLS))], np.float32) * rng.uniform(0.55, 1.15)
        colour = tuple(float(c) for c in wall)
        cv2.rectangle(picture, (left, top), (right - 1, foot), colour, -1)
        _windows(picture, rng, left, right, top, foot)
        left = right
    picture[:foot] += texture(rng, width, height, 20)[:foot, :, None] * 4
    return picture


def _windows(
    picture: Picture, rng: np.random.Generator, left: int, right: int, top: int, foot: int
) -> None:
    """Paint a grid of windows, and doors that are as upright as people, onto one house."""
    step_x, step_y = int(rng.uniform(14, 34)), int(rng.uniform(20, 40))
    wide, high = int(step_x * rng.uniform(0.3, 0.6)), int(step_y * rng.uniform(0.4, 0.65))
    glass = tuple(float(c) for c in rng.uniform(25, 80) * np.array((0.9, 1.0, 1.15)))
    frame = tuple(float(c) for c in np.full(3, rng.uniform(90, 210)))
    for row in range(foot - step_y - 6, top, -step_y):
        for column in range(left + step_x // 3, right - wide, step_x):
            corner = (column + wide, row + high)
            cv2.rectangle(picture, (column, row), corner, glass, -1)
            cv2.rectangle(picture, (column, row), corner, frame, 1)
    for column in range(left + step_x, right - wide, int(step_x * rng.uniform(1.5, 4))):
        if rng.random() < 0.6:
            door = tuple(float(c) for c in rng.uniform(20, 120, 3))
            cv2.rectangle(picture, (column, foot - 24), (column + 9, foot), door, -1)


def _hedge(picture: Picture, rng: np.random.Generator, foot: int) -> None:
    """Paint greenery along part of the foot of the walls, and a kerb."""
    height, width = picture.shape[:2]
    kerb = float(rng.uniform(70, 170))
    cv2.line(picture, (0, foot), (width, foot), (kerb, kerb, kerb), int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        start, stop = np.sort(rng.uniform(0, width, 2))
        for _ in range(int((stop - start) * 1.2)):
            centre = (int(rng.uniform(start, stop)), int(foot - rng.gamma(2.0, 4.0)))
            tone = rng.uniform(0.4, 1.3)
            leaf = (48 * tone, 78 * tone, 36 * tone)
            cv2.circle(picture, centre, int(rng.integers(1, 5)), leaf, -1)


def light_table(settings: SceneSettings, rng: np.random.Generator) -> Image:
    """Draw the scene's light as a look-up table for cv2.LUT: uint8 (1, 256, 3)."""
    levels = np.arange(256)[:, None] / 255
    strength = settings.lighting
    gamma = np.exp(rng.normal(0, 0.28) * strength)
    contrast = 1 + rng.uniform(-0.35, 0.15) * strength
    gain = 1 + rng.uniform(-0.35, 0.15) * strength
    warmth = rng.normal(0, 0.09) * strength
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    bent = ((levels**gamma - 0.5) * contrast + 0.5) * gain * tint
    table: Image = np.rint(np.clip(bent, 0, 1) * 255).astype(np.uint8)[None]
    return table
