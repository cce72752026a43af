"""Things that stand in a rendered scene: some hide people, some look a bit like people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.crowd import Camera
from mot.scene_settings import FOG_COLOUR, SceneSettings
from mot.sprites import CORNERS, Points, Sprite, capsules, ellipses, paint

Floats = npt.NDArray[np.float64]
Shapes = tuple[list[Points], list[Floats]]


@dataclass(frozen=True)
class Prop:
    """A painted thing and its distance from the camera in body heights."""

    sprite: Sprite
    distance: float


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    """Corners of an upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _capsule(x0: float, y0: float, x1: float, y1: float, thick: float, thin: float) -> Points:
    """One limb-like shape."""
    return capsules(np.array([x0, y0]), np.array([x1, y1]), np.array(thick), np.array(thin))


def _tint(rng: np.random.Generator) -> Floats:
    """Draw a colour between grey and gaudy."""
    grey, gaudy = rng.uniform(30, 200), rng.uniform(20, 235, 3)
    share = rng.beta(1.2, 1.8)
    return np.asarray(gaudy * share + grey * (1 - share))


def _pole(rng: np.random.Generator) -> Shapes:
    """A lamp post or a tree trunk, taller than people."""
    wide, tone = rng.uniform(0.02, 0.08), rng.uniform(35, 150)
    colour = np.array([tone * rng.uniform(0.85, 1.1), tone, tone * rng.uniform(0.75, 1.0)])
    high = rng.uniform(1.8, 3.2)
    shapes = [_box(-wide, -high, wide, 0), _box(wide * 0.2, -high, wide, 0)]
    colours = [colour, colour * 0.75]
    if rng.random() < 0.5:
        shapes.append(_box(-0.25, -high * 0.8, 0.25, -high * 0.8 + 0.45))
        colours.append(_tint(rng))
    return shapes, colours


def _bench(rng: np.random.Generator) -> Shapes:
    """A bench with its back to the camera."""
    wood, half = np.array([120, 80, 48]) * rng.uniform(0.6, 1.4), rng.uniform(0.5, 0.9)
    shapes = [_box(x - 0.03, -0.3, x + 0.03, 0) for x in (-half * 0.85, half * 0.85)]
    shapes += [_box(-half, -0.5 + k * 0.12, half, -0.42 + k * 0.12) for k in range(3)]
    return shapes, [np.full(3, 50.0)] * 2 + [wood, wood * 0.9, wood * 0.8]


def _kiosk(rng: np.random.Generator) -> Shapes:
    """A booth or advertising column."""
    half, high = rng.uniform(0.2, 0.4), rng.uniform(1.1, 1.6)
    wall, roof = _tint(rng), _tint(rng) * 0.6
    shapes = [
        _box(-half, -high, half, 0),
        _box(half * 0.5, -high, half, 0),
        _box(-half * 0.75, -high * 0.85, half * 0.4, -high * 0.45),
        _box(-half * 1.12, -high * 1.06, half * 1.12, -high * 0.95),
    ]
    return shapes, [wall, wall * 0.8, _tint(rng), roof]


def _planter(rng: np.random.Generator) -> Shapes:
    """A low wall or box with greenery, hiding legs."""
    half = rng.uniform(0.4, 0.9)
    shapes, colours = _leaves(rng, half, 0.3, 0.35, 40)
    return [*shapes, _box(-half, -0.32, half, 0)], [*colours, np.full(3, rng.uniform(70, 170))]


def _leaves(
    rng: np.random.Generator, half: float, bottom: float, high: float, count: int
) -> Shapes:
    """Blobs of foliage between two heights."""
    green = np.array([58, 92, 40]) * rng.uniform(0.6, 1.3)
    centres = np.stack(
        [rng.normal(0, half * 0.5, count), -bottom - high * rng.beta(1.6, 1.6, count)], axis=1
    )
    radii = rng.uniform(0.03, 0.11, (2, count))
    tones = rng.uniform(0.45, 1.5, count)
    return list(ellipses(centres, radii[0], radii[1])), [green * tone for tone in tones]


def _shrub(rng: np.random.Generator) -> Shapes:
    """An upright bush, as tall and slim as a person may be."""
    return _leaves(rng, rng.uniform(0.1, 0.3), 0.03, rng.uniform(0.5, 1.1), 70)


