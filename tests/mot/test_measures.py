"""Measures of people: tiny scenes with answers by hand, and naive loops as an oracle."""

import numpy as np
import pytest

from mot.boxes import Boxes, iou_matrix
from mot.measures import HEAT_CELLS, QUANTITIES, SPEED_S, Measured, People

from mot.measures import gaps, heat, overlaps, per_frame, speeds, track_lengths  # isort: skip


def people(boxes, length=40, fps=10.0, size_hw=(90, 160)):
    return People("scene", boxes, length, size_hw, fps)


def crowd(seed=5):
    """Ids and frames at random, each once, with visibility."""
    rng = np.random.default_rng(seed)
    pairs = np.argwhere(rng.random((9, 40)) < 0.6)
    ltwh = rng.uniform((0, 0, 10, 20), (120, 40, 30, 50), (len(pairs), 4))
    order = rng.permutation(len(pairs))
    return Boxes.of(pairs[order, 1] + 1, ltwh, id=7 + 3 * pairs[order, 0], visibility=0.5)


def test_a_walker_by_hand():
    """20 px high, 2 px a frame at 10 frames/s: one height a second; frames 11 to 15 are missing."""
    frames = np.r_[1:11, 16:21]
    walker = people(Boxes.of(frames, [(2 * n, 5, 10, 20) for n in frames], id=3))
    assert speeds(walker) == pytest.approx(1.0, abs=1e-6)
    assert len(speeds(walker)) == sum(n + SPEED_S * 10 in frames for n in frames)
    assert track_lengths(walker).tolist() == [2.0]
    assert gaps(walker).tolist() == [0.5]
    assert per_frame(walker).tolist() == [float(n in frames) for n in range(1, 41)]
    assert overlaps(walker).tolist() == [0.0] * 15


def test_vectors_agree_with_loops():
    boxes = crowd()
    scene = people(boxes)
    rows = {
        (i, f): box
        for i, f, box in zip(boxes.id.tolist(), boxes.frame.tolist(), boxes.ltwh, strict=True)
    }
    moved, lives, missing, worst = [], [], [], []
    for (i, f), box in rows.items():
        if (i, f + 5) in rows:
            other = rows[i, f + 5]
            step = other[:2] + other[2:] / 2 - box[:2] - box[2:] / 2
            moved.append(np.hypot(*step) / 0.5 / ((box[3] + other[3]) / 2))
        rivals = [rows[k] for k in rows if k[1] == f and k[0] != i]
        worst.append(max((iou_matrix(box, rival)[0, 0] for rival in rivals), default=0))
    for i in sorted({k[0] for k in rows}):
        seen = sorted(f for k, f in rows if k == i)
        lives.append((seen[-1] - seen[0] + 1) / 10)
        missing += [(b - a - 1) / 10 for a, b in zip(seen, seen[1:], strict=False) if b > a + 1]
    assert sorted(speeds(scene)) == pytest.approx(sorted(moved), rel=1e-4)
    assert track_lengths(scene) == pytest.approx(lives)
    assert sorted(gaps(scene)) == pytest.approx(sorted(missing))
    assert sorted(overlaps(scene)) == pytest.approx(sorted(worst))


def test_people_are_conserved():
    boxes = crowd()
    assert per_frame(people(boxes)).sum() == len(boxes)
    assert heat(people(boxes)).sum() * 40 == pytest.approx(len(boxes))  # all centres are inside
    assert heat(people(boxes)).shape == (27, HEAT_CELLS)


def test_the_heat_is_where_people_are():
    hot = heat(people(Boxes.of([1, 2], [(155, 85, 4, 4)] * 2, id=1)))
    assert np.argwhere(hot).tolist() == [[26, 47]] and hot.max() == pytest.approx(2 / 40)


def test_what_is_unknown_has_no_values():
    blind = people(crowd().with_columns(visibility=-1), fps=None)
    measured = Measured.of(blind)
    assert measured.lacks == ("frame rate", "visibility") and measured.seconds is None
    unknown = {key for key, quantity in QUANTITIES.items() if quantity.needs}
    assert {key for key, values in measured.values.items() if not len(values)} == unknown
    row = measured.summary()
    assert row["speed_n"] == 0 and row["speed_p50"] is None and row["height_n"] == len(blind.boxes)


def test_nobody_is_a_case():
    measured = Measured.of(people(Boxes.empty()))
    assert measured.values["per_frame"].tolist() == [0.0] * 40
    assert all(not len(v) for k, v in measured.values.items() if k != "per_frame")
    assert measured.lacks == () and not measured.heat.any()


def test_together_holds_everybody():
    parts = [Measured.of(people(crowd(seed))) for seed in (1, 2)]
    both = Measured.together("ALL", parts)
    for key in QUANTITIES:
        assert len(both.values[key]) == sum(len(part.values[key]) for part in parts)
    assert both.boxes == sum(part.boxes for part in parts) and both.seconds == 8.0
    unknown = Measured.of(people(crowd(), fps=None))
    assert Measured.together("ALL", [*parts, unknown]).seconds is None
