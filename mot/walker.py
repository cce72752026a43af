"""One articulated walker: looks, joints of a gait cycle, and the polygons of its body.

Everything is computed for N walkers at once, in body heights: x forward, y to the walker's left,
z up, the ground at z = 0. `mot.synthetic` places the walkers and paints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from mot.images import Image
from mot.sprites import CAP_POINTS, CORNERS, Points, capsules, ellipses

COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
# The 17 joints come first; these follow, for the drawing alone.
PELVIS, NECK, HEAD, LEFT_TOE, RIGHT_TOE, PACK, WAIST, HEM = range(17, 25)
JOINTS = 25

CYCLE_LENGTH = 0.8  # body heights walked in one gait cycle (two steps)
THIGH = SHIN = 0.245
UPPER_ARM, FOREARM = 0.175, 0.15
HIP_HALF, SHOULDER_HALF = 0.05, 0.108
SHOULDER_RISE, NECK_RISE, HEAD_RISE = 0.285, 0.325, 0.40  # above the hips

SKINS = ((244, 208, 177), (231, 180, 143), (198, 134, 94), (141, 85, 54), (92, 56, 38))
HAIRS = ((28, 22, 20), (62, 42, 28), (110, 74, 40), (196, 160, 98), (150, 146, 142), (120, 50, 24))


@dataclass(frozen=True)
class Look:
    """What one walker looks like; drawn once and kept for life.

    Attributes:
        colours: (parts, 3) RGB of each body part, in the order of `PARTS`.
        shown: (parts,) which parts this walker has.
        build: width of the limbs, 1 = average.
        stature: height, 1 = average adult.
        swing: size of the arms' and legs' swing, 1 = average.
        elbow: bend of the elbows in radians.
        hem: where skirt or coat ends, in body heights above the ground.
        shade: uint8 (16, 8, 4) light and folds over the figure.
    """

    colours: npt.NDArray[np.float64]
    shown: npt.NDArray[np.bool_]
    build: float
    stature: float
    swing: float
    elbow: tuple[float, float]
    hem: float
    shade: Image


PARTS = (
    "left_thigh", "left_shin", "left_shoe", "right_thigh", "right_shin", "right_shoe",
    "left_upper_arm", "left_forearm", "left_hand",
    "right_upper_arm", "right_forearm", "right_hand",
    "hips", "torso", "skirt", "stripe", "neck", "head", "hair", "long_hair", "hat", "pack", "bag",
)  # fmt: skip
PART = {name: index for index, name in enumerate(PARTS)}

_LIMBS = tuple(
    (PART[f"{word}_{part}"], start + side, end + side, thick, thin)
    for side, word in enumerate(("left", "right"))
    for part, start, end, thick, thin in (
        ("thigh", 11, 13, 0.052, 0.037), ("shin", 13, 15, 0.036, 0.024),
        ("shoe", 15, LEFT_TOE, 0.024, 0.018), ("upper_arm", 5, 7, 0.034, 0.028),
        ("forearm", 7, 9, 0.027, 0.02), ("hand", 9, 9, 0.02, 0.02),
    )
)  # fmt: skip
LIMB_PARTS, LIMB_STARTS, LIMB_ENDS = (np.array([limb[k] for limb in _LIMBS]) for k in range(3))
LIMB_RADII = np.array([limb[3:] for limb in _LIMBS])  # at start and end, in body heights
# By whether the left side is the near one: what multiplies the colour of each part.
FAR_SIDE_DIM = tuple(
    np.array([(0.78 if p.startswith(far) else 1.0) * (0.93 if "arm" in p else 1.0) for p in PARTS])
    for far in ("left", "right")
)
SIDEWAYS, TURNED_AWAY = 0.05, 0.35  # heading from the camera: back in sight, face out of sight


def random_look(rng: np.random.Generator) -> Look:
    """Draw skin, hair, clothes and build of one walker."""
    skin = np.array(SKINS[rng.integers(len(SKINS))], float) * rng.uniform(0.9, 1.05)
    hair = np.array(HAIRS[rng.choice(len(HAIRS), p=(0.3, 0.28, 0.17, 0.1, 0.1, 0.05))], float)
    top, trousers, shoes, extra, bag = (_cloth(rng) for _ in range(5))
    if rng.random() < 0.45:  # jeans and dark trousers are what most people wear
        trousers = np.array((40, 48, 70), float) * rng.uniform(0.5, 1.7)
    if rng.random() < 0.7:
        shoes = np.full(3, rng.uniform(15, 70))
    dress, bare_legs, bare_arms = rng.random() < 0.22, rng.random() < 0.2, rng.random() < 0.35
    legs = skin if bare_legs else trousers
    colours = np.empty((len(PARTS), 3))
    for name, colour in {
        "thigh": trousers, "shin": legs, "shoe": shoes, "arm": top, "hand": skin, "hips": trousers,
        "torso": top, "skirt": top if rng.random() < 0.6 else extra, "stripe": extra, "neck": skin,
        "head": skin, "hair": hair, "hat": extra, "pack": bag, "bag": bag,
    }.items():  # fmt: skip
        for part in PARTS:
            if part.endswith(name):
                colours[PART[part]] = colour
    if bare_arms:
        colours[[PART["left_forearm"], PART["right_forearm"]]] = skin
    shown = np.ones(len(PARTS), bool)
    for name, chance in {
        "stripe": 0.3, "long_hair": 0.35, "hat": 0.15, "pack": 0.2, "bag": 0.2
    }.items():  # fmt: skip
        shown[PART[name]] = rng.random() < chance
    shown[PART["skirt"]] = dress
    return Look(
        colours=np.clip(colours, 4, 250),
        shown=shown,
        build=rng.uniform(0.85, 1.3),
        stature=float(np.clip(rng.normal(1.0, 0.06), 0.8, 1.15)),
        swing=rng.uniform(0.75, 1.15),
        elbow=(
            1.7 if rng.random() < 0.12 else rng.uniform(0.1, 0.5),
            1.7 if rng.random() < 0.12 else rng.uniform(0.1, 0.5),
        ),
        hem=rng.uniform(0.12, 0.4),
        shade=_shade(rng),
    )


def _cloth(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw a cloth colour: mostly dull or dark, now and then bright."""
    hue, value = rng.uniform(0, 6), rng.choice((45, 90, 150, 220), p=(0.38, 0.27, 0.17, 0.18))
    saturation = rng.choice((0.08, 0.35, 0.8), p=(0.45, 0.3, 0.25))
    wheel = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    colour: npt.NDArray[np.float64] = (
        value * rng.uniform(0.75, 1.15) * (1 - saturation * (1 - wheel))
    )
    return colour


