"""Causes of errors: tiny scenes of which each is known, laws for all scenes, naive oracles."""

from dataclasses import astuple

import numpy as np
import pytest

from mot.analysis.breakdown import (
    BREAKDOWNS,
    SceneErrors,
    bin_labels,
    binned,
    break_down,
    misses_by_sequence,
)
from mot.analysis.false_boxes import CAUSES as FALSE_CAUSES
from mot.analysis.false_boxes import shared_area
from mot.analysis.misses import CAUSES as MISS_CAUSES
from mot.analysis.people import overlapping_pairs, touches_border
from mot.analysis.rows import error_rows
from mot.analysis.scene import ScoredScene
from mot.analysis.switches import CAUSES as SWITCH_CAUSES
from mot.boxes import Boxes, iou_matrix
from mot.scoring import score_sequence
from tests.mot.test_parity import LENGTH, walkers

SIZE_HW = (480, 640)


def boxes_of(rows):
    """Rows (frame, id, x, y, w, h[, visibility[, class]]); class other than 1 does not count."""
    full = [(*row, *(1.0, 1)[len(row) - 6 :]) for row in rows]
    frame, identity, *ltwh, seen, category = np.array(full, float).reshape(-1, 8).T
    return Boxes.of(frame, np.stack(ltwh, 1), identity, category == 1, category, seen)


def explained(truth, tracks, length=20):
    scene = ScoredScene.of(
        "scene", boxes_of(truth), boxes_of(tracks), length=length, size_hw=SIZE_HW, fps=10.0
    )
    return SceneErrors.of(scene)


def standing(identity, frames, x=100.0, seen=1.0, y=100.0):
    """Somebody of 40x100 px who stands at one place."""
    return [(frame, identity, x, y, 40, 100, seen) for frame in frames]


def causes(errors, kind):
    return {(row.frame, row.id): row.cause for row in error_rows(errors) if row.kind == kind}


def test_misses_have_the_cause_that_they_were_given():
    truth = [
        (1, 1, 100, 100, 40, 100),
        (1, 2, 200, 100, 40, 100, 0.2),
        (1, 3, 300, 100, 40, 100),
        (1, 4, 310, 100, 40, 100),
        (1, 5, -5, 300, 40, 100),
        (1, 6, 400, 300, 10, 20),
        (1, 7, 500, 300, 40, 100),
    ]
    # 20 px beside the first one: IoU 20 / 60; exactly on the third, whom the fourth overlaps by 0.6
    tracks = [(1, 1, 120, 100, 40, 100), (1, 2, 300, 100, 40, 100)]
    expected = ["badly placed", "hidden", "crowded", "border", "small", "never found"]
    errors = explained(truth, tracks)
    found = causes(errors, "miss")
    assert found == {(1, person): c for person, c in zip((1, 2, 4, 5, 6, 7), expected, strict=True)}


def test_misses_before_between_and_after_the_matches_of_a_person():
    tracks = [row for frames in (range(5, 9), range(12, 15)) for row in standing(7, frames)]
    found = causes(explained(standing(1, range(1, 21)), tracks), "miss")
    expected = {frame: "not yet found" for frame in range(1, 5)}
    expected |= {frame: "gap" for frame in (9, 10, 11)}
    expected |= {frame: "lost" for frame in range(15, 21)}
    assert {frame: cause for (frame, _), cause in found.items()} == expected


FALSE_SCENES = {
    # frame 1 of each: (truth, tracks, the false track's id)
    "duplicate": ([(100, 100, 40, 100)], [(100, 100, 40, 100), (104, 100, 40, 100)]),
    "several people": ([(100, 100, 40, 100), (130, 100, 40, 100)], [(95, 60, 80, 160)]),
    "hidden person": ([(100, 100, 40, 100, 0.1)], [(120, 100, 40, 100)]),
    "part of a person": ([(100, 100, 40, 100)], [(100, 100, 40, 100), (110, 100, 20, 30)]),
    "badly placed": ([(100, 100, 40, 100)], [(120, 100, 40, 100)]),
    "beside a found person": ([(100, 100, 40, 100)], [(100, 100, 40, 100), (120, 100, 40, 100)]),
    "uncounted person": ([(100, 100, 40, 100, 1.0, 7)], [(120, 100, 40, 100)]),
    "thing": ([(100, 100, 200, 100, 1.0, 3)], [(120, 100, 40, 100)]),
    "background": ([(100, 100, 40, 100)], [(400, 100, 40, 100)]),
}


