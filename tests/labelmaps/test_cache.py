"""Cached frames and maps of a sequence: stored once, read as views."""

import json
import os
import pickle

import numpy as np
import pytest

from labelmaps.cache import cached_frames, cached_maps
from labelmaps.render import render
from mot.errors import InputError
from mot.frames import stream_frames
from mot.sequence import find_sequence, open_sequence


@pytest.mark.parametrize("size_hw", [None, (24, 40)])
def test_frames_are_those_of_the_stream(scene, tmp_path, size_hw):
    sequence = open_sequence(scene)
    block = cached_frames(sequence, tmp_path / "cache", size_hw=size_hw)
    expected = np.stack([image for _, image in stream_frames(sequence, size_hw=size_hw)])
    np.testing.assert_array_equal(block.frames, expected)
    assert block.frames.dtype == np.uint8 and len(block) == sequence.length
    assert block.scale_x == (40 / 64 if size_hw else 1)
    assert block.scale_y == (24 / 48 if size_hw else 1)


def test_a_clip_is_a_view(scene, tmp_path):
    block = cached_frames(open_sequence(scene), tmp_path)
    clip = block.clip(1, 4, 3)
    np.testing.assert_array_equal(clip, block.frames[[1, 4, 7, 10]])
    assert np.shares_memory(clip, block.frames)
    assert not clip.flags.owndata and not clip.flags.writeable
    assert len(block.clip(11, 1)) == 1


@pytest.mark.parametrize("clip", [(-1, 2, 1), (11, 2, 1), (0, 5, 3), (0, 0, 1), (0, 1, 0)])
def test_a_clip_beyond_the_sequence_is_named(scene, tmp_path, clip):
    block = cached_frames(open_sequence(scene), tmp_path)
    with pytest.raises(InputError, match="clip"):
        block.clip(*clip)


def test_one_byte_per_value_and_a_manifest(scene, tmp_path):
    block = cached_frames(open_sequence(scene), tmp_path)
    (folder,) = tmp_path.glob("scene-frames-48x64-*")
    assert (folder / "array.npy").stat().st_size - block.frames.size < 200
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["shape"] == [12, 48, 64, 3] and manifest["key"]["sources"]["files"] == 12


def test_a_pickle_names_the_file(scene, tmp_path):
    block = cached_frames(open_sequence(scene), tmp_path)
    text = pickle.dumps(block)
    assert len(text) < 1000
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.frames, block.frames)
    assert (again.scale_x, again.scale_y) == (block.scale_x, block.scale_y)


def test_a_changed_frame_or_size_makes_a_new_block(scene, tmp_path, capfd):
    sequence = open_sequence(scene)
    before = np.array(cached_frames(sequence, tmp_path).frames)
    first, second = (scene / "img1" / f"{n:06d}.jpg" for n in (1, 2))
    first.write_bytes(second.read_bytes())
    os.utime(first, ns=(1, 1))
    after = cached_frames(sequence, tmp_path).frames
    np.testing.assert_array_equal(after[0], before[1])
    assert "other files" in capfd.readouterr().err
    assert cached_frames(sequence, tmp_path, size_hw=(24, 32)).frames.shape == (12, 24, 32, 3)
    assert len(list(tmp_path.glob("scene-frames-*"))) == 2


def test_same_names_in_two_folders_do_not_meet(make_scene, tmp_path):
    for place in ("a/scene", "b/scene"):
        cached_frames(open_sequence(make_scene(place)), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_missing_frame_is_named_and_nothing_stays(scene, tmp_path):
    (scene / "img1" / "000005.jpg").unlink()
    with pytest.raises(InputError, match="000005.jpg"):
        cached_frames(open_sequence(scene), tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


def test_a_video_that_ends_early_is_named_and_nothing_stays(make_scene, tmp_path):
    folder = make_scene("short", video=True, seqLength=20)
    with pytest.raises(InputError, match="frame 13"):
        cached_frames(open_sequence(folder), tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


@pytest.mark.parametrize("kind", ["gaussian", "centre"])
def test_maps_are_those_rendered_on_the_fly(scene, tmp_path, kind):
    sequence = open_sequence(scene)
    for _ in range(2):
        maps = cached_maps(sequence, tmp_path, kind=kind, stride=8, size_hw=(96, 64))
    assert maps.shape == (12, 12, 8) and maps.dtype == np.float32 and not maps.flags.writeable
    # Frame 3's two people at half and double scale; the static one does not count.
    people = [[6, 20, 10, 60], [44, 24, 10, 60]]
    np.testing.assert_allclose(maps[2], render(people, (96, 64), stride=8, kind=kind), atol=1e-6)
    if kind == "gaussian":
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), 2, atol=1e-5)


def test_a_changed_truth_makes_new_maps(scene, tmp_path):
    sequence = open_sequence(scene)
    assert cached_maps(sequence, tmp_path)[0].sum() == pytest.approx(2)
    (scene / "gt" / "gt.txt").write_text("1,1,1,1,10,10,1,1,1\n")
    maps = cached_maps(sequence, tmp_path)
    assert maps[0].sum() == pytest.approx(1) and maps[1:].sum() == 0


def test_maps_need_a_truth_and_a_known_kind(scene, tmp_path):
    sequence = open_sequence(scene)
    with pytest.raises(InputError, match="sharp"):
        cached_maps(sequence, tmp_path, kind="sharp")
    (scene / "gt" / "gt.txt").unlink()
    with pytest.raises(InputError, match="ground truth"):
        cached_maps(sequence, tmp_path)


@pytest.mark.real
def test_a_real_sequence_has_its_people_in_the_maps(real_data, tmp_path):
    try:
        sequence = find_sequence("TUD-Stadtmitte", real_data)
    except InputError as error:
        pytest.skip(str(error))
    maps = cached_maps(sequence, tmp_path, kind="adaptive")
    counts = maps.sum(axis=(1, 2))
    assert len(counts) == sequence.length and 3 < counts.mean() < 10
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-4)
