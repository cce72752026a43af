"""One scored sequence with its errors: what every question about them is asked of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mot.annotations import considered
from mot.boxes import Boxes
from mot.preprocessing import Matrix, PreparedSequence, prepare, protocol_of
from mot.referees import ClearErrors, list_errors

Rows = npt.NDArray[np.int64]
NOBODY = -1  # in the place of a row: no match


@dataclass(frozen=True)
class ScoredScene:
    """A sequence as it is scored, and its errors.

    Attributes:
        name: of the sequence.
        size_hw: height and width of the frames in pixels.
        fps: frames per second.
        prepared: truth and tracks that are scored.
        errors: of them, as rows of both.
        uncounted: truth rows that are not scored, by frame: things, and people who do not count.
    """

    name: str
    size_hw: tuple[int, int]
    fps: float
    prepared: PreparedSequence
    errors: ClearErrors
    uncounted: Boxes

    @classmethod
    def of(
        cls,
        name: str,
        truth: Boxes,
        tracks: Boxes,
        *,
        length: int,
        size_hw: tuple[int, int],
        fps: float,
    ) -> ScoredScene:
        """Prepare and match, as `mot.scoring` does by the protocol of the sequence's name.

        Args:
            name: of the sequence.
            truth: all its rows.
            tracks: all their rows.
            length: frames.
            size_hw: height and width of the frames in pixels.
            fps: frames per second.

        Raises:
            InputError: frames outside the sequence, or an identity twice in one frame.
        """
        prepared = prepare(truth, tracks, length=length, name=name, protocol=protocol_of(name))
        rest = truth[~considered(truth)].sorted_by_frame()
        return cls(name, size_hw, fps, prepared, list_errors(prepared), rest)

    @property
    def truth(self) -> Boxes:
        """The people who count, N rows by frame."""
        return self.prepared.truth

    @property
    def tracks(self) -> Boxes:
        """The track boxes that count, M rows by frame."""
        return self.prepared.tracks

    @cached_property
    def track_of(self) -> Rows:
        """For each truth row the track row it is matched with, or `NOBODY` (N,)."""
        track = np.full(len(self.truth), NOBODY, np.int64)
        track[self.errors.pairs[:, 0]] = self.errors.pairs[:, 1]
        return track

    @cached_property
    def person_of(self) -> Rows:
        """For each track row the truth row it is matched with, or `NOBODY` (M,)."""
        person = np.full(len(self.tracks), NOBODY, np.int64)
        person[self.errors.pairs[:, 1]] = self.errors.pairs[:, 0]
        return person

    def rows_at(self, boxes: Boxes, frame: int) -> slice:
        """Where the rows of a 1-based frame stand in a table ordered by frame."""
        first, end = np.searchsorted(boxes.frame, [frame, frame + 1])
        return slice(int(first), int(end))

    def iou_at(self, frame: int) -> Matrix:
        """IoU of every person with every track box in a 1-based frame, (n, m)."""
        return self.prepared.iou[frame - 1]
