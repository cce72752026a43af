"""The keypoints table: K named points of each person and frame, and which of them are known.

What readers of files and the renderer give, and what label maps, nets and scores take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mot.errors import InputError
from mot.walker import COCO_JOINTS

UNLABELLED, HIDDEN, SEEN = range(3)  # COCO's v
COLUMNS = ("frame", "id", "ltwh", "xy", "visibility")
COCO_EDGES = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of N people-in-a-frame as columns; rows are in no order.

    Attributes:
        frame: int64 (N,) 1-based frame number.
        id: int64 (N,) identity, -1 = none.
        ltwh: float32 (N, 4) left, top, width, height of the person's box in pixels.
        xy: float32 (N, K, 2) in 0-based pixels of the frame, pixel k covering k..k+1; 0 where a
            point is not labelled.
        visibility: uint8 (N, K), 0 = not labelled (nothing is known of it), 1 = labelled but
            hidden, 2 = seen.
        names: K names.
        edges: pairs of points that a drawing joins; may be empty.

    Raises:
        InputError: shapes that do not fit one another, other visibilities, a point that is labelled
            but not finite, or an edge between points that there are not.
    """

    frame: npt.NDArray[np.int64]
    id: npt.NDArray[np.int64]
    ltwh: npt.NDArray[np.float32]
    xy: npt.NDArray[np.float32]
    visibility: npt.NDArray[np.uint8]
    names: tuple[str, ...] = COCO_JOINTS
    edges: tuple[tuple[int, int], ...] = COCO_EDGES

    def __post_init__(self) -> None:
        columns = vars(self)  # frozen: assignment is refused
        count, points = len(self.frame), len(self.names)
        shapes = {"frame": (), "id": (), "ltwh": (4,), "xy": (points, 2), "visibility": (points,)}
        kinds = {"frame": np.int64, "id": np.int64, "visibility": np.uint8}
        for name, shape in shapes.items():
            column = np.asarray(columns[name], kinds.get(name, np.float32))
            if column.shape != (count, *shape):
                expected = f"{name} of shape {(count, *shape)}"
                remedy = "give every column one row per person"
                raise InputError("Keypoints", expected, f"shape {column.shape}", remedy)
            columns[name] = column
        self._check_points()
        columns["xy"] = np.where(self.labelled[:, :, None], self.xy, np.float32(0))

    def _check_points(self) -> None:
        if (self.visibility > SEEN).any():
            largest = int(self.visibility.max())
            raise InputError("Keypoints", "visibilities 0, 1 and 2", largest, "correct it")
        if not np.isfinite(self.xy[self.labelled]).all() or not np.isfinite(self.ltwh).all():
            raise InputError("Keypoints", "finite pixels", "NaN or infinity", "correct it")
        ends = {end for edge in self.edges for end in edge}
        if not ends <= set(range(len(self.names))):
            got = sorted(ends - set(range(len(self.names))))
            raise InputError("Keypoints", f"edges among {len(self.names)} points", got, "correct")

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Keypoints:
        """Select rows by mask, index array or slice."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return Keypoints(**columns, names=self.names, edges=self.edges)

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Which points are known, (N, K)."""
        return np.asarray(self.visibility != UNLABELLED)

    @classmethod
    def concatenate(cls, tables: Sequence[Keypoints]) -> Keypoints:
        """Stack tables of the same points; no tables give an empty one of COCO's.

        Raises:
            InputError: tables of other points than the first's.
        """
        if not tables:
            return cls.empty()
        for table in tables:
            if table.names != tables[0].names:
                expected = f"points {', '.join(tables[0].names)}"
                raise InputError("Keypoints", expected, ", ".join(table.names), "keep them apart")
        columns = {n: np.concatenate([getattr(table, n) for table in tables]) for n in COLUMNS}
        return Keypoints(**columns, names=tables[0].names, edges=tables[0].edges)

    @classmethod
    def empty(
        cls,
        names: tuple[str, ...] = COCO_JOINTS,
        edges: tuple[tuple[int, int], ...] = COCO_EDGES,
    ) -> Keypoints:
        """Return a table without rows."""
        none = np.zeros(0, np.int64)
        points = len(names)
        return cls(
            frame=none,
            id=none,
            ltwh=np.zeros((0, 4), np.float32),
            xy=np.zeros((0, points, 2), np.float32),
            visibility=np.zeros((0, points), np.uint8),
            names=names,
            edges=edges,
        )


def mirrored_names(names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Which point takes the place of each when a picture is mirrored, (K,): left for right.

    A point whose name has no counterpart keeps its own place.
    """
    index = {name: k for k, name in enumerate(names)}
    swaps = [
        index.get(name.replace("left", "\0").replace("right", "left").replace("\0", "right"), k)
        for name, k in index.items()
    ]
    return np.array(swaps, np.int64)