@pytest.mark.parametrize("cause", FALSE_SCENES)
def test_false_boxes_are_what_they_were_made(cause):
    truth, tracks = (
        [(1, number, *box) for number, box in enumerate(part, 1)] for part in FALSE_SCENES[cause]
    )
    found = causes(explained(truth, tracks), "false_positive")
    assert found == {(1, len(tracks)): cause}


def test_every_cause_of_false_boxes_has_a_scene():
    assert set(FALSE_SCENES) == set(FALSE_CAUSES)


def test_a_box_in_a_crowd_or_on_a_person_it_matches_is_told_apart():
    crowd = [(1, 1, 0, 0, 400, 400, 1.0, 13)]
    on_crowd = causes(explained(crowd, [(1, 5, 100, 100, 40, 100)]), "false_positive")
    assert on_crowd == {(1, 5): "uncounted person"}
    static = [(1, 1, 100, 100, 40, 100, 1.0, 7)]
    assert causes(explained(static, [(1, 5, 100, 100, 40, 100)]), "false_positive") == {}
    flat = causes(explained(standing(1, [1]), [(1, 5, 110, 110, 0, 20)]), "false_positive")
    assert flat == {(1, 5): "background"}  # without area it is part of nothing


def runs(*parts, x=100.0):
    """Tracks of somebody who stands there: (id, frames)."""
    return [row for identity, frames in parts for row in standing(identity, frames, x)]


FIRST, LATER = range(1, 6), range(6, 21)
ALL = range(1, 21)


def walking(identity, frames, step):
    return [(frame, identity, 20 + step * frame, 100, 40, 100) for frame in frames]


SWITCH_SCENES = {
    # truth, tracks, and (frame, person, cause, gap, old track, new track) of each switch
    "swap": (
        [*standing(1, ALL), *standing(2, ALL, 300)],
        [*runs((1, FIRST), (2, LATER)), *runs((2, FIRST), (1, LATER), x=300)],
        [(6, 1, "swap", 0, 1, 2), (6, 2, "swap", 0, 2, 1)],
    ),
    "taken": (
        [*standing(1, ALL), *standing(2, LATER, 300)],
        [*runs((1, FIRST), (2, LATER)), *runs((1, LATER), x=300)],
        [(6, 1, "taken", 0, 1, 2)],
    ),
    "came back": (
        [*standing(1, FIRST), *standing(1, range(11, 21))],
        runs((1, FIRST), (2, range(11, 21))),
        [(11, 1, "came back", 5, 1, 2)],
    ),
    "crossing": (
        [*standing(1, ALL), *standing(2, [5, 6], 110), *standing(2, range(7, 21), 300)],
        [*runs((1, FIRST), (2, LATER)), *runs((9, [5, 6]), x=110)],
        [(6, 1, "crossing", 0, 1, 2)],
    ),
    "hidden": (
        [*standing(1, FIRST), *standing(1, [6, 7], seen=0.1), *standing(1, range(8, 21))],
        runs((1, FIRST), (2, range(8, 21))),
        [(8, 1, "hidden", 2, 1, 2)],
    ),
    "half hidden": (
        [*standing(1, FIRST, seen=0.4), *standing(1, LATER)],
        runs((1, FIRST), (2, LATER)),
        [(6, 1, "half hidden", 0, 1, 2)],
    ),
    "fast": (
        walking(1, ALL, 25),
        [*walking(1, FIRST, 25), *walking(2, LATER, 25)],
        [(6, 1, "fast", 0, 1, 2)],
    ),
    "gap": (
        standing(1, ALL),
        runs((1, FIRST), (2, range(9, 21))),
        [(9, 1, "gap", 3, 1, 2)],
    ),
    "other": (
        standing(1, ALL, seen=-1.0),
        runs((1, FIRST), (2, LATER)),
        [(6, 1, "other", 0, 1, 2)],
    ),
}


