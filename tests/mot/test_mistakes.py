"""Chosen errors: as many as the table says, each of them one, spread over people and time."""

import base64

import cv2
import numpy as np
import pytest

from mot.boxes import Boxes, iou_matrix
from mot.preprocessing import prepare
from mot.referees import count_clear, list_errors
from mot.report.gallery import CROP_HW, cut, hang
from mot.report.mistakes import choose_mistakes, spread, stretches_of
from mot.sequence import open_sequence
from tests.mot.test_parity import LENGTH, walkers


def prepared_of(truth, tracks, length):
    return prepare(truth, tracks, length=length, name="scene")


def paths(*people, length=20):
    """Truth and tracks of people who stand 100 px apart; each is a list of (id, first, last)."""
    rows = [
        (frame, identity, 100.0 * place)
        for place, runs in enumerate(people)
        for identity, first, last in runs
        for frame in range(first, last + 1)
    ]
    frame, identity, x = np.array(rows).T
    ltwh = np.stack([x, np.full_like(x, 10), np.full_like(x, 20), np.full_like(x, 40)], axis=1)
    return Boxes.of(frame, ltwh, identity)


TRUTH = paths([(1, 1, 20)], [(2, 1, 20)], [(3, 5, 9)])


@pytest.mark.parametrize("seed", range(4))
def test_the_errors_are_those_of_the_table(seed):
    truth, tracks = walkers(seed, classes=(1, 1, 7))
    prepared = prepared_of(truth, tracks, LENGTH)
    counts, errors = count_clear(prepared), list_errors(prepared)
    assert counts.FP and counts.FN and counts.IDs
    assert len(errors.false) == counts.FP and len(errors.missed) == counts.FN
    assert len(errors.switched) == counts.IDs and len(errors.pairs) == counts.TP
    # Every box is matched or an error, once.
    rows = np.concatenate([errors.false, errors.pairs[:, 1]])
    assert sorted(rows) == list(range(len(prepared.tracks)))
    rows = np.concatenate([errors.missed, errors.pairs[:, 0]])
    assert sorted(rows) == list(range(len(prepared.truth)))
    one, other = prepared.truth[errors.pairs[:, 0]], prepared.tracks[errors.pairs[:, 1]]
    assert (one.frame == other.frame).all()
    assert np.diag(iou_matrix(one.ltwh, other.ltwh)).min() >= 0.5
    chosen = choose_mistakes(prepared, fps=10.0, most=1000)
    assert chosen.counts == {"false": counts.FP, "missed": counts.FN, "switched": counts.IDs}
    for kind, examples in chosen.examples.items():
        assert len(examples) == chosen.stretches[kind]
        assert sum(example.errors for example in examples) == chosen.counts[kind]


@pytest.mark.parametrize("nothing", ["truth", "tracks", "both"])
def test_nothing_to_match(nothing):
    truth = Boxes.empty() if nothing in ("truth", "both") else TRUTH
    tracks = Boxes.empty() if nothing in ("tracks", "both") else TRUTH
    prepared = prepared_of(truth, tracks, 20)
    counts, chosen = count_clear(prepared), choose_mistakes(prepared, fps=10.0, most=3)
    assert chosen.counts == {"false": counts.FP, "missed": counts.FN, "switched": 0}
    assert len(chosen.examples["missed"]) == min(3, len(np.unique(truth.id)) * (nothing != "truth"))