def _flowers(rng: np.random.Generator) -> Shapes:
    """A bed or tub of flowers with bright heads."""
    half = rng.uniform(0.15, 0.5)
    shapes, colours = _leaves(rng, half, 0.02, 0.45, 40)
    petal = np.array([(220, 60, 80), (230, 200, 60), (200, 110, 200), (235, 235, 235)])[
        rng.integers(4)
    ].astype(float)
    centres = np.stack([rng.normal(0, half * 0.5, 14), -rng.uniform(0.15, 0.6, 14)], axis=1)
    radii = rng.uniform(0.02, 0.05, 14)
    blooms = list(ellipses(centres, radii, radii))
    return shapes + blooms, colours + [petal * rng.uniform(0.7, 1.05) for _ in blooms]


def _sign(rng: np.random.Generator) -> Shapes:
    """A road sign: a thin leg with a head on it."""
    head = np.array([0.0, -rng.uniform(0.8, 1.2)])
    disc = np.array(rng.uniform(0.09, 0.15))
    grey = np.full(3, rng.uniform(60, 170))
    shapes = [_box(-0.02, head[1], 0.02, 0), ellipses(head, disc, disc)]
    shapes.append(ellipses(head, disc * 0.7, disc * 0.7))
    return shapes, [grey, _tint(rng), _tint(rng) * 1.2]


def _bin(rng: np.random.Generator) -> Shapes:
    """A litter bin or bollard: a body with a rounded top."""
    half, high = rng.uniform(0.07, 0.16), rng.uniform(0.35, 0.7)
    colour = _tint(rng) * 0.7
    shapes = [
        _capsule(0, -high, 0, -half, half, half),
        _capsule(half * 0.4, -high, half * 0.4, -half, half * 0.6, half * 0.6),
        _box(-half, -high * 0.8, half, -high * 0.68),
    ]
    return shapes, [colour, colour * 0.8, np.clip(colour * 1.7, 0, 255)]


def _stand(rng: np.random.Generator) -> Shapes:
    """A clothes stand or a dressed post: torso without legs, arms or gait."""
    cloth, rise = _tint(rng), rng.uniform(0.75, 1.0)
    shapes = [
        _box(-0.015, -rise * 0.5, 0.015, 0),
        _capsule(-0.06, -rise * 0.85, -0.05, -rise * 0.4, 0.07, 0.08),
        _capsule(0.06, -rise * 0.85, 0.05, -rise * 0.4, 0.07, 0.08),
        _box(-0.12, -0.02, 0.12, 0.01),
    ]
    return shapes, [np.full(3, 70.0), cloth, cloth * 0.85, np.full(3, 60.0)]


Maker = Callable[[np.random.Generator], Shapes]
OCCLUDERS: dict[str, Maker] = {
    "pole": _pole, "bench": _bench, "lamp": _pole, "planter": _planter, "kiosk": _kiosk,
}  # fmt: skip
CLUTTER: dict[str, Maker] = {
    "shrub": _shrub, "flowers": _flowers, "sign": _sign, "bin": _bin, "stand": _stand,
}  # fmt: skip


def place_props(settings: SceneSettings, camera: Camera, rng: np.random.Generator) -> list[Prop]:
    """Paint occluders into the nearer half of the ground and clutter anywhere, far to near."""
    props = []
    for menu, count, farthest in (
        (OCCLUDERS, settings.occluders, 0.4),
        (CLUTTER, settings.clutter, 0.0),
    ):
        makers = list(menu.values())
        for _ in range(count):
            share = rng.uniform(farthest, 1.0)
            size = settings.min_height + share * (settings.max_height - settings.min_height)
            column = rng.uniform(0.02, 0.98) * settings.width
            shapes, colours = makers[rng.integers(len(makers))](rng)
            foot = np.array([column, float(camera.foot_row(np.array(size)))])
            haze = camera.haze(settings.fog, camera.focal_px / np.array(size))
            misty = np.array(colours) * (1 - haze) + haze * np.array(FOG_COLOUR)
            tones = np.clip(np.rint(misty), 0, 255).astype(np.int64)
            sprite = paint(np.stack([_filled_up(shape) for shape in shapes]) * size + foot, tones)
            props.append(Prop(sprite, camera.focal_px / size))
    return sorted(props, key=lambda prop: -prop.distance)


def _filled_up(shape: Points) -> Points:
    """Repeat the last corner until all shapes have the same number."""
    return np.pad(shape, ((0, CORNERS - len(shape)), (0, 0)), mode="edge")
