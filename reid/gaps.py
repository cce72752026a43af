"""Short gaps of tracks, filled: a person who was found again was there meanwhile.

After the linker, over its stream of frames; no new track and no new identity comes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from mot.boxes import FILLED_SCORE, Boxes


def fill_gaps(
    frames: Iterable[tuple[int, Boxes]], *, max_frames: int
) -> Iterator[tuple[int, Boxes]]:
    """Put boxes on the straight line between both sides of each gap of up to `max_frames` frames.

    Args:
        frames: (1-based number, boxes of tracks) in ascending order, each id once per frame.
        max_frames: longest gap that is filled; 0 = none.

    Yields:
        (number, boxes ordered by id) for every frame, `max_frames` later. A filled box has
        `FILLED_SCORE`, an unknown visibility, and the class that its track had before.
    """
    held: deque[tuple[int, Boxes]] = deque()
    latest = Boxes.empty()  # last box of each track that may still come back in time
    filled = Boxes.empty()  # in frames that are still held
    for number, boxes in frames:
        # Most tracks were there in the frame before and have no gap.
        lines = _lines(latest[latest.frame < number - 1], boxes)
        if len(lines):
            filled = Boxes.concatenate([filled, lines])
        held.append((number, boxes))
        missed = (latest.frame >= number - max_frames) & ~np.isin(latest.id, boxes.id)
        latest = Boxes.concatenate([latest[missed], boxes])
        while held and held[0][0] + max_frames <= number:
            earliest, boxes = held.popleft()
            yield earliest, _joined(boxes, filled.at(earliest))
            filled = filled[filled.frame > earliest]
    for earliest, boxes in held:
        yield earliest, _joined(boxes, filled.at(earliest))


def _lines(before: Boxes, after: Boxes) -> Boxes:
    """Boxes in the frames between two boxes of the same track, for all tracks that are in both."""
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
    return Boxes.of(
        first.frame[track] + place,
        ltwh,
        id=first.id[track],
        score=FILLED_SCORE,
        category=first.cls[track],
    )


def _joined(boxes: Boxes, filled: Boxes) -> Boxes:
    """Both, ordered by id."""
    if not len(filled):
        return boxes
    boxes = Boxes.concatenate([boxes, filled])
    return boxes[np.argsort(boxes.id, kind="stable")]
