"""Detections become tracks: one linker class, its parts chosen by settings.

`Linker.update` takes the detections of one frame and returns the boxes of the confirmed tracks in
it; `link` does that for a whole sequence. The two-stage association by score is that of ByteTrack
(arXiv:2110.06864): sure detections first, then weak ones for the tracks left over, because a person
who is being occluded is detected weakly before not at all.

All state is in arrays: one row per living track, no objects and no loops over tracks or pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes, Column
from mot.errors import InputError
from reid.assign import SOLVERS
from reid.cost import Pairs, overlapping_pairs
from reid.motion import POSITION, centred, cornered
from reid.settings import MENU, MOTIONS, LinkerSettings

__all__ = ["MENU", "Linker", "LinkerSettings", "check_detections"]

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass
class _Tracks:
    """Living tracks as columns of N rows, oldest first.

    Attributes:
        state: (5, N, 4) of the motion model.
        serial: (N,) number of birth, from 1.
        id: (N,) identity, 0 = tentative.
        born: (N,) frame of the first detection.
        seen: (N,) frame of the last detection.
    """

    state: Array
    serial: Index
    id: Index
    born: Index
    seen: Index

    @classmethod
    def none(cls) -> _Tracks:
        return cls(np.empty((5, 0, 4)), *(np.empty(0, np.intp) for _ in range(4)))

    def __len__(self) -> int:
        return len(self.serial)

    def __getitem__(self, rows: Mask) -> _Tracks:
        columns = (self.serial, self.id, self.born, self.seen)
        return _Tracks(self.state[:, rows], *(column[rows] for column in columns))

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            np.concatenate([self.state, other.state], axis=1),
            np.concatenate([self.serial, other.serial]),
            np.concatenate([self.id, other.id]),
            np.concatenate([self.born, other.born]),
            np.concatenate([self.seen, other.seen]),
        )


class Linker:
    """Strings the detections of one video into tracks, frame by frame.

    Ids belong to the instance, start at 1 and are given out when a track is confirmed, so they have
    no gaps. The order of the detections within a frame does not matter. Memory grows with the
    living tracks only.

    Args:
        settings: a linker's settings, e.g. ``MENU["byte"]``.
        fps: frames per second; turns the settings' seconds into frames.

    Raises:
        InputError: a rate that is unknown or not positive.
    """

    def __init__(self, settings: LinkerSettings, fps: float) -> None:
        if fps is None or not (math.isfinite(fps) and fps > 0):
            raise InputError("frame rate", "frames per second > 0", fps, "give it with --fps")
        self.settings = settings
        self._fps = fps
        self._max_gap = math.floor(settings.max_gap_s * fps + 1e-6)
        self._confirm = math.ceil(settings.confirm_s * fps - 1e-6)
        self._motion = MOTIONS[settings.motion](settings)
        self._solve = SOLVERS[settings.solver]
        self._tracks = _Tracks.none()
        self._frame: int | None = None
        self._births = 0
        self._ids = 0

    @property
    def confirm_frames(self) -> int:
        """Frames from a track's first box to its confirmation."""
        return self._confirm

    def update(self, detections: Boxes) -> Boxes:
        """Link the detections of the next frame.

        Frame numbers may skip (time passes meanwhile) but must ascend; without detections the frame
        is the one after the last.

        Args:
            detections: rows of one frame, scores in 0..1; their ids are ignored.

        Returns:
            One row per confirmed track detected in this frame, ordered by id; score, class and
            visibility are the detection's.

        Raises:
            InputError: several frames or one that is not after the last, a box that is not finite
                or has no area, a score outside 0..1.
        """
        boxes, _ = self.advance(detections)
        return boxes[np.flatnonzero(boxes.id)]

    def advance(self, detections: Boxes) -> tuple[Boxes, Index]:
        """As `update`, but with the tentative tracks (id 0) too, and each row's serial number.

        A serial number names a track from its birth on, also before it has an id. Rows are ordered
        by serial; ids ascend with it, because older tracks are confirmed first.
        """
        first = self._frame is None
        before, frame = self._frame_of(detections)
        check_detections(detections)
        order = _canonical_order(detections, self.settings.low_score)
        xywh = centred(detections.ltwh[order])
        # Still float32: a score of 0.7 must reach a limit of 0.7.
        score = detections.score[order]

        kept = frame - self._tracks.seen <= self._max_gap + 1
        if not kept.all():
            self._tracks = self._tracks[kept]
        tracks = self._tracks
        steady = tracks.seen == before
        tracks.state = self._motion.predict(tracks.state, (frame - before) / self._fps, ~steady)
        partner = self._associate(xywh, score, steady)
        matched = np.flatnonzero(partner >= 0)
        tracks.state[:, matched] = self._motion.correct(
            tracks.state[:, matched], xywh[partner[matched]]
        )
        tracks.seen[matched] = frame

        free = np.ones(len(order), bool)
        free[partner[matched]] = False
        births = np.flatnonzero(free & (score >= self.settings.birth_score))
        partner = np.concatenate([partner, births])
        if len(births):
            self._tracks = tracks.joined(self._newborn(xywh[births], frame))
        alive = self._survivors(frame)
        if not alive.all():
            self._tracks, partner = self._tracks[alive], partner[alive]
        self._confirm_tracks(frame, at_once=first)
        self._frame = frame
        rows = np.flatnonzero(partner >= 0)
        return self._report(detections, order[partner[rows]], rows)

    def _frame_of(self, detections: Boxes) -> tuple[int, int]:
        """Return the frame before and the frame of these detections."""
        before = self._frame
        if not len(detections):
            frame = 1 if before is None else before + 1
        else:
            number = float(detections.frame[0])
            if not (detections.frame == number).all() or not number.is_integer():
                raise InputError(
                    "detections", "rows of one frame", "several", "call update once per frame"
                )
            frame = int(number)
        if before is not None and frame <= before:
            raise InputError(
                "detections", f"a frame after {before}", frame, "feed frames in ascending order"
            )
        return (frame - 1 if before is None else before), frame

    def _associate(self, xywh: Array, score: Column, steady: Mask) -> Index:
        """Return each track's detection, -1 = none.

        Args:
            xywh: (M, 4) detected boxes.
            score: (M,).
            steady: (N,) tracks that were seen in the frame before.
        """
        s = self.settings
        least = min(s.min_iou, s.min_iou_low, s.min_iou_tentative)
        pairs = overlapping_pairs(cornered(self._tracks.state[POSITION]), cornered(xywh), least)
        weight = score[pairs.column] if s.weigh_score else 1.0
        confirmed = self._tracks.id[pairs.row] > 0
        high = (score >= s.high_score)[pairs.column]
        partner = np.full(len(self._tracks), -1, np.intp)
        taken = np.zeros(len(xywh), bool)
        for plausible, least in (
            (confirmed & high, s.min_iou),
            (confirmed & ~high & steady[pairs.row], s.min_iou_low),
            (~confirmed & high, s.min_iou_tentative),
        ):
            # A pair exactly at the limit still gains something.
            gain = (pairs.iou - least + 1e-9) * np.where(high, weight, 1.0)
            self._match(pairs, plausible & (pairs.iou >= least), gain, partner, taken)
        return partner

    def _match(
        self, pairs: Pairs, plausible: Mask, gain: Array, partner: Index, taken: Mask
    ) -> None:
        """Match the plausible pairs whose sides are both free; enter them in partner and taken."""
        kept = np.flatnonzero(plausible)
        if not len(kept):
            return
        kept = kept[(partner[pairs.row[kept]] < 0) & ~taken[pairs.column[kept]]]
        chosen = kept[self._solve(pairs.row[kept], pairs.column[kept], gain[kept])]
        partner[pairs.row[chosen]] = pairs.column[chosen]
        taken[pairs.column[chosen]] = True

    def _newborn(self, xywh: Array, frame: int) -> _Tracks:
        """Tentative tracks from unmatched detections."""
        count = len(xywh)
        serial = np.arange(self._births + 1, self._births + count + 1)
        self._births += count
        return _Tracks(
            self._motion.start(xywh),
            serial,
            np.zeros(count, np.intp),
            np.full(count, frame),
            np.full(count, frame),
        )

    def _survivors(self, frame: int) -> Mask:
        """Mark the tracks that live on: no missed tentative ones, no shorter-lived twins."""
        tracks = self._tracks
        seen = tracks.seen == frame
        alive: Mask = seen | (tracks.id > 0)
        lost = np.flatnonzero(alive & ~seen)
        if not len(lost):
            return alive
        present = np.flatnonzero(seen & (tracks.id > 0))
        ltwh = cornered(tracks.state[POSITION])
        limit = self.settings.duplicate_iou
        row, column, iou = overlapping_pairs(ltwh[lost], ltwh[present], limit)
        twins = iou > limit
        old, new = lost[row[twins]], present[column[twins]]
        life = tracks.seen - tracks.born
        older = life[old] > life[new]
        alive[np.where(older, new, old)] = False
        return alive

    def _confirm_tracks(self, frame: int, *, at_once: bool) -> None:
        """Give ids to the tentative tracks that have lasted long enough."""
        tracks = self._tracks
        ripe = (tracks.id == 0) & (at_once | (frame - tracks.born >= self._confirm))
        count = int(ripe.sum())
        tracks.id[ripe] = np.arange(self._ids + 1, self._ids + count + 1)
        self._ids += count

    def _report(self, detections: Boxes, chosen: Index, rows: Index) -> tuple[Boxes, Index]:
        """Table of the tracks in `rows`, which met the detections `chosen`, and their serials."""
        tracks = self._tracks
        found = detections[chosen]
        columns = {"id": tracks.id[rows]}
        if self.settings.output == "filtered":
            ltwh = cornered(tracks.state[POSITION, rows])
            columns |= dict(zip(("x", "y", "w", "h"), ltwh.T, strict=True))
        return found.with_columns(**columns), tracks.serial[rows]


def _canonical_order(detections: Boxes, low_score: float) -> Index:
    """Rows of at least `low_score`, best first, ties by place: whatever the order they came in."""
    rows = np.flatnonzero(detections.score >= low_score)
    d = detections
    keys = (d.visibility, d.cls, d.h, d.w, d.y, d.x, -d.score)
    return rows[np.lexsort([key[rows] for key in keys])]


def check_detections(detections: Boxes) -> None:
    """Refuse boxes and scores that cannot be linked."""
    finite = np.isfinite(detections.ltwh).all(axis=1) & np.isfinite(detections.score)
    bad = ~finite | (detections.w <= 0) | (detections.h <= 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"detections of frame {detections.frame[row]:g}",
            "finite boxes and scores, width and height > 0",
            f"{detections.ltwh[row].tolist()} with score {detections.score[row]:g}"
            f" ({int(bad.sum())} such rows)",
            "drop or mend these rows",
        )
    outside = (detections.score < 0) | (detections.score > 1)
    if outside.any():
        raise InputError(
            f"detections of frame {detections.frame[0]:g}",
            "scores in 0..1",
            f"{detections.score[outside][0]:g} ({int(outside.sum())} such rows)",
            "map the whole sequence's scores with unit_scores first",
        )
