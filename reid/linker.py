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
from reid.appearance import Appearance
from reid.assign import SOLVERS
from reid.camera import warp_state
from reid.cost import Pairs, overlapping_pairs
from reid.motion import POSITION, VELOCITY, centred, cornered
from reid.settings import MENU, MOTIONS, LinkerSettings
from reid.sight import BLIND, Look, Sight

__all__ = ["MENU", "Linker", "LinkerSettings", "check_detections"]

CLEAR_IOU = 0.2  # a person who overlaps nobody by more is seen well enough to be remembered
# The range of a detection's x, y, w, h and score; no NaN is in any.
_LARGEST = np.finfo(np.float32).max
_ABOVE_0 = np.finfo(np.float32).tiny
_LOWEST = np.array([[-_LARGEST], [-_LARGEST], [_ABOVE_0], [_ABOVE_0], [0]], np.float32)
_HIGHEST = np.array([[_LARGEST]] * 4 + [[1]], np.float32)

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass
class _Tracks:
    """Living tracks as columns of N rows, oldest first.

    Attributes:
        state: (5, N, 4) of the motion model.
        anchor: (5, N, 4) state right after the last detection.
        facts: (4, N) whole numbers, of which the following are the rows.
        serial: (N,) number of birth, from 1.
        id: (N,) identity, 0 = tentative.
        born: (N,) frame of the first detection.
        seen: (N,) frame of the last detection.
    """

    state: Array
    anchor: Array
    facts: Index

    def __post_init__(self) -> None:
        self.serial, self.id, self.born, self.seen = self.facts

    @classmethod
    def none(cls) -> _Tracks:
        return cls(np.empty((5, 0, 4)), np.empty((5, 0, 4)), np.empty((4, 0), np.intp))

    def __len__(self) -> int:
        return len(self.serial)

    def __getitem__(self, rows: Index) -> _Tracks:
        state, anchor = self.state.take(rows, axis=1), self.anchor.take(rows, axis=1)
        return _Tracks(state, anchor, self.facts.take(rows, axis=1))

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            np.concatenate([self.state, other.state], axis=1),
            np.concatenate([self.anchor, other.anchor], axis=1),
            np.concatenate([self.facts, other.facts], axis=1),
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
        self._appearance = Appearance(settings, fps)
        self._frame: int | None = None
        self._births = 0
        self._ids = 0

    @property
    def confirm_frames(self) -> int:
        """Frames from a track's first box to its confirmation."""
        return self._confirm

    def update(self, detections: Boxes, sight: Sight = BLIND, frame: int | None = None) -> Boxes:
        """Link the detections of the next frame.

        Frame numbers may skip (time passes meanwhile) but must ascend.

        Args:
            detections: rows of one frame, scores in 0..1; their ids are ignored.
            sight: of the same frame; without it, boxes decide alone.
            frame: its number; None = as the detections say, or one on where there are none.

        Returns:
            One row per confirmed track detected in this frame, ordered by id; score, class and
            visibility are the detection's.

        Raises:
            InputError: several frames or one that is not after the last, a box that is not finite
                or has no area, a score outside 0..1.
        """
        chosen, rows = self._step(detections, sight, frame)
        ids = self._tracks.id[rows]
        order = ids.argsort(kind="stable")
        confirmed = order[np.count_nonzero(ids == 0) :]
        return self._report(detections, chosen[confirmed], rows[confirmed])

    def advance(
        self, detections: Boxes, sight: Sight = BLIND, frame: int | None = None
    ) -> tuple[Boxes, Index]:
        """As `update`, but with the tentative tracks (id 0) too, and each row's serial number.

        A serial number names a track from its birth on, also before it has an id. Rows are ordered
        by serial; ids ascend with it, because older tracks are confirmed first, but for people who
        were recognised.
        """
        chosen, rows = self._step(detections, sight, frame)
        return self._report(detections, chosen, rows), self._tracks.serial[rows]

    def expected(self, frame: int) -> Array:
        """Where those that the last update reported should be in a later frame: (N, 4) ltwh."""
        tracks, before = self._tracks, self._frame
        rows = ((tracks.seen == before) & (tracks.id > 0)).nonzero()[0]
        rows = rows[tracks.id[rows].argsort()]
        seconds = (frame - (before or 0)) / self._fps
        hidden = np.zeros(len(rows), bool)
        later = self._motion.predict(tracks.state.take(rows, axis=1), seconds, hidden)
        return cornered(later[POSITION])

    def _step(self, detections: Boxes, sight: Sight, number: int | None) -> tuple[Index, Index]:
        """Move all state on by one frame; return the detections that were met, and whose they are.

        Throughout, `nonzero` and `take` stand where `flatnonzero`, `any` and indexing would do: at
        50 people most of a frame's time goes into calls, and these cost a fraction.
        """
        first = self._frame is None
        before, frame = self._frame_of(detections, number)
        check_detections(detections)
        order = _canonical_order(detections, self.settings.low_score)
        xywh = centred(detections.ltwh[order])
        # Still float32: a score of 0.7 must reach a limit of 0.7.
        score = detections.score[order]

        self._keep(frame - self._tracks.seen <= self._max_gap + 1)
        tracks = self._tracks
        steady = tracks.seen == before
        if sight.camera is not None:
            tracks.state = warp_state(tracks.state, sight.camera)
            tracks.anchor = warp_state(tracks.anchor, sight.camera)
            self._appearance.warp(sight.camera)
        seconds = (frame - before) / self._fps
        tracks.state = self._motion.predict(tracks.state, seconds, ~steady)
        partner, taken = self._associate(xywh, score, steady, seconds)
        met = partner >= 0
        if self.settings.reupdate:
            self._replay((met & ~steady).nonzero()[0], xywh, partner, frame)
        if len(xywh):
            # All rows are corrected and those without a partner left out: cheaper than to pick.
            better = self._motion.correct(tracks.state, xywh.take(partner, axis=0))
            np.copyto(tracks.state, better, where=met[:, None])
        tracks.seen[met] = frame
        if self.settings.reupdate:
            np.copyto(tracks.anchor, tracks.state, where=met[:, None])

        births = (~taken & (score >= self.settings.birth_score)).nonzero()[0]
        if sight.count is not None:
            room = sight.count + self.settings.count_slack - np.count_nonzero(met)
            births = births[: math.ceil(max(room, 0))] if room < len(births) else births
        if len(births):
            partner = np.concatenate([partner, births])
            self._tracks = tracks.joined(self._newborn(xywh[births], frame))
        alive = self._survivors(frame)
        self._keep(alive)
        partner = partner[alive]
        current = self._confirm_tracks(frame, sight.look, at_once=first)
        self._keep(current)
        partner = partner[current]
        self._frame = frame
        rows = (partner >= 0).nonzero()[0]
        return order[partner[rows]], rows

    def _keep(self, alive: Mask) -> None:
        """Forget the other tracks."""
        rows = alive.nonzero()[0]
        if len(rows) < len(alive):
            self._tracks = self._tracks[rows]

    def _frame_of(self, detections: Boxes, number: int | None) -> tuple[int, int]:
        """Return the frame before and the frame of these detections."""
        before = self._frame
        frame = number or (1 if before is None else before + 1)
        if len(detections):
            said = float(detections.frame[0])
            if np.count_nonzero(detections.frame != said) or not said.is_integer():
                raise InputError(
                    "detections", "rows of one frame", "several", "call update once per frame"
                )
            frame = int(said)
        if before is not None and frame <= before:
            raise InputError(
                "detections", f"a frame after {before}", frame, "feed frames in ascending order"
            )
        return (frame - 1 if before is None else before), frame

    def _associate(
        self, xywh: Array, score: Column, steady: Mask, seconds: float
    ) -> tuple[Index, Mask]:
        """Return each track's detection, -1 = none, and which detections are taken.

        Args:
            xywh: (M, 4) detected boxes.
            score: (M,).
            steady: (N,) tracks that were seen in the frame before.
            seconds: since the frame before.
        """
        s, tracks = self.settings, self._tracks
        least = min(s.min_iou, s.min_iou_low, s.min_iou_tentative)
        pairs = overlapping_pairs(cornered(tracks.state[POSITION]), cornered(xywh), least)
        confirmed = (tracks.id > 0)[pairs.row]
        high = (score >= s.high_score)[pairs.column]
        weak = confirmed & steady[pairs.row] & ~high
        weight = score if s.weigh_score else np.ones_like(score)
        partner = np.zeros(len(tracks), np.intp) - 1
        taken = np.zeros(len(xywh), bool)
        bonus = s.momentum * self._agreement(pairs, xywh, seconds) if s.momentum else None
        self._match(pairs, confirmed & high, s.min_iou, weight, bonus, partner, taken)
        self._match(pairs, weak, s.min_iou_low, None, None, partner, taken)
        self._match(pairs, high & ~confirmed, s.min_iou_tentative, weight, None, partner, taken)
        return partner, taken

    def _agreement(self, pairs: Pairs, xywh: Array, seconds: float) -> Array:
        """How well each pair's step agrees with its track's direction, 0 (backward) .. 1.

        Observation-centric momentum of OC-SORT (arXiv:2203.14360) with the filter's velocity in the
        place of two observations.
        """
        velocity = self._tracks.state[VELOCITY, :, :2].take(pairs.row, axis=0)
        before = self._tracks.state[POSITION, :, :2].take(pairs.row, axis=0) - seconds * velocity
        step = xywh[:, :2].take(pairs.column, axis=0) - before
        length = np.sqrt((step**2).sum(axis=1) * (velocity**2).sum(axis=1))
        agreement: Array = (1 + (step * velocity).sum(axis=1) / np.maximum(length, 1e-9)) / 2
        return agreement

    def _replay(self, rows: Index, xywh: Array, partner: Index, frame: int) -> None:
        """Predict tracks that were found again as if they had been seen all the way.

        Observation-centric re-update of OC-SORT (arXiv:2203.14360): the filter starts again from
        the last detection and meets virtual ones on the straight line to the new one.
        """
        tracks = self._tracks
        if not len(rows):
            return
        steps = frame - tracks.seen[rows]
        start, end = tracks.anchor[POSITION, rows], xywh[partner[rows]]
        state = tracks.anchor[:, rows]
        for step in range(1, int(steps.max()) + 1):
            going = (step <= steps).nonzero()[0]
            shown = np.zeros(len(going), bool)
            later = self._motion.predict(state[:, going], 1 / self._fps, shown)
            between = (step < steps[going]).nonzero()[0]
            share = (step / steps[going[between]])[:, None]
            line = start[going[between]] * (1 - share) + end[going[between]] * share
            later[:, between] = self._motion.correct(later[:, between], line)
            state[:, going] = later
        tracks.state[:, rows] = state

    def _match(
        self,
        pairs: Pairs,
        plausible: Mask,
        least: float,
        weight: Column | None,
        bonus: Array | None,
        partner: Index,
        taken: Mask,
    ) -> None:
        """Match the plausible pairs of at least this IoU, both sides free; enter who got whom."""
        kept = (plausible & (pairs.iou >= least)).nonzero()[0]
        row, column = pairs.row[kept], pairs.column[kept]
        open_ = (~taken[column] & (partner[row] < 0)).nonzero()[0]
        if not len(open_):
            return
        row, column = row[open_], column[open_]
        # A pair exactly at the limit still gains something.
        gain = pairs.iou[kept[open_]] - least + 1e-9
        if bonus is not None:
            gain += bonus[kept[open_]]
        chosen = self._solve(row, column, gain if weight is None else gain * weight[column])
        partner[row[chosen]] = column[chosen]
        taken[column[chosen]] = True

    def _newborn(self, xywh: Array, frame: int) -> _Tracks:
        """Tentative tracks from unmatched detections."""
        facts = np.zeros((4, len(xywh)), np.intp)
        state = self._motion.start(xywh)
        tracks = _Tracks(state, state.copy(), facts)
        tracks.serial[:] = np.arange(self._births + 1, self._births + len(xywh) + 1)
        tracks.born[:] = tracks.seen[:] = frame
        self._births += len(xywh)
        return tracks

    def _survivors(self, frame: int) -> Mask:
        """Mark the tracks that live on: no missed tentative ones, no shorter-lived twins."""
        tracks = self._tracks
        seen = tracks.seen == frame
        confirmed = tracks.id > 0
        alive: Mask = seen | confirmed
        lost = (confirmed & ~seen).nonzero()[0]
        if not len(lost):
            return alive
        present = (confirmed & seen).nonzero()[0]
        position = tracks.state[POSITION]
        limit = self.settings.duplicate_iou
        row, column, iou = overlapping_pairs(
            cornered(position.take(lost, axis=0)), cornered(position.take(present, axis=0)), limit
        )
        twins = (iou > limit).nonzero()[0]
        if len(twins):
            old, new = lost[row[twins]], present[column[twins]]
            life = tracks.seen - tracks.born
            alive[np.where(life[old] > life[new], new, old)] = False
        return alive

    def _confirm_tracks(self, frame: int, look: Look | None, *, at_once: bool) -> Mask:
        """Give ids to the tentative tracks that have lasted long enough.

        Whoever is recognised gets the id that he had; the track that lost him is not in the mask
        (N,) of tracks that live on, which is returned.
        """
        tracks = self._tracks
        current: Mask = np.ones(len(tracks), bool)
        latest = frame if at_once else frame - self._confirm
        ripe = ((tracks.id == 0) & (tracks.born <= latest)).nonzero()[0]
        if look is not None:
            known = self._recognise(ripe, frame, look)
            current = (tracks.seen == frame) | ~np.isin(tracks.id, known[known > 0])
            tracks.id[ripe] = known
            ripe = ripe[known == 0]
        if len(ripe):
            tracks.id[ripe] = np.arange(self._ids + 1, self._ids + len(ripe) + 1)
            self._ids += len(ripe)
        return current

    def _recognise(self, ripe: Index, frame: int, look: Look) -> Index:
        """Remember everybody who is there; return the ids that people in `ripe` had, 0 = new."""
        tracks = self._tracks
        xywh = tracks.state[POSITION]
        seen = (tracks.seen == frame).nonzero()[0]
        ltwh = cornered(xywh[seen])
        overlaps = np.bincount(overlapping_pairs(ltwh, ltwh, CLEAR_IOU).row, minlength=len(seen))
        named = tracks.id[seen] > 0
        rows, clear = seen[named], overlaps[named] == 1  # with itself
        self._appearance.note(tracks.id[rows], xywh[rows], clear, frame, look)
        return self._appearance.recall(xywh[ripe], tracks.born[ripe], look)

    def _report(self, detections: Boxes, chosen: Index, rows: Index) -> Boxes:
        """Table of the tracks in `rows`, which met the detections `chosen`."""
        d, tracks = detections, self._tracks
        filtered = self.settings.output == "filtered"
        return Boxes.of(
            d.frame[chosen],
            cornered(tracks.state[POSITION].take(rows, axis=0)) if filtered else d.ltwh[chosen],
            id=tracks.id[rows],
            score=d.score[chosen],
            category=d.cls[chosen],
            visibility=d.visibility[chosen],
        )


