"""The picture of a pose net: crops of people, label maps beside predicted ones, and skeletons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from labelmaps.keypoints import keypoint_targets
from mot.atomic import atomic_path
from mot.draw import draw_text, mosaic, overlay_density
from mot.images import Image
from mot.keypoints import SEEN, Keypoints
from mot.skeletons import draw_skeletons
from nets.pose_crops import in_crop
from nets.pose_predict import Pose

SUFFIXES = (".png", ".jpg")
ENLARGED = 3  # times a crop
SURE = 0.3  # of a map's value, from which a point is drawn as seen
TITLES = ("true points", "label maps", "predicted maps", "predicted points")


@dataclass(frozen=True)
class Example:
    """One person: the truth in pixels of the frame, and the net's answer."""

    truth: Keypoints
    pose: Pose


def draw_sheet(path: Path, examples: list[Example]) -> None:
    """Write the picture, a column per person: truth, its maps, the net's maps, the net's points."""
    columns = [_column(example) for example in examples]
    columns[0] = [draw_text(p, title) for p, title in zip(columns[0], TITLES, strict=True)]
    panels = [column[row] for row in range(len(TITLES)) for column in columns]
    sheet = mosaic(panels, columns=len(columns))
    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def _column(example: Example) -> list[Image]:
    """The four pictures of one person."""
    pose = example.pose
    window, crop = pose.windows[0], pose.crops[0, 0]
    large = cv2.resize(crop, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    image = np.asarray(large, np.uint8)
    truth = in_crop(example.truth, window)
    stride = -(-crop.shape[0] // pose.heat.shape[-2])
    target = keypoint_targets(truth, [1], window.size_hw, stride=stride).heat[0]
    found = replace(
        truth,
        xy=window.to_crop(pose.xy[:, 0]),
        visibility=np.where(pose.score[:, 0] >= SURE, SEEN, 1).astype(np.uint8),
    )
    return [
        draw_skeletons(image, _enlarged(truth)),
        _maps(image, target),
        _maps(image, pose.heat[0, 0]),
        draw_skeletons(image, _enlarged(found)),
    ]


def _enlarged(people: Keypoints) -> Keypoints:
    return replace(people, xy=people.xy * np.float32(ENLARGED))


def _maps(image: Image, heat: npt.NDArray[np.float32]) -> Image:
    """All points' maps as one, the greatest value of each cell, over the picture."""
    return overlay_density(image, heat.max(axis=0), peak=1.0)
