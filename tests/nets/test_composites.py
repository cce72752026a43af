import dataclasses

import cv2
import numpy as np
import pytest

from mot.boxes import iou_matrix
from mot.sprites import Sprite
from nets.augment import Augmentation, AugmentSettings
from nets.clips import Clip, frame_targets, sample_clip
from nets.composites import Pasted, Scene, paste_people
from nets.people import People

SIZE = (96, 160)
SETTINGS = AugmentSettings(crop=SIZE, person_px=(24.0, 48.0), paste_share=1.0)
NOBODY = np.empty((0, 4), np.float32)


class Bank:
    """Cut-outs in memory: a full ellipse of one colour each, 40 px wide and 100 high."""

    def __init__(self, *levels):
        self.cutouts = []
        for level in levels:
            alpha = cv2.ellipse(
                np.zeros((100, 40), np.uint8), (20, 50), (19, 49), 0, 0, 360, 255, -1
            )
            colour = np.full((100, 40, 3), level, np.uint8)
            self.cutouts.append(np.dstack([colour, alpha])[1:, 1:])

    def __len__(self):
        return len(self.cutouts)

    def read(self, index):
        return self.cutouts[index]


def people(boxes=NOBODY, ids=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    ids = np.arange(1, len(boxes) + 1) if ids is None else ids
    return People(boxes, np.array(ids, np.float32), NOBODY, NOBODY)


def scene(*shown, room=(0, 0, SIZE[1], SIZE[0])):
    return Scene(shown, np.array(room, np.float64), light=110.0, scale=1.0)


def pasted(where, seed, settings=SETTINGS, bank=None):
    """Frames that were black, and whom they show now."""
    frames = np.zeros((len(where.people), *SIZE, 3), np.uint8)
    rng = np.random.default_rng(seed)
    return frames, paste_people(frames, where, bank or Bank(200), settings, rng)


def test_pasted_people_of_another_size_do_not_teach_either():
    class Street:
        name, length, still = "street", 1, True

        def clip(self, start, count, step):
            return [np.zeros((*SIZE, 3), np.uint8)] * count

        def people(self, index):
            return people()

    settings = dataclasses.replace(SETTINGS, teach_px=(30.0, 36.0), paste_most=6)
    rng = np.random.default_rng(0)
    clips = [sample_clip(Street(), 1, settings, rng, Bank(200)) for _ in range(30)]
    taught = np.concatenate([clip.people[0].ltwh[:, 3] for clip in clips])
    ignored = np.concatenate([clip.people[0].ignored[:, 3] for clip in clips])
    assert len(taught) and ((taught >= 30) & (taught <= 36)).all()
    assert len(ignored) > len(taught)


ALONE = dataclasses.replace(SETTINGS, paste_most=1)


def test_a_box_holds_the_pixels_that_have_changed():
    for seed in range(30):
        frames, (shown,) = pasted(scene(people()), seed, ALONE)
        assert len(shown.ltwh) == 1
        left, top, width, height = shown.ltwh[0]
        solid = frames[0, :, :, 0] >= frames.max() / 2
        corners = np.clip([left, top, left + width, top + height], 0, [160, 96, 160, 96])
        rows, columns = np.nonzero(solid)
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found == pytest.approx(corners, abs=1)
        assert 22 <= height <= 49


def test_heights_are_like_those_of_people_in_the_crop():
    tall = people([[20, 10, 30, 80]])
    heights = [
        shown.ltwh[-1, 3]
        for seed in range(60)
        for shown in pasted(scene(tall), seed, ALONE)[1]
        if shown.ids[-1] == 2
    ]
    assert 0.55 * 80 < min(heights) < 60
    assert 100 < max(heights) <= 1.6 * 80 + 1


def test_pasted_people_are_counted_and_have_ids_of_their_own():
    first, second = people([[20, 30, 12, 30]], ids=[7]), people([[22, 30, 12, 30]], ids=[9])
    for seed in range(20):
        frames, shown = pasted(scene(first, second), seed)
        maps = frame_targets(Clip(frames, shown), stride=4, label="gaussian", size_hw=SIZE)
        for index, frame in enumerate(shown):
            assert len(set(frame.ids.tolist())) == len(frame.ids)
            assert set(frame.ids.tolist()) <= {7, 9, 10, 11, 12, 13}
            assert maps["density"][index].sum() == pytest.approx(len(frame.counted), abs=1e-3)
        assert (maps["valid"] == 1).all() or any(len(frame.ignored) for frame in shown)


@pytest.fixture
def placed(monkeypatch):
    """Paste full rectangles, (left, top, width, height) and a grey level each, in this order."""

    def paste(where, *rectangles):
        wanted = []
        for (left, top, width, height), level in rectangles:
            picture = np.full((height, width, 4), (level, level, level, 255), np.uint8)
            box = np.array([left, top, width, height], np.float64)
            wanted.append(Pasted(Sprite(picture, left, top), box, np.zeros(2, np.int64)))
        drawn = iter(wanted)
        monkeypatch.setattr("nets.composites._draw_person", lambda *_: next(drawn, None))
        result = pasted(where, 0, dataclasses.replace(SETTINGS, paste_most=50))
        assert next(drawn, None) is None
        return result

    return paste


def test_lower_feet_are_nearer_whatever_the_order_of_drawing(placed):
    far, middle, near = (
        ([40, 10, 30, 50], 100),
        ([50, 15, 30, 50], 150),
        ([60, 5, 30, 70], 200),
    )
    expected = np.zeros(SIZE, np.uint8)
    for (left, top, width, height), level in (far, middle, near):
        expected[top : top + height, left : left + width] = level
    for order in ((far, middle, near), (near, middle, far), (middle, near, far)):
        frames, (shown,) = placed(scene(people()), *order)
        assert np.array_equal(frames[0, :, :, 1], expected)
        assert shown.ltwh.tolist() == [box for box, _ in order]


def test_no_pasted_person_covers_a_real_one_who_stands_nearer():
    real = people([[40, 20, 30, 60], [100, 30, 20, 40]])
    beside = 0
    for seed in range(150):
        _, (shown,) = pasted(scene(real), seed, ALONE)
        new = shown.ltwh[shown.ids > 2]
        overlap = iou_matrix(new, real.ltwh)
        feet = real.ltwh[:, 1] + real.ltwh[:, 3]
        for row, box in enumerate(new):
            assert not (overlap[row] > 0)[feet > box[1] + box[3]].any()
            beside += overlap[row].max() >= 0.1
    assert beside >= 30  # a third is meant to, less those who find no place


@pytest.mark.parametrize(
    ("over", "hidden"),
    [
        ([70, 30, 20, 36], True),  # bare feet: 10 % of it
        ([74, 30, 12, 36], True),  # what is left at its sides is background
        ([70, 30, 20, 32], False),  # 20 %
        ([70, 30, 13, 40], False),  # a quarter of the middle
        ([100, 40, 20, 50], False),
    ],
)
def test_a_real_person_is_hidden_when_the_middle_of_its_box_is_covered(over, hidden, placed):
    real = people([[70, 30, 20, 40], [10, 10, 20, 40]])
    _, (shown,) = placed(scene(real), (over, 200))
    assert shown.hidden.tolist() == ([[70, 30, 20, 40]] if hidden else [])
    assert shown.ids.tolist() == ([2, 3] if hidden else [1, 2, 3])
    assert len(shown.counted) == 3


def test_a_pasted_person_who_is_pasted_over_is_hidden(placed):
    covered, near, free = [50, 20, 10, 30], [40, 10, 30, 50], [100, 20, 10, 30]
    partly = [36, 20, 6, 30]
    order = [(box, 200) for box in (covered, near, free, partly)]
    _, (shown,) = placed(scene(people()), *order)
    assert shown.hidden.tolist() == [covered]
    assert shown.ltwh.tolist() == [near, free, partly]
    assert shown.ids.tolist() == [2, 3, 4]


def test_who_is_cut_off_by_the_crops_edge_is_not_hidden_by_that(placed):
    _, (shown,) = placed(scene(people()), ([-15, -30, 32, 62], 200))
    assert shown.ltwh.tolist() == [[-15, -30, 32, 62]]


def test_pasted_people_walk_as_their_motion_targets_say():
    empty = [people() for _ in range(4)]
    moved = 0
    for seed in range(30):
        frames, shown = pasted(scene(*empty), seed, ALONE)
        if any(len(frame.ltwh) == 0 for frame in shown):
            continue
        maps = frame_targets(Clip(frames, shown), stride=4, label="gaussian", size_hw=SIZE)
        for index in range(3):
            known = maps["motion_weight"][index] > 0
            (dx,), (dy,) = (np.unique(maps["motion"][index, axis][known]) for axis in (0, 1))
            step = np.float32([[1, 0, dx], [0, 1, dy]])
            here = cv2.warpAffine(frames[index], step, SIZE[::-1], flags=cv2.INTER_NEAREST)
            inner = np.s_[4:-4, 4:-4]  # what comes in over the edge was nowhere before
            assert np.array_equal(here[inner], frames[index + 1][inner])
            assert abs(dx) <= 0.03 * 48 + 0.5
            moved += dx != 0
    assert moved > 20


def test_who_walks_out_of_the_crop_is_ignored_there():
    empty = [people() for _ in range(40)]
    for seed in range(40):
        _, shown = pasted(scene(*empty), seed, ALONE)
        gone = [frame for frame in shown if len(frame.ignored)]
        assert len(shown[0].ltwh) == 1
        assert all(len(frame.ignored) + len(frame.counted) == 1 for frame in shown)
        if gone:
            return
    pytest.fail("nobody left")


def test_nobody_is_pasted_beyond_the_frame():
    draw = Augmentation(1.0, np.array([[-60.0, 0.0]]), False, SIZE)
    frames = np.full((1, *SIZE, 3), 90, np.uint8)
    where = Scene.of(frames, (people(),), draw, (96, 200))
    assert where.room.tolist() == [60, 0, 160, 96]
    assert where.light == 90
    for seed in range(30):
        frames, (shown,) = pasted(where, seed)
        assert (frames[0, :, :60] == 0).all()
        assert ((shown.ltwh[:, 0] + shown.ltwh[:, 2] / 2) >= 60).all()


def test_dark_scenes_get_darker_people():
    dark = dataclasses.replace(scene(people()), light=30.0)

    def brightness(where):
        return np.mean([pasted(where, seed)[0].max() for seed in range(20)])

    assert brightness(dark) < 0.8 * brightness(scene(people()))


def test_the_seed_decides():
    one, again, other = (pasted(scene(people()), seed) for seed in (3, 3, 4))
    assert np.array_equal(one[0], again[0])
    assert np.array_equal(one[1][0].ltwh, again[1][0].ltwh)
    assert not np.array_equal(one[0], other[0])
