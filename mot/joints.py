"""Which joints of rendered walkers can be seen, and what hides the others.

Others hide a joint where something was painted over its place after its own person: the renderer
paints far to near. The own body hides it where one of its nearer parts covers it, or where it lies
on the far side of head or trunk.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mot.sprites import Points
from mot.walker import (
    COCO_JOINTS,
    HEAD,
    HIP_HALF,
    NECK,
    PART,
    PARTS,
    PELVIS,
    SHOULDER_HALF,
    Figures,
)

SEEN, BY_SELF, BY_OTHERS, OUTSIDE = range(4)
CAUSES = ("seen", "own body", "others", "outside")
FAR_SIDE = 0.6  # of half a head's or a trunk's width: deeper than that is its back
EAR_HALF = 0.05  # body heights from the head's middle to an ear


def _carriers() -> npt.NDArray[np.bool_]:
    """Body parts that each joint lies in, (17, parts): these do not hide it."""
    table = np.zeros((len(COCO_JOINTS), len(PARTS)), bool)
    names = {
        "shoulder": ("upper_arm", "torso"), "elbow": ("upper_arm", "forearm"),
        "wrist": ("forearm", "hand"), "hip": ("thigh", "hips", "torso", "skirt"),
        "knee": ("thigh", "shin"), "ankle": ("shin", "shoe"),
    }  # fmt: skip
    for joint, name in enumerate(COCO_JOINTS):
        side, _, word = name.partition("_")
        for part in names.get(word, ("head",)):
            table[joint, PART.get(f"{side}_{part}", PART.get(part, 0))] = True
    return table


CARRIERS = _carriers()
# Clothes hang over the legs that they dress: knees under a skirt count as seen.
COVERS = np.array([name != "skirt" for name in PARTS])


def hidden_joints(
    figures: Figures, layers: npt.NDArray[np.int32], own_layer: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """What hides each joint.

    Args:
        figures: N posed walkers.
        layers: int32 (H, W), number of the sprite that was painted last at each pixel, rising from
            far to near, 0 = none.
        own_layer: (N,) number of each walker's sprite.

    Returns:
        uint8 (N, 17): SEEN, BY_SELF, BY_OTHERS or OUTSIDE (of the frame).
    """
    height, width = layers.shape
    joints = figures.joints[:, : len(COCO_JOINTS)]
    columns, rows = np.floor(joints).astype(np.int64).transpose(2, 0, 1)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    top = layers[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
    hidden = np.where(own_body_hides(figures), BY_SELF, SEEN)
    hidden[top > own_layer[:, None]] = BY_OTHERS
    hidden[~inside] = OUTSIDE
    return hidden.astype(np.uint8)


def own_body_hides(figures: Figures) -> npt.NDArray[np.bool_]:
    """Whether each joint is behind the walker's own body, (N, 17)."""
    joints = figures.joints[:, : len(COCO_JOINTS)]
    rank = np.full((len(joints), len(PARTS)), -1)  # place in the painting order, far to near
    for index in range(len(joints)):
        order = figures.order(index)
        rank[index, order] = np.arange(len(order))
    own = np.where(CARRIERS, rank[:, None], -1).max(axis=2)
    nearer = (rank[:, None] > own[:, :, None]) & COVERS
    # Few joints lie in the rectangle around a nearer part: only those are looked at closely.
    low, high = figures.polygons.min(axis=2), figures.polygons.max(axis=2)
    for axis in (0, 1):
        place = joints[:, :, None, axis]
        nearer &= (place >= low[:, None, :, axis]) & (place <= high[:, None, :, axis])
    who, joint, part = np.nonzero(nearer)
    within = _within(joints[who, joint], figures.polygons[who, part])
    hidden = _on_far_side(figures.depth)
    hidden[who[within], joint[within]] = True
    return hidden


def _within(points: Points, polygons: Points) -> npt.NDArray[np.bool_]:
    """Whether points (M, 2) lie in polygons (M, C, 2), row by row.

    A point is inside where a ray to the right crosses an odd number of edges.
    """
    x, y = points[:, :1], points[:, 1:]
    (x1, y1), (x2, y2) = polygons.transpose(2, 0, 1), np.roll(polygons, -1, 1).transpose(2, 0, 1)
    crosses = (y1 > y) != (y2 > y)
    meets = x1 + (y - y1) / np.where(crosses, y2 - y1, 1.0) * (x2 - x1)
    return np.asarray((crosses & (meets > x)).sum(axis=1) % 2 == 1)


def _on_far_side(depth: Points) -> npt.NDArray[np.bool_]:
    """Whether joints of head and trunk lie behind the middle of either, (N, 17)."""
    far = np.zeros((len(depth), len(COCO_JOINTS)), bool)
    for joints, middle, half in (
        (slice(0, 5), HEAD, EAR_HALF),
        (slice(5, 7), NECK, SHOULDER_HALF),
        (slice(11, 13), PELVIS, HIP_HALF),
    ):
        far[:, joints] = depth[:, joints] - depth[:, [middle]] > FAR_SIDE * half
    return far
