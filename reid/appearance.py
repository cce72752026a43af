"""Whom the linker has seen before: people are recognised when they come back after a long gap.

Appearance is asked for only where it can decide something. While a person is followed, a clear view
is embedded now and then; when a track is about to get a new identity, it is compared with those
that are missing and could have walked there. Everything in between is settled by overlap alone,
which is cheaper and, between one frame and the next, surer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reid.assign import optimal
from reid.camera import Affine
from reid.motion import cornered
from reid.settings import LinkerSettings
from reid.sight import Look

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

START_REACH = 0.5  # heights that somebody may be away at once: boxes jitter
UPRIGHT_SHARE = 0.3  # of the reach that holds for changes of y and of the log of the height
EMA = 0.7  # weight of what was known when a new view comes in


class Appearance:
    """Everybody with an identity who was seen clearly, until missing for `reid_gap_s`.

    Columns of K rows: id (K,), seen and looked (K,) frames, xywh (K, 4), embedding (K, C).

    Args:
        settings: of the linker.
        fps: frames per second.
    """

    def __init__(self, settings: LinkerSettings, fps: float) -> None:
        self._settings, self._fps = settings, fps
        self._id = self._seen = self._looked = np.empty(0, np.intp)
        self._xywh = np.empty((0, 4))
        self._embedding = np.empty((0, 0), np.float32)

    def recall(self, xywh: Array, born: Index, look: Look) -> Index:
        """Recognise people who are about to get an identity.

        Args:
            xywh: (M, 4) their boxes.
            born: (M,) frames in which they appeared; they are nobody who was seen since.
            look: embeds boxes.

        Returns:
            (M,) the identity that each had before, 0 = nobody known.
        """
        known = np.zeros(len(xywh), np.intp)
        if not len(xywh):
            return known
        missing = (self._seen < born.max()).nonzero()[0]
        person, row = self._within_reach(xywh, born, missing)
        if not len(person):
            return known
        asked, place = np.unique(person, return_inverse=True)
        embedding = look(cornered(xywh[asked]))
        alike = np.einsum("pc,pc->p", embedding[place], self._embedding[row])
        good = (alike >= self._settings.reid_cosine).nonzero()[0]
        person, row = person[good], row[good]
        gain = alike[good].astype(np.float64) - self._settings.reid_cosine + 1e-9
        chosen = optimal(person, row, gain) if len(good) else good
        known[person[chosen]] = self._id[row[chosen]]
        return known

    def note(self, ids: Index, xywh: Array, clear: Mask, frame: int, look: Look) -> None:
        """Remember where people are and, where it is time and the view is clear, how they look.

        Args:
            ids: (M,) identities found in this frame.
            xywh: (M, 4) their boxes.
            clear: (M,) who is seen well.
            frame: this one.
            look: embeds boxes.
        """
        place = np.searchsorted(self._id, ids)
        known = place < len(self._id)
        known[known] = self._id[place[known]] == ids[known]
        rows = place[known]
        self._seen[rows], self._xywh[rows] = frame, xywh[known]
        last = np.full(len(ids), -np.inf)
        last[known] = self._looked[rows]
        due = (clear & (frame - last >= self._settings.look_every_s * self._fps)).nonzero()[0]
        if len(due):
            embedding = look(cornered(xywh[due]))
            old = known[due]
            self._refresh(place[due[old]], embedding[old], frame)
            self._add(ids[due[~old]], xywh[due[~old]], embedding[~old], frame)
        self._keep(self._seen >= frame - self._settings.reid_gap_s * self._fps)

    def warp(self, affine: Affine) -> None:
        """Move everybody along with the camera; (2, 3) map from the previous frame to this one."""
        self._xywh[:, :2] = self._xywh[:, :2] @ affine[:, :2].T + affine[:, 2]

    def _within_reach(self, xywh: Array, born: Index, missing: Index) -> tuple[Index, Index]:
        """Pairs (row of xywh, row of memory) of people who could have walked there."""
        gap_s = (born[:, None] - self._seen[missing]) / self._fps
        reach = START_REACH + self._settings.reid_reach * gap_s
        before = self._xywh[missing]
        size = np.sqrt(xywh[:, None, 3] * before[None, :, 3])
        across = abs(xywh[:, None, 0] - before[None, :, 0]) / size
        down = abs(xywh[:, None, 1] - before[None, :, 1]) / size
        growth = abs(np.log(xywh[:, None, 3] / before[None, :, 3]))
        upright = UPRIGHT_SHARE * reach
        near = (across <= reach) & (down <= upright) & (growth <= upright)
        person, row = (near & (gap_s > 0)).nonzero()
        return person, missing[row]

    def _refresh(self, rows: Index, embedding: npt.NDArray[np.float32], frame: int) -> None:
        if not len(rows):
            return
        mixed = EMA * self._embedding[rows] + (1 - EMA) * embedding
        self._embedding[rows] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        self._looked[rows] = frame

    def _add(self, ids: Index, xywh: Array, embedding: npt.NDArray[np.float32], frame: int) -> None:
        if not len(ids):
            return
        if not len(self._id):
            self._embedding = np.empty((0, embedding.shape[1]), np.float32)
        now = np.full(len(ids), frame)
        order = np.argsort(np.concatenate([self._id, ids]), kind="stable")
        self._id = np.concatenate([self._id, ids])[order]
        self._seen = np.concatenate([self._seen, now])[order]
        self._looked = np.concatenate([self._looked, now])[order]
        self._xywh = np.concatenate([self._xywh, xywh])[order]
        self._embedding = np.concatenate([self._embedding, embedding])[order]

    def _keep(self, rows: Mask) -> None:
        if rows.all():
            return
        self._id, self._seen, self._looked = self._id[rows], self._seen[rows], self._looked[rows]
        self._xywh, self._embedding = self._xywh[rows], self._embedding[rows]
