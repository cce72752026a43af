"""Whom a frame of a training clip holds: who is asked for, who only counts, and what is ignored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.annotations import considered, ignore_regions
from mot.boxes import Boxes

BoxTable = npt.NDArray[np.float32]
HIDDEN_VISIBILITY = 0.15  # below it too little of a person shows to ask for its detection
SMALLEST_PX = 10.0  # people lower than this in the crop are ignored


@dataclass(frozen=True)
class People:
    """Whom a frame holds, boxes as ltwh in its pixels.

    Attributes:
        ltwh: people who can be seen (N, 4).
        ids: their identities (N,), negative where nobody knows them.
        hidden: people behind others or things (K, 4): they belong to the count, and no detection
            of them is asked for or held against the net.
        ignored: regions (M, 4) that say nothing of any map.
    """

    ltwh: BoxTable
    ids: npt.NDArray[np.float32]
    hidden: BoxTable
    ignored: BoxTable

    @property
    def counted(self) -> BoxTable:
        """Boxes of all people, seen or hidden (N + K, 4)."""
        return np.concatenate([self.ltwh, self.hidden])


def people_of(rows: Boxes, least_visibility: float = HIDDEN_VISIBILITY) -> People:
    """Sort the annotations of one frame, in its pixels.

    Args:
        rows: of the frame.
        least_visibility: whoever shows less is hidden; people of unknown visibility are not.
    """
    wanted = considered(rows)
    hidden = wanted & (rows.visibility >= 0) & (rows.visibility < least_visibility)
    shown = wanted & ~hidden
    ignored = ignore_regions(rows) & ~wanted
    return People(rows.ltwh[shown], rows.id[shown], rows.ltwh[hidden], rows.ltwh[ignored])


def within_crop(
    people: People, crop: tuple[int, int], teach_px: tuple[float, float] | None = None
) -> People:
    """Ignore whoever has the centre outside or a height that does not teach.

    Args:
        people: in pixels of the crop, wherever they are.
        crop: height and width in pixels.
        teach_px: lowest and highest height of people who teach; None = all.
    """
    clear, counted = inside_crop(people.ltwh, crop), inside_crop(people.hidden, crop)
    if teach_px is not None:
        low, high = teach_px
        clear &= (people.ltwh[:, 3] >= low) & (people.ltwh[:, 3] <= high)
        counted &= (people.hidden[:, 3] >= low) & (people.hidden[:, 3] <= high)
    ignored = [people.ignored, people.ltwh[~clear], people.hidden[~counted]]
    return People(
        people.ltwh[clear], people.ids[clear], people.hidden[counted], np.concatenate(ignored)
    )


def inside_crop(ltwh: BoxTable, crop: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mark people whose centre is in the crop and who are large enough to teach."""
    centre = ltwh[:, :2] + ltwh[:, 2:] / 2
    inside = ((centre >= 0) & (centre < crop[::-1])).all(axis=1)
    clear: npt.NDArray[np.bool_] = inside & (ltwh[:, 3] >= SMALLEST_PX)
    return clear
