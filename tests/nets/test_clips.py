import dataclasses
import pickle

import cv2
import numpy as np
import pytest
import torch

from mot.boxes import Boxes
from mot.errors import InputError
from mot.stills import open_stills
from nets.augment import AugmentSettings
from nets.clips import Clip, ClipBatches, StillSource, frame_targets, sample_clip
from nets.people import People, people_of
from nets.settings import HEADS

SIZE = (64, 96)
PLAIN = AugmentSettings(
    crop=SIZE, scale=(1.0, 1.0), colour=0.0, blur_share=0.0, noise=0.0, flip=False
)
NOBODY = np.empty((0, 4), np.float32)


class Street:
    """A sequence in memory: one person, 12 px wide and 30 high, walks 3 px a frame to the right."""

    still = False

    def __init__(self, length=12, size=SIZE, name="street"):
        self.name, self.length, self.size = name, length, size

    def box(self, index):
        return np.array([[10 + 3 * index, 16, 12, 30]], np.float32)

    def clip(self, start, count, step):
        images = []
        for index in range(start, start + count * step, step):
            image = np.full((*self.size, 3), index, np.uint8)
            x, y, w, h = self.box(index)[0].astype(int)
            image[y : y + h, x : x + w] = 200
            images.append(image)
        return images

    def people(self, index):
        return People(self.box(index), np.array([7.0], np.float32), NOBODY, NOBODY)


def batches(sources=None, **changes):
    values = {"frames": 3, "batch": 2, "augment": PLAIN, "stride": 4, "label": "gaussian"}
    values |= {"heads": HEADS}
    values |= {"seed": 1, "count": 4} | changes
    sources = [Street()] if sources is None else sources
    return ClipBatches(sources, [1.0] * len(sources), **values)


