"""Rendering of a scene: the stage is set once, then people and props are painted far to near."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mot.backdrop import light_table, margins, paint_backdrop
from mot.boxes import Boxes
from mot.crowd import Camera, Path, aim_camera, walk_crowd
from mot.images import Image
from mot.joints import hidden_joints
from mot.props import Prop, place_props
from mot.scene_settings import FOG_COLOUR, SceneSettings
from mot.sprites import SOLID, Sprite, lay, paint, shaded
from mot.walker import Figures, Look, body_joints, random_look

LEAST_INSIDE = 0.1  # share of a box inside the frame from which the person is annotated


@dataclass(frozen=True)
class SceneFrame:
    """One rendered frame and all that is known of it.

    Attributes:
        rgb: uint8 (H, W, 3).
        boxes: people of this frame: full-body boxes whatever hides them, class 1, considered 1,
            visibility = visible share of the person's own pixels.
        joints: float32 (people, 17, 2) in pixels, in COCO's order, rows as in `boxes`.
        owners: int32 (H, W), identity of the person seen at each pixel, 0 = nobody.
        hidden: uint8 (people, 17), what hides each joint; see `mot.joints`.
    """

    rgb: Image
    boxes: Boxes
    joints: npt.NDArray[np.float32]
    owners: npt.NDArray[np.int32]
    hidden: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Stage:
    """What stays the same through a scene."""

    settings: SceneSettings
    camera: Camera
    backdrop: Image
    props: list[Prop]
    ways: list[Path]
    looks: list[Look]
    light: Image
    noise: npt.NDArray[np.int16]
    shadow_lean: float


def render_scene(settings: SceneSettings) -> Iterator[SceneFrame]:
    """Yield every frame with boxes, joints and the picture of who is seen where."""
    stage = _set_stage(settings)
    rng = np.random.default_rng([settings.seed, 1])
    for index in range(settings.frames):
        yield _render(stage, index, rng)


def _set_stage(settings: SceneSettings) -> _Stage:
    """Draw everything random that a scene keeps."""
    rng = np.random.default_rng([settings.seed, 0])
    camera = aim_camera(settings, rng)
    ways = walk_crowd(settings, camera, rng)
    looks = [random_look(rng) for _ in ways]
    noise = rng.normal(0, settings.noise, (settings.height + 32, settings.width + 32, 3))
    return _Stage(
        settings=settings,
        camera=camera,
        backdrop=paint_backdrop(settings, camera, rng),
        props=place_props(settings, camera, rng),
        ways=ways,
        looks=looks,
        light=light_table(settings, rng),
        noise=np.rint(noise).astype(np.int16),
        shadow_lean=rng.uniform(-0.9, 0.9),
    )


def _render(stage: _Stage, index: int, rng: np.random.Generator) -> SceneFrame:
    """Paint one frame (0-based index): ground, shadows, then people and props far to near."""
    settings = stage.settings
    present = [
        k for k, way in enumerate(stage.ways) if way.first <= index < way.first + len(way.across)
    ]
    figures, distance = _pose(stage, index, present)
    shift = stage.camera.shift_px[index]
    rgb = _view_backdrop(stage, shift)
    _cast_shadows(rgb, stage, figures)
    layers = np.zeros(rgb.shape[:2], np.int32)
    own_pixels, own_layer = _paint_all(rgb, layers, stage, figures, distance, np.rint(shift))
    identities = np.zeros(len(present) + len(stage.props) + 1, np.int32)
    identities[own_layer] = np.array(present, int) + 1
    owners = identities[layers]
    seen = np.bincount(owners.ravel(), minlength=len(stage.ways) + 1)
    boxes = _annotate(settings, index, present, figures, own_pixels, seen)
    kept = np.isin(np.array(present, int) + 1, boxes.id.astype(int))
    joints = figures.joints[:, :17][kept].astype(np.float32)
    hidden = hidden_joints(figures, layers, own_layer)[kept]
    return SceneFrame(_expose(rgb, stage, rng), boxes, joints, owners, hidden)


def _pose(stage: _Stage, index: int, present: list[int]) -> tuple[Figures, npt.NDArray[np.float64]]:
    """Pose the people present and project them; also their distances."""
    ways, looks = [stage.ways[k] for k in present], [stage.looks[k] for k in present]
    rows = [index - way.first for way in ways]
    pick = list(zip(ways, rows, strict=True))
    across = np.array([way.across[row] for way, row in pick])
    distance = np.array([way.distance[row] for way, row in pick])
    heading = np.array([way.heading[row] for way, row in pick]).reshape(-1, 2)
    body = body_joints(
        np.array([way.phase[row] for way, row in pick]),
        np.array([way.effort[row] for way, row in pick]) * np.array([look.swing for look in looks]),
        np.array([look.elbow for look in looks]).reshape(-1, 2),
        np.array([look.hem for look in looks]),
    )
    camera = stage.camera
    ground = camera.size_px(distance)
    size = ground * np.array([look.stature for look in looks])
    right, away = heading[:, :1], heading[:, 1:]
    sideways = body[..., 0] * right - body[..., 1] * away
    depth = body[..., 0] * away + body[..., 1] * right
    # Looking down from the camera's height, what is farther appears higher.
    tilt = (camera.rise * ground / camera.focal_px)[:, None]
    feet = np.stack([camera.column(across, distance), camera.foot_row(ground)], axis=1)
    feet += stage.camera.shift_px[index]
    joints = feet[:, None] + size[:, None, None] * np.stack(
        [sideways, -body[..., 2] - tilt * depth], axis=-1
    )
    return Figures(joints, depth, heading, size, looks), distance


def _view_backdrop(stage: _Stage, shift: npt.NDArray[np.float64]) -> Image:
    """Cut the frame out of the background, moved by fractions of a pixel where need be."""
    extra_x, extra_y = margins(stage.camera)
    settings = stage.settings
    if not shift.any():
        rows = slice(extra_y, extra_y + settings.height)
        return stage.backdrop[rows, extra_x : extra_x + settings.width].copy()
    move = np.array([[1, 0, shift[0] - extra_x], [0, 1, shift[1] - extra_y]])
    moved: Image = cv2.warpAffine(stage.backdrop, move, (settings.width, settings.height))
    return moved


def _cast_shadows(rgb: Image, stage: _Stage, figures: Figures) -> None:
    """Darken the ground beside everybody's feet, softly; changes `rgb`."""
    if not stage.settings.shadows or not len(figures.looks):
        return
    height, width = rgb.shape[:2]
    small = np.zeros((height // 2 + 1, width // 2 + 1), np.uint8)
    feet = figures.joints[:, 15:17].mean(axis=1) / 2
    ends = feet + 0.5 * figures.size_px[:, None] * np.array([stage.shadow_lean, -0.1]) * 0.8
    for foot, end, size in zip(feet, ends, figures.size_px / 2, strict=True):
        a, b = (tuple(int(v) for v in np.rint(p * 8)) for p in (foot, end))
        cv2.line(small, a, b, 255, max(1, round(0.13 * size)), cv2.LINE_AA, 3)
        axes = (int(0.17 * size * 8), int(0.05 * size * 8))
        cv2.ellipse(small, a, axes, 0, 0, 360, 255, -1, cv2.LINE_AA, 3)
    soft = cv2.GaussianBlur(small, (5, 5), 1.2)
    keep = 255 - cv2.convertScaleAbs(soft, alpha=stage.settings.shadows)
    full = cv2.resize(keep, (width, height), interpolation=cv2.INTER_LINEAR)
    rgb[:] = cv2.multiply(rgb, cv2.merge([full, full, full]), scale=1 / 255)


def _paint_all(
    rgb: Image,
    layers: npt.NDArray[np.int32],
    stage: _Stage,
    figures: Figures,
    distance: npt.NDArray[np.float64],
    shift: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Paint people and props far to near into picture and `layers`, numbered from 1.

    Returns:
        Full pixel count of each person present, and the number of its layer.
    """
    counts, own_layer = np.zeros((2, len(distance)), np.int64)
    props = list(stage.props)
    dx, dy = int(shift[0]), int(shift[1])
    haze = stage.camera.haze(stage.settings.fog, distance)
    layer = 0
    for k in np.argsort(-distance, kind="stable"):
        while props and props[0].distance >= distance[k]:
            layer += 1
            lay(rgb, layers, props.pop(0).sprite, layer, dx, dy)
        sprite = _dress(figures, int(k), float(haze[k]))
        counts[k] = np.count_nonzero(sprite.rgba[:, :, 3] >= SOLID)
        own_layer[k] = layer = layer + 1
        lay(rgb, layers, sprite, layer, 0, 0)
    for number, prop in enumerate(props, layer + 1):
        lay(rgb, layers, prop.sprite, number, dx, dy)
    return counts, own_layer


def _dress(figures: Figures, k: int, haze: float) -> Sprite:
    """Paint one walker."""
    parts = figures.order(k)
    colours = figures.colours(k, parts) * (1 - haze) + haze * np.array(FOG_COLOUR)
    sprite = paint(figures.polygons[k, parts], np.rint(colours).astype(np.int64))
    return shaded(sprite, figures.looks[k].shade)


def _annotate(
    settings: SceneSettings,
    index: int,
    present: list[int],
    figures: Figures,
    own_pixels: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int64],
) -> Boxes:
    """Boxes of the people whose box lies in the frame by a tenth or more."""
    if not present:
        return Boxes.empty()
    ltwh = figures.boxes_ltwh()
    low = np.maximum(ltwh[:, :2], 0)
    high = np.minimum(ltwh[:, :2] + ltwh[:, 2:], [settings.width, settings.height])
    inside = np.clip(high - low, 0, None).prod(axis=1) / ltwh[:, 2:].prod(axis=1)
    ids = np.array(present) + 1
    visible = np.clip(seen[ids] / np.maximum(own_pixels, 1), 0, 1)
    return Boxes.of(index + 1, ltwh, id=ids, visibility=visible)[inside >= LEAST_INSIDE]


def _expose(rgb: Image, stage: _Stage, rng: np.random.Generator) -> Image:
    """Turn the painted frame into what a camera would record: fog, rain, blur, light, noise."""
    settings = stage.settings
    if settings.rain:
        _let_it_rain(rgb, settings, rng)
    if settings.blur_px:
        rgb = cv2.GaussianBlur(rgb, (0, 0), settings.blur_px)
    table = stage.light
    if settings.flicker:
        gain = 1 + rng.normal(0, settings.flicker)
        table = np.clip(np.rint(table * gain), 0, 255).astype(np.uint8)
    rgb = cv2.LUT(rgb, table)
    if settings.noise:
        row, column = rng.integers(0, 32, 2)
        grain = stage.noise[row : row + settings.height, column : column + settings.width]
        rgb = cv2.add(rgb, grain, dtype=cv2.CV_8U)
    return rgb


def _let_it_rain(rgb: Image, settings: SceneSettings, rng: np.random.Generator) -> None:
    """Draw bright streaks, new ones in every frame; changes `rgb`."""
    count = int(settings.rain * settings.width * settings.height / 400)
    tops = rng.uniform(0, 1, (count, 2)) * [settings.width, settings.height]
    lengths = rng.uniform(0.02, 0.06, count) * settings.height
    ends = tops + lengths[:, None] * [0.15, 1.0]
    streaks = np.zeros_like(rgb)
    lines = np.rint(np.stack([tops, ends], axis=1) * 8).astype(np.int32)
    cv2.polylines(streaks, list(lines), False, (70, 72, 76), 1, cv2.LINE_AA, 3)
    cv2.add(rgb, streaks, dst=rgb)
