"""Scores of tracks against a ground truth: CLEAR, identity, HOTA, counting and localisation.

`score_sequence` scores one sequence, `combine` many as MOTChallenge does it (counts are added,
scores are not averaged), and both make their ratios from counts in one place, `_ratios`. Tables
and files of scores are in `mot.report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.boxes import Boxes
from mot.errors import InputError
from mot.localisation import count_centres
from mot.preprocessing import MATCH_IOU, PROTOCOLS, PreparedSequence, prepare
from mot.referees import (
    ClearCounts,
    HotaSums,
    combine_hota,
    count_clear,
    count_hota,
    versions,
)
from mot.shapes import expect

COMBINED = "COMBINED"


@dataclass(frozen=True)
class Evidence:
    """The counts behind a score; all but HOTA's arrays and the protocol are added by `combine`.

    Attributes:
        clear: CLEAR and identity counts.
        hota: TrackEval's arrays over the IoU thresholds.
        truth_boxes, track_boxes: boxes that were scored.
        truth_rows: truth rows before the preparation.
        tracks_removed: track boxes on distractors, taken out before scoring.
        centres: track centres matched with a truth box.
        count_error, count_excess: over frames, sum of |tracks - truth| and of tracks - truth.
        density_error, density_frames: the same |error| of the density count, and its frames.
        protocol: preparations used, e.g. ("mot17",).
    """

    clear: ClearCounts
    hota: HotaSums
    truth_boxes: int
    track_boxes: int
    truth_rows: int
    tracks_removed: int
    centres: int
    count_error: float
    count_excess: float
    density_error: float
    density_frames: int
    protocol: tuple[str, ...]


@dataclass(frozen=True)
class SequenceScores:
    """Scores of one sequence, or of all together; percentages are 0..100, MOTA can be negative.

    Attributes:
        name: sequence folder, or COMBINED.
        frames: frames scored.
        MOTA: 100 (1 - (FP + FN + IDs) / truth boxes).
        IDF1, IDP, IDR: identity F1, precision, recall, percent.
        HOTA, DetA, AssA: means over the IoU thresholds 0.05 .. 0.95, percent.
        MOTP: mean IoU of the matched boxes, percent: higher is better.
        recall, precision: of boxes at IoU >= 0.5, percent.
        FP, FN, IDs, Frag: false boxes, missed boxes, identity switches, fragmentations.
        MT, PT, ML: truth identities tracked for >= 80 %, in between, < 20 % of their life.
        gt_ids: identities in the truth.
        count_mae: mean over frames of |track boxes - truth boxes|, people.
        count_bias: mean over frames of track boxes - truth boxes, people; positive = too many.
        density_mae: as count_mae for the sum of the density map; None without density.
        loc_precision, loc_recall, loc_f1: of box centres inside truth boxes, percent.
        evidence: the counts that all this is made of.
    """

    name: str
    frames: int
    MOTA: float
    IDF1: float
    HOTA: float
    DetA: float
    AssA: float
    MOTP: float
    IDP: float
    IDR: float
    recall: float
    precision: float
    FP: int
    FN: int
    IDs: int
    Frag: int
    MT: int
    PT: int
    ML: int
    gt_ids: int
    count_mae: float
    count_bias: float
    density_mae: float | None
    loc_precision: float
    loc_recall: float
    loc_f1: float
    evidence: Evidence

    def as_row(self) -> dict[str, Any]:
        """All scores by name, without the sequence's name and the evidence; for files."""
        skipped = ("name", "evidence")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}


def score_sequence(
    truth: Boxes,
    tracks: Boxes,
    *,
    length: int,
    name: str,
    density_count: npt.NDArray[np.floating] | None = None,
    protocol: str = "mot17",
) -> SequenceScores:
    """Score the tracks of one sequence.

    Empty cases have an answer. Nothing to find and nothing found is perfect: 100 on every
    percentage. Truth without tracks, or tracks without truth: 0 on every percentage, as
    TrackEval has it, and the counts say which of the two.

    Args:
        truth: all ground truth rows, distractors included (they are needed).
        tracks: track rows, each identity once per frame.
        length: frames of the sequence; boxes lie in frames 1..length.
        name: sequence folder name.
        density_count: people per frame by the density map, (length,).
        protocol: a key of `mot.preprocessing.PROTOCOLS`. On a truth without distractor classes
            mot17 and mot15 give the same.

    Raises:
        InputError: unknown protocol, frames outside the sequence, an identity twice in a frame,
            a density count of another length or with NaN.
    """
    prepared = prepare(truth, tracks, length=length, name=name, protocol=protocol)
    excess = prepared.tracks.per_frame(length) - prepared.truth.per_frame(length)
    evidence = Evidence(
        clear=count_clear(prepared),
        hota=count_hota(prepared),
        truth_boxes=len(prepared.truth),
        track_boxes=len(prepared.tracks),
        truth_rows=prepared.truth_rows,
        tracks_removed=prepared.tracks_removed,
        centres=count_centres(prepared),
        count_error=float(np.abs(excess).sum()),
        count_excess=float(excess.sum()),
        density_error=_density_error(prepared, density_count, name),
        density_frames=0 if density_count is None else length,
        protocol=(protocol,),
    )
    return _ratios(name, length, evidence)