def table(boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def people(boxes, ids=None, hidden=NOBODY, ignored=NOBODY):
    ids = np.arange(1, len(boxes) + 1) if ids is None else ids
    return People(table(boxes), np.array(ids, np.float32), table(hidden), table(ignored))


def clip_of(*frames):
    return Clip(np.zeros((len(frames), *SIZE, 3), np.uint8), frames)


def rendered(clip):
    return frame_targets(clip, stride=4, label="gaussian", size_hw=SIZE)


def test_a_batch_has_the_shapes_of_the_contract():
    images, targets = batches()[0]
    assert images.shape == (2, 3, 3, 64, 96)
    assert images.dtype == torch.uint8
    for name, value in vars(targets).items():
        planes = {"box": (4,), "motion": (2,)}.get(name, ())
        assert value.shape == (2, 3, *planes, 16, 24), name
        assert value.dtype == torch.float32


def test_seed_rank_and_number_decide_a_batch():
    augment = AugmentSettings(crop=SIZE)

    def flat(number=0, **changes):
        images, targets = batches(augment=augment, **changes)[number]
        return torch.cat([images.float().flatten(), *(v.flatten() for v in vars(targets).values())])

    assert torch.equal(flat(2), flat(2))
    assert not torch.equal(flat(2), flat(3))
    assert not torch.equal(flat(2), flat(2, seed=2))
    assert not torch.equal(flat(2), flat(2, rank=1))
    assert torch.equal(flat(2), flat(2, count=100))


def test_batches_travel_to_other_processes():
    there = pickle.loads(pickle.dumps(batches()))
    assert torch.equal(there[1][0], batches()[1][0])


class Bank:
    """One cut-out: a grey rectangle."""

    def __len__(self):
        return 1

    def read(self, index):
        return np.full((60, 24, 4), (90, 120, 90, 255), np.uint8)


def test_people_are_pasted_into_their_share_of_the_clips():
    augment = dataclasses.replace(PLAIN, person_px=(12.0, 30.0), scale=(0.1, 4.0))
    pasting = dataclasses.replace(augment, paste_share=0.5, paste_most=1)
    data = batches(batch=100, augment=pasting, bank=Bank())
    people = data[0][1].density[:, 0].sum(dim=(1, 2)).round()
    assert 30 <= (people == 2).sum() <= 55  # half, less those who find no place
    there = pickle.loads(pickle.dumps(data))
    assert torch.equal(there[0][0], data[0][0])


def test_without_a_share_or_a_bank_batches_are_as_they_were():
    augment = AugmentSettings(crop=SIZE)
    pasting = dataclasses.replace(augment, paste_share=1.0)
    plain = batches(augment=augment)[1]
    for same in (batches(augment=augment, bank=Bank()), batches(augment=pasting)):
        assert torch.equal(same[1][0], plain[0])
        assert torch.equal(same[1][1].density, plain[1].density)
    assert not torch.equal(batches(augment=pasting, bank=Bank())[1][0], plain[0])


def test_targets_follow_the_pixels():
    """The person is the only thing brighter than 100: its pixels, box and mass agree."""
    images, targets = batches(augment=dataclasses.replace(PLAIN, flip=True, scale=(0.8, 1.25)))[0]
    for clip in range(2):
        for frame in range(3):
            rows, columns = np.nonzero(images[clip, frame, 0].numpy() > 150)
            centre = int(targets.centre[clip, frame].argmax())
            row, column = divmod(centre, 24)
            assert abs((column + 0.5) * 4 - (columns.min() + columns.max() + 1) / 2) <= 3
            assert abs((row + 0.5) * 4 - (rows.min() + rows.max() + 1) / 2) <= 3
            left, top, right, bottom = targets.box[clip, frame, :, row, column].tolist()
            assert left + right == pytest.approx(np.ptp(columns) + 1, abs=1.5)
            assert top + bottom == pytest.approx(np.ptp(rows) + 1, abs=1.5)
            assert targets.density[clip, frame].sum().item() == pytest.approx(1, abs=1e-4)


def test_motion_targets_by_hand():
    """3 px a frame to the right; the last frame looks back, and a flip turns the way."""
    images, targets = batches()[0]
    known = targets.motion_weight > 0
    assert (targets.motion[:, :, 0][known] == 3).all()
    assert (targets.motion[:, :, 1][known] == 0).all()
    assert known.any(dim=-1).any(dim=-1).all()  # in each frame
    both = batches(augment=dataclasses.replace(PLAIN, flip=True), batch=8)[0][1]
    ways = both.motion[:, :, 0][both.motion_weight > 0]
    assert set(ways.tolist()) == {3.0, -3.0}


def test_only_who_is_in_both_frames_has_a_motion():
    first = people([[10, 10, 12, 30], [50, 10, 12, 30]], ids=[1, 2])
    second = people([[54, 12, 12, 30]], ids=[2])
    maps = rendered(clip_of(first, second))
    weight, motion = maps["motion_weight"], maps["motion"]
    assert weight[0, :, :10].sum() == 0
    assert weight[0, :, 11:].sum() > 0
    assert np.unique(motion[0, 0][weight[0] > 0]).tolist() == [4.0]
    assert np.unique(motion[1, 1][weight[1] > 0]).tolist() == [2.0]


def test_one_frame_and_unknown_ids_have_no_motion():
    alone = people([[10, 10, 12, 30]])
    assert rendered(clip_of(alone))["motion_weight"].sum() == 0
    unknown = [people([[10, 10, 12, 30]], ids=[-1]), people([[15, 10, 12, 30]], ids=[-1])]
    assert rendered(clip_of(*unknown))["motion_weight"].sum() == 0


def test_people_are_seen_or_hidden_and_other_classes_are_ignored():
    boxes = Boxes.of(
        1,
        np.arange(24).reshape(6, 4),
        id=np.arange(6),
        score=[1, 1, 0, 0, 1, 0],
        category=[1, 1, 1, 7, 1, 3],
        visibility=[1.0, 0.1, 1.0, 1.0, -1.0, 1.0],
    )
    found = people_of(boxes)
    assert found.ids.tolist() == [0, 4]  # visible, and of unknown visibility
    assert found.hidden[:, 0].tolist() == [4]
    # Not considered, static person; a car is plain background.
    assert found.ignored[:, 0].tolist() == [8, 12]
    assert found.counted[:, 0].tolist() == [0, 16, 4]
    everybody = people_of(boxes, least_visibility=0)
    assert everybody.ids.tolist() == [0, 1, 4] and not len(everybody.hidden)


def test_hidden_people_are_counted_but_not_detected():
    seen, hidden = [60, 20, 12, 30], [20, 20, 12, 30]
    maps = rendered(clip_of(people([seen], hidden=[hidden])))
    assert maps["density"][0].sum() == pytest.approx(2, abs=1e-4)
    assert (maps["valid"] == 1).all()
    behind = np.s_[0, 6:11, 6:7]  # cells in the middle of the hidden one
    assert (maps["detectable"][behind] == 0).all()
    assert (maps["centre"][behind] == 0).all() and (maps["box_weight"][behind] == 0).all()
    assert maps["detectable"][0, 8, 16] == 1
    # Behind the one who is seen, nothing is taken from what is taught of that one.
    together = rendered(clip_of(people([seen], hidden=[seen])))
    assert together["density"][0].sum() == pytest.approx(2, abs=1e-4)
    assert (together["detectable"][0][together["box_weight"][0] > 0] == 1).all()


class Fixed(Street):
    """A sequence whose every frame shows the same given people."""

    def __init__(self, boxes, **others):
        super().__init__()
        self.given = people(boxes, **others)

    def people(self, index):
        return self.given


def test_small_and_outside_people_are_ignored_not_taught():
    small, outside, fine = [30, 20, 4, 8], [90, 20, 20, 30], [60, 20, 12, 30]
    hidden, hidden_outside = [10, 20, 12, 30], [90, 25, 20, 30]
    source = Fixed([small, outside, fine], hidden=[hidden, hidden_outside], ignored=[[0, 0, 8, 8]])
    settings = dataclasses.replace(PLAIN, background_share=1.0)
    clip = sample_clip(source, 2, settings, np.random.default_rng(0))
    for frame in clip.people:
        assert frame.ltwh.tolist() == [fine]
        assert frame.hidden.tolist() == [hidden]
        assert sorted(frame.ignored.tolist()) == [[0, 0, 8, 8], small, outside, hidden_outside]
    maps = rendered(clip)
    assert maps["density"][0].sum() == pytest.approx(2, abs=1e-4)
    assert maps["valid"][0, 6, 7] == 0  # the small one
    assert maps["valid"][0, 8, 23] == 0  # what shows of the one outside
    assert maps["valid"][0, 0, 0] == 0
    assert maps["valid"][0, 12, 2] == 1


def test_people_before_an_ignore_region_are_still_taught():
    maps = rendered(clip_of(people([[40, 16, 12, 30]], ignored=[[0, 0, 96, 64]])))
    taught = maps["box_weight"][0] > 0
    assert taught.any()
    assert (maps["valid"][0][taught] == 1).all()
    assert maps["valid"][0].sum() == taught.sum()


def test_a_crop_without_people_has_targets():
    maps = rendered(clip_of(people([]), people([])))
    assert maps["density"].sum() == maps["centre"].sum() == maps["box_weight"].sum() == 0
    assert (maps["valid"] == 1).all()


@pytest.fixture
def photos(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), image)
    rows = "a.png,40,30,20,50\na.png,90,40,20,50\n"
    (tmp_path / "boxes.csv").write_text("image,x,y,w,h\n" + rows)
    return StillSource(open_stills(tmp_path))


