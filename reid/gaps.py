"""Short gaps of tracks, filled: a person who was found again was there meanwhile.

After the linker, over its stream of frames; no new track and no new identity comes of it.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from mot.boxes import FILLED_SCORE, Boxes
from reid.stages import Numbered


class GapFiller:
    """Puts boxes on the straight line between both sides of each short gap of a track.

    A stage of `reid.stages`: every frame comes out that many later, its boxes ordered by id. A
    filled box has `FILLED_SCORE`, an unknown visibility, and the class that its track had before;
    between two looks, where nobody was missed, its score lies between those of both.

    Args:
        max_frames: longest gap that is filled, but for those between two looks, which always are.
        detect_step: frames from one look to the next, at most, where frames are told to `pass_on`.
    """

    def __init__(self, max_frames: int, detect_step: int = 1) -> None:
        self._longest = max(max_frames, detect_step - 1)
        self._passed: set[int] = set()  # frames to come that nobody looks at
        self._looked = 0  # frame of the last look
        self._held: deque[Numbered] = deque()
        self._latest = Boxes.empty()  # last box of each track that may still come back in time
        self._filled = Boxes.empty()  # in frames that are still held

    def pass_on(self, number: int) -> None:
        """Say of a frame, before it is pushed, that nobody looks at it: nobody is missed there."""
        self._passed.add(number)

    def push(self, number: int, boxes: Boxes) -> list[Numbered]:
        """Take the tracks of the next frame, each id once; return the frames that are settled."""
        # Most tracks were there in the frame before and have no gap.
        lines = _lines(self._latest[self._latest.frame < number - 1], boxes, self._looked)
        if len(lines):
            self._filled = Boxes.concatenate([self._filled, lines])
        if number in self._passed:
            self._passed.remove(number)
        else:
            self._looked = number
        self._held.append((number, boxes))
        latest = self._latest
        missed = (latest.frame >= number - self._longest) & ~np.isin(latest.id, boxes.id)
        self._latest = Boxes.concatenate([latest[missed], boxes])
        settled = []
        while self._held and self._held[0][0] + self._longest <= number:
            earliest, boxes = self._held.popleft()
            settled.append((earliest, _joined(boxes, self._filled.at(earliest))))
            self._filled = self._filled[self._filled.frame > earliest]
        return settled

    def finish(self) -> list[Numbered]:
        """Return the frames that are left."""
        rest = [(number, _joined(boxes, self._filled.at(number))) for number, boxes in self._held]
        self._held.clear()
        return rest


def _lines(before: Boxes, after: Boxes, looked: int) -> Boxes:
    """Boxes in the frames between two boxes of the same track, for all tracks that are in both.

    Whoever was there at the last look before, in frame `looked`, was not missed.
    """
    if not len(before):
        return before
    _, start, end = np.intersect1d(before.id, after.id, return_indices=True)
    first, last = before[start], after[end]
    steps = (last.frame - first.frame).astype(np.intp)
    missing = np.maximum(steps - 1, 0)
    track = np.repeat(np.arange(len(missing)), missing)
    place = np.arange(len(track)) - np.repeat(np.cumsum(missing) - missing, missing) + 1
    share = (place / steps[track])[:, None]
    ltwh = first.ltwh[track] * (1 - share) + last.ltwh[track] * share
    score = first.score[track] * (1 - share[:, 0]) + last.score[track] * share[:, 0]
    return Boxes.of(
        first.frame[track] + place,
        ltwh,
        id=first.id[track],
        score=np.where(first.frame[track] >= looked, score, FILLED_SCORE),
        category=first.cls[track],
    )


def _joined(boxes: Boxes, filled: Boxes) -> Boxes:
    """Both, ordered by id."""
    if not len(filled):
        return boxes
    boxes = Boxes.concatenate([boxes, filled])
    return boxes[np.argsort(boxes.id, kind="stable")]
