"""Why people are missed: one cause for each missed box."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mot.analysis.people import PeopleFacts
from mot.analysis.scene import NOBODY, ScoredScene

BESIDE_IOU = 0.2  # from here up to a match, a box is meant for the person and badly placed
HIDDEN = 0.3  # visible share below which a person is hidden
CROWDED_IOU = 0.3  # with another person
SMALL_SHARE = 0.05  # of the frame's height

# Asked in this order; the first that holds is the cause.
CAUSES = {
    "badly placed": f"a box that nobody else has overlaps by IoU {BESIDE_IOU} to 0.5",
    "hidden": f"visible share below {HIDDEN}",
    "crowded": f"IoU of {CROWDED_IOU} or more with another person",
    "border": "the box touches the frame's edge",
    "small": f"lower than {SMALL_SHARE:.0%} of the frame's height",
    "never found": "no track ever has this person",
    "not yet found": "before the first match of the person",
    "gap": "between two matches of the person",
    "lost": "after the last match of the person",
}

Causes = npt.NDArray[np.str_]


def miss_causes(scene: ScoredScene, facts: PeopleFacts) -> Causes:
    """The cause of each missed box, in the order of `errors.missed` (FN,)."""
    rows = scene.errors.missed
    visibility, crowding = facts.visibility[rows], facts.crowding[rows]
    first, last = _life(scene)
    person = np.unique(scene.truth.id, return_inverse=True)[1][rows]
    frame = scene.truth.frame[rows]
    tests = {
        "badly placed": _loose_boxes(scene)[rows],
        "hidden": (visibility >= 0) & (visibility < HIDDEN),
        "crowded": crowding >= CROWDED_IOU,
        "border": facts.border[rows],
        "small": facts.height_share[rows] < SMALL_SHARE,
        "never found": np.isinf(first[person]),
        "not yet found": frame < first[person],
        "gap": frame < last[person],
    }
    return np.select(list(tests.values()), list(tests), "lost").astype(np.str_)


def _loose_boxes(scene: ScoredScene) -> npt.NDArray[np.bool_]:
    """Whether a track box that nobody has overlaps each person by `BESIDE_IOU` or more (N,)."""
    beside = np.zeros(len(scene.truth), bool)
    for frame in np.unique(scene.truth.frame[scene.errors.missed]).astype(int).tolist():
        free = scene.person_of[scene.rows_at(scene.tracks, frame)] == NOBODY
        loose = scene.iou_at(frame)[:, free] >= BESIDE_IOU
        beside[scene.rows_at(scene.truth, frame)] = loose.any(axis=1)
    return beside


def _life(scene: ScoredScene) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """First and last frame in which each person is matched (P,); inf and -inf where never."""
    person = np.unique(scene.truth.id, return_inverse=True)[1]
    count = int(person.max(initial=-1)) + 1
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    found = scene.track_of != NOBODY
    np.minimum.at(first, person[found], scene.truth.frame[found])
    np.maximum.at(last, person[found], scene.truth.frame[found])
    return first, last
