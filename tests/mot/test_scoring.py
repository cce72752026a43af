"""Tiny named scenes whose scores are worked out by hand, and the laws that hold for every scene."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.annotations import considered
from mot.boxes import Boxes
from mot.errors import InputError
from mot.localisation import match_centres
from mot.scoring import combine, protocol_line, score_sequence
from mot.sequence import find_sequence

PERCENT = ("MOTA", "IDF1", "HOTA", "DetA", "AssA", "MOTP", "IDP", "IDR", "recall", "precision")
LOCALISATION = ("loc_precision", "loc_recall", "loc_f1")


def people(lefts, *, length=10, flag=1, category=1):
    """One person standing at each left edge, 40 x 90 px, ids 1, 2, ... in frames 1..length."""
    frame = np.repeat(np.arange(1, length + 1), len(lefts))
    left = np.tile(np.asarray(lefts, float), length)
    ltwh = np.stack([left, 0 * left, 0 * left + 40, 0 * left + 90], axis=1)
    return Boxes.of(frame, ltwh, np.tile(np.arange(1, len(lefts) + 1), length), flag, category)


def score(truth, tracks, **settings):
    return score_sequence(truth, tracks, **{"length": 10, "name": "scene", **settings})


def test_truth_against_itself_is_100():
    truth = people([0, 100, 200])
    scores = score(truth, truth)
    assert {getattr(scores, field) for field in (*PERCENT, *LOCALISATION)} == {100.0}
    assert (scores.FP, scores.FN, scores.IDs, scores.Frag) == (0, 0, 0, 0)
    assert (scores.MT, scores.PT, scores.ML, scores.gt_ids) == (3, 0, 0, 3)
    assert scores.count_mae == scores.count_bias == 0


def test_two_people_cross_and_swap_ids():
    """20 boxes, all found; at frame 6 both ids change: MOTA = 100 (1 - (0 + 0 + 2) / 20) = 90.

    Each person has the right id for 5 of 10 frames, so IDTP = 10, IDFP = IDFN = 10, IDF1 = 50.
    Each matched box has 5 frames with its pair of ids, of 10 + 10 - 5: AssA = 1/3, and with
    DetA = 1, HOTA = sqrt(1/3) = 57.74.
    """
    truth = people([0, 500])
    walk = np.where(truth.id == 1, 1, -1) * 20 * truth.frame
    truth = truth.with_columns(x=truth.x + walk)
    tracks = truth.with_columns(id=np.where(truth.frame > 5, 3 - truth.id, truth.id))
    scores = score(truth, tracks)
    assert scores.MOTA == pytest.approx(90)
    assert scores.IDF1 == pytest.approx(50)
    assert scores.HOTA == pytest.approx(100 * np.sqrt(1 / 3))
    assert (scores.FP, scores.FN, scores.IDs, scores.Frag) == (0, 0, 2, 0)


def test_one_person_hidden_for_three_frames():
    """10 boxes, frames 4 to 6 missed, the id kept: FN 3, Frag 1, MOTA 70, 7 of 10 frames: PT."""
    truth = people([0])
    scores = score(truth, truth[(truth.frame < 4) | (truth.frame > 6)])
    assert scores.MOTA == pytest.approx(70)
    assert scores.IDF1 == pytest.approx(100 * 14 / 17)
    assert (scores.FP, scores.FN, scores.IDs, scores.Frag) == (0, 3, 0, 1)
    assert (scores.MT, scores.PT, scores.ML) == (0, 1, 0)
    assert scores.count_mae == pytest.approx(0.3)
    assert scores.count_bias == pytest.approx(-0.3)


def test_a_ghost_beside_one_person():
    """10 boxes found, 10 false ones: MOTA 0, precision 50; counts are one too high."""
    scores = score(people([0]), people([0, 300]))
    assert (scores.MOTA, scores.precision, scores.recall) == pytest.approx((0, 50, 100))
    assert scores.count_bias == 1


def test_motp_is_the_mean_overlap():
    """Boxes shifted by a fifth of the width: IoU = 32 / 48 = 2/3, higher is better."""
    truth = people([0])
    assert score(truth, truth.with_columns(x=truth.x + 8)).MOTP == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize(
    ("truth", "tracks", "expected"),
    [
        (Boxes.empty(), Boxes.empty(), 100.0),
        (people([0]), Boxes.empty(), 0.0),
        (Boxes.empty(), people([0]), 0.0),
    ],
    ids=["nothing to find", "nothing found", "only ghosts"],
)
def test_empty_has_an_answer(truth, tracks, expected):
    scores = score(truth, tracks)
    assert {getattr(scores, field) for field in (*PERCENT, *LOCALISATION)} == {expected}
    assert (scores.FP, scores.FN, scores.ML) == (len(tracks), len(truth), len(truth) // 10)
    assert scores.count_mae == (len(truth) + len(tracks)) / 10


def test_frames_without_people_cost_nothing():
    truth = people([0])[:5]
    assert score(truth, truth, length=50).HOTA == pytest.approx(100)


@pytest.mark.parametrize("protocol", ["mot16", "mot17", "mot20"])
@pytest.mark.parametrize("category", [2, 7, 8, 12])
def test_a_track_on_a_distractor_is_neither_right_nor_wrong(protocol, category):
    distractor = people([300], flag=0, category=category).with_columns(id=9)
    truth = Boxes.concatenate([people([0]), distractor])
    scores = score(truth, people([0, 300]), protocol=protocol)
    assert (scores.MOTA, scores.HOTA, scores.FP) == pytest.approx((100, 100, 0))
    assert scores.evidence.tracks_removed == 10


@pytest.mark.parametrize(("protocol", "ghosts"), [("mot17", 10), ("mot20", 0)])
def test_a_pram_is_a_distractor_in_mot20_only(protocol, ghosts):
    pram = people([300], flag=0, category=6).with_columns(id=9)
    truth = Boxes.concatenate([people([0]), pram])
    assert score(truth, people([0, 300]), protocol=protocol).FP == ghosts


def test_mot15_drops_flagged_rows_only():
    truth = Boxes.concatenate([people([0]), people([300], flag=0).with_columns(id=9)])
    for protocol in ("mot15", "mot17"):
        assert score(truth, people([0, 300]), protocol=protocol).FP == 10
        assert score(truth, people([0]), protocol=protocol).MOTA == 100


def test_small_boxes_are_found_as_points():
    """Half the size around the same centre: IoU 1/4, no match as boxes, every one as a point."""
    truth = people([0, 100])
    tracks = truth.with_columns(x=truth.x + 10, y=truth.y + 22.5, w=20, h=45)
    scores = score(truth, tracks)
    assert scores.recall == 0
    assert scores.loc_f1 == 100


def test_one_point_finds_one_person():
    overlapping = np.array([[0, 0, 40, 90], [10, 0, 40, 90.0]])
    assert match_centres(overlapping, overlapping[:1]) == 1
    assert match_centres(overlapping, overlapping[[0, 0, 0]]) == 2
    assert match_centres(overlapping, overlapping + [45, 0, 0, 0]) == 0


def test_density_count_is_scored_per_frame():
    truth = people([0, 100])
    scores = score(truth, truth, density_count=np.array([2.5, 1.5] * 5))
    assert scores.density_mae == pytest.approx(0.5)
    assert score(truth, truth).density_mae is None


def test_combined_adds_counts():
    """Scores of 10 and 100 frames: the long one weighs ten times as much."""
    short = score(people([0]), Boxes.empty(), name="short", density_count=np.ones(10) * 4)
    truth = people([0], length=100)
    long = score(truth, truth, name="long", length=100)
    total = combine([short, long])
    assert (total.name, total.frames, total.gt_ids) == ("COMBINED", 110, 2)
    assert total.MOTA == pytest.approx(100 * 100 / 110)
    assert total.IDF1 == pytest.approx(100 * 200 / 210)
    assert total.HOTA == pytest.approx(100 * np.sqrt(100 / 110))
    assert total.count_mae == pytest.approx(10 / 110)
    assert total.density_mae == pytest.approx(3)  # over the ten frames that have a density


def test_combining_one_changes_nothing():
    truth = people([0, 100])
    scores = score(truth, truth[3:])
    assert combine([scores]).as_row() == pytest.approx(scores.as_row())


@pytest.mark.parametrize("repeats", [0, 2])
def test_combining_nothing_or_twice_the_same_is_refused(repeats):
    with pytest.raises(InputError, match="each sequence once"):
        combine([score(people([0]), people([0]))] * repeats)


def test_protocol_says_how():
    line = protocol_line([score(people([0]), people([0]))])
    for part in ("MOT17", "IoU ≥ 0.5", "2, 7, 8, 12", "10 rows", "motmetrics", "trackeval"):
        assert part in line
    assert "\n" not in line


BAD = {
    "an id twice": ({"tracks": people([0, 100]).with_columns(id=7)}, "frame 1.*id 7 twice"),
    "no ids": ({"tracks": people([0, 100]).with_columns(id=-1)}, "link them"),
    "beyond the end": ({"length": 9}, "frames 1 to 9, got frame 10"),
    "frame 0": ({"tracks": people([0]).with_columns(frame=0)}, "got frame 0"),
    "no such protocol": ({"protocol": "mot18"}, "mot15, mot16, mot17, mot20"),
    "no frames": ({"length": 0}, "one frame or more"),
    "density of another length": ({"density_count": np.zeros(9)}, "density count of scene"),
    "density with NaN": ({"density_count": np.full(10, np.nan)}, "finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case):
    settings, message = BAD[case]
    arguments = {"truth": people([0, 100]), "tracks": people([0, 100]), **settings}
    with pytest.raises(InputError, match=message) as caught:
        score(**arguments)
    assert "\n" not in str(caught.value)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_names_and_order_of_rows_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    truth = people(rng.uniform(0, 300, 4))
    truth = truth.with_columns(x=truth.x + rng.normal(0, 4, len(truth)))
    tracks = truth.with_columns(x=truth.x + rng.normal(0, 8, len(truth)))
    tracks = tracks[rng.random(len(tracks)) < 0.8]
    renamed = tracks.with_columns(id=rng.permutation(100)[tracks.id.astype(int)])
    plain, other = score(truth, tracks), score(truth, renamed[rng.permutation(len(tracks))])
    assert other.as_row() == pytest.approx(plain.as_row())


@pytest.mark.real
@pytest.mark.parametrize("name", ["MOT17-02", "PETS09-S2L1", "KITTI-T0015"])
def test_real_truth_against_itself_is_100(name):
    root = os.environ.get("FOOTFALL_DATA")
    if not root:
        pytest.skip("$FOOTFALL_DATA is not set")
    try:
        sequence = find_sequence(name, root)
    except InputError as error:
        pytest.skip(str(error))
    truth = sequence.truth()
    scores = score(truth, truth[considered(truth)], length=sequence.length, name=name)
    assert (scores.MOTA, scores.IDF1, scores.HOTA) == pytest.approx((100, 100, 100))
