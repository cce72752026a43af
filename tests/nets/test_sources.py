import dataclasses

import cv2
import numpy as np
import pytest

from mot.errors import InputError
from nets.augment import AugmentSettings
from nets.clips import SequenceSource, StillSource
from nets.recipe import DataSettings, TrainSettings
from nets.sources import (
    EMPTY_STREET,
    cache_size,
    training_cutouts,
    training_sources,
    validation_sources,
)


@pytest.fixture
def root(make_scene, tmp_path):
    for name in (
        "MOT17/train/MOT17-02-SDP",
        "MOT17/train/MOT17-02-DPM",
        "MOT17/train/MOT17-09-SDP",
    ):
        make_scene(name)
    make_scene("street")
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        cv2.imwrite(str(photos / f"{number}.png"), np.zeros((48, 64, 3), np.uint8))
    (photos / "boxes.csv").write_text("image,x,y,w,h\n0.png,4,4,10,20\n")
    return tmp_path


@pytest.fixture
def opened(root):
    def names(**changes):
        values = {"data": str(root), "cache": str(root / "cache")} | changes
        sources, shares = training_sources(DataSettings(**values))
        assert sum(shares) == pytest.approx(1)
        return dict(zip([source.name for source in sources], shares, strict=True)), sources

    return names


def test_named_sequences_share_the_clips(opened):
    shares, sources = opened(train_seqs=("MOT17-09", "street"))
    assert shares == {"MOT17-09-SDP": 0.5, "street": 0.5}
    assert all(isinstance(source, SequenceSource) and source.length == 12 for source in sources)


def test_without_names_all_sequences_train_but_recordings_that_are_held_out(opened):
    """MOT17-02-SDP and MOT17-02-DPM are the same frames with other public detections."""
    assert set(opened(val_seqs=("MOT17-02-SDP",))[0]) == {"MOT17-09-SDP", "street"}


def test_naming_a_recording_on_both_sides_is_refused(opened):
    for validation in ("MOT17-02-SDP", "MOT17-02-DPM"):
        with pytest.raises(InputError, match=r"--val-seqs: expected recordings that are not in"):
            opened(train_seqs=("MOT17-02-SDP", "street"), val_seqs=(validation,))


def test_photos_share_their_part_by_number(opened, root):
    shares, sources = opened(train_seqs=("street",), stills=("photos",), still_share=0.25)
    assert shares == {"street": 0.75, "photos": 0.25}
    assert isinstance(sources[1], StillSource)
    assert opened(stills=(str(root / "photos"),))[0] == {"photos": 1.0}


def test_people_to_paste_are_found_like_photos(root):
    mask = np.zeros((100, 80), np.uint8)
    cv2.ellipse(mask, (40, 50), (16, 40), 0, 0, 360, 1, -1)
    cv2.imwrite(str(root / "photos" / "0.png"), np.zeros((100, 80, 3), np.uint8))
    cv2.imwrite(str(root / "photos" / "0_mask.png"), mask)
    data = DataSettings(data=str(root), cutouts=("photos",))
    settings = TrainSettings(data=data, augment=AugmentSettings(paste_share=0.5))
    bank = training_cutouts(settings)
    assert bank is not None and len(bank) == 1
    assert training_cutouts(TrainSettings(data=data)) is None  # nothing is opened in vain
    (root / "photos" / "0_mask.png").unlink()
    with pytest.raises(InputError, match=r"photos: expected .* got no mask; name another folder"):
        training_cutouts(settings)


def test_frames_are_shrunk_for_the_cache_and_boxes_with_them(opened):
    _, (source,) = opened(train_seqs=("street",), cache_px=32 * 32)
    assert source.block.frames.shape == (12, 28, 36, 3)
    assert source.people(0).ltwh[0].tolist() == pytest.approx(
        [2 * 36 / 64, 10 * 28 / 48, 10 * 36 / 64, 30 * 28 / 48]
    )


def test_cached_sizes_keep_their_proportions():
    assert cache_size((1080, 1920), 1280 * 720) == (720, 1280)
    assert cache_size((480, 640), 1280 * 720) == (480, 640)
    assert cache_size((481, 641), 481 * 641) == (481, 641)
    height, width = cache_size((2160, 4096), 1280 * 720)
    assert height % 4 == width % 4 == 0
    assert height / width == pytest.approx(2160 / 4096, abs=0.01)


def test_validation_sources_are_opened_by_name(root):
    settings = DataSettings(data=str(root), val_seqs=("street",), cache=str(root / "cache"))
    assert [source.name for source in validation_sources(settings)] == ["street"]
    assert validation_sources(DataSettings()) == []


def test_names_without_data_are_looked_for_in_the_default_folder(root, monkeypatch):
    monkeypatch.setenv("FOOTFALL_DATA", str(root))
    sources, _ = training_sources(DataSettings(train_seqs=("street",), cache=str(root / "cache")))
    assert [source.name for source in sources] == ["street"]


def test_an_unknown_name_says_how_to_get_data(opened):
    with pytest.raises(InputError, match=r"MOT17-13.*motchallenge.net.*rendered scenes"):
        opened(train_seqs=("MOT17-13",))


def test_a_folder_without_sequences_is_refused(opened, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="--data: expected sequences with a gt/gt.txt, got none"):
        opened(data=str(empty))


def test_a_sequence_without_truth_cannot_be_trained_on(opened, root):
    (root / "street" / "gt" / "gt.txt").unlink()
    assert "street" not in opened()[0]
    with pytest.raises(InputError, match="a ground truth"):
        opened(train_seqs=("street",))


def test_without_data_scenes_are_rendered(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "nets.sources.ensure_scenes",
        lambda folder, count, **rest: asked.append((folder, count, rest["split"])) or [],
    )
    assert training_sources(DataSettings(scenes=3, cache=str(tmp_path / "cache"))) == ([], [])
    assert asked == [(tmp_path, 3, "train")]


def test_a_power_weighs_sequences_by_their_people(opened, make_scene):
    truth = make_scene("crowd") / "gt" / "gt.txt"
    boxes = 2 * 12  # the third in each frame does not count
    more = [f"{1 + n % 12},{100 + n},5,5,10,20,1,1,1" for n in range(3 * boxes)]
    truth.write_text(truth.read_text() + "\n".join(more) + "\n")
    shares, _ = opened(train_seqs=("street", "crowd"), share_power=0.5)
    assert shares["crowd"] / shares["street"] == pytest.approx(2)  # the root of 4 times as many


def test_streets_without_people_take_their_share(opened, monkeypatch):
    few = dataclasses.replace(EMPTY_STREET, width=64, height=48, clutter=2, frames=2)
    monkeypatch.setattr("nets.sources.EMPTY_STREET", few)
    shares, sources = opened(train_seqs=("MOT17-09", "street"), empty_scenes=2, empty_share=0.2)
    assert shares["street"] == pytest.approx(0.4)
    empty = [source for source in sources if source.name.startswith("synthetic-train")]
    assert [shares[source.name] for source in empty] == pytest.approx([0.1, 0.1])
    assert all(len(source.people(0).counted) == 0 for source in empty)


@pytest.mark.parametrize("change", [{"empty_scenes": -1}, {"empty_share": 0}, {"empty_share": 1}])
def test_a_share_that_leaves_nothing_is_refused(change):
    with pytest.raises(InputError, match="empty-s"):
        DataSettings(**change)
