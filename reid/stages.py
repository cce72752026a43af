"""Stages behind the linker: each takes frames one by one and gives them out once settled.

A stage keeps all that it knows in attributes, so that a run can be stored between two frames and
taken up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from mot.boxes import Boxes

Numbered = tuple[int, Boxes]  # 1-based frame, the boxes in it


class Stage(Protocol):
    """What holds frames back until it knows what to change in them."""

    def push(self, number: int, boxes: Boxes) -> list[Numbered]:
        """Take the next frame, in ascending order; return those that are settled now."""

    def finish(self) -> list[Numbered]:
        """Return the frames that are left, when no more come."""


class Chain:
    """Stages one behind the other, as one stage."""

    def __init__(self, *stages: Stage) -> None:
        self._stages = stages

    def push(self, number: int, boxes: Boxes) -> list[Numbered]:
        """Take the next frame; return those that the last stage has settled."""
        return self._pass_on([(number, boxes)], 0)

    def finish(self) -> list[Numbered]:
        """Return the frames that are left, in order."""
        settled: list[Numbered] = []
        for place, stage in enumerate(self._stages):
            settled += self._pass_on(stage.finish(), place + 1)
        return settled

    def _pass_on(self, frames: list[Numbered], place: int) -> list[Numbered]:
        for stage in self._stages[place:]:
            frames = [settled for frame in frames for settled in stage.push(*frame)]
        return frames


def run(stage: Stage, frames: Iterable[Numbered]) -> Iterator[Numbered]:
    """Send a stream of frames through a stage."""
    for frame in frames:
        yield from stage.push(*frame)
    yield from stage.finish()