def _canonical_order(detections: Boxes, low_score: float) -> Index:
    """Rows of at least `low_score`, best first, ties by place: whatever the order they came in."""
    rows = (detections.score >= low_score).nonzero()[0]
    falling = -detections.score[rows]
    order = falling.argsort()
    ranked = falling[order]
    if np.count_nonzero(ranked[1:] == ranked[:-1]):
        d = detections
        keys = (d.visibility, d.cls, d.h, d.w, d.y, d.x)
        order = np.lexsort([*(key[rows] for key in keys), falling])
    return rows[order]


def check_detections(detections: Boxes) -> None:
    """Refuse boxes and scores that cannot be linked."""
    d = detections
    values = np.array([d.x, d.y, d.w, d.h, d.score])
    sound = (values >= _LOWEST) & (values <= _HIGHEST)
    if np.count_nonzero(sound) == sound.size:
        return
    bad = ~(sound[:4].all(axis=0) & np.isfinite(d.score))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"detections of frame {d.frame[row]:g}",
            "finite boxes and scores, width and height > 0",
            f"{d.ltwh[row].tolist()} with score {d.score[row]:g} ({int(bad.sum())} such rows)",
            "drop or mend these rows",
        )
    raise InputError(
        f"detections of frame {d.frame[0]:g}",
        "scores in 0..1",
        f"{d.score[~sound[4]][0]:g} ({int((~sound[4]).sum())} such rows)",
        "map the whole sequence's scores with unit_scores first",
    )
