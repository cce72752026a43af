import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.boxes import FILLED_SCORE, Boxes
from reid.gaps import GapFiller
from reid.stages import run


def track(frames, identity=1, speed=10.0, category=1):
    frames = np.asarray(frames, float)
    ltwh = np.column_stack([speed * frames, np.full((len(frames), 3), [5.0, 20.0, 60.0])])
    return Boxes.of(
        frames, ltwh, id=identity, score=0.9, category=category, visibility=0.5
    ).sorted_by_frame()


def filled(*tracks, longest, length=20):
    table = Boxes.concatenate(tracks).sorted_by_frame()
    frames = list(run(GapFiller(longest), table.by_frame(length)))
    assert [number for number, _ in frames] == list(range(1, length + 1))
    for number, boxes in frames:
        assert (boxes.frame == number).all() and (np.diff(boxes.id) > 0).all()
    return Boxes.concatenate([boxes for _, boxes in frames])


def test_a_gap_is_filled_along_the_straight_line():
    given_rows = track([3, 4, 8, 9], category=2)
    rows = filled(given_rows, longest=3)
    assert rows.frame.tolist() == [3, 4, 5, 6, 7, 8, 9]
    npt.assert_allclose(rows.ltwh, track(range(3, 10)).ltwh)
    new = np.isin(rows.frame, [5, 6, 7])
    assert (rows.score[new] == FILLED_SCORE).all() and (rows.visibility[new] == -1).all()
    assert (rows.cls == 2).all()
    assert (rows[~new].score == given_rows.score).all()
    assert (rows[~new].visibility == given_rows.visibility).all()


def test_only_gaps_up_to_the_limit_are_filled():
    walk = track([1, 4, 8])  # gaps of 2 and 3
    assert filled(walk, longest=1).frame.tolist() == [1, 4, 8]
    assert filled(walk, longest=2).frame.tolist() == [1, 2, 3, 4, 8]
    assert filled(walk, longest=3).frame.tolist() == list(range(1, 9))


def looking(longest, step, passed):
    """A filler that knows which frames nobody looks at."""
    filler = GapFiller(longest, detect_step=step)
    for number in passed:
        filler.pass_on(number)
    return filler


def test_between_two_spaced_a_box_is_as_sure_as_both_and_a_missed_look_is_a_gap():
    walk = track([1, 4, 10, 13]).with_columns(score=[0.3, 0.9, 0.9, 0.6])
    passed = [2, 3, 5, 6, 8, 9, 11, 12]
    frames = run(looking(0, 3, passed), walk.by_frame(13))
    rows = Boxes.concatenate([boxes for _, boxes in frames])
    assert rows.frame.tolist() == [1, 2, 3, 4, 10, 11, 12, 13]
    npt.assert_allclose(rows.score, [0.3, 0.5, 0.7, 0.9, 0.9, 0.8, 0.7, 0.6], rtol=1e-6)
    frames = run(looking(5, 3, passed), walk.by_frame(13))
    rows = Boxes.concatenate([boxes for _, boxes in frames])
    npt.assert_allclose(rows.score[4:9], FILLED_SCORE)


def test_nobody_is_missed_between_looks_that_come_late():
    walk = track(
        [1, 6, 8, 15]
    )  # what is left of a live stream that is too fast: every second number
    stream = [(k, walk.at(k)) for k in (1, 2, 6, 7, 8, 9, 15)]
    rows = dict(run(looking(0, 2, [2, 7, 9]), stream))
    npt.assert_allclose([float(rows[k].score[0]) for k in (2, 7, 9)], 0.9, rtol=1e-6)


def test_tracks_are_filled_each_for_itself():
    rows = filled(track([1, 5], 1), track([2, 6], 2, speed=-3.0), track([4], 3), longest=5)
    assert [rows.at(k).id.tolist() for k in range(1, 8)] == [
        [1], [1, 2], [1, 2], [1, 2, 3], [1, 2], [2], [],
    ]  # fmt: skip
    npt.assert_allclose(rows[rows.id == 2].x, [-3.0 * k for k in range(2, 7)])


def test_frames_that_are_not_in_the_stream_stay_out():
    walk = track([1, 7])
    stream = [(k, walk.at(k)) for k in (1, 3, 5, 7)]
    rows = dict(run(GapFiller(5), stream))
    assert {k: boxes.x.tolist() for k, boxes in rows.items()} == {
        1: [10],
        3: [30],
        5: [50],
        7: [70],
    }


@pytest.mark.parametrize("longest", [0, 1, 4])
def test_a_frame_waits_no_longer_than_a_gap_may_last(longest):
    taken = []

    def frames():
        for number, boxes in track(range(1, 21)).by_frame(20):
            taken.append(number)
            yield number, boxes

    for number, _ in run(GapFiller(longest), frames()):
        assert len(taken) == min(number + longest, 20)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 6))
def test_what_was_there_stays_and_no_short_gap_is_left(seed, longest):
    rng = np.random.default_rng(seed)
    tracks = [track(np.flatnonzero(rng.random(20) < 0.4) + 1, k) for k in (1, 2, 3)]
    rows = filled(*tracks, longest=longest)
    for k, before in enumerate(tracks, start=1):
        mine = rows[rows.id == k]
        found = mine[np.isin(mine.frame, before.frame)]
        npt.assert_array_equal(found.ltwh, before.ltwh)
        gaps = np.diff(mine.frame) - 1
        assert ((gaps == 0) | (gaps > longest)).all()
        assert len(mine) == len(before) + sum(g for g in np.diff(before.frame) - 1 if g <= longest)