def test_photos_drift_and_their_people_move_with_them(photos):
    settings = dataclasses.replace(PLAIN, background_share=0.0)
    rng = np.random.default_rng(0)
    clip = next(
        c
        for c in (sample_clip(photos, 3, settings, rng) for _ in range(50))
        if all(len(frame.ltwh) == 2 for frame in c.people)
    )
    assert not np.array_equal(clip.frames[0], clip.frames[1])
    moved = clip.people[1].ltwh[:, :2] - clip.people[0].ltwh[:, :2]
    assert np.abs(moved).max() > 0
    maps = rendered(clip)
    known = maps["motion_weight"][0] > 0
    assert np.array_equal(known, maps["box_weight"][0] > 0)  # both people, not only the first
    for axis in range(2):
        np.testing.assert_allclose(maps["motion"][0, axis][known], moved[0, axis], atol=1e-4)


def test_a_clip_longer_than_its_sequence_is_refused():
    with pytest.raises(InputError, match=r"sequence short: expected at least 5 frames, got 4"):
        batches([Street(), Street(length=4, name="short")], frames=5)
    spread = dataclasses.replace(PLAIN, frame_steps=(2, 3))
    with pytest.raises(InputError, match=r"expected at least 9 frames, got 8"):
        batches([Street(length=8)], frames=5, augment=spread)
    assert batches([Street(length=5)], frames=5)[0][0].shape[1] == 5


