from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.boxes import Boxes
from mot.errors import InputError
from mot.scoring import score_sequence
from mot.sequence import data_root, find_sequence
from reid.linker import MENU, Linker, LinkerSettings
from reid.linking import link, linker_settings
from reid.sight import Sight

FPS = 10.0
BYTE = MENU["byte"]


def person(frames, x, y=100.0, w=40.0, h=100.0, score=0.9):
    """A person's detections: x is a number or a function of the frame."""
    frames = np.asarray(frames, float)
    across = x(frames) if callable(x) else np.full(len(frames), x)
    tall = np.broadcast_to(y, frames.shape)
    sizes = np.broadcast_to([w, h], (len(frames), 2))
    return Boxes.of(frames, np.column_stack([across, tall, sizes]), score=score)


def linked(*people, length=30, linker="byte", **changes):
    together = Boxes.concatenate(people)
    settings = replace(MENU[linker], **{"fill_gap_s": 0.0, "smooth_s": 0.0} | changes)
    return link(together, length=length, fps=FPS, settings=settings)


def ids_at(tracks, frame):
    return tracks.at(frame).id.tolist()


def ids_of(tracks, frame):
    """Ids of a frame from left to right."""
    now = tracks.at(frame)
    return now.id[np.argsort(now.x)].tolist()


ALL = range(1, 31)


# --- scenes


@pytest.mark.parametrize("linker", MENU)
def test_two_people_walk_side_by_side(linker):
    tracks = linked(person(ALL, lambda t: 5 * t), person(ALL, lambda t: 200 + 5 * t), linker=linker)
    assert len(tracks) == 60
    assert {tuple(ids_of(tracks, t)) for t in ALL} == {(1, 2)}


@pytest.mark.parametrize("linker", ["sort", "byte"])
def test_two_people_cross(linker):
    # They meet at frame 15, one a little in front of the other.
    tracks = linked(
        person(ALL, lambda t: 10 * t), person(ALL, lambda t: 300 - 10 * t, y=112), linker=linker
    )
    first, last = ids_of(tracks, 2), ids_of(tracks, 30)
    assert first == last[::-1]
    assert set(tracks.id) == {1, 2}


@pytest.mark.parametrize("linker", ["sort", "byte"])
def test_a_person_hidden_for_half_a_second_returns_where_the_walk_leads(linker):
    seen = [t for t in ALL if not 15 <= t < 20]
    # 12 px a frame for 6 frames is nearly two widths: only the motion model bridges that.
    tracks = linked(person(seen, lambda t: 12 * t), linker=linker)
    assert set(tracks.id) == {1}
    assert ids_at(tracks, 17) == []


def test_a_walking_person_hidden_is_lost_without_motion():
    seen = [t for t in ALL if not 15 <= t < 20]
    assert set(linked(person(seen, lambda t: 12 * t), linker="iou").id) == {1, 2}


def test_a_person_hidden_longer_than_max_gap_s_gets_a_new_id():
    before, gap = list(range(1, 11)), 5
    for frames, expected in ((gap, {1}), (gap + 1, {1, 2})):
        seen = before + list(range(11 + frames, 31))
        assert set(linked(person(seen, 50.0), max_gap_s=gap / FPS).id) == expected


def test_a_low_score_detection_keeps_a_track_alive():
    weak = np.where((np.array(ALL) > 10) & (np.array(ALL) < 25), 0.3, 0.9)
    scene = person(ALL, lambda t: 6 * t, score=weak)
    assert set(linked(scene, max_gap_s=0.3).id) == {1}
    assert len(linked(scene, max_gap_s=0.3)) == 30
    assert set(linked(scene, max_gap_s=0.3, linker="sort").id) == {1, 2}


def test_a_low_score_detection_starts_no_track_and_revives_no_lost_one():
    assert len(linked(person(ALL, 50.0, score=0.4))) == 0
    frames = [1, 2, 3, 4, 8, 9, 10]
    scores = [0.9] * 4 + [0.3] * 3
    assert linked(person(frames, 50.0, score=scores)).frame.max() == 4


def test_a_detection_between_high_and_birth_score_continues_but_does_not_start():
    assert len(linked(person(ALL, 50.0, score=0.55))) == 0
    scores = [0.9] + [0.55] * 29
    assert len(linked(person(ALL, 50.0, score=scores))) == 30


