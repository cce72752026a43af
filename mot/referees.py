"""The two libraries that the field trusts with the counting: motmetrics and TrackEval.

Each function takes a prepared sequence and returns counts and sums only; `mot.scoring` makes
ratios of them, for one sequence and for many alike.
"""

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import motmetrics
import numpy as np
import numpy.typing as npt
import pandas as pd
from trackeval.metrics import HOTA

from mot.preprocessing import EPS, MATCH_IOU, Ids, PreparedSequence

# trackeval's result of one sequence: field name -> one value per IoU threshold 0.05 .. 0.95
HotaSums = dict[str, Any]


@dataclass(frozen=True)
class ClearCounts:
    """What CLEAR MOT and the identity metrics are made of; all are sums, so they can be added.

    Attributes:
        TP, FP, FN: matched boxes, false boxes, missed boxes.
        IDs, Frag: identity switches, fragmentations.
        MT, PT, ML: identities of the truth tracked for >= 80 %, in between, < 20 % of their life.
        IDTP, IDFP, IDFN: boxes matched, false and missed under the best one-to-one identities.
        iou_sum: sum of the IoU of all matched boxes.
    """

    TP: int = 0
    FP: int = 0
    FN: int = 0
    IDs: int = 0
    Frag: int = 0
    MT: int = 0
    PT: int = 0
    ML: int = 0
    IDTP: int = 0
    IDFP: int = 0
    IDFN: int = 0
    iou_sum: float = 0.0


@dataclass(frozen=True)
class ClearErrors:
    """Every false box, missed box and identity switch of a sequence, as rows of its boxes.

    Attributes:
        false: (FP,) rows of the prepared tracks.
        missed: (FN,) rows of the prepared truth.
        switched: (IDs,) rows of the prepared truth, matched with another track than before.
        pairs: (TP, 2) row of the truth and row of the tracks of each match, by frame.
    """

    false: Ids
    missed: Ids
    switched: Ids
    pairs: Ids


# motmetrics' names of our counts; motp, a mean distance, is turned into iou_sum below
MOTMETRICS_NAMES = {
    "num_false_positives": "FP",
    "num_misses": "FN",
    "num_switches": "IDs",
    "num_fragmentations": "Frag",
    "mostly_tracked": "MT",
    "partially_tracked": "PT",
    "mostly_lost": "ML",
    "idtp": "IDTP",
    "idfp": "IDFP",
    "idfn": "IDFN",
    "num_detections": "TP",
}


def count_clear(prepared: PreparedSequence) -> ClearCounts:
    """CLEAR and identity counts of one sequence, by motmetrics.

    Without truth or without tracks there is nothing to match, and the counts follow at once.
    """
    boxes, tracks = len(prepared.truth), len(prepared.tracks)
    if not boxes or not tracks:
        lost = len(np.unique(prepared.truth.id))
        return ClearCounts(FP=tracks, FN=boxes, ML=lost, IDFP=tracks, IDFN=boxes)
    accumulator = _match(prepared)
    with warnings.catch_warnings():
        # motmetrics reads a frame table whose index is not sorted; slower, but right
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        summary = motmetrics.metrics.create().compute(
            accumulator, metrics=[*MOTMETRICS_NAMES, "motp"], return_dataframe=False
        )
    counts = {ours: int(summary[theirs]) for theirs, ours in MOTMETRICS_NAMES.items()}
    # Without a match motmetrics' mean distance is not a number.
    iou_sum = (1.0 - float(summary["motp"])) * counts["TP"] if counts["TP"] else 0.0
    return ClearCounts(**counts, iou_sum=iou_sum)


def _match(prepared: PreparedSequence) -> Any:
    """Match frame by frame as CLEAR MOT does it, by motmetrics."""
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for truth_ids, track_ids, iou in zip(
        prepared.truth_ids, prepared.track_ids, prepared.iou, strict=True
    ):
        distance = np.where(iou < MATCH_IOU - EPS, np.nan, 1.0 - iou)
        accumulator.update(truth_ids, track_ids, distance)
    return accumulator


def list_errors(prepared: PreparedSequence) -> ClearErrors:
    """What `count_clear` counts, one by one, by the same matching."""
    if not len(prepared.truth) or not len(prepared.tracks):
        false, missed = np.arange(len(prepared.tracks)), np.arange(len(prepared.truth))
        return ClearErrors(false, missed, np.empty(0, np.int64), np.empty((0, 2), np.int64))
    events = _match(prepared).mot_events.reset_index()
    kind = events["Type"].astype(str).to_numpy()
    frame = events["FrameId"].to_numpy(np.int64)
    truth = _rows(prepared.truth_ids, frame, events["OId"].to_numpy(np.float64))
    track = _rows(prepared.track_ids, frame, events["HId"].to_numpy(np.float64))
    matched = (kind == "MATCH") | (kind == "SWITCH")
    return ClearErrors(
        false=track[kind == "FP"],
        missed=truth[kind == "MISS"],
        switched=truth[kind == "SWITCH"],
        pairs=np.stack([truth[matched], track[matched]], axis=1),
    )


def _rows(ids: list[Ids], frame: Ids, number: npt.NDArray[np.float64]) -> Ids:
    """Row of the box that bears a number in a frame (0-based); -1 where the number is NaN."""
    base = max((int(part.max(initial=0)) for part in ids), default=0) + 1
    keys = np.repeat(np.arange(len(ids)), [len(part) for part in ids]) * base
    keys = keys + np.concatenate(ids)
    order = np.argsort(keys)
    known = np.isfinite(number)
    wanted = frame * base + np.where(known, number, 0).astype(np.int64)
    place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(order) - 1)
    return np.where(known, order[place], -1)


def trackeval_data(prepared: PreparedSequence) -> dict[str, Any]:
    """The dictionary that TrackEval's metric classes take."""
    return {
        "gt_ids": prepared.truth_ids,
        "tracker_ids": prepared.track_ids,
        "similarity_scores": prepared.iou,
        "num_timesteps": prepared.length,
        "num_gt_dets": len(prepared.truth),
        "num_tracker_dets": len(prepared.tracks),
        "num_gt_ids": len(np.unique(prepared.truth.id)),
        "num_tracker_ids": len(np.unique(prepared.tracks.id)),
    }


def count_hota(prepared: PreparedSequence) -> HotaSums:
    """HOTA's arrays over the IoU thresholds for one sequence, by TrackEval."""
    sums: HotaSums = HOTA().eval_sequence(trackeval_data(prepared))
    return sums


def combine_hota(parts: dict[str, HotaSums]) -> HotaSums:
    """HOTA's arrays over several sequences, by TrackEval: counts added, not scores averaged."""
    sums: HotaSums = HOTA().combine_sequences(parts)
    return sums


def versions() -> str:
    """Both libraries with their versions, for the protocol line."""
    return ", ".join(f"{name} {version(name)}" for name in ("motmetrics", "trackeval"))
