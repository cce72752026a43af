"""What decides how hard a person is to find: size, visibility, the frame's border, neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.analysis.scene import NOBODY, Rows, ScoredScene
from mot.boxes import Boxes, iou_matrix
from mot.measures import People, overlaps

BORDER_PX = 1.0  # a box that comes so near to the frame's edge touches it
PAIR_IOU = (0.3, 0.7)  # two people overlap: above, a single box could stand for both

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PeopleFacts:
    """Facts of every true box that counts, (N,) each, in the order of `ScoredScene.truth`.

    Attributes:
        height_px: in pixels of the original frame.
        height_share: of the frame's height.
        visibility: visible share, -1 = unknown.
        border: whether the box touches the frame's edge or lies across it.
        crowding: largest IoU with another true box of the frame.
        found: whether a track has the person.
    """

    height_px: Values
    height_share: Values
    visibility: Values
    border: Mask
    crowding: Values
    found: Mask

    @classmethod
    def of(cls, scene: ScoredScene) -> PeopleFacts:
        """Measure the people of a scene."""
        truth = scene.truth
        height = truth.h.astype(np.float64)
        people = People(scene.name, truth, scene.prepared.length, scene.size_hw, scene.fps)
        return cls(
            height_px=height,
            height_share=height / scene.size_hw[0],
            visibility=truth.visibility.astype(np.float64),
            border=touches_border(truth, scene.size_hw),
            crowding=overlaps(people),
            found=scene.track_of != NOBODY,
        )


def touches_border(boxes: Boxes, size_hw: tuple[int, int]) -> Mask:
    """Whether boxes come within `BORDER_PX` of the frame's edge, or lie across it (N,)."""
    height, width = size_hw
    left, top, right, bottom = boxes.ltrb.T
    near = (left <= BORDER_PX) | (top <= BORDER_PX)
    return np.asarray(near | (right >= width - BORDER_PX) | (bottom >= height - BORDER_PX))


def overlapping_pairs(scene: ScoredScene) -> Rows:
    """Rows of two people of a frame whose boxes overlap by an IoU within `PAIR_IOU`, (P, 2)."""
    truth, pairs = scene.truth, [np.empty((0, 2), np.int64)]
    for frame in np.unique(truth.frame).astype(int).tolist():
        rows = scene.rows_at(truth, frame)
        overlap = np.triu(iou_matrix(truth.ltwh[rows], truth.ltwh[rows]), k=1)
        chosen = (overlap >= PAIR_IOU[0]) & (overlap <= PAIR_IOU[1])
        pairs.append(np.argwhere(chosen) + rows.start)
    return np.concatenate(pairs)