@pytest.mark.parametrize("score", [0.1, 0.3, 0.6, 0.7, 0.9])
def test_a_score_at_the_limit_reaches_it(score):
    limits = {"low_score": score, "high_score": score, "birth_score": score}
    assert len(linked(person(ALL, 50.0, score=score), **limits)) == 30


def test_a_flash_gets_no_id_and_leaves_no_gap_in_the_ids():
    flash = person([5], 300.0)
    late = person(range(10, 31), 600.0)
    tracks = linked(person(ALL, 50.0), flash, late)
    assert set(tracks.id) == {1, 2}
    assert ids_at(tracks, 30) == [1, 2]
    assert not (tracks.x == 300).any()


def test_backfill_reports_the_boxes_from_before_the_confirmation():
    late = person(range(10, 31), 600.0)
    scene = (person(ALL, 50.0), late)
    assert ids_at(linked(*scene, confirm_s=0.3, backfill=True), 10) == [1, 2]
    live = linked(*scene, confirm_s=0.3, backfill=False)
    assert [ids_at(live, t) for t in (12, 13)] == [[1], [1, 2]]


def test_tracks_of_the_first_frame_are_confirmed_at_once():
    assert ids_at(linked(person([1], 50.0), person([1], 300.0), length=1), 1) == [1, 2]


def test_a_lost_track_and_its_younger_twin_become_one():
    # A person is not found after frame 30; another, found beside, slowly comes to stand there.
    first = person(range(1, 31), 50.0)
    second = person(range(28, 46), lambda t: np.maximum(88 - t, 53))
    common = {"length": 45, "max_gap_s": 4}
    assert ids_at(linked(first, second, duplicate_iou=1.0, **common), 45) == [2]
    assert ids_at(linked(first, second, duplicate_iou=0.8, **common), 45) == [1]


# --- contracts


def crowd(seed, length=12, people=8):
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(people):
        start, speed = rng.uniform(0, 150, 2), rng.normal(0, 6, 2)
        frames = np.flatnonzero(rng.random(length) < 0.85) + 1.0
        place = start + speed * frames[:, None] + rng.normal(0, 1, (len(frames), 2))
        # Coarse numbers make ties.
        boxes = np.column_stack([np.round(place), np.tile([30.0, 60.0], (len(frames), 1))])
        score = np.round(rng.uniform(0, 1, len(frames)), 1)
        tables.append(Boxes.of(frames, boxes, score=score))
    return Boxes.concatenate(tables)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(MENU)))
def test_the_order_of_the_detections_does_not_matter(seed, linker):
    scene = crowd(seed % 1000)
    shuffled = scene[np.random.default_rng(seed).permutation(len(scene))]
    first = link(scene, length=12, fps=FPS, linker=linker)
    second = link(shuffled, length=12, fps=FPS, linker=linker)
    for field in fields(Boxes):
        assert getattr(first, field.name).tobytes() == getattr(second, field.name).tobytes()


