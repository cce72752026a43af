"""Input that a linker refuses, and odd input that it takes."""

import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from reid.linker import Linker, LinkerSettings
from reid.linking import link
from tests.reid.test_linker import ALL, BYTE, FPS, linked, person


def test_no_detections_give_no_tracks():
    assert len(link(Boxes.empty(), length=10, fps=FPS)) == 0
    linker = Linker(BYTE, FPS)
    assert len(linker.update(Boxes.empty())) == 0
    rows = [linker.update(person([t], 1.0)).frame.tolist() for t in (2, 3)]
    assert rows == [[], [3]]


def test_equal_boxes_are_tracks_of_their_own():
    tracks = linked(*[person(ALL, 50.0)] * 5)
    assert len(tracks) == 150
    assert set(tracks.id) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("column", ["x", "y", "w", "h", "score"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_with_its_frame(column, value):
    scene = person(ALL, 50.0)
    scene = scene.with_columns(
        **{column: np.where(scene.frame == 7, value, getattr(scene, column))}
    )
    with pytest.raises(InputError, match="frame 7.*finite"):
        link(scene, length=30, fps=FPS)
    linker = Linker(BYTE, FPS)
    with pytest.raises(InputError, match="finite"):
        linker.update(scene.at(7))
    # A refused frame leaves the linker as it was.
    assert linker.update(person([7], 50.0)).id.tolist() == [1]


@pytest.mark.parametrize("column", ["w", "h"])
def test_a_box_without_area_is_refused(column):
    with pytest.raises(InputError, match="height > 0"):
        link(person([1], 5.0).with_columns(**{column: 0}), length=1, fps=FPS)


def test_scores_of_other_units_are_mapped_by_link_and_refused_by_update(caplog):
    strong, weak = person(ALL, 50.0, score=80.0), person(ALL, 400.0, score=-0.5)
    best = person([30], 800.0, score=100.0)
    tracks = linked(strong, weak, best)
    assert set(tracks.x) == {50}
    assert "61" in caplog.text and "0..1" in caplog.text
    with pytest.raises(InputError, match="unit_scores"):
        Linker(BYTE, FPS).update(strong.at(1))


@pytest.mark.parametrize("frame", [0, 31, 2.5, np.nan])
def test_frames_outside_the_sequence_are_refused(frame):
    with pytest.raises(InputError, match=r"1\.\.30"):
        link(person([frame], 5.0), length=30, fps=FPS)


def test_frames_must_ascend_one_at_a_time():
    linker = Linker(BYTE, FPS)
    linker.update(person([4], 5.0))
    with pytest.raises(InputError, match="after 4"):
        linker.update(person([4], 5.0))
    with pytest.raises(InputError, match="one frame"):
        linker.update(person([5, 6], 5.0))


@pytest.mark.parametrize("fps", [0, -1, np.nan, np.inf, None])
def test_an_unknown_rate_names_the_flag(fps):
    with pytest.raises(InputError, match="--fps"):
        link(Boxes.empty(), length=1, fps=fps)


@pytest.mark.parametrize(
    "changes",
    [
        {"motion": "teleport"},
        {"solver": "guess"},
        {"output": "both"},
        {"high_score": 1.5},
        {"min_iou": -0.1},
        {"max_gap_s": float("nan")},
        {"measurement_noise": 0},
        {"confirm_s": "soon"},
        {"low_score": 0.7, "high_score": 0.6, "birth_score": 0.8},
        {"high_score": 0.7, "birth_score": 0.6},
    ],
)
def test_settings_that_cannot_be_are_refused(changes):
    with pytest.raises(InputError):
        LinkerSettings(**changes)