def _shade(rng: np.random.Generator) -> Image:
    """Draw light from one side and soft folds, as a (16, 8, 4) multiplier, 255 = unchanged."""
    across = np.linspace(-1, 1, 8) * rng.uniform(-0.14, 0.14)
    light = 0.84 + across[None, :] + rng.normal(0, 0.06, (16, 8))
    shade = np.full((16, 8, 4), 255.0)
    shade[:, :, :3] = np.clip(light, 0.5, 1.0)[:, :, None] * 255
    rounded: Image = np.rint(shade).astype(np.uint8)
    return rounded


def body_joints(
    phase: Points, effort: Points, elbow: Points, hem: Points | None = None
) -> npt.NDArray[np.float64]:
    """Joints of N walkers in body coordinates.

    A plain pendulum gait: thighs swing as a sine, the knee bends while its leg swings forward,
    arms swing against the legs, and the hips sink so that the lower foot stays on the ground.

    Args:
        phase: (N,) gait phase in radians, 2π per cycle.
        effort: (N,) 1 = walking, 0 = standing.
        elbow: (N, 2) bend of left and right elbow in radians.
        hem: (N,) height of the skirt's end, for the drawing alone.

    Returns:
        (N, JOINTS, 3): forward, left, up, in body heights; the first 17 as in COCO.
    """
    joints = np.zeros((len(phase), JOINTS, 3))
    for side, sign in ((0, 1.0), (1, -1.0)):
        _place_leg(joints, side, sign, phase, effort)
        _place_arm(joints, side, sign, phase, effort, elbow[:, side])
    lean = 0.03 * effort
    joints[:, PELVIS, 2] = 0.02
    joints[:, NECK] = np.stack([lean, 0 * lean, 0 * lean + NECK_RISE], axis=1)
    joints[:, WAIST] = np.stack([lean * 0.5, 0 * lean, 0 * lean + 0.12], axis=1)
    joints[:, PACK] = np.stack([lean - 0.095, 0 * lean, 0 * lean + 0.21], axis=1)
    head = np.stack([lean + 0.02, 0 * lean, 0 * lean + HEAD_RISE], axis=1)
    joints[:, HEAD] = head
    face = ((0.06, 0, -0.005), (0.052, 0.02, 0.015), (0.052, -0.02, 0.015), (0, 0.05, 0.005),
            (0, -0.05, 0.005))  # fmt: skip
    joints[:, :5] = head[:, None] + np.array(face)
    # Stand on the lower foot.
    joints[:, :, 2] += 0.04 - joints[:, 15:17, 2].min(axis=1, keepdims=True)
    if hem is not None:
        middle = joints[:, 13:15].mean(axis=1)
        share = np.clip(hem / joints[:, PELVIS, 2], 0, 1)[:, None]
        joints[:, HEM] = joints[:, PELVIS] * share + middle * (1 - share)
        joints[:, HEM, 2] = hem
    return joints