def test_frame_steps_that_fit_are_drawn():
    settings = dataclasses.replace(PLAIN, frame_steps=(1, 2, 9))
    steps = set()
    for seed in range(20):
        clip = sample_clip(Street(), 3, settings, np.random.default_rng(seed))
        numbers = clip.frames[:, 0, 0, 0].astype(int)
        assert np.diff(numbers)[0] == np.diff(numbers)[1]
        steps.add(int(np.diff(numbers)[0]))
    assert steps == {1, 2}


def test_photos_need_no_length(photos):
    assert batches([photos], frames=5)[0][0].shape == (2, 5, 3, 64, 96)


def test_nothing_to_train_on_is_refused():
    with pytest.raises(InputError, match="--train-seqs"):
        batches([])


def test_units_are_those_of_the_data_and_the_same_in_every_rank():
    cells = 16 * 24
    assert batches().people_per_cell() == pytest.approx(1 / cells)
    two = Fixed([[40, 20, 12, 30]], hidden=[[60, 20, 12, 30]])
    every_frame = dataclasses.replace(PLAIN, background_share=1.0)
    assert batches([two], augment=every_frame).people_per_cell() == pytest.approx(2 / cells)
    mixed = [Street(), Fixed([])]
    assert batches(mixed, rank=0).people_per_cell() == batches(mixed, rank=1).people_per_cell()
    assert batches([Fixed([])]).people_per_cell() == 0.01 / cells


def test_heads_that_are_not_there_cost_nothing_and_change_nothing():
    whole, part = batches()[1], batches(heads=("density", "box"))[1]
    assert torch.equal(whole[0], part[0])
    for name in ("density", "box", "box_weight", "valid", "detectable"):
        assert torch.equal(getattr(whole[1], name), getattr(part[1], name)), name
    for name in ("centre", "motion", "motion_weight", "seg"):
        assert getattr(part[1], name).numel() == 0, name


def test_shares_decide_how_often_a_source_is_drawn():
    data = ClipBatches(
        [Street(), Fixed([])],
        [3, 1],
        frames=1,
        batch=200,
        augment=PLAIN,
        stride=4,
        label="point",
        heads=("density",),
        seed=0,
    )
    mass = data[0][1].density.sum().item()
    assert 130 <= mass <= 170


def test_the_mask_is_1_where_a_cell_lies_in_a_box_that_can_be_seen():
    shown, behind = [[10, 16, 12, 30], [60, 8, 20, 40]], [[30, 16, 12, 30]]
    clip = Clip(np.zeros((1, *SIZE, 3), np.uint8), (people(shown, hidden=behind),))
    mask = frame_targets(clip, stride=4, label="gaussian", size_hw=SIZE)["seg"][0]
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            x, y = 4 * column + 2, 4 * row + 2
            inside = any(x0 <= x < x0 + w and y0 <= y < y0 + h for x0, y0, w, h in shown)
            assert mask[row, column] == inside


def test_labels_may_change_from_batch_to_batch_and_clips_do_not():
    kinds = ("quadratic", "half", "point")
    changing = batches(labels=kinds.__getitem__, count=3)
    for number, kind in enumerate(kinds):
        frames, targets = changing[number]
        other_frames, other = batches(label=kind, count=3)[number]
        assert torch.equal(frames, other_frames)
        assert torch.equal(targets.density, other.density)


def test_a_frame_has_the_size_of_the_middle_clip_not_of_the_middle_source():
    class Film:
        still, length = True, 1

        def __init__(self, height):
            self.name, self.height = str(height), height

        def clip(self, start, count, step):
            return [np.zeros((self.height, 10, 3), np.uint8)] * count

    sources = [Film(height) for height in (90, 100, 8, 8, 8, 8, 8)]
    made = ClipBatches(
        sources, [0.45, 0.45, *[0.02] * 5],
        frames=1, batch=1, augment=PLAIN, stride=4, label="gaussian", heads=("density",), seed=0,
    )  # fmt: skip
    assert made.frame_px() == 900
