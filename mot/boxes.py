"""The boxes table: annotations, detections and tracks alike cross a room's border as `Boxes`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.errors import InputError

Column = npt.NDArray[np.float32]
NO_ID = -1.0
PEDESTRIAN = 1.0
FILLED_SCORE = 0.0  # of a track's box in a frame where nothing was detected


@dataclass(frozen=True)
class Boxes:
    """Rows of boxes as a struct of float32 columns, each of shape (N,).

    Attributes:
        frame: 1-based frame number, as in the files.
        id: identity, -1 = none.
        x, y: left and top edge in pixels of the original frame, 0-based (files are 1-based; only
            reader and writer convert).
        w, h: width and height in pixels.
        score: detection score, `FILLED_SCORE` where a track's gap was filled; in a ground truth the
            considered flag (1 = counts, 0 = ignored).
        cls: MOTChallenge class, 1 = pedestrian.
        visibility: visible share of the box in 0..1, -1 = unknown.

    Raises:
        InputError: columns of different lengths.
    """

    frame: Column
    id: Column
    x: Column
    y: Column
    w: Column
    h: Column
    score: Column
    cls: Column
    visibility: Column

    def __post_init__(self) -> None:
        columns = vars(self)  # frozen: assignment is refused
        for name in _COLUMNS:
            columns[name] = np.ascontiguousarray(columns[name], dtype=np.float32)
        if {column.shape for column in columns.values()} != {(len(self),)}:
            shapes = {name: column.shape for name, column in columns.items()}
            raise InputError(
                "Boxes", "nine columns of one length", shapes, "give every column one value per box"
            )

    @classmethod
    def of(
        cls,
        frame: npt.ArrayLike,
        ltwh: npt.ArrayLike,
        id: npt.ArrayLike = NO_ID,
        score: npt.ArrayLike = 1.0,
        category: npt.ArrayLike = PEDESTRIAN,
        visibility: npt.ArrayLike = -1.0,
    ) -> Boxes:
        """Build a table from (N, 4) left, top, width, height; scalars are repeated for each row."""
        table = np.asarray(ltwh, dtype=np.float32).reshape(-1, 4)
        columns = [_column(c, len(table)) for c in (frame, id)]
        rest = [_column(c, len(table)) for c in (score, category, visibility)]
        return cls(*columns, *table.T, *rest)

    @classmethod
    def empty(cls) -> Boxes:
        """Return a table without rows."""
        return cls(*(np.empty(0, np.float32) for _ in _COLUMNS))

    @classmethod
    def concatenate(cls, tables: Sequence[Boxes]) -> Boxes:
        """Stack tables; no tables give an empty one."""
        if not tables:
            return cls.empty()
        return cls(*(np.concatenate([getattr(t, name) for t in tables]) for name in _COLUMNS))

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: npt.NDArray[Any] | slice) -> Boxes:
        """Select rows by mask, index array or slice."""
        return Boxes(*[getattr(self, name)[rows] for name in _COLUMNS])

    def with_columns(self, **columns: npt.ArrayLike) -> Boxes:
        """Return a copy in which the named columns are replaced (scalars are repeated)."""
        full = {name: _column(values, len(self)) for name, values in columns.items()}
        return Boxes(**(vars(self) | full))

    @property
    def ltwh(self) -> npt.NDArray[np.float32]:
        """Left, top, width, height in pixels, (N, 4)."""
        # Four times as fast as np.stack for the boxes of one frame.
        return np.array([self.x, self.y, self.w, self.h]).T.copy()

    @property
    def ltrb(self) -> npt.NDArray[np.float32]:
        """Left, top, right, bottom in pixels, (N, 4)."""
        return np.stack([self.x, self.y, self.x + self.w, self.y + self.h], axis=1)

    def sorted_by_frame(self) -> Boxes:
        """Rows ordered by frame, then id; rows that tie keep their order."""
        return self[np.lexsort((self.id, self.frame))]

    def at(self, frame: int) -> Boxes:
        """Rows of one 1-based frame."""
        return self[self.frame == frame]

    def by_frame(self, last_frame: int) -> Iterator[tuple[int, Boxes]]:
        """Yield (frame, rows) for every frame 1..last_frame, empty ones included."""
        order = np.argsort(self.frame, kind="stable")
        table = self[order]
        edges = np.searchsorted(table.frame, np.arange(1, last_frame + 2))
        for index in range(last_frame):
            yield index + 1, table[edges[index] : edges[index + 1]]

    def per_frame(self, length: int) -> npt.NDArray[np.int64]:
        """Boxes in each of the frames 1..length, (length,)."""
        return np.bincount(self.frame.astype(np.int64), minlength=length + 1)[1:]

    def scaled(self, scale_x: float, scale_y: float) -> Boxes:
        """Boxes in pixels of a frame resized by the two factors."""
        return self.with_columns(
            x=self.x * scale_x, y=self.y * scale_y, w=self.w * scale_x, h=self.h * scale_y
        )


_COLUMNS = tuple(field.name for field in fields(Boxes))


def _column(values: npt.ArrayLike, rows: int) -> Column:
    """One value per row; a scalar is repeated."""
    column: Column = np.asarray(values, dtype=np.float32)
    # np.broadcast_to costs more than all else here: what has the right length goes without it.
    return column if column.shape == (rows,) else np.broadcast_to(column, (rows,))


def iou_matrix(
    first_ltwh: npt.NDArray[np.floating], second_ltwh: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, (N, 4) and (M, 4) boxes to (N, M) in 0..1.

    Boxes are left, top, width, height; those without area give 0.
    """
    first = np.asarray(first_ltwh, np.float64).reshape(-1, 4)
    second = np.asarray(second_ltwh, np.float64).reshape(-1, 4)
    # One axis at a time: three times as fast as (N, M, 2) arrays for a crowd.
    width, height = (
        np.minimum.outer(first[:, k] + first[:, k + 2], second[:, k] + second[:, k + 2])
        - np.maximum.outer(first[:, k], second[:, k])
        for k in (0, 1)
    )
    shared: npt.NDArray[np.float64] = np.maximum(width, 0) * np.maximum(height, 0)
    union = np.add.outer(first[:, 2] * first[:, 3], second[:, 2] * second[:, 3]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