def _place_leg(joints: Points, side: int, sign: float, phase: Points, effort: Points) -> None:
    """Fill hip, knee, ankle and toe of one leg (hips at height 0)."""
    across = 0 * phase + sign * HIP_HALF
    own = phase + side * np.pi
    thigh = 0.42 * effort * np.sin(own) + 0.06 * effort
    shin = thigh - effort * (0.1 + 0.95 * np.clip(np.cos(own + 0.35), 0, None))
    hip = np.stack([0 * phase, across, 0 * phase], axis=1)
    knee = hip + THIGH * np.stack([np.sin(thigh), 0 * thigh, -np.cos(thigh)], axis=1)
    ankle = knee + SHIN * np.stack([np.sin(shin), 0 * shin, -np.cos(shin)], axis=1)
    pitch = np.minimum(0.7 * shin, 0.25)
    toe = ankle + np.stack(
        [0.1 * np.cos(pitch), across * 0.25, 0.1 * np.sin(pitch) - 0.018], axis=1
    )
    for joint, place in ((11 + side, hip), (13 + side, knee), (15 + side, ankle)):
        joints[:, joint] = place
    joints[:, LEFT_TOE + side] = toe


def _place_arm(
    joints: Points, side: int, sign: float, phase: Points, effort: Points, elbow: Points
) -> None:
    """Fill shoulder, elbow and wrist of one arm (hips at height 0)."""
    swing = -0.4 * effort * np.sin(phase + side * np.pi)
    fore = swing + elbow + 0.2 * effort * np.clip(np.sin(swing), 0, None)
    shoulder = np.stack(
        [0.02 * effort, 0 * phase + sign * SHOULDER_HALF, 0 * phase + SHOULDER_RISE], axis=1
    )
    bend = shoulder + UPPER_ARM * np.stack(
        [np.sin(swing), 0 * swing + sign * 0.12, -np.cos(swing)], axis=1
    )
    wrist = bend + FOREARM * np.stack([np.sin(fore), 0 * fore - sign * 0.05, -np.cos(fore)], axis=1)
    joints[:, 5 + side], joints[:, 7 + side], joints[:, 9 + side] = shoulder, bend, wrist


