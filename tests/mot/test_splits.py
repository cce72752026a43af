from pathlib import Path

import pytest

from mot.errors import InputError
from mot.sequence import Sequence, open_sequence
from mot.splits import (
    Part,
    Split,
    camera_of,
    find_leaks,
    leakage_report,
    recording_of,
    split_by_sequence,
    split_half,
)


def plain(name: str, length: int = 10, fps: float | None = 5.0) -> Sequence:
    return Sequence(name, Path("nowhere") / name, length, 64, 48, fps, Path("nowhere"))


NAMES = [
    "MOT17-02-SDP",
    "MOT17-02-FRCNN",
    "MOT17-04-SDP",
    "PETS09-S2L1",
    "PETS09-S3-MF1",
    "KITTI-17",
]


@pytest.mark.parametrize(
    ("name", "recording", "camera"),
    [
        ("MOT17-02-SDP", "MOT17-02", "MOT17-02"),
        ("MOT17-02", "MOT17-02", "MOT17-02"),
        ("MOT16-02", "MOT17-02", "MOT17-02"),
        ("MOT20-02", "MOT20-02", "MOT20-02"),
        ("PETS09-S2L1", "PETS09-S2L1", "PETS09"),
        ("PETS09-S3-MF1", "PETS09-S3-MF1", "PETS09"),
        ("KITTI-17", "KITTI-17", "KITTI-17"),
        ("KITTI-T0017", "KITTI-17", "KITTI-17"),
        ("KITTI-T0002", "KITTI-2", "KITTI-2"),
        ("TUD-Stadtmitte", "TUD-Stadtmitte", "TUD-Stadtmitte"),
        ("ADL-Rundle-6", "ADL-Rundle-6", "ADL"),
        ("gate_0001", "gate_0001", "gate"),
        ("synthetic-train-0001", "synthetic-train-0001", "synthetic-train-0001"),
        ("-x", "-x", "-x"),
    ],
)
def test_families(name, recording, camera):
    assert recording_of(name) == recording and camera_of(name) == camera


def test_named_split_is_taken_as_it_is_and_its_leaks_are_told():
    split = split_by_sequence(map(plain, NAMES), val=["MOT17-02-FRCNN", "PETS09-S3-MF1"])
    assert [part.name for part in split.val] == ["MOT17-02-FRCNN", "PETS09-S3-MF1"]
    leaks = {(leak.kind, leak.train, leak.val) for leak in find_leaks(split)}
    assert leaks == {
        ("frames", "MOT17-02-SDP", "MOT17-02-FRCNN"),
        ("sequence", "MOT17-02-SDP", "MOT17-02-FRCNN"),
        ("camera", "PETS09-S2L1", "PETS09-S3-MF1"),
    }
    report = leakage_report(split)
    assert report.startswith("train: MOT17-02-SDP, MOT17-04-SDP")
    assert "camera: PETS09-S2L1 and PETS09-S3-MF1 share the place or camera PETS09" in report


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_drawn_split_has_two_sides_and_no_leaks(seed, share):
    split = split_by_sequence(map(plain, NAMES), val_share=share, seed=seed)
    assert split.train and split.val
    assert len(split.train) + len(split.val) == len(NAMES)
    assert find_leaks(split) == []
    assert leakage_report(split).endswith("no leakage found (by names, frames and identities)")


def test_drawn_split_depends_on_seed_and_not_on_order():
    def drawn(names, seed):
        split = split_by_sequence(map(plain, names), val_share=0.5, seed=seed)
        return sorted(part.name for part in split.val)

    assert drawn(NAMES, 3) == drawn(NAMES[::-1], 3)
    assert len({tuple(drawn(NAMES, seed)) for seed in range(10)}) > 1


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        (NAMES, {"val": ["MOT17-99"]}, "MOT17-99"),
        (NAMES, {"val": NAMES}, "0 to train"),
        (NAMES, {"val": []}, "0 to validate"),
        ([*NAMES, NAMES[0]], {}, "each sequence once"),
        (["PETS09-S2L1", "PETS09-S3-MF1"], {}, "two cameras"),
        ([], {}, "two cameras"),
        (NAMES, {"val_share": 0}, "val_share"),
        (NAMES, {"val_share": 1.5}, "val_share"),
    ],
)
def test_splits_that_cannot_be(names, options, expected):
    with pytest.raises(InputError, match=expected):
        split_by_sequence(map(plain, names), **options)


def test_halves_meet_and_share_people(scene):
    split = split_half([open_sequence(scene)])
    (train,), (val,) = split.train, split.val
    assert (train.first, train.last, val.first, val.last) == (1, 6, 7, 12)
    assert train.name == "scene [1..6]"
    assert set(train.truth().frame) == set(range(1, 7)) and len(val.truth()) == 18
    (leak,) = find_leaks(split)
    assert str(leak) == "identities: scene [1..6] and scene [7..12] share 2 of 2 people"


def test_halves_with_a_gap_in_seconds():
    split = split_half([plain("a", length=11, fps=2.0)], gap_s=0.6)
    assert (split.train[0].last, split.val[0].first) == (5, 8)


@pytest.mark.parametrize(
    ("sequence", "gap_s", "expected"),
    [
        (plain("a", length=1), 0, "two halves"),
        (plain("a", length=10), 1.0, "two halves"),
        (plain("a", length=10), -1.0, "two halves"),
        (plain("a", fps=None), 1.0, "--fps"),
    ],
)
def test_halves_that_cannot_be(sequence, gap_s, expected):
    with pytest.raises(InputError, match=expected):
        split_half([sequence], gap_s=gap_s)


def test_frames_on_both_sides_come_first(scene):
    sequence = open_sequence(scene)
    split = Split((Part.whole(sequence),), (Part(sequence, 3, 8),))
    kinds = [leak.kind for leak in find_leaks(split)]
    assert kinds == ["frames", "identities"]
