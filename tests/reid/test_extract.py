from dataclasses import replace

import cv2
import h5py
import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from reid import extract as command
from reid.crops import GALLERY, QUERY, TRAIN, query_and_gallery, read_crops, training_crops
from reid.extract import ExtractFlags, choose_rows, cut, plan_crops

FLAGS = ExtractFlags(seqs=("a",), out="", every_s=0.0, min_height=10.0, min_crops=2)


def people(*lives, **columns):
    """Boxes of people, each with the frames it is there."""
    tables = [
        Boxes.of(frames, [[10.0 * k, 5, 10, 30]] * len(frames), id=k, **columns)
        for k, frames in enumerate(lives, start=1)
    ]
    return Boxes.concatenate(tables)


def test_only_people_who_can_be_seen_are_cut():
    truth = Boxes.of(
        [1, 1, 1, 1, 1, 1],
        [[5, 5, 10, 30]] * 4 + [[5, 5, 4, 8], [-8, 5, 10, 30]],
        id=[1, 2, 3, 4, 5, 6],
        score=[1, 1, 0, 1, 1, 1],
        category=[1, 1, 1, 7, 1, 1],
        visibility=[0.9, 0.1, 1, 1, 1, 1],
    )
    flags = replace(FLAGS, min_crops=2)
    twice = Boxes.concatenate([truth, truth.with_columns(frame=2)])
    assert set(choose_rows(twice, (48, 64), 10, flags).id) == {1}


def test_crops_are_so_many_seconds_apart_and_few_are_none():
    truth = people(range(1, 21), [1, 2])
    rows = choose_rows(truth, (48, 64), 10, replace(FLAGS, every_s=0.5, min_crops=3))
    assert rows.frame.tolist() == [1, 6, 11, 16] and set(rows.id) == {1}


def test_nobody_is_on_both_sides_and_queries_are_of_another_time():
    rows = [people(*[range(1, 11)] * 8), people(*[range(1, 7)] * 4)]
    flags = replace(FLAGS, seqs=("a", "b"), test_share=0.5, pause_s=0.0)
    plans = plan_crops(rows, [10.0, 10.0], flags)
    person = np.concatenate([plan.person for plan in plans])
    camera = np.concatenate([plan.camera for plan in plans])
    split = np.concatenate([plan.split for plan in plans])
    train = split == "bounding_box_train"
    assert set(person) == set(range(1, 13))
    assert not set(person[train]) & set(person[~train])
    assert len(set(person[~train])) == 6
    assert set(camera) == {1, 2, 3, 4}
    for who in set(person[~train]):
        mine = person == who
        assert sorted(camera[mine & (split == "query")]) == sorted(set(camera[mine]))
        assert (mine & (split == "bounding_box_test")).sum() >= 2


def test_the_halves_of_a_tested_person_are_a_pause_apart():
    rows = [people(range(1, 41), range(1, 41))]
    plan = plan_crops(rows, [10.0], replace(FLAGS, test_share=0.5, pause_s=1.0))[0]
    early, late = (plan.boxes.frame[(plan.camera == c) & (plan.split != TRAIN)] for c in (1, 2))
    assert early.max() == 15 and late.min() == 26
    assert (plan.split == TRAIN).sum() == 40  # who is trained on needs no pause


def test_people_of_sequences_kept_for_the_test_are_not_trained_on():
    rows = [people(*[range(1, 11)] * 4), people(*[range(1, 11)] * 3)]
    flags = replace(FLAGS, test_seqs=("b",), test_share=0.5, pause_s=0.0)
    plans = plan_crops(rows, [10.0, 10.0], flags)
    assert set(plans[0].split) == {TRAIN, QUERY, GALLERY}
    assert set(plans[1].split) == {QUERY, GALLERY}


def test_a_box_is_cut_where_it_is_and_clipped():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:30] = 200
    assert (cut(image, np.array([20.0, 10, 10, 20]), (20, 10)) == 200).all()
    assert cut(image, np.array([-5.0, 30, 20, 20]), (16, 16)).shape == (16, 16, 3)