@pytest.mark.parametrize("scene", SWITCH_SCENES)
def test_switches_have_the_cause_that_they_were_given(scene):
    truth, tracks, expected = SWITCH_SCENES[scene]
    rows = [row for row in error_rows(explained(truth, tracks)) if row.kind == "switch"]
    found = [(r.frame, r.id, r.cause, r.gap_frames, r.old_track, r.new_track) for r in rows]
    assert found == expected


def test_every_cause_of_switches_has_a_scene():
    assert set(SWITCH_SCENES) == set(SWITCH_CAUSES)


def test_slow_walkers_are_not_fast():
    truth = walking(1, ALL, 19)  # 0.475 widths
    tracks = [*walking(1, FIRST, 19), *walking(2, LATER, 19)]
    assert causes(explained(truth, tracks), "switch") == {(6, 1): "other"}


def test_what_tracks_have_long_before_or_after_is_no_swap():
    late, early = range(15, 21), range(1, 3)
    truth = [*standing(1, range(4, 21)), *standing(2, late, 300), *standing(3, early, 400)]
    path = runs((1, range(4, 9)), (2, range(9, 21)))
    for others in (
        [*runs((1, late), x=300)],  # the old one, six frames after its last match
        [*runs((2, early), x=400)],  # the new one, seven frames before
        [*runs((1, early), x=400)],  # the old one before
    ):
        assert causes(explained(truth, [*path, *others]), "switch")[9, 1] == "other"
    # The new track leaves for somebody else right after.
    path = runs((1, range(4, 9)), (2, range(9, 15)))
    assert causes(explained(truth, [*path, *runs((2, late), x=300)]), "switch") == {(9, 1): "other"}


def tables_of(errors):
    return {table.title: table for table in break_down([errors])}


def test_tables_of_a_scene_by_hand():
    truth = [
        (1, 1, 100, 100, 10, 24, 0.5),  # 5 % of the frame's height
        (1, 2, 0, 300, 40, 100, 0.2),  # at the edge
        (1, 3, 300, 100, 40, 100, 1.0),
        (1, 4, 310, 100, 40, 100, -1.0),  # IoU 0.6 with the third
        (2, 3, 300, 100, 40, 100, 1.0),
        (2, 4, 310, 100, 40, 100, 1.0),
    ]
    tracks = [
        (1, 3, 300, 100, 40, 100),
        (2, 3, 300, 100, 40, 100),
        (2, 4, 310, 100, 40, 100),
    ]
    tables = tables_of(explained(truth, tracks))
    height = tables["Misses by height in pixels"].counts
    assert height["below 25"] == (1, 1) and height["100 to 200"] == (2, 5)
    share = tables["Misses by height in percent of the frame's"].counts
    assert share["below 5"] == (0, 0) and share["5 to 10"] == (1, 1) and share["20 to 40"] == (2, 5)
    seen = tables["Misses by visible share"].counts
    assert seen["0.2 to 0.4"] == (1, 1) and seen["0.4 to 0.6"] == (1, 1)
    assert seen["0.8 and more"] == (0, 3) and seen["unknown"] == (1, 1)
    edge = tables["Misses by the frame's edge"].counts
    assert edge == {"touches it": (1, 1), "inside": (2, 5)}
    crowd = tables["Misses by largest IoU with another person"].counts
    assert crowd["below 0.3"] == (2, 2) and crowd["0.5 to 0.7"] == (1, 4)
    [recall] = [table for title, table in tables.items() if title.startswith("Overlap")]
    assert recall.counts["0.5 and more"] == (1, 1) and recall.counts["unknown"] == (0, 1)
    assert recall.sum == (1, 2)
    assert tables["Misses by cause"].sum == (3, 3)


