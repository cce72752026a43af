from dataclasses import replace

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from reid.linker import MENU, Linker
from reid.linking import link, link_stream, linker_settings, unit_scores

FPS = 10.0
BYTE = MENU["byte"]
CONFIRM, GAP = round(BYTE.confirm_s * FPS), int(BYTE.fill_gap_s * FPS)
SMOOTH = round(3 * BYTE.smooth_s * FPS)


def crowd(seed=0, length=40, people=6):
    """Walkers who appear late, vanish early and are missed now and then."""
    rng = np.random.default_rng(seed)
    tables = []
    for person in range(people):
        first, last = np.sort(rng.integers(1, length + 1, 2))
        frames = np.arange(first, last + 1)
        frames = frames[rng.random(len(frames)) > 0.1]
        left = 120 * person + rng.normal(0, 2) * (frames - first)
        rest = np.broadcast_to([50.0, 40.0, 100.0], (len(frames), 3))
        score = rng.uniform(0.3, 1.0, len(frames))
        tables.append(Boxes.of(frames, np.column_stack([left, rest]), score=score))
    return Boxes.concatenate(tables)


def rows_of(boxes):
    table = np.column_stack([boxes.frame, boxes.id, boxes.ltwh, boxes.score])
    return table[np.lexsort(table.T[::-1])]


@pytest.mark.parametrize("backfill", [False, True])
@pytest.mark.parametrize("linker", MENU)
def test_the_stream_gives_every_frame_once_and_what_link_gives(linker, backfill):
    settings = replace(MENU[linker], backfill=backfill)
    for seed in range(5):
        scene = crowd(seed)
        streamed = list(link_stream(scene.by_frame(40), fps=FPS, settings=settings))
        assert [frame for frame, _ in streamed] == list(range(1, 41))
        for frame, boxes in streamed:
            assert (boxes.frame == frame).all()
            assert (np.diff(boxes.id) > 0).all() and (boxes.id >= 1).all()
        table = Boxes.concatenate([boxes for _, boxes in streamed])
        whole = link(scene, length=40, fps=FPS, settings=settings)
        np.testing.assert_array_equal(rows_of(table), rows_of(whole))


@pytest.mark.parametrize("linker", MENU)
def test_backfill_gives_every_box_of_the_tracks_that_are_ever_confirmed(linker):
    settings = replace(MENU[linker], fill_gap_s=0.0, smooth_s=0.0)
    for seed in range(5):
        scene, machine = crowd(seed), Linker(settings, FPS)
        frames = [machine.advance(boxes) for _, boxes in scene.by_frame(40)]
        names = {
            s: n for rows, serial in frames for s, n in zip(serial, rows.id, strict=True) if n > 0
        }
        wanted = [
            rows[[k]].with_columns(id=names[s])
            for rows, serial in frames
            for k, s in enumerate(serial)
            if s in names
        ]
        found = link(scene, length=40, fps=FPS, settings=settings)
        np.testing.assert_array_equal(rows_of(found), rows_of(Boxes.concatenate(wanted)))


@pytest.mark.parametrize(
    "settings, delay",
    [
        (BYTE, CONFIRM + GAP + SMOOTH),
        (replace(BYTE, smooth_s=0.0), CONFIRM + GAP),
        (replace(BYTE, fill_gap_s=0.0), CONFIRM + SMOOTH),
        (replace(BYTE, fill_gap_s=0.3), CONFIRM + 3 + SMOOTH),
        (replace(BYTE, max_gap_s=0.2), CONFIRM + 2 + SMOOTH),
        (linker_settings("byte", online=True), 0),
    ],
)
def test_a_frame_waits_no_longer_than_confirmation_gaps_and_smoothing_take(settings, delay):
    taken = []

    def frames():
        for number, boxes in crowd().by_frame(40):
            taken.append(number)
            yield number, boxes

    for frame, _ in link_stream(frames(), fps=FPS, settings=settings):
        assert len(taken) == min(frame + delay, 40)


def test_tracks_are_reported_from_their_first_box_on():
    late = Boxes.of(range(5, 21), [[10.0 * k, 50, 40, 100] for k in range(16)], score=0.9)
    stream = dict(link_stream(late.by_frame(20), fps=FPS, settings=BYTE))
    assert [frame for frame, boxes in stream.items() if len(boxes)] == list(range(5, 21))
    assert {boxes.id[0] for boxes in stream.values() if len(boxes)} == {1}


def test_a_track_that_is_never_confirmed_is_never_reported():
    # In frame 1 tracks are confirmed at once, so the flash comes later.
    flash = Boxes.of(range(5, 5 + CONFIRM), [[10.0, 50, 40, 100]] * CONFIRM, score=0.9)
    assert not any(len(b) for _, b in link_stream(flash.by_frame(20), fps=FPS, settings=BYTE))


def test_the_end_of_the_video_lets_everybody_out():
    short = Boxes.of([1, 2], [[10.0, 50, 40, 100]] * 2, score=0.9)
    stream = list(link_stream(short.by_frame(2), fps=FPS, settings=BYTE))
    assert [(frame, len(boxes)) for frame, boxes in stream] == [(1, 1), (2, 1)]
    assert list(link_stream(iter(()), fps=FPS, settings=BYTE)) == []


def test_an_error_in_the_middle_reaches_the_reader():
    def frames():
        yield from crowd().by_frame(10)
        raise InputError("video", "frames", "its end", "copy it again")

    with pytest.raises(InputError, match="its end"):
        list(link_stream(frames(), fps=FPS, settings=BYTE))


@pytest.mark.parametrize("name", MENU)
def test_the_menu_is_found_by_name(name):
    assert linker_settings(name) is MENU[name]


def test_an_unknown_linker_lists_the_menu():
    with pytest.raises(InputError, match="--linker.*byte"):
        linker_settings("magic")


def test_unit_scores_put_the_surer_half_at_1():
    scene = Boxes.of([1, 1, 2, 2, 3], np.ones((5, 4)), score=[-2.0, 0.0, 2.0, 50.0, 7.0])
    mapped, count = unit_scores(scene)
    np.testing.assert_allclose(mapped.score, [0, 0.5, 1, 1, 1])
    assert count == 5
    again, count = unit_scores(mapped)
    assert again is mapped and count == 0
    assert unit_scores(Boxes.empty())[1] == 0


def test_equal_scores_outside_0_to_1_become_1():
    mapped, count = unit_scores(crowd().with_columns(score=-1))
    assert (mapped.score == 1).all() and count == len(mapped)