@pytest.mark.parametrize(
    "ltwh", [[70, 10, 10, 20], [-30, 10, 20, 20], [20, -30, 10, 20], [20, 50, 10, 20]], ids=str
)
def test_a_box_wholly_outside_is_refused_and_never_chosen(ltwh):
    image = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(InputError, match="meets the frame of 60 x 40 pixels"):
        cut(image, np.array(ltwh, float), (16, 16))
    truth = Boxes.of([1, 2, 1, 2], [ltwh, ltwh, [20, 5, 10, 30], [20, 5, 10, 30]], id=[1, 1, 2, 2])
    assert set(choose_rows(truth, (40, 60), 10, FLAGS).id) == {2}


def sides_of(place):
    return training_crops(place), *query_and_gallery(place)


def test_folders_h5_and_contact_sheet(make_scene, tmp_path, capsys):
    make_scene("data/street")
    make_scene("data/square")
    out, h5 = tmp_path / "crops", tmp_path / "crops.h5"
    arguments = ["--seqs", "street", "square", "--data", tmp_path / "data", "--out", out]
    arguments += ["--h5", h5, "--size", 32, 16, "--every-s", 0, "--min-height", 10]
    arguments += ["--test-share", 0.5, "--pause-s", 0]
    command.main(list(map(str, arguments)))
    assert "people" in capsys.readouterr().out
    sides = {name: read_crops(out / name) for name in ("bounding_box_train", "query")}
    gallery = read_crops(out / "bounding_box_test")
    assert set(sides["query"].identity) == set(gallery.identity)
    assert not set(gallery.identity) & set(sides["bounding_box_train"].identity)
    with h5py.File(h5) as file:
        total = len(gallery) + sum(map(len, sides.values()))
        assert file["images"].shape == (total, 32, 16, 3) and len(file["identity"]) == total
        assert len(file["frame"]) == total
        # The two people of a scene wear red and blue.
        red = file["images"][0].mean(axis=(0, 1))
        assert abs(red[0] - red[2]) > 50
    assert cv2.imread(str(out / "crops.png")) is not None
    for places in zip(sides_of(h5), sides_of(out), strict=True):
        (stored, folder) = (crops[np.lexsort((crops.camera, crops.identity))] for crops in places)
        assert stored.identity.tolist() == folder.identity.tolist()
        for one, other in zip(stored.images, folder.images, strict=True):
            difference = one.read((32, 16)).astype(float) - other.read((32, 16))
            assert abs(difference).mean() < 5  # JPEG's
    before = h5.read_bytes()
    with pytest.raises(SystemExit):
        command.main(list(map(str, arguments)))
    assert "new folder" in capsys.readouterr().err
    arguments[arguments.index(out)] = tmp_path / "again"
    with pytest.raises(SystemExit):
        command.main(list(map(str, arguments)))
    assert "a new HDF5 file" in capsys.readouterr().err
    assert h5.read_bytes() == before and not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (("--pause-s", 9, "--test-seqs", "street"), "--pause-s"),
        (("--min-height", 500, "--seqs", "street"), "nobody"),
        (("--h5", "OUT/crops.h5", "--seqs", "street"), "--h5: expected a file outside of --out"),
        (("--seqs", "street", "--test-seqs", "street"), "got street and street"),
        (("--seqs", "MOT17-09-SDP", "--test-seqs", "MOT17-09-DPM"), "got MOT17-09-SDP and MOT17"),
    ],
)
def test_nothing_to_cut_or_no_place_for_it(make_scene, tmp_path, capsys, changes, complaint):
    make_scene("data/street")
    make_scene("data/empty", frames=0)
    for name in ("MOT17-09-SDP", "MOT17-09-DPM"):
        make_scene(f"data/{name}")
    out = tmp_path / "crops"
    changes = [str(value).replace("OUT", str(out)) for value in changes]
    seqs = [] if "--seqs" in changes else ["--seqs", "empty"]
    with pytest.raises(SystemExit) as stop:
        command.main([*seqs, "--data", str(tmp_path / "data"), "--out", str(out), *changes])
    assert stop.value.code == 2 and complaint in capsys.readouterr().err
    assert not out.exists()
