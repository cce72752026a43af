"""What became of a training, in one word, told by what was measured at its end.

- `diverges`: a loss or gradient was not finite, or the loss ended above `RISEN` times what it was
  at the start.
- `collapses`: the picture is black: the mass ratio (predicted over true people) of every one of the
  T frames, or that of all held-out clips, is below `DEAD_RATIO` of the doctor, 0.05.
- `diverges` too: a frame's mass ratio above `TOO_MUCH`.
- `converges`: every frame's mass ratio lies in `BAND`, and people are found on held-out clips: F1
  of `GOOD_F1` or more, with a squared error below that of the best picture of one value by
  `LEARNS` or more (the skill).
- `falls`: it learns and has not arrived: a skill of `LEARNS` or more, yet some frame is dead,
  masses are off, or people are missed.
- `stalls`: the rest: alive, but hardly better than one grey value for everything.

Checked in this order. Mass ratios of frames are the log's last ones, which look back about 100
steps; a net that went black since shows on the held-out clips.
"""

from __future__ import annotations

import math
from collections.abc import Sequence as Many
from dataclasses import dataclass

from nets.doctor import DEAD_RATIO

VERDICTS = ("converges", "falls", "stalls", "collapses", "diverges")
BAND = (0.8, 1.25)
GOOD_F1 = 0.5
LEARNS = 0.1  # untrained nets and grey ones stay below 0.05, whatever their peaks hit by chance
RISEN = 3.0
TOO_MUCH = 10.0


@dataclass(frozen=True)
class Measures:
    """What a training ended with.

    Attributes:
        ratios: mass ratio per frame of the clip; empty where the net has no map with a mass, NaN
            where nobody was there.
        first_loss, last_loss: means over the log's first and last rows.
        finite: whether every step could be taken.
        held_out_ratio: predicted over true people, on held-out clips.
        skill: 1 − squared error over that of the best constant, on held-out clips.
        f1: of people found, on held-out clips.
    """

    ratios: Many[float]
    first_loss: float
    last_loss: float
    finite: bool
    held_out_ratio: float
    skill: float
    f1: float

    @property
    def dead(self) -> int:
        """Frames of the clip whose people the net paints black."""
        return sum(ratio < DEAD_RATIO for ratio in self.ratios)

    @property
    def off(self) -> list[float]:
        """How far each frame's mass ratio is from 1, where there is one."""
        return [abs(ratio - 1) for ratio in self.ratios if not math.isnan(ratio)]


def verdict_of(measures: Measures) -> str:
    """Say which of `VERDICTS` it is; see the top of this file."""
    ratios = [ratio for ratio in measures.ratios if not math.isnan(ratio)]
    if not measures.finite or measures.last_loss > RISEN * measures.first_loss:
        return "diverges"
    if (ratios and measures.dead == len(ratios)) or measures.held_out_ratio < DEAD_RATIO:
        return "collapses"
    if max(ratios, default=0.0) > TOO_MUCH:
        return "diverges"
    in_band = all(BAND[0] <= ratio <= BAND[1] for ratio in ratios)
    if not measures.skill >= LEARNS:  # NaN is no skill
        return "stalls"
    return "converges" if in_band and measures.f1 >= GOOD_F1 else "falls"
