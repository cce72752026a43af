"""What false boxes are: one cause for each, from the people and things around it.

Boxes on people whom the score ignores are gone before, by the protocol's preparation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mot.analysis.misses import BESIDE_IOU, HIDDEN
from mot.analysis.scene import NOBODY, ScoredScene
from mot.annotations import ignore_regions
from mot.boxes import Boxes, iou_matrix
from mot.preprocessing import EPS, MATCH_IOU, Matrix

COVERED = 0.7  # share of a person's box from which it is mostly covered
INSIDE = 0.7  # share of a false box from which it lies mostly inside another
PART_SHARE = 0.5  # of a person's box: what is smaller is a part
ON_SHARE = 0.5  # of a false box that lies on what does not count, such as a crowd or a car

# Asked in this order; the first that holds is the cause.
CAUSES = {
    "duplicate": f"IoU of {MATCH_IOU} or more with a person whom another track has",
    "several people": f"covers {COVERED:.0%} or more of each of two people or more",
    "hidden person": f"IoU of {BESIDE_IOU} or more with a missed person less than {HIDDEN} visible",
    "part of a person": f"{INSIDE:.0%} or more of it inside a person's box twice its size or more",
    "badly placed": f"IoU of {BESIDE_IOU} to {MATCH_IOU} with a missed person",
    "beside a found person": f"IoU of {BESIDE_IOU} to {MATCH_IOU} with a person whom a track has",
    "uncounted person": "overlaps somebody who does not count, or lies on a crowd",
    "thing": "overlaps or lies on a car, an occluder or another thing of the truth",
    "background": "none of these",
}


def false_causes(scene: ScoredScene) -> npt.NDArray[np.str_]:
    """The cause of each false box, in the order of `errors.false` (FP,)."""
    rows = scene.errors.false
    causes = np.full(len(scene.tracks), "background", dtype=object)
    for frame in np.unique(scene.tracks.frame[rows]).astype(int).tolist():
        columns = scene.rows_at(scene.tracks, frame)
        causes[columns] = _causes_in(scene, frame)
    return causes[rows].astype(np.str_)


def shared_area(iou: Matrix, first_ltwh: Matrix, second_ltwh: Matrix) -> Matrix:
    """Area that boxes share, px² (n, m), from their IoU: shared = IoU (a + b) / (1 + IoU)."""
    first, second = (np.prod(boxes[:, 2:], axis=1) for boxes in (first_ltwh, second_ltwh))
    return np.asarray(iou * np.add.outer(first, second) / (1 + iou))


def _causes_in(scene: ScoredScene, frame: int) -> npt.NDArray[np.str_]:
    """Causes of all track boxes of a frame, as if all were false (m,)."""
    people = scene.rows_at(scene.truth, frame)
    tracks = scene.tracks[scene.rows_at(scene.tracks, frame)]
    truth, iou = scene.truth[people], scene.iou_at(frame)
    found = scene.track_of[people] != NOBODY
    hidden = ~found & (truth.visibility >= 0) & (truth.visibility < HIDDEN)
    person, box = _areas(truth), _areas(tracks)
    shared = shared_area(iou, truth.ltwh.astype(np.float64), tracks.ltwh.astype(np.float64))
    covers = shared >= COVERED * person[:, None]
    inside = (shared > 0) & (shared >= INSIDE * box) & (box <= PART_SHARE * person[:, None])
    beside = iou >= BESIDE_IOU
    others = scene.uncounted[scene.rows_at(scene.uncounted, frame)]
    ignored = ignore_regions(others)
    tests = {
        "duplicate": (iou[found] >= MATCH_IOU - EPS).any(axis=0),
        "several people": covers.sum(axis=0) >= 2,
        "hidden person": beside[hidden].any(axis=0),
        "part of a person": inside.any(axis=0),
        "badly placed": beside[~found].any(axis=0),
        "beside a found person": beside[found].any(axis=0),
        "uncounted person": _lies_on(others[ignored], tracks),
        "thing": _lies_on(others[~ignored], tracks),
    }
    return np.select(list(tests.values()), list(tests), "background").astype(np.str_)


def _lies_on(others: Boxes, tracks: Boxes) -> npt.NDArray[np.bool_]:
    """Whether each track box overlaps one of the others, or lies on one that is larger (m,)."""
    other_ltwh, track_ltwh = others.ltwh.astype(np.float64), tracks.ltwh.astype(np.float64)
    iou = iou_matrix(other_ltwh, track_ltwh)
    shared = shared_area(iou, other_ltwh, track_ltwh)
    on = (iou >= BESIDE_IOU) | ((shared > 0) & (shared >= ON_SHARE * _areas(tracks)))
    return np.asarray(on.any(axis=0))


def _areas(boxes: Boxes) -> npt.NDArray[np.float64]:
    return boxes.w.astype(np.float64) * boxes.h
