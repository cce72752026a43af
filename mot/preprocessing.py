"""What a score is taken of: the MOTChallenge preparation of truth and tracks before any metric.

Boxes of one sequence come in; per frame 0-based identities and an IoU matrix go out, from which
`mot.referees` counts. Source: the MOT16 paper (arXiv:1603.00831, section 4.1.2) as TrackEval's
MotChallenge2DBox does it, against which the tests check it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mot.boxes import NO_ID, PEDESTRIAN, Boxes, iou_matrix
from mot.errors import InputError

Ids = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]

MATCH_IOU = 0.5  # a pair below this IoU is no match, in every CLEAR and identity metric
EPS = float(np.finfo(float).eps)  # as in TrackEval: an IoU of exactly 0.5 is a match


@dataclass(frozen=True)
class Protocol:
    """Which truth rows count, and which tracks are taken out before scoring.

    Attributes:
        title: how the report calls it.
        distractors: classes that look like people and are neither rewarded nor punished: a track
            box that matches one is removed.
        by_class: whether the truth has classes; without, only the considered flag decides.
    """

    title: str
    distractors: tuple[int, ...]
    by_class: bool = True


# person on vehicle, static person, distractor, reflection; MOT20 adds non-motorised vehicles
DISTRACTORS = (2, 7, 8, 12)
PROTOCOLS = {
    "mot15": Protocol("MOT15", (), by_class=False),
    "mot16": Protocol("MOT16", DISTRACTORS),
    "mot17": Protocol("MOT17", DISTRACTORS),
    "mot20": Protocol("MOT20", (*DISTRACTORS, 6)),
}


def protocol_of(name: str) -> str:
    """Key in `PROTOCOLS` of the preparation that a sequence's benchmark uses, by its name."""
    return "mot20" if name.startswith("MOT20") else "mot17"


@dataclass(frozen=True)
class PreparedSequence:
    """One sequence, ready to be counted; the lists have one entry per frame, empty ones included.

    Attributes:
        truth: the truth rows that count, ordered by frame.
        tracks: the track rows that count, ordered by frame.
        truth_ids, track_ids: per frame the identities as 0-based numbers without gaps, (n,), (m,).
        iou: per frame the IoU of each pair, (n, m).
        truth_rows: truth rows before the preparation.
        tracks_removed: track rows taken out because they lie on a distractor.
    """

    truth: Boxes
    tracks: Boxes
    truth_ids: list[Ids]
    track_ids: list[Ids]
    iou: list[Matrix]
    truth_rows: int
    tracks_removed: int

    @property
    def length(self) -> int:
        """Number of frames."""
        return len(self.iou)


def prepare(
    truth: Boxes, tracks: Boxes, *, length: int, name: str, protocol: str = "mot17"
) -> PreparedSequence:
    """Apply the MOTChallenge preparation to one sequence.

    Per frame all track boxes are matched with all truth boxes, whatever their class (Hungarian,
    IoU >= 0.5); track boxes matched with a distractor are removed. Then only considered
    pedestrians stay in the truth. MOT15 has no classes: only rows with flag 0 are dropped.

    Args:
        truth: ground truth rows, frames 1..length.
        tracks: track rows, frames 1..length, identities unique within a frame.
        length: frames of the sequence.
        name: sequence name for error messages.
        protocol: a key of `PROTOCOLS`.

    Raises:
        InputError: unknown protocol, frames outside the sequence, an identity twice in one frame.
    """
    if protocol not in PROTOCOLS:
        raise InputError(
            "protocol", f"one of {', '.join(PROTOCOLS)}", protocol, "choose one of these"
        )
    if length < 1:
        raise InputError(name, "a sequence of one frame or more", length, "give its length")
    rules = PROTOCOLS[protocol]
    check_frames(truth, length, f"ground truth of {name}")
    check_frames(tracks, length, f"tracks of {name}")
    check_unique(tracks, f"tracks of {name}")
    counts = truth.score > 0
    if rules.by_class:
        counts &= truth.cls == PEDESTRIAN
    check_unique(truth[counts], f"ground truth of {name}")

    order = np.argsort(truth.frame, kind="stable")
    truth, counts = truth[order], counts[order]
    tracks = tracks[np.argsort(tracks.frame, kind="stable")]
    distractor = np.isin(truth.cls, rules.distractors)
    truth_at, tracks_at = _frame_edges(truth, length), _frame_edges(tracks, length)
    stays = np.ones(len(tracks), bool)
    iou = []
    for frame in range(length):
        rows = slice(truth_at[frame], truth_at[frame + 1])
        columns = slice(tracks_at[frame], tracks_at[frame + 1])
        overlap = iou_matrix(truth.ltwh[rows], tracks.ltwh[columns])
        if overlap.size and distractor[rows].any():
            stays[columns] = ~_on_distractor(overlap, distractor[rows])
        iou.append(overlap[counts[rows]][:, stays[columns]])
    removed = int((~stays).sum())
    return _number_identities(truth[counts], tracks[stays], iou, len(truth), removed)


def check_frames(boxes: Boxes, length: int, where: str) -> None:
    """Raise InputError when a frame number lies outside 1..length or is no whole number."""
    wrong = (boxes.frame < 1) | (boxes.frame > length) | (boxes.frame % 1 != 0)
    if wrong.any():
        raise InputError(
            where,
            f"frames 1 to {length}",
            f"frame {boxes.frame[wrong][0]:g}",
            "check that the file belongs to this sequence and starts at frame 1",
        )


def check_unique(boxes: Boxes, where: str) -> None:
    """Raise InputError when an identity occurs twice in one frame."""
    order = np.lexsort((boxes.id, boxes.frame))
    frame, identity = boxes.frame[order], boxes.id[order]
    twice = (frame[1:] == frame[:-1]) & (identity[1:] == identity[:-1])
    if not twice.any():
        return
    first = int(np.argmax(twice))
    remedy = "give every box of a frame its own identity"
    if identity[first] == NO_ID:
        remedy = "these are detections without identity: link them into tracks first"
    raise InputError(
        f"{where}, frame {frame[first]:.0f}",
        "each id once per frame",
        f"id {identity[first]:.0f} twice",
        remedy,
    )


def _frame_edges(boxes: Boxes, length: int) -> Ids:
    """Row numbers at which frames 1..length begin, and the end; rows are ordered by frame."""
    return np.searchsorted(boxes.frame, np.arange(1, length + 2)).astype(np.int64)


def _on_distractor(overlap: Matrix, distractor: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Mask of the track boxes (columns) whose match is a distractor (row)."""
    score = np.where(overlap < MATCH_IOU - EPS, 0.0, overlap)
    rows, columns = linear_sum_assignment(score, maximize=True)
    hit = (score[rows, columns] > EPS) & distractor[rows]
    mask = np.zeros(overlap.shape[1], bool)
    mask[columns[hit]] = True
    return mask


def _number_identities(
    truth: Boxes, tracks: Boxes, iou: list[Matrix], truth_rows: int, removed: int
) -> PreparedSequence:
    """Replace identities by 0-based numbers without gaps and split them by frame."""
    numbered = []
    for boxes in (truth, tracks):
        _, index = np.unique(boxes.id, return_inverse=True)
        edges = _frame_edges(boxes, len(iou))
        numbered.append(np.split(index.astype(np.int64), edges[1:-1]))
    return PreparedSequence(truth, tracks, numbered[0], numbered[1], iou, truth_rows, removed)