@pytest.mark.parametrize("seed", range(4))
def test_totals_are_those_of_the_score(seed):
    truth, tracks = walkers(seed, classes=(1, 1, 7))
    scores = score_sequence(truth, tracks, length=LENGTH, name="scene")
    scene = ScoredScene.of("scene", truth, tracks, length=LENGTH, size_hw=(720, 720), fps=10.0)
    errors = SceneErrors.of(scene)
    assert scores.FN and scores.FP and scores.IDs
    totals = {"Misses": scores.FN, "False boxes": scores.FP, "Identity switches": scores.IDs}
    for table in break_down([errors]):
        kind = next((kind for kind in totals if table.title.startswith(kind)), None)
        if kind:
            assert table.sum[0] == totals[kind], table.title
        if table.of == "true boxes":
            assert table.sum[1] == scores.evidence.truth_boxes
    rows = error_rows(errors)
    kinds = [row.kind for row in rows]
    assert [kinds.count(k) for k in ("miss", "false_positive", "switch")] == list(totals.values())
    assert [row.frame for row in rows] == sorted(row.frame for row in rows)
    known = {"miss": MISS_CAUSES, "false_positive": FALSE_CAUSES, "switch": SWITCH_CAUSES}
    assert all(row.cause in known[row.kind] for row in rows)


def naive_iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    return shared, shared / (a[2] * a[3] + b[2] * b[3] - shared)


def test_pairs_are_those_of_a_naive_count():
    truth, tracks = walkers(1, people=12)
    scene = ScoredScene.of("scene", truth, tracks, length=LENGTH, size_hw=(720, 720), fps=10.0)
    boxes = scene.truth.ltwh.astype(float).tolist()
    expected = [
        (one, other)
        for one in range(len(boxes))
        for other in range(one + 1, len(boxes))
        if scene.truth.frame[one] == scene.truth.frame[other]
        and 0.3 <= naive_iou(boxes[one], boxes[other])[1] <= 0.7
    ]
    assert expected
    assert [tuple(pair) for pair in overlapping_pairs(scene).tolist()] == expected


def test_shared_areas_are_those_of_a_naive_count():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(5, 60, (2, 9, 4))
    expected = [[naive_iou(a, b)[0] for b in second] for a in first]
    shared = shared_area(iou_matrix(first, second), first, second)
    assert shared == pytest.approx(np.array(expected))


def test_bins_and_edges():
    assert bin_labels((0.3, 0.5)) == ["below 0.3", "0.3 to 0.5", "0.5 and more"]
    values = np.array([0.0, 0.3, 0.49, 0.5, 9.0])
    places = ["below 0.3", "0.3 to 0.5", "0.3 to 0.5", "0.5 and more", "0.5 and more"]
    assert binned(values, (0.3, 0.5)).tolist() == places
    boxes = boxes_of([(1, 1, 1, 50, 5, 5), (1, 2, 2, 50, 5, 5), (1, 3, 600, 50, 39, 5)])
    assert touches_border(boxes, SIZE_HW).tolist() == [True, False, True]


def test_tables_of_two_scenes_add_up():
    one, other = explained(standing(1, ALL), []), explained(standing(1, ALL), runs((1, FIRST)))
    for count in BREAKDOWNS:
        both = count(one) + count(other)
        assert both.sum == tuple(np.add(count(one).sum, count(other).sum))
    assert misses_by_sequence(one).sum == (20, 20)


@pytest.mark.parametrize("nothing", ["truth", "tracks", "both", "errors"])
def test_nothing_to_explain(nothing):
    truth = [] if nothing in ("truth", "both") else standing(1, ALL)
    tracks = [] if nothing in ("tracks", "both") else runs((1, ALL))
    errors = explained(truth, tracks)
    tables = break_down([errors])
    assert len(tables) == len(BREAKDOWNS)
    expected = {"truth": 20, "tracks": 20, "both": 0, "errors": 0}[nothing]
    rows = error_rows(errors)
    assert len(rows) == expected and all(len(astuple(row)) == 15 for row in rows)
