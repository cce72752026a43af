"""When each identity was seen, from rows that come block by block.

A run is an unbroken stretch of frames of one identity. What is kept is one row per run, however
long the video.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.timeline import find_runs

Runs = npt.NDArray[np.int64]


def runs_of(blocks: Iterable[Boxes], bridge: int = 1) -> Runs:
    """Join the rows of all blocks into runs.

    Args:
        blocks: tracks; the frames of a block follow those of the one before.
        bridge: frames whose numbers lie so far apart at most belong to one run.

    Returns:
        (runs, 4): id, first frame, last frame, frames seen; ordered by id and first frame.
    """
    found: list[list[int]] = []
    last: dict[int, list[int]] = {}
    for block in blocks:
        for identity, first, end, *_ in find_runs(block).astype(np.int64).tolist():
            seen = end - first + 1
            before = last.get(identity)
            if before is not None and first - before[2] <= bridge:
                before[2] = end
                before[3] += seen
            else:
                last[identity] = run = [identity, first, end, seen]
                found.append(run)
    table = np.array(found, np.int64).reshape(-1, 4)
    return table[np.lexsort((table[:, 1], table[:, 0]))]