def test_what_happened_is_told():
    tracks = Boxes.concatenate(
        [
            paths([(11, 1, 10), (12, 13, 20)], [(21, 1, 20)]),
            Boxes.of([4, 4], [[102, 12, 20, 40], [400, 10, 20, 40]], [31, 32], [0.9, 0.0]),
        ]
    )
    truth = TRUTH.with_columns(visibility=np.where(TRUTH.id == 3, 0.25, 1.0))
    chosen = choose_mistakes(prepared_of(truth, tracks, 20), fps=10.0, most=9)
    assert chosen.counts == {"false": 2, "missed": 7, "switched": 1}
    false = {example.track: example for example in chosen.examples["false"]}
    assert false[31].note == "second box on person 2, whom track 21 has" and false[31].truth == 2
    assert false[31].other == (100, 10, 20, 40)
    assert false[32].note == "nobody is there; fills a gap" and false[32].truth is None
    first, second = chosen.examples["missed"]
    assert (first.truth, first.errors, first.frame) == (1, 2, 12) or first.truth == 3
    by_person = {example.truth: example for example in (first, second)}
    assert by_person[3].note == "no track is near; 25 % visible" and by_person[3].frame == 7
    assert by_person[1].errors == 2
    [switch] = chosen.examples["switched"]
    assert (switch.truth, switch.track, switch.frame) == (1, 12, 13)
    assert switch.note == "track 11 until frame 10, track 12 from frame 13 on"
    assert switch.before == (10, (0, 10, 20, 40))


def test_errors_that_lie_apart_are_two_stretches():
    rows = np.arange(20)  # of person 1
    apart = rows[np.isin(rows, [2, 3, 4, 12, 13])]
    assert [part.tolist() for part in stretches_of(TRUTH, apart, 5)] == [[2, 3, 4], [12, 13]]
    assert len(stretches_of(TRUTH, apart, 9)) == 1
    assert stretches_of(TRUTH, np.empty(0, np.int64), 5) == []


def test_examples_are_spread_over_people_and_time():
    # One person has the three longest stretches; another's comes second all the same.
    parts = stretches_of(TRUTH, np.array([0, 1, 2, 3, 8, 9, 10, 15, 16, 17, 38, 39]), 1)
    weight = np.array([len(part) for part in parts], float)
    chosen = spread(TRUTH, parts, weight, 20, 2)
    assert [TRUTH.id[part[0]] for part in chosen] == [1, 2]
    assert len(spread(TRUTH, parts, weight, 20, 99)) == len(parts)


def test_crops_show_the_box_where_the_page_draws_it(scene):
    sequence = open_sequence(scene)
    tracks = Boxes.of([3, 5], [[8, 10, 10, 30], [2, 2, 8, 8]], [1, 5])
    truth = sequence.truth()
    mistakes = choose_mistakes(prepared_of(truth, tracks, 12), fps=25.0, most=2)
    wings = hang(sequence, mistakes, pictures=True)
    assert [wing.kind for wing in wings] == ["false", "missed", "switched"]
    for wing in wings:
        assert wing.errors == mistakes.counts[wing.kind]
        for exhibit in wing.exhibits:
            for crop in exhibit.crops:
                head, data = crop.image.split(",")
                assert head == "data:image/jpeg;base64"
                raw = np.frombuffer(base64.b64decode(data), np.uint8)
                picture = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB)
                assert picture.shape[:2] == CROP_HW
                assert crop.box[0] > 0 and crop.box[0] + crop.box[2] < 100
    missed = wings[1].exhibits[0]
    picture = missed.crops[0]
    left, top, width, height = picture.box
    assert left + width / 2 == pytest.approx(50) and top + height / 2 == pytest.approx(50)
    without = hang(sequence, mistakes, pictures=False)
    assert without[1].exhibits[0].crops[0].image == ""


def test_a_crop_is_cut_where_its_box_is():
    image = np.zeros((200, 300, 3), np.uint8)
    image[50:150, 100:150] = (250, 0, 0)
    crop = cut(image, (100, 50, 50, 100)).astype(int)
    height, width = CROP_HW
    assert crop[height // 2, width // 2, 0] > 200
    assert crop[5, 5].max() < 30
    share = (crop[:, :, 0] > 125).mean()
    assert share == pytest.approx(50 * 100 / (170 * 136), rel=0.05)
    corner = cut(image, (-20, -20, 50, 100))
    assert tuple(corner[0, 0]) == (90, 90, 90)