@pytest.mark.parametrize("linker", MENU)
@pytest.mark.parametrize("seed", range(5))
def test_ids_count_from_1_without_gaps_and_once_a_frame(linker, seed):
    tracks = link(crowd(seed), length=12, fps=FPS, linker=linker)
    ids = np.unique(tracks.id)
    npt.assert_array_equal(ids, np.arange(1, len(ids) + 1))
    keys = tracks.frame * 1000 + tracks.id
    assert (np.diff(keys) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_frame_by_frame_equals_online_link(seed):
    scene, live = crowd(seed), Linker(BYTE, FPS)
    rows = Boxes.concatenate([live.update(boxes) for _, boxes in scene.by_frame(12)])
    whole = link(scene, length=12, fps=FPS, settings=linker_settings("byte", online=True))
    npt.assert_array_equal(rows.ltwh, whole.ltwh)
    npt.assert_array_equal(rows.id, whole.id)


def test_ids_belong_to_the_instance():
    for _ in range(2):
        assert Linker(BYTE, FPS).update(person([1], 5.0)).id.tolist() == [1]


def test_the_state_holds_living_tracks_only():
    linker = Linker(replace(BYTE, max_gap_s=0.5), FPS)
    for frame in range(1, 200):
        linker.update(person([frame], 1000.0 * frame))
    assert len(linker._tracks) <= 7


def test_skipped_frames_are_time():
    linker = Linker(replace(BYTE, max_gap_s=0.5), FPS)
    assert linker.update(person([3], 5.0)).id.tolist() == [1]
    assert linker.update(person([8], 5.0)).id.tolist() == [1]
    assert linker.update(person([15], 5.0)).id.tolist() == []


def test_measured_boxes_are_the_detections_and_filtered_ones_are_smoother():
    rng = np.random.default_rng(0)
    jitter = person(ALL, lambda t: 5 * t + rng.normal(0, 3, len(t)))
    measured = linked(jitter, output="measured")
    npt.assert_array_equal(measured.ltwh, jitter.ltwh)
    filtered = linked(jitter, output="filtered")
    assert np.abs(np.diff(filtered.x, 2)).mean() < np.abs(np.diff(measured.x, 2)).mean()
    npt.assert_array_equal(filtered.score, jitter.score)


# --- each setting moves something the way its name says: (scene, change, what is counted, sign)


def births(scene, **changes):
    tracks = linked(scene, backfill=True, **changes)
    return len(np.unique(tracks.id))


def rows(scene, **changes):
    return len(linked(scene, backfill=True, **changes))


def roughness(scene, **changes):
    return float(np.abs(np.diff(linked(scene, output="filtered", **changes).x, 2)).mean())


def steadiness(scene, **changes):
    return -roughness(scene, **changes)


def reach(scene, **changes):
    """How far a track has gone on its second box."""
    return float(linked(scene, output="filtered", confirm_s=0, **changes).x[2])


JUMPS = person(ALL, lambda t: 14.0 * (t % 2))
WEAK_JUMPS = person(ALL, lambda t: 14.0 * (t % 2), score=np.where(np.array(ALL) < 4, 0.9, 0.3))
JITTER = person(ALL, lambda t: 5 * t + 4 * np.sin(7 * t))
GRADES = Boxes.concatenate(
    [person(ALL, 200.0 * i, score=s) for i, s in enumerate((0.3, 0.45, 0.65, 0.75, 0.95))]
)
FADING = person(ALL, 50.0, score=np.linspace(0.95, 0.02, 30))
BLINK = person([t for t in ALL if t % 8], 50.0)
LATE = Boxes.concatenate([person([1], 900.0), person(range(5, 31), 50.0)])


@pytest.mark.parametrize(
    "count, scene, name, less, more",
    [
        (births, GRADES, "birth_score", 0.9, 0.6),
        (rows, FADING, "low_score", 0.4, 0.1),
        (births, BLINK, "max_gap_s", 1.0, 0.05),
        (rows, JUMPS, "min_iou", 0.9, 0.3),
        (rows, LATE, "confirm_s", 5.0, 0.1),
        (roughness, JITTER, "measurement_noise", 0.5, 0.02),
        (roughness, JITTER, "position_noise", 0.02, 1.0),
        (roughness, JITTER, "velocity_noise", 0.05, 5.0),
        (rows, BLINK, "fill_gap_s", 0.0, 0.1),
        (steadiness, JITTER, "smooth_s", 0.1, 0.3),
        (rows, WEAK_JUMPS, "min_iou_low", 0.95, 0.2),
        (reach, person([1, 2, 3], lambda t: 12 * t), "start_speed", 0.01, 5.0),
    ],
)
def test_a_setting_moves_what_it_names(count, scene, name, less, more):
    base = {"position_noise": 0.1, "measurement_noise": 0.1} if count in (roughness, reach) else {}
    assert count(scene, **base | {name: less}) < count(scene, **base | {name: more})


def test_a_higher_high_score_leaves_fewer_detections_that_may_find_a_lost_track():
    scores = [0.9] * 5 + [0.5] * 3
    scene = person([1, 2, 3, 4, 5, 9, 10, 11], 50.0, score=scores)
    assert rows(scene, high_score=0.4) == 8
    assert rows(scene, high_score=0.6) == 5


def test_a_higher_min_iou_tentative_ends_an_uncertain_start():
    scene = Boxes.concatenate([person([1], 900.0), person(range(5, 31), lambda t: 14.0 * (t % 2))])
    assert births(scene, min_iou_tentative=0.2, confirm_s=0.3) == 2
    assert births(scene, min_iou_tentative=0.8, confirm_s=0.3) == 1


def test_weigh_score_prefers_the_surer_of_two_detections():
    steady = person(range(1, 10), 100.0)
    choice = (person([10], 96.0, score=0.62), person([10], 105.0, score=0.99))
    chosen = [
        linked(steady, *choice, length=10, weigh_score=flag, output="measured").at(10)
        for flag in (False, True)
    ]
    assert [float(rows.x[0]) for rows in chosen] == [96, 105]


def test_momentum_prefers_the_detection_ahead_of_the_nearer_one_behind():
    # Expected at 100, last seen at 90: 88 is nearer, but would be a step back.
    runner = person(range(1, 10), lambda t: 10 * t)
    choice = (person([10], 88.0), person([10], 115.0))
    common = {"length": 10, "output": "measured", "weigh_score": False}
    chosen = [
        linked(runner, *choice, momentum=weight, **common).at(10).x.tolist()
        for weight in (0.0, 1.0)
    ]
    assert chosen == [[88.0], [115.0]]


def test_a_track_found_again_is_filtered_as_if_seen_on_the_straight_line():
    # A walker stops while hidden: a filter that was not re-updated still believes in the walk.
    seen = [*range(1, 11), *range(15, 18)]
    scene = person(seen, lambda t: np.minimum(4.0 * t, 40.0))
    left = [
        linked(scene, length=17, reupdate=flag, min_iou=0.05, position_noise=0.1).at(15).x[0]
        for flag in (False, True)
    ]
    assert abs(left[1] - 40) < abs(left[0] - 40)


def test_a_density_that_counts_fewer_people_refuses_the_weakest_births():
    scene = Boxes.concatenate(
        [person([1], 200.0 * k, score=s) for k, s in enumerate((0.7, 0.95, 0.8))]
    )
    for slack, expected in ((0.0, [200.0]), (1.0, [200.0, 400.0]), (np.inf, [0.0, 200.0, 400.0])):
        linker = Linker(replace(BYTE, count_slack=slack), FPS)
        assert sorted(linker.update(scene, Sight(count=1.0)).x.tolist()) == expected
        assert len(Linker(replace(BYTE, count_slack=slack), FPS).update(scene)) == 3


def test_the_solvers_differ_where_the_best_pair_costs_the_other():
    # Both move right; greedily, the second takes the box that is the first one's only chance.
    before = [person(range(1, 6), x) for x in (100.0, 120.0)]
    after = [person(range(6, 9), x) for x in (111.0, 135.0)]
    scene = (*before, *after)
    common = {"motion": "none", "min_iou": 0.1, "weigh_score": False, "length": 8}
    assert set(linked(*scene, solver="optimal", **common).id) == {1, 2}
    assert set(linked(*scene, solver="greedy", **common).id) == {1, 2, 3}


# --- documentation and a real scene


def test_every_setting_is_documented():
    assert all(
        f"        {field.name}: " in LinkerSettings.__doc__ for field in fields(LinkerSettings)
    )


def test_the_page_lists_every_setting_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "linking.md").read_text(encoding="utf-8")
    defaults = LinkerSettings()
    for field in fields(LinkerSettings):
        value = getattr(defaults, field.name)
        shown = f"`{value}`" if isinstance(value, str) else str(value)
        assert f"| `{field.name}` | {shown} |" in page


@pytest.mark.real
def test_public_detections_of_a_real_scene_are_linked_as_well_as_published():
    try:
        sequence = find_sequence("MOT17-09", data_root())
        detections, truth = sequence.detections(), sequence.truth()
    except InputError as error:
        pytest.skip(f"needs MOT17-09 with det and gt in $FOOTFALL_DATA: {error}")
    tracks = link(detections, length=sequence.length, fps=sequence.fps)
    scores = score_sequence(truth, tracks, length=sequence.length, name=sequence.name)
    assert scores.HOTA > 50 and scores.IDF1 > 62
