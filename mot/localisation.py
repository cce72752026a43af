"""How well people are found as points: centres matched frame by frame, whatever the box size.

Counting and density work cares where a person is, not how large the box is drawn; this is the
score for it, beside the box metrics of `mot.referees`.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mot.preprocessing import Matrix, PreparedSequence

# More than any sum of allowed distances (each <= 2), so the number of matches comes first.
FORBIDDEN = 1e6


def count_centres(prepared: PreparedSequence) -> int:
    """Number of track centres matched one to one with a truth box.

    A pair is allowed when the centre of the track box lies inside the truth box, that is within
    half its width and half its height of the truth centre. Per frame the matching has as many
    pairs as possible and among those the least sum of distances, each in half box sizes
    (Hungarian).
    """
    truth_cut = np.cumsum([len(ids) for ids in prepared.truth_ids])[:-1]
    track_cut = np.cumsum([len(ids) for ids in prepared.track_ids])[:-1]
    truth_frames = np.split(prepared.truth.ltwh.astype(np.float64), truth_cut)
    track_frames = np.split(prepared.tracks.ltwh.astype(np.float64), track_cut)
    return sum(map(match_centres, truth_frames, track_frames))


def match_centres(truth_ltwh: Matrix, track_ltwh: Matrix) -> int:
    """Matched centres of one frame; boxes (N, 4) and (M, 4) as left, top, width, height."""
    if not len(truth_ltwh) or not len(track_ltwh):
        return 0
    half = np.maximum(truth_ltwh[:, None, 2:] / 2, np.finfo(float).tiny)
    truth_centre = truth_ltwh[:, None, :2] + truth_ltwh[:, None, 2:] / 2
    track_centre = track_ltwh[None, :, :2] + track_ltwh[None, :, 2:] / 2
    offset = np.abs(truth_centre - track_centre) / half
    allowed: npt.NDArray[np.bool_] = np.all(offset <= 1, axis=2)
    cost = np.where(allowed, np.minimum(offset, 1).sum(axis=2), FORBIDDEN)
    rows, columns = linear_sum_assignment(cost)
    return int(allowed[rows, columns].sum())