def combine(scores: Sequence[SequenceScores]) -> SequenceScores:
    """Score several sequences as one, under the name COMBINED.

    Counts are added, so that a long and crowded sequence weighs more, as MOTChallenge does it;
    count errors are means over all frames, the density's over the frames that have one.

    Raises:
        InputError: no sequence, or one that is listed twice.
    """
    names = [s.name for s in scores]
    if not names or len(set(names)) < len(names):
        raise InputError(
            "scores to combine", "each sequence once", names, "name every sequence exactly once"
        )
    parts = [s.evidence for s in scores]
    clear = {f.name: sum(getattr(p.clear, f.name) for p in parts) for f in fields(ClearCounts)}
    added = {
        f.name: sum(getattr(p, f.name) for p in parts)
        for f in fields(Evidence)
        if f.name not in ("clear", "hota", "protocol")
    }
    evidence = Evidence(
        clear=ClearCounts(**clear),
        hota=combine_hota({s.name: s.evidence.hota for s in scores}),
        protocol=tuple(sorted({p for part in parts for p in part.protocol})),
        **added,
    )
    return _ratios(COMBINED, sum(s.frames for s in scores), evidence)


def protocol_line(scores: Sequence[SequenceScores]) -> str:
    """How the scores came about, in one line that stands under every table."""
    parts = [s.evidence for s in scores]
    protocols = sorted({p for part in parts for p in part.protocol})
    titles = "+".join(PROTOCOLS[p].title for p in protocols)
    classes = sorted({c for p in protocols for c in PROTOCOLS[p].distractors})
    removed = sum(p.tracks_removed for p in parts)
    distractors = (
        f"{removed:,} track boxes on classes {', '.join(map(str, classes))} removed"
        if classes
        else "no distractor classes"
    )
    used, rows = (sum(getattr(p, f) for p in parts) for f in ("truth_boxes", "truth_rows"))
    return (
        f"{titles} protocol; match at IoU ≥ {MATCH_IOU}; {distractors}; "
        f"truth: {used:,} considered pedestrian boxes of {rows:,} rows; {versions()}"
    )


def _density_error(
    prepared: PreparedSequence, density_count: npt.NDArray[np.floating] | None, name: str
) -> float:
    """Sum over frames of |density count - truth count|; 0 without density."""
    if density_count is None:
        return 0.0
    expect(density_count, f"{prepared.length}", f"density count of {name}")
    if not np.isfinite(density_count).all():
        raise InputError(
            f"density count of {name}", "finite numbers", "NaN or infinity", "check the net's maps"
        )
    return float(np.abs(density_count - prepared.truth.per_frame(prepared.length)).sum())


def _ratios(name: str, frames: int, evidence: Evidence) -> SequenceScores:
    """Every score from its counts; the one place where counts become ratios."""
    clear, hota, found = evidence.clear, evidence.hota, evidence.centres
    boxes, tracks = evidence.truth_boxes, evidence.track_boxes
    # Nothing to find and nothing found: the truth against itself, so 100.
    perfect = not boxes and not tracks

    def percent(part: float, whole: float) -> float:
        if perfect:
            return 100.0
        return 100.0 * part / whole if whole else 0.0

    def over_thresholds(field: str) -> float:
        return 100.0 if perfect else 100.0 * float(np.mean(hota[field]))

    density = evidence.density_frames
    return SequenceScores(
        name=name,
        frames=frames,
        MOTA=percent(boxes - clear.FN - clear.FP - clear.IDs, boxes),
        IDF1=percent(2 * clear.IDTP, 2 * clear.IDTP + clear.IDFP + clear.IDFN),
        HOTA=over_thresholds("HOTA"),
        DetA=over_thresholds("DetA"),
        AssA=over_thresholds("AssA"),
        MOTP=percent(clear.iou_sum, clear.TP),
        IDP=percent(clear.IDTP, clear.IDTP + clear.IDFP),
        IDR=percent(clear.IDTP, clear.IDTP + clear.IDFN),
        recall=percent(clear.TP, boxes),
        precision=percent(clear.TP, tracks),
        FP=clear.FP,
        FN=clear.FN,
        IDs=clear.IDs,
        Frag=clear.Frag,
        MT=clear.MT,
        PT=clear.PT,
        ML=clear.ML,
        gt_ids=clear.MT + clear.PT + clear.ML,
        count_mae=evidence.count_error / frames,
        count_bias=evidence.count_excess / frames,
        density_mae=evidence.density_error / density if density else None,
        loc_precision=percent(found, tracks),
        loc_recall=percent(found, boxes),
        loc_f1=percent(2 * found, boxes + tracks),
        evidence=evidence,
    )
