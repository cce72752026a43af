from dataclasses import replace

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from reid.linking import link, linker_settings
from reid.offline import OfflineSettings, join_tracks

FPS = 10.0
GENEROUS = OfflineSettings(join_gap_s=4.0, allowance=3.0)


def walk(frames, identity, left, top=100.0, height=100.0):
    frames = np.asarray(frames, float)
    rest = np.full((len(frames), 3), [top, 0.4 * height, height])
    ltwh = np.column_stack([left(frames), rest])
    return Boxes.of(frames, ltwh, id=identity, score=0.9)


def people(*parts, **changes):
    """Person of each part after joining, in the order of the parts."""
    together = Boxes.concatenate(parts)
    order = np.random.default_rng(0).permutation(len(together))
    settings = replace(GENEROUS, **changes)
    joined = join_tracks(together[order], fps=FPS, settings=settings)
    assert len(joined) == len(together)
    assert len(np.unique(np.stack([joined.frame, joined.id]), axis=1).T) == len(joined)
    found = []
    for part in parts:
        same = (joined.frame == part.frame[0]) & (joined.x == part.x[0]) & (joined.y == part.y[0])
        found.append(int(joined.id[same][0]))
    return found


def steady(t):
    return 6 * t


HALVES = (walk(range(1, 11), 7, steady), walk(range(31, 41), 9, lambda t: 150 + 0 * t))


def test_both_parts_of_a_person_who_was_hidden_for_two_seconds_become_one():
    assert people(*HALVES) == [1, 1]


def test_three_parts_become_one_person_and_ids_count_by_first_appearance():
    parts = [walk(range(a, a + 8), 50 - a, lambda t: 0 * t + 40.0) for a in (1, 21, 41)]
    bystander = walk(range(1, 60), 60, lambda t: 0 * t + 900.0)
    assert people(bystander, *parts) == [2, 1, 1, 1]


def test_somebody_of_another_height_or_place_is_somebody_else():
    first = walk(range(1, 11), 1, lambda t: 0 * t + 40.0)
    for other in (
        walk(range(21, 31), 2, lambda t: 0 * t + 40.0, height=190.0),
        walk(range(21, 31), 2, lambda t: 0 * t + 40.0, top=180.0),
        walk(range(21, 31), 2, lambda t: 0 * t + 400.0),
    ):
        assert people(first, other) == [1, 2]


def test_of_two_who_return_each_gets_the_nearer_one():
    gone = [walk(range(1, 11), k, lambda t, k=k: 0 * t + 30.0 * k) for k in (1, 2)]
    back = [walk(range(25, 31), k + 2, lambda t, k=k: 0 * t + 30.0 * k + 10) for k in (1, 2)]
    assert people(*gone, *back) == [1, 2, 1, 2]


def test_parts_that_are_seen_at_once_are_two_people():
    assert people(
        walk(range(1, 20), 1, lambda t: 0 * t + 40.0),
        walk(range(19, 31), 2, lambda t: 0 * t + 41.0),
    ) == [1, 2]


BORDER = (walk(range(1, 11), 1, lambda t: 0 * t), walk(range(21, 31), 2, lambda t: 0 * t + 120))


@pytest.mark.parametrize(
    ("name", "few", "many", "parts"),
    [
        ("join_gap_s", 1.0, 3.0, HALVES),
        ("allowance", 0.5, 3.0, BORDER),
        ("across_start", 0.1, 0.8, BORDER),
        ("across_growth", 0.1, 0.5, BORDER),
        (
            "down_start",
            0.02,
            0.3,
            (HALVES[0], walk(range(12, 20), 2, steady, top=116.0)),
        ),
        (
            "down_growth",
            0.0,
            0.3,
            (walk(range(1, 11), 1, lambda t: 0 * t), walk(range(25, 31), 2, lambda t: 0 * t, 119)),
        ),
        (
            "size_start",
            0.02,
            0.6,
            (HALVES[0], walk(range(12, 20), 2, steady, top=90.0, height=120.0)),
        ),
        (
            "size_growth",
            0.0,
            0.3,
            (
                walk(range(1, 11), 1, lambda t: 0 * t),
                walk(range(25, 31), 2, lambda t: 0 * t, 80, 140.0),
            ),
        ),
    ],
)
def test_higher_settings_join_more(name, few, many, parts):
    assert people(*parts, **{name: few}) == [1, 2]
    assert people(*parts, **{name: many}) == [1, 1]


def test_speed_carries_farther_with_a_longer_memory():
    runner = (walk(range(1, 11), 1, lambda t: 25 * t), walk(range(16, 26), 2, lambda t: 25 * t))
    assert people(*runner, memory_s=0.02) == [1, 2]
    assert people(*runner, memory_s=2.0) == [1, 1]


def test_a_longer_end_reads_the_speed_before_a_last_stumble():
    stumble = walk(range(1, 11), 1, lambda t: 15 * t - 12.0 * (t > 9))
    later = walk(range(16, 26), 2, lambda t: 15 * t)
    settings = replace(GENEROUS, memory_s=2.0, allowance=100.0)
    joined = [
        join_tracks(
            Boxes.concatenate([stumble, later]), fps=FPS, settings=replace(settings, ends_s=s)
        )
        for s in (0.1, 0.9)
    ]
    assert all(len(set(tracks.id.tolist())) == 1 for tracks in joined)
    short, long = (
        people(stumble, later, memory_s=2.0, ends_s=s, across_start=0.1, across_growth=0.15)
        for s in (0.1, 0.9)
    )
    assert (short, long) == ([1, 2], [1, 1])


def test_nobody_and_one_person():
    assert len(join_tracks(Boxes.empty(), fps=FPS, settings=OfflineSettings())) == 0
    assert people(HALVES[0]) == [1]


def test_link_joins_fills_and_smooths_what_the_linker_cut():
    scene = Boxes.concatenate([walk([*range(1, 11), *range(31, 41)], -1, lambda t: 0 * t + 40.0)])
    settings = linker_settings("byte")
    live = link(scene, length=40, fps=FPS, settings=settings)
    whole = link(scene, length=40, fps=FPS, settings=settings, offline=GENEROUS)
    assert sorted(set(live.id.tolist())) == [1, 2] and len(live) == 20
    assert set(whole.id.tolist()) == {1} and whole.frame.tolist() == list(range(1, 41))
    np.testing.assert_allclose(whole.x, 40.0, atol=1e-3)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="--down-start"):
        OfflineSettings(down_start=0.0)
    with pytest.raises(InputError, match="--join-gap-s"):
        OfflineSettings(join_gap_s=float("nan"))
