"""Scores that mean something: what share of the detections of a score are people.

A centre head's sigmoid is no probability; its level moves with the loss and the length of training,
and a linker's thresholds would have to follow. `python -m nets.calibrate` measures, on sequences
with a truth (those trained on, never those reported), how often a detection of each score is right,
makes that rise with the score (isotonic regression), and stores the curve with the weights.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression, linear_sum_assignment

from mot.annotations import considered, ignore_regions
from mot.boxes import Boxes, iou_matrix
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.frames import window_streams
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence
from nets.notes import CALIBRATION, Calibration
from nets.predict import Predictor, PredictSettings, input_size, load_net
from nets.shipped import named_weights
from nets.weights import load_weights, save_weights

HIT_IOU = 0.5
KNOTS = 33  # points of the stored curve
LEAST_DETECTIONS = 200

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CalibrateFlags:
    """Calibrate the scores of a net on sequences with a truth, and store that in its weights."""

    weights: str
    """Weights file of a training run."""
    seqs: tuple[str, ...]
    """Sequences to measure on: those that the net was trained on."""
    out: str | None = None
    """Weights file to write; none = the same."""
    half: bool = False
    """Store large tensors as fp16: half the size."""
    bytes_for_largest: bool = False
    """Store tensors of a million numbers or more as int8 with a scale per output channel."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""
    windows: int = 40
    """Windows of T frames per sequence, evenly spread over it."""
    predict: PredictSettings = field(default_factory=PredictSettings)

    def __post_init__(self) -> None:
        require_setting(self, "seqs", bool(self.seqs), "a sequence or more")
        require_setting(self, "windows", self.windows >= 1, "1 or more")


def judge(detections: Boxes, truth: Boxes) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Scores of one frame's detections and whether each is a person of its own at IoU 0.5.

    Detections on ignored truth rows are left out.

    Args:
        detections: rows of one frame.
        truth: all truth rows of that frame.
    """
    iou = iou_matrix(detections.ltwh, truth.ltwh)
    wanted = considered(truth)
    people = np.where(iou[:, wanted] >= HIT_IOU, iou[:, wanted], 0.0)
    rows, columns = linear_sum_assignment(people, maximize=True)
    hit = np.zeros(len(detections), bool)
    hit[rows] = people[rows, columns] > 0
    ignored = ignore_regions(truth) & ~wanted
    excused = ~hit & (iou[:, ignored].max(axis=1, initial=0.0) >= HIT_IOU)
    return detections.score[~excused].astype(np.float64), hit[~excused]


def fit(score: FloatArray, hit: npt.NDArray[np.bool_]) -> Calibration:
    """Fit a rising curve from score to the share of hits.

    Isotonic regression (pool adjacent violators), read off at evenly spread ranks.

    Raises:
        InputError: too few detections to say anything.
    """
    if len(score) < LEAST_DETECTIONS:
        expected = f"at least {LEAST_DETECTIONS} detections"
        raise InputError("calibration", expected, len(score), "name more --seqs or --windows")
    order = np.argsort(score, kind="stable")
    share = isotonic_regression(hit[order].astype(np.float64)).x
    ranks = np.unique(np.linspace(0, len(score) - 1, KNOTS).round().astype(int))
    knots = np.unique(score[order][ranks], return_index=True)
    return Calibration(tuple(knots[0].tolist()), tuple(share[ranks][knots[1]].tolist()))


def measure(
    sequence: Sequence, predictor: Predictor, windows: int
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Judge the detections of windows spread over a sequence."""
    truth, size_hw = sequence.truth(), (sequence.height, sequence.width)
    seen_hw = input_size(size_hw, predictor.test_px)
    streams = window_streams(sequence, predictor.frames, windows, seen_hw)
    scores, hits = [np.empty(0)], [np.empty(0, bool)]
    with progress_bar(len(streams), unit="window", title=sequence.name) as bar:
        for stream in streams:
            for prediction in predictor.predict(stream(), size_hw):
                score, hit = judge(prediction.detections, truth.at(prediction.frame))
                scores.append(score)
                hits.append(hit)
            bar.update()
    return np.concatenate(scores), np.concatenate(hits)


def calibrate(flags: CalibrateFlags) -> Calibration:
    """Measure, fit, and write the weights with the curve; returns the curve.

    Raises:
        InputError: weights or sequences that cannot be used.
    """
    path = named_weights(flags.weights)
    state, metadata = load_weights(path)
    trained = load_net(path)
    predictor = Predictor(trained.uncalibrated(), flags.predict)
    root = Path(flags.data) if flags.data else data_root()
    found = [find_sequence(name, root) for name in flags.seqs]
    parts = [measure(sequence, predictor, flags.windows) for sequence in found]
    curve = fit(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    metadata[CALIBRATION] = json.dumps([curve.score, curve.share])
    save_weights(
        Path(flags.out or path),
        state,
        metadata,
        half=flags.half,
        bytes_for_largest=flags.bytes_for_largest,
    )
    return curve


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    curve = calibrate(parse_flags(CalibrateFlags, arguments))
    for score, share in zip(curve.score[::4], curve.share[::4], strict=True):
        print(f"score {score:.3f} -> {share:.2f} are people", file=sys.stdout)


if __name__ == "__main__":
    main()