@dataclass(frozen=True)
class Figures:
    """N posed walkers, projected into the frame.

    Attributes:
        joints: (N, JOINTS, 2) in pixels; the first 17 as in COCO.
        depth: (N, JOINTS) distance beyond the walker's own place, body heights, larger = farther.
        heading: (N, 2) unit direction on the ground: to the right, away from the camera.
        size_px: (N,) pixels per body height.
        looks: N looks.
    """

    joints: Points
    depth: Points
    heading: Points
    size_px: Points
    looks: list[Look]

    @cached_property
    def polygons(self) -> Points:
        """Outlines of all body parts, (N, parts, CORNERS, 2) pixels."""
        build = np.array([look.build for look in self.looks])
        polygons = np.empty((len(self.looks), len(PARTS), CORNERS, 2))
        self._outline_limbs(polygons, self.size_px * build)
        self._outline_trunk(polygons, self.size_px * build)
        self._outline_head(polygons, self.size_px)
        return polygons

    @cached_property
    def shown(self) -> npt.NDArray[np.bool_]:
        """Which parts each walker has, (N, parts)."""
        return np.array([look.shown for look in self.looks]).reshape(-1, len(PARTS))

    def boxes_ltwh(self) -> npt.NDArray[np.float64]:
        """Full-body boxes, whatever hides the walker: (N, 4) left, top, width, height in pixels."""
        there = self.shown[:, :, None, None]
        low = np.where(there, self.polygons, np.inf).min(axis=(1, 2))
        high = np.where(there, self.polygons, -np.inf).max(axis=(1, 2))
        return np.concatenate([low, high - low], axis=1)

    def order(self, index: int) -> npt.NDArray[np.int64]:
        """Parts of one walker from far to near, those it lacks left out."""
        left_is_near = bool(self.depth[index, 5] < self.depth[index, 6])
        away = float(self.heading[index, 1])
        parts = _painting_order(left_is_near, away > SIDEWAYS, away > TURNED_AWAY)
        return parts[self.looks[index].shown[parts]]

    def colours(self, index: int, parts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """RGB of the parts of one walker, (parts, 3); limbs on the far side are darker."""
        left_is_near = bool(self.depth[index, 5] < self.depth[index, 6])
        dim = FAR_SIDE_DIM[left_is_near][parts, None]
        return np.asarray(self.looks[index].colours[parts] * dim)

    def _outline_limbs(self, polygons: Points, size: Points) -> None:
        """Fill arms and legs."""
        polygons[:, LIMB_PARTS] = capsules(
            self.joints[:, LIMB_STARTS],
            self.joints[:, LIMB_ENDS],
            LIMB_RADII[:, 0] * size[:, None],
            LIMB_RADII[:, 1] * size[:, None],
        )

    def _outline_trunk(self, polygons: Points, size: Points) -> None:
        """Fill hips, torso, skirt, stripe, neck, pack and bag; width depends on the heading."""
        side_on, facing = np.abs(self.heading[:, 0]), np.abs(self.heading[:, 1])

        def half(wide: float, deep: float) -> Points:
            return size * np.hypot(wide * facing, deep * side_on)

        pelvis, waist, neck = (self.joints[:, j] for j in (PELVIS, WAIST, NECK))
        hips = half(0.082, 0.062)
        polygons[:, PART["hips"]] = capsules(pelvis, waist, hips * 0.95, hips * 0.85)
        polygons[:, PART["torso"]] = _torso(pelvis, waist, neck, hips, half(0.125, 0.075))
        hem = self.joints[:, HEM]
        polygons[:, PART["skirt"]] = _trapezium(
            waist, hem, hips * 0.9, half(0.115, 0.085) + 0.02 * size
        )
        front = np.stack([self.heading[:, 0] * 0.04 * size, 0 * size], axis=1)
        polygons[:, PART["stripe"]] = _trapezium(
            neck + front, pelvis + front, half(0.02, 0.01), half(0.035, 0.012)
        )
        polygons[:, PART["neck"]] = capsules(neck, self.joints[:, HEAD], 0.03 * size, 0.026 * size)
        pack = self.joints[:, PACK]
        polygons[:, PART["pack"]] = ellipses(pack, half(0.085, 0.06), 0.11 * size)
        hang = (self.joints[:, 9] + np.stack([0 * size, 0.06 * size], axis=1))[:]
        polygons[:, PART["bag"]] = ellipses(hang, half(0.035, 0.075), 0.055 * size)

    def _outline_head(self, polygons: Points, size: Points) -> None:
        """Fill head, hair and hat; the hair sits on the back of the head."""
        head = self.joints[:, HEAD]
        right, away = self.heading[:, 0], self.heading[:, 1]

        def at(forward: float, up: float) -> Points:
            return head + np.stack([forward * right * size, -up * size], axis=1)

        face = at(0.008, -0.004)
        polygons[:, PART["head"]] = ellipses(face, 0.047 * size, 0.064 * size)
        grown = 0.054 + 0.004 * np.abs(away)
        polygons[:, PART["hair"]] = ellipses(at(-0.014, 0.016), grown * size, 0.062 * size)
        polygons[:, PART["long_hair"]] = capsules(
            at(-0.025, -0.005), at(-0.045, -0.12), 0.056 * size, 0.045 * size
        )
        polygons[:, PART["hat"]] = capsules(
            at(-0.035, 0.05), at(0.055, 0.045), 0.036 * size, 0.03 * size
        )


def _torso(pelvis: Points, waist: Points, neck: Points, hips: Points, shoulders: Points) -> Points:
    """Outline trunks with rounded shoulders: (N, CORNERS, 2)."""
    levels = ((0.0, 0.0, 0.97), (0.0, 0.5, 0.92), (0.72, 0.0, 1.0), (0.9, 0.0, 0.93),
              (1.0, 0.0, 0.5), (1.06, 0.0, 0.25))  # fmt: skip
    rows, widths = [], []
    for rise, waistward, width in levels:
        base = pelvis + rise * (neck - pelvis)
        rows.append(base + waistward * (waist - base))
        widths.append(width * (hips if rise == 0 else shoulders))
    left = [row - np.stack([w, 0 * w], axis=1) for row, w in zip(rows, widths, strict=True)]
    right = [row + np.stack([w, 0 * w], axis=1) for row, w in zip(rows, widths, strict=True)]
    return np.stack([*left, *right[::-1]], axis=1)


def _trapezium(top: Points, bottom: Points, top_half: Points, bottom_half: Points) -> Points:
    """Outline upright trapezia as (N, CORNERS, 2); the corners on the sides lie on a line."""
    share = np.linspace(0, 1, CAP_POINTS)[None, :, None]
    middle = top[:, None] * (1 - share) + bottom[:, None] * share
    half = top_half[:, None] * (1 - share[..., 0]) + bottom_half[:, None] * share[..., 0]
    shift = np.stack([half, 0 * half], axis=-1)
    return np.concatenate([middle - shift, (middle + shift)[:, ::-1]], axis=1)


@cache
def _painting_order(
    left_is_near: bool, pack_is_near: bool, turned_away: bool
) -> npt.NDArray[np.int64]:
    """Order all parts from far to near."""
    far, near = ("right", "left") if left_is_near else ("left", "right")
    arm, leg = ("upper_arm", "forearm", "hand"), ("shin", "shoe", "thigh")
    limbs = [f"{far}_{part}" for part in (*arm, *leg)] + [f"{near}_{part}" for part in leg]
    names = [] if turned_away else ["long_hair"]
    names += [] if pack_is_near else ["pack"]
    names += [*limbs, "hips", "torso", "skirt"]
    names += (
        ["neck", "head", "hair", "hat", "long_hair"]
        if turned_away
        else ["stripe", "neck", "hair", "head", "hat"]
    )
    names += ["pack"] if pack_is_near else []
    names += [f"{near}_{part}" for part in arm] + ["bag"]
    return np.array([PART[name] for name in names])
