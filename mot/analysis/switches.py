"""Why people change their track: one cause for each identity switch, and how long nobody had them.

A switch lies between the person's last match, with the old track, and the first with the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.analysis.misses import CROWDED_IOU, HIDDEN
from mot.analysis.people import PeopleFacts
from mot.analysis.scene import NOBODY, Rows, ScoredScene
from mot.boxes import Boxes

NEAR_S = 0.5  # so near in time to the last match or to the switch is just before or after it
HALF_HIDDEN = 0.5  # visible share
FAST_WIDTHS = 0.5  # box widths per frame

# Asked in this order; the first that holds is the cause.
CAUSES = {
    "swap": f"the new track had somebody else up to {NEAR_S} s before",
    "taken": f"somebody else has the old track up to {NEAR_S} s after its last match",
    "came back": "the person is absent from the truth in between",
    "crossing": f"IoU above {CROWDED_IOU} with another person",
    "hidden": f"visible share below {HIDDEN}",
    "half hidden": f"visible share below {HALF_HIDDEN}",
    "fast": f"the person moves by more than {FAST_WIDTHS} box widths per frame",
    "gap": "missed in between, while well visible, slow and alone",
    "other": "found in the frame before, well visible, slow and alone",
}


@dataclass(frozen=True)
class SwitchFacts:
    """Facts of every identity switch, (IDs,) each, in the order of `errors.switched`.

    Attributes:
        cause: a key of `CAUSES`.
        gap_frames: frames between the last match and the switch.
        old, new: ids of the tracks.
    """

    cause: npt.NDArray[np.str_]
    gap_frames: Rows
    old: Rows
    new: Rows

    @classmethod
    def of(cls, scene: ScoredScene, facts: PeopleFacts) -> SwitchFacts:
        """Look into all switches of a scene."""
        teller = _Teller(scene, facts)
        rows = [teller.switch(row) for row in scene.errors.switched.tolist()]
        numbers = np.array([row[1:] for row in rows], np.int64).reshape(-1, 3)
        cause = np.array([row[0] for row in rows], np.str_)
        return cls(cause, *numbers.T)


class _Teller:
    """Says of a switch what happened."""

    def __init__(self, scene: ScoredScene, facts: PeopleFacts) -> None:
        self._scene, self._facts = scene, facts
        self._near = max(1, round(NEAR_S * scene.fps))
        self._life = _rows_by_id(scene.truth)
        self._path = _rows_by_id(scene.tracks)

    def switch(self, row: int) -> tuple[str, int, int, int]:
        """Cause, frames in between, old track, new track of the switch at a truth row."""
        truth, track_of = self._scene.truth, self._scene.track_of
        life = self._life[int(truth.id[row])]
        before = life[life < row]  # rows are ordered by frame
        last = int(before[track_of[before] != NOBODY][-1])
        since = life[(life >= last) & (life <= row)]
        gap = int(truth.frame[row] - truth.frame[last]) - 1
        old, new = (int(self._scene.tracks.id[track_of[at]]) for at in (last, row))
        return self._cause(last, row, since, old, new), gap, old, new

    def _cause(self, last: int, row: int, since: Rows, old: int, new: int) -> str:
        frame, facts = self._scene.truth.frame, self._facts
        ends = (frame[since] <= frame[last] + self._near) | (
            frame[since] >= frame[row] - self._near
        )
        near = since[ends]
        visibility = facts.visibility[near]
        seen = float(visibility[visibility >= 0].min(initial=1.0))
        tests = {
            "swap": self._had_another(new, row, -1),
            "taken": self._had_another(old, last, 1),
            "came back": len(since) < frame[row] - frame[last] + 1,
            "crossing": facts.crowding[near].max() > CROWDED_IOU,
            "hidden": seen < HIDDEN,
            "half hidden": seen < HALF_HIDDEN,
            "fast": self._widths_per_frame(last, row) > FAST_WIDTHS,
            "gap": frame[row] - frame[last] > 1,
        }
        return next((cause for cause, holds in tests.items() if holds), "other")

    def _had_another(self, track: int, row: int, way: int) -> bool:
        """Whether a track has another person just before (-1) or just after (1) a row's frame."""
        truth, person_of = self._scene.truth, self._scene.person_of
        path = self._path[track]
        away = way * (self._scene.tracks.frame[path] - truth.frame[row])
        near = person_of[path[(away > 0) & (away <= self._near)]]
        return bool((truth.id[near[near != NOBODY]] != truth.id[row]).any())

    def _widths_per_frame(self, last: int, row: int) -> float:
        truth = self._scene.truth
        (x, y, w, h), (x2, y2, w2, h2) = truth.ltwh[[last, row]].tolist()
        way = np.hypot(x2 + w2 / 2 - x - w / 2, y2 + h2 / 2 - y - h / 2)
        frames = float(truth.frame[row] - truth.frame[last])
        return float(way / frames / ((w + w2) / 2))


def _rows_by_id(boxes: Boxes) -> dict[int, Rows]:
    """Rows of each identity, by frame."""
    order = np.lexsort((boxes.frame, boxes.id))
    edges = np.flatnonzero(np.diff(boxes.id[order])) + 1
    parts = np.split(order, edges) if len(order) else []
    return {int(boxes.id[part[0]]): part for part in parts}
