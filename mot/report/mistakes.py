"""Which errors of a scored sequence are worth a look: false boxes, missed people, switches.

Errors that belong together, one person's in a row, are one stretch and shown once. Long stretches
come first, and what is shown is spread over people and over time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mot.boxes import FILLED_SCORE, Boxes
from mot.preprocessing import MATCH_IOU, PreparedSequence
from mot.referees import ClearErrors, list_errors

KINDS = {
    "false": "False boxes",
    "missed": "Missed people",
    "switched": "Identity switches",
}
JOINED_S = 0.5  # errors of one person that lie nearer in time are one stretch
NEAR_SHARE = 0.1  # of the sequence: two examples nearer than that are from one time
NEAR_IOU = 0.2  # from this overlap on, a box is beside a person

Rows = npt.NDArray[np.int64]
Ltwh = tuple[float, float, float, float]
Place = tuple[int, Ltwh]


@dataclass(frozen=True)
class Example:
    """One error to look at.

    Attributes:
        kind: a key of `KINDS`.
        frame: 1-based number.
        ltwh: the box in pixels of the original frame.
        track, truth: identities that it is about; None = no such.
        errors: how many of its kind its stretch holds.
        note: what happened, in words.
        before: frame and box of the last match before a switch.
        other: what the note speaks of, the box beside; of a switch, the track's new box.
    """

    kind: str
    frame: int
    ltwh: Ltwh
    track: int | None
    truth: int | None
    errors: int
    note: str
    before: Place | None = None
    other: Ltwh | None = None


@dataclass(frozen=True)
class Mistakes:
    """All errors counted, and some to look at.

    Attributes:
        counts: kind -> errors, as in the score table.
        stretches: kind -> stretches that they fall into.
        examples: kind -> examples, the most telling first.
    """

    counts: dict[str, int]
    stretches: dict[str, int]
    examples: dict[str, list[Example]]


def choose_mistakes(prepared: PreparedSequence, *, fps: float, most: int) -> Mistakes:
    """Find all errors of a sequence and choose some to look at.

    Args:
        prepared: the sequence as it is scored.
        fps: frames per second.
        most: examples of each kind at most.
    """
    errors = list_errors(prepared)
    teller = _Teller(prepared, errors)
    truth, tracks = prepared.truth, prepared.tracks
    seen = np.where(truth.visibility < 0, 1.0, truth.visibility).astype(np.float64)
    kinds = {
        "false": (tracks, errors.false, tracks.score.astype(np.float64) + 1.0, teller.false),
        "missed": (truth, errors.missed, seen, teller.missed),
        "switched": (truth, errors.switched, seen + 1.0, teller.switched),
    }
    joined = max(1, round(JOINED_S * fps))
    counts, stretches, examples = {}, {}, {}
    for kind, (boxes, rows, weight, tell) in kinds.items():
        parts = stretches_of(boxes, rows, 0 if kind == "switched" else joined)
        chosen = spread(
            boxes, parts, np.array([weight[part].sum() for part in parts]), prepared.length, most
        )
        counts[kind], stretches[kind] = len(rows), len(parts)
        examples[kind] = [tell(_clearest(part, weight), len(part)) for part in chosen]
    return Mistakes(counts, stretches, examples)


def stretches_of(boxes: Boxes, rows: Rows, joined: int) -> list[Rows]:
    """Split rows into stretches of one identity whose frames lie at most `joined` apart."""
    if not len(rows):
        return []
    identity, frame = boxes.id[rows], boxes.frame[rows]
    order = np.lexsort((frame, identity))
    new = (np.diff(identity[order]) != 0) | (np.diff(frame[order]) > joined)
    return np.split(rows[order], np.flatnonzero(new) + 1)


def spread(
    boxes: Boxes, parts: list[Rows], weight: npt.NDArray[np.float64], length: int, most: int
) -> list[Rows]:
    """Choose stretches one by one: the heaviest, where each that is chosen makes others lighter.

    A stretch counts half for each one chosen before of the same person, and half for each one from
    the same time.
    """
    identity = np.array([boxes.id[part[0]] for part in parts])
    middle = np.array([boxes.frame[part].mean() for part in parts])
    left, chosen = weight.astype(np.float64), []
    for _ in range(min(most, len(parts))):
        best = int(np.argmax(left))
        chosen.append(parts[best])
        left[identity == identity[best]] /= 2
        left[np.abs(middle - middle[best]) < NEAR_SHARE * length] /= 2
        left[best] = -1.0
    return chosen


def _clearest(part: Rows, weight: npt.NDArray[np.float64]) -> int:
    """The row of the greatest weight; of equals the one nearest to the middle."""
    best = part[weight[part] >= weight[part].max() - 0.05]
    return int(best[len(best) // 2])


class _Teller:
    """Says what happened at a row."""

    def __init__(self, prepared: PreparedSequence, errors: ClearErrors) -> None:
        self._truth, self._tracks, self._iou = prepared.truth, prepared.tracks, prepared.iou
        self._pairs = errors.pairs
        self._track_of = dict(errors.pairs.tolist())
        self._truth_of = {track: truth for truth, track in errors.pairs.tolist()}

    def false(self, row: int, errors: int) -> Example:
        """A track's box on nobody."""
        rows, overlap = self._around(self._tracks, row, self._truth, across=0)
        note, truth, beside = "nobody is there", None, None
        if len(rows) and overlap.max() >= NEAR_IOU:
            best = int(rows[overlap.argmax()])
            truth, other = _id(self._truth, best), self._track_of.get(best)
            beside = _ltwh(self._truth, best)
            note = f"beside person {truth}, IoU {_say(overlap.max())}"
            if overlap.max() >= MATCH_IOU and other is not None:
                note = f"second box on person {truth}, whom track {_id(self._tracks, other)} has"
        if self._tracks.score[row] == FILLED_SCORE:
            note += "; fills a gap"
        example = self._example("false", self._tracks, row, errors, note, truth=truth)
        return replace(example, other=beside)

    def missed(self, row: int, errors: int) -> Example:
        """A person without a track."""
        rows, overlap = self._around(self._truth, row, self._tracks, across=1)
        note, track, beside = "no track is near", None, None
        if len(rows) and overlap.max() >= NEAR_IOU:
            best = int(rows[overlap.argmax()])
            track, other = _id(self._tracks, best), self._truth_of.get(best)
            beside = _ltwh(self._tracks, best)
            note = f"track {track} is beside, IoU {_say(overlap.max())}"
            if overlap.max() >= MATCH_IOU and other is not None:
                note = f"track {track} there has person {_id(self._truth, other)}"
        share = float(self._truth.visibility[row])
        if share >= 0:
            note += f"; {100 * share:.0f} % visible"
        example = self._example("missed", self._truth, row, errors, note, track=track)
        return replace(example, other=beside)

    def switched(self, row: int, errors: int) -> Example:
        """A person whom another track has than before."""
        truth, tracks = self._truth, self._tracks
        frame = truth.frame[row]
        matched = self._pairs[self._pairs[:, 0] < row]
        earlier = matched[truth.id[matched[:, 0]] == truth.id[row]]
        earlier = earlier[truth.frame[earlier[:, 0]] < frame]
        last, was = map(int, earlier[np.argmax(truth.frame[earlier[:, 0]])])
        track = _id(tracks, self._track_of[row])
        note = (
            f"track {_id(tracks, was)} until frame {truth.frame[last]:.0f}, "
            f"track {track} from frame {frame:.0f} on"
        )
        before = int(truth.frame[last]), _ltwh(truth, last)
        example = self._example("switched", truth, row, errors, note, track=track)
        return replace(example, before=before, other=_ltwh(tracks, self._track_of[row]))

    def _around(
        self, boxes: Boxes, row: int, others: Boxes, *, across: int
    ) -> tuple[Rows, npt.NDArray[np.float64]]:
        """The others' rows in the frame of a row, and their overlap with it."""
        frame = boxes.frame[row]
        rows = np.arange(*np.searchsorted(others.frame, [frame, frame + 1]))
        matrix = self._iou[int(frame) - 1]
        place = row - int(np.searchsorted(boxes.frame, frame))
        return rows, matrix[:, place] if across == 0 else matrix[place]

    def _example(
        self,
        kind: str,
        boxes: Boxes,
        row: int,
        errors: int,
        note: str,
        *,
        track: int | None = None,
        truth: int | None = None,
    ) -> Example:
        own = _id(boxes, row)
        track, truth = (own, truth) if boxes is self._tracks else (track, own)
        frame = int(boxes.frame[row])
        return Example(kind, frame, _ltwh(boxes, row), track, truth, errors, note)


def _say(overlap: float) -> str:
    """Two decimals, cut off, lest what is no match reads as 0.50."""
    return f"{np.floor(100 * overlap) / 100:.2f}"


def _id(boxes: Boxes, row: int) -> int:
    return int(boxes.id[row])


def _ltwh(boxes: Boxes, row: int) -> Ltwh:
    left, top, width, height = boxes.ltwh[row].tolist()
    return left, top, width, height
