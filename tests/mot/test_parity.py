"""Our scores beside TrackEval's whole pipeline, files, preprocessing and metrics, in one table."""

import os

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table
from trackeval.datasets import MotChallenge2DBox
from trackeval.metrics import CLEAR, HOTA, Identity

from mot.annotations import considered
from mot.boxes import Boxes
from mot.errors import InputError
from mot.preprocessing import prepare
from mot.referees import trackeval_data
from mot.scoring import score_sequence
from mot.sequence import find_sequence

QUIET = {"PRINT_CONFIG": False}
LENGTH = 40
# what is compared: our field -> (TrackEval's field, factor). CLEAR and identity come from
# motmetrics in ours, so this is the agreement of the two libraries; HOTA is TrackEval's in both.
COMPARED = {
    "MOTA": ("MOTA", 100),
    "IDF1": ("IDF1", 100),
    "IDs": ("IDSW", 1),
    "FP": ("CLR_FP", 1),
    "FN": ("CLR_FN", 1),
    "MOTP": ("MOTP", 100),
    "IDP": ("IDP", 100),
    "IDR": ("IDR", 100),
    "recall": ("CLR_Re", 100),
    "precision": ("CLR_Pr", 100),
    "HOTA": ("HOTA", 100),
    "AssA": ("AssA", 100),
}


