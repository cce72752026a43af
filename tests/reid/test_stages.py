import pickle
from dataclasses import replace

import numpy as np
import pytest

from mot.boxes import Boxes
from reid.linker import MENU, Linker
from reid.linking import LinkStream, link_stream, linker_settings

FPS = 10.0


def walkers(frames=60, step=1):
    """Three people side by side; the second is missed for half a second."""
    for number in range(1, frames + 1, step):
        there = [k for k in range(3) if not (k == 1 and 20 <= number < 25)]
        ltwh = [[200.0 * k + 3 * number, 50, 40, 100] for k in there]
        yield number, Boxes.of(number, ltwh, score=0.9)


def table(frames):
    return [(number, boxes.id.tolist(), boxes.ltwh.tolist()) for number, boxes in frames]


def test_a_stream_that_was_stored_in_the_middle_goes_on_as_if_nothing_had_been():
    whole = table(link_stream(walkers(), fps=FPS, settings=MENU["byte"]))
    stream, given = LinkStream(MENU["byte"], FPS), []
    for number, boxes in walkers():
        given += stream.push(number, boxes)
        if number % 7 == 0:
            stream = pickle.loads(pickle.dumps(stream))
    given += stream.finish()
    assert table(given) == whole
    assert [number for number, *_ in whole] == list(range(1, 61))


def test_skipped_frames_are_time_that_passes():
    every_third = table(link_stream(walkers(step=3), fps=FPS, settings=MENU["byte"]))
    assert [number for number, *_ in every_third] == list(range(1, 61, 3))
    assert all(ids == [1, 2, 3] for _, ids, _ in every_third)  # the gap is filled


def looks(settings, step):
    """Tracks of a stream in which every so-many-th frame is pushed and the others are skipped."""
    stream = LinkStream(settings, FPS, detect_step=step)
    for number, boxes in walkers(frames=61):
        seen = (number - 1) % step == 0
        yield from stream.push(number, boxes) if seen else stream.skip(number)
    yield from stream.finish()


@pytest.mark.parametrize("step", [2, 3, 4])
def test_people_go_straight_from_one_look_to_the_next(step):
    tracks = dict(looks(MENU["byte"], step))
    assert list(tracks) == list(range(1, 62))
    for number, boxes in tracks.items():
        assert boxes.id.tolist() == [1, 2, 3]
        assert (boxes.frame == number).all()
        places = [[200.0 * k + 3 * number, 50, 40, 100] for k in range(3)]
        np.testing.assert_allclose(boxes.ltwh, places, atol=0.01)


def test_a_track_outlives_the_time_to_the_next_look():
    impatient = replace(MENU["byte"], max_gap_s=0.0)
    tracks = dict(looks(impatient, 5))  # the second is missed in one of them, and comes back anew
    assert all({1, 3} <= set(boxes.id.tolist()) for boxes in tracks.values())


def test_online_people_are_where_they_are_expected_between_two_looks():
    stream = LinkStream(linker_settings("byte", online=True), FPS, detect_step=3)
    for number, boxes in walkers(frames=61):
        seen = (number - 1) % 3 == 0
        [(given, tracks)] = stream.push(number, boxes) if seen else stream.skip(number)
        assert given == number
        there = [0, 2] if 22 <= number < 25 else [0, 1, 2]  # the look at 22 misses the second
        assert tracks.id.tolist() == [k + 1 for k in there]
        if number > 10:  # its speed is known by then
            places = [[200.0 * k + 3 * number, 50, 40, 100] for k in there]
            np.testing.assert_allclose(tracks.ltwh, places, atol=2)


def test_an_empty_frame_that_was_skipped_to_lets_its_time_pass():
    linker = Linker(replace(MENU["byte"], max_gap_s=1.0, confirm_s=0.0), FPS)
    person = [[10.0, 10, 40, 100]]
    assert linker.update(Boxes.of(1, person)).id.tolist() == [1]
    linker.update(Boxes.empty(), frame=40)
    assert linker.update(Boxes.of(41, person)).id.tolist() == [2]
    np.testing.assert_array_equal(linker.update(Boxes.of(42, person)).frame, [42])