def walkers(seed, *, people=6, classes=(1,)):
    """People on straight paths that cross; tracks with jitter, misses, false boxes, swapped ids."""
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(0, 600, (people, 2)), rng.uniform(-8, 8, (people, 2))
    size = np.stack([rng.uniform(30, 50, people), rng.uniform(80, 120, people)], axis=1)
    frame = np.repeat(np.arange(1, LENGTH + 1), people)
    person = np.tile(np.arange(people), LENGTH)
    corner = start[person] + speed[person] * frame[:, None]
    ltwh = np.round(np.hstack([corner, size[person]]), 2)
    category = np.asarray(classes)[person % len(classes)]
    flag = np.where((category != 1) | ((person == people - 1) & (frame < 10)), 0, 1)
    truth = Boxes.of(frame, ltwh, person + 1, flag, category)

    late = frame > LENGTH // 2  # then the first two trade ids; a little later the third is renewed
    identity = np.where(late & (person < 2), 2 - person, person + 1)
    identity = np.where((frame > LENGTH * 3 // 4) & (person == 2), 50, identity)
    found = rng.random(len(frame)) < 0.85
    noisy = np.round(ltwh + rng.normal(0, 3, ltwh.shape), 2)
    false_ltwh = np.hstack([rng.uniform(0, 600, (20, 2)), size[rng.integers(0, people, 20)]])
    false_frame = rng.integers(1, LENGTH + 1, 20)
    false = Boxes.of(false_frame, np.round(false_ltwh, 2), 100 + np.arange(20))
    return truth, Boxes.concatenate([Boxes.of(frame, noisy, identity)[found], false])


def cross_and_swap():
    """Two people cross and swap ids; the scene of test_scoring.py, where MOTA is worked out."""
    frame = np.repeat(np.arange(1, 11), 2)
    left = np.tile([0, 1], 10) * 500 + np.tile([20, -20], 10) * frame
    truth = Boxes.of(
        frame, np.stack([left, 0 * left, 0 * left + 40, 0 * left + 90], axis=1), [1, 2] * 10
    )
    return truth, truth.with_columns(id=np.where(frame > 5, 3 - truth.id, truth.id))


def write_rows(path, boxes):
    """A file as TrackEval reads it: frame, id, left, top, width, height, score or flag, class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.column_stack([boxes.frame, boxes.id, boxes.ltwh, boxes.score, boxes.cls])
    np.savetxt(path, rows, fmt="%d,%d,%.2f,%.2f,%.2f,%.2f,%d,%d,1")


def run_trackeval(folder, truth, tracks, benchmark):
    """TrackEval from files to metrics; returns its prepared data and its scores."""
    write_rows(folder / "gt/scene/gt/gt.txt", truth)
    write_rows(folder / "trackers/ours/data/scene.txt", tracks)
    places = {"GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "trackers")}
    scene = {"BENCHMARK": benchmark, "SEQ_INFO": {"scene": LENGTH}, "SKIP_SPLIT_FOL": True}
    dataset = MotChallenge2DBox({**QUIET, **places, **scene})
    raw = dataset.get_raw_seq_data("ours", "scene")
    data = dataset.get_preprocessed_seq_data(raw, "pedestrian")
    scores = {}
    for metric in (CLEAR(dict(QUIET)), Identity(dict(QUIET)), HOTA()):
        scores |= metric.eval_sequence(data)
    return data, {ours: factor * np.mean(scores[t]) for ours, (t, factor) in COMPARED.items()}


SCENES = {
    "two people cross and swap ids": ("MOT17", cross_and_swap()),
    "MOT15, one benchmark without classes": ("MOT15", walkers(1)),
    "MOT16, two distractors": ("MOT16", walkers(2, classes=(1, 1, 7, 1, 8))),
    "MOT17, people and their reflection": ("MOT17", walkers(3, classes=(1, 1, 12))),
    "MOT17, a car and a bicycle": ("MOT17", walkers(4, classes=(1, 3, 1, 4))),
    "MOT17, a pram": ("MOT17", walkers(5, classes=(1, 1, 1, 6))),
    "MOT20, a pram": ("MOT20", walkers(5, classes=(1, 1, 1, 6))),
    "MOT20, a crowd of 20": ("MOT20", walkers(6, people=20, classes=(1, 1, 1, 6, 2))),
    **{f"MOT17, random {seed}": ("MOT17", walkers(seed)) for seed in range(10, 14)},
}


@pytest.mark.parametrize("scene", SCENES)
def test_preprocessing_is_trackevals(scene, tmp_path):
    benchmark, (truth, tracks) = SCENES[scene]
    theirs, _ = run_trackeval(tmp_path, truth, tracks, benchmark)
    ours = trackeval_data(
        prepare(truth, tracks, length=LENGTH, name=scene, protocol=benchmark.lower())
    )
    for key in ("num_gt_dets", "num_tracker_dets", "num_gt_ids", "num_tracker_ids"):
        assert ours[key] == theirs[key], key
    for key in ("gt_ids", "tracker_ids", "similarity_scores"):
        for frame, (mine, other) in enumerate(zip(ours[key], theirs[key], strict=True), start=1):
            # our boxes are float32, theirs float64
            np.testing.assert_allclose(mine, other, atol=1e-4, err_msg=f"{key}, frame {frame}")


def test_both_libraries_agree_on_every_scene(tmp_path, capsys):
    table = Table(
        "scene", *COMPARED, "gap", title="motmetrics beside TrackEval: our score, and gap"
    )
    apart = {}
    for number, (scene, (benchmark, (truth, tracks))) in enumerate(SCENES.items()):
        _, theirs = run_trackeval(tmp_path / str(number), truth, tracks, benchmark)
        ours = score_sequence(
            truth, tracks, length=LENGTH, name=scene, protocol=benchmark.lower()
        ).as_row()
        gaps = {field: abs(ours[field] - other) for field, other in theirs.items()}
        table.add_row(scene, *(f"{ours[field]:.4g}" for field in gaps), f"{max(gaps.values()):.0e}")
        apart |= {f"{scene}, {field}": gap for field, gap in gaps.items() if gap > 1e-3}
    with capsys.disabled():
        print()
        Console(width=130).print(table)
    assert not apart, apart


@pytest.mark.real
@pytest.mark.parametrize("name", ["MOT17-02", "MOT17-09"])
def test_real_crowds_score_alike(name):
    """In a crowd, where matches resume after a gap, the two part by design, and by little."""
    root = os.environ.get("FOOTFALL_DATA")
    if not root:
        pytest.skip("$FOOTFALL_DATA is not set")
    try:
        sequence = find_sequence(name, root)
    except InputError as error:
        pytest.skip(str(error))
    truth, length = sequence.truth(), sequence.length
    rng = np.random.default_rng(0)
    hidden = (truth.frame // 15 + truth.id) % 5 == 0  # half a second in every two and a half
    tracks = truth[considered(truth) & ~hidden]
    shift = rng.normal(0, 0.08, (2, len(tracks))) * [tracks.w, tracks.h]
    tracks = tracks.with_columns(
        x=tracks.x + shift[0], y=tracks.y + shift[1], id=tracks.id * 10 + tracks.frame // 100
    )
    ours = score_sequence(truth, tracks, length=length, name=name)
    data = trackeval_data(prepare(truth, tracks, length=length, name=name))
    assert abs(ours.MOTA - 100 * CLEAR(dict(QUIET)).eval_sequence(data)["MOTA"]) < 0.1
    assert abs(ours.IDF1 - 100 * Identity(dict(QUIET)).eval_sequence(data)["IDF1"]) < 0.01
