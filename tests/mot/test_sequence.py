import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mot import videofile
from mot.annotations import considered
from mot.errors import InputError
from mot.sequence import data_root, find_sequence, list_sequences, open_sequence, open_video
from tests.conftest import FRAMES, write_images, write_video


def test_folder_with_images(scene):
    sequence = open_sequence(scene)
    assert (sequence.name, sequence.length, sequence.fps) == ("scene", 12, 25)
    assert (sequence.width, sequence.height) == (64, 48)
    assert sequence.frames_at == scene / "img1"
    assert sequence.images[0] == "000001.jpg" and len(sequence.images) == 12
    assert considered(sequence.truth()).sum() == 24
    assert len(sequence.detections()) == 12


def test_video_stands_in_for_missing_images(make_scene):
    folder = make_scene(video=True)
    sequence = open_sequence(folder)
    assert sequence.frames_at == folder / "video.mp4" and sequence.images == ()
    (folder / "img1").mkdir()
    assert open_sequence(folder).frames_at == folder / "video.mp4"


def test_text_alone_opens_and_says_what_is_missing(scene):
    for part in ("img1", "gt", "det"):
        shutil.rmtree(scene / part)
    sequence = open_sequence(scene)
    assert not sequence.has_truth and not sequence.has_detections
    with pytest.raises(InputError, match=r"gt\.txt: expected a ground truth"):
        sequence.truth()
    with pytest.raises(InputError, match=r"det\.txt: expected public detections"):
        sequence.detections()


@pytest.mark.parametrize(
    ("pattern", "last"), [("{:08d}.jpg", "00000012.jpg"), ("f_{}.jpg", "f_12.jpg")]
)
def test_images_of_other_names(scene, pattern, last):
    shutil.rmtree(scene / "img1")
    write_images(scene / "img1", pattern=pattern)
    assert open_sequence(scene).images[-1] == last


def test_images_counted_from_0(scene):
    os.rename(scene / "img1" / "000012.jpg", scene / "img1" / "00000.jpg")
    for path in sorted((scene / "img1").glob("0000??.jpg")):
        path.rename(path.with_name(path.name[1:]))
    images = open_sequence(scene).images
    assert (images[0], images[-1]) == ("00000.jpg", "00011.jpg")


def test_a_length_beyond_reason_costs_no_memory(make_scene):
    assert len(open_sequence(make_scene(seqLength=2**24 - 1)).images) == 12


def test_of_two_images_of_a_number_the_named_suffix_wins(scene):
    (scene / "img1" / "000002.png").touch()
    assert open_sequence(scene).images[:3] == ("000001.jpg", "000002.jpg", "000003.jpg")


def test_truth_beyond_the_sequence_is_an_error(make_scene):
    sequence = open_sequence(make_scene(seqLength=10))
    with pytest.raises(InputError, match="within the sequence's 10") as caught:
        sequence.truth()
    assert caught.value.where.endswith("gt.txt:31")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seqLength": None}, "seqLength"),
        ({"imWidth": None}, "imWidth"),
        ({"imHeight": ""}, "imHeight"),
        ({"seqLength": "twelve"}, "a whole number above 0 and below"),
        ({"seqLength": 0}, "above 0"),
        ({"seqLength": -3}, "above 0"),
        ({"seqLength": 11.5}, "whole number"),
        ({"seqLength": "nan"}, "seqLength"),
        ({"seqLength": "1e99"}, "seqLength"),
        ({"seqLength": 2**24}, "seqLength"),
        ({"imWidth": "64px"}, "imWidth"),
        ({"frameRate": "fast"}, "frameRate"),
        ({"frameRate": 0}, "frameRate"),
        ({"frameRate": "inf"}, "frameRate"),
        ({"imDir": "../../.."}, "inside the sequence"),
        ({"imDir": "img1/../../.."}, "inside the sequence"),
        ({"imDir": "/etc"}, "inside the sequence"),
        ({"imDir": "..\\.."}, "inside the sequence"),
        ({"imDir": "C:\\Windows"}, "inside the sequence"),
        ({"imExt": "/../../../etc/passwd"}, "imExt"),
        ({"imExt": ".exe"}, "imExt"),
    ],
)
def test_bad_seqinfo_is_named(make_scene, changes, expected):
    folder = make_scene(**changes)
    with pytest.raises(InputError, match=re.escape(expected)) as caught:
        open_sequence(folder)
    assert caught.value.where == str(folder / "seqinfo.ini")


@pytest.mark.parametrize("text", ["", "no section", "[Other]\nname=x\n", "[Sequence]\n[", "[Seq"])
def test_seqinfo_that_is_none(scene, text):
    (scene / "seqinfo.ini").write_text(text)
    with pytest.raises(InputError, match=r"seqinfo\.ini"):
        open_sequence(scene)


def test_a_link_that_the_user_made_may_lead_out(scene, tmp_path):
    shutil.move(scene / "img1", tmp_path / "elsewhere")
    (scene / "img1").symlink_to(tmp_path / "elsewhere")
    assert len(open_sequence(scene).images) == 12


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.one_of(
        st.text(max_size=80),
        st.text(alphabet="[]=:%;# \n1seqLength", max_size=80).map(lambda t: "[Sequence]\n" + t),
    )
)
def test_arbitrary_seqinfo_opens_or_is_bad_input(tmp_path, text):
    (tmp_path / "seqinfo.ini").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        open_sequence(tmp_path)
    except InputError as error:
        assert "\n" not in str(error)


def test_unknown_frame_rate_names_the_flag(scene, make_scene):
    bare = open_video(scene / "img1")
    assert bare.fps is None
    with pytest.raises(InputError, match="--fps"):
        bare.require_fps()
    assert open_video(scene / "img1", fps=12.5).require_fps() == 12.5
    assert open_sequence(make_scene("other", frameRate=None)).fps is None
    assert open_sequence(scene, fps=5).fps == 5
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="--fps"):
            open_sequence(scene, fps=rate)


def test_bare_folder_of_images_in_natural_order(tmp_path):
    write_images(tmp_path / "holiday", pattern="IMG {}.jpg")
    sequence = open_video(tmp_path / "holiday")
    assert (sequence.name, sequence.length, sequence.width) == ("holiday", 12, 64)
    assert sequence.images[1] == "IMG 2.jpg" and sequence.images[-1] == "IMG 12.jpg"


def test_folder_without_seqinfo_is_opened_by_its_images(scene):
    (scene / "seqinfo.ini").unlink()
    sequence = open_sequence(scene)
    assert (sequence.name, sequence.length, sequence.fps) == ("scene", FRAMES, None)
    assert sequence.has_truth


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".ts"])
def test_bare_video(tmp_path, suffix):
    path = tmp_path / f"street{suffix}"
    write_video(path, frames=30, codec="mpeg4" if suffix == ".avi" else "libx264")
    sequence = open_video(path)
    assert (sequence.name, sequence.length, sequence.fps) == ("street", 30, 25)
    assert (sequence.width, sequence.height) == (64, 48)


def test_a_film_is_gone_through_once_until_it_changes(tmp_path, monkeypatch):
    opened, path = [], tmp_path / "street.mp4"
    whole = videofile._open
    monkeypatch.setattr(videofile, "_open", lambda path: opened.append(path) or whole(path))
    write_video(path, frames=12)
    lengths = [open_video(path).length for _ in range(3)]
    assert lengths == [12] * 3 and len(opened) == 4  # three looks at its first frame, one at all
    write_video(path, frames=15)
    assert open_video(path).length == 15


def test_open_video_takes_a_sequence_folder_too(scene):
    assert open_video(scene) == open_sequence(scene)


def test_one_image_is_one_frame_without_a_rate(scene):
    sequence = open_video(scene / "img1" / "000004.jpg")
    assert (sequence.name, sequence.length, sequence.fps) == ("000004", 1, None)
    assert sequence.images == ("000004.jpg",) and sequence.frames_at == scene / "img1"


@pytest.mark.parametrize("make", ["empty folder", "no file", "no video", "empty file", "text"])
def test_sources_that_are_none(tmp_path, make):
    path = tmp_path / "source.mp4"
    if make == "empty folder":
        path.mkdir()
    elif make != "no file":
        path.write_bytes({"no video": b"\x00" * 999, "empty file": b"", "text": b"hello"}[make])
    with pytest.raises(InputError, match=r"source\.mp4"):
        open_video(path)


def test_text_is_no_video_though_ffmpeg_would_paint_it(scene):
    with pytest.raises(InputError, match=r"gt\.txt: expected a video, got text"):
        open_video(scene / "gt" / "gt.txt")


def test_sequence_folders_that_are_none(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match="a sequence folder"):
            open_sequence(folder)
    (tmp_path / "img1").mkdir()
    with pytest.raises(InputError, match="images"):
        open_sequence(tmp_path)


# Looking up by name


@pytest.fixture
def root(make_scene, tmp_path) -> Path:
    for name in ("MOT17/train/MOT17-02-SDP", "MOT17/train/MOT17-04-SDP", "mine/a/b/PETS09-S2L1"):
        make_scene(f"data/{name}")
    return tmp_path / "data"


def test_short_name_finds_a_nested_folder(root):
    assert find_sequence("MOT17-02", root).folder == root / "MOT17/train/MOT17-02-SDP"
    assert find_sequence("PETS09-S2L1", root).name == "PETS09-S2L1"


def test_exact_name_wins(root, make_scene):
    folder = make_scene("data/short/MOT17-02")
    assert find_sequence("MOT17-02", root).folder == folder


def test_several_matches_are_all_listed(root, make_scene):
    make_scene("data/MOT17/train/MOT17-02-FRCNN")
    with pytest.raises(InputError) as caught:
        find_sequence("MOT17-02", root)
    assert "MOT17/train/MOT17-02-FRCNN, MOT17/train/MOT17-02-SDP" in str(caught.value)
    assert find_sequence("MOT17-02-SDP", root).name == "MOT17-02-SDP"


def test_two_folders_of_one_name_are_told_apart_by_path(root, make_scene):
    make_scene("data/MOT17-02-SDP")
    with pytest.raises(InputError, match="2: "):
        find_sequence("MOT17-02-SDP", root)
    inner = find_sequence("MOT17/train/MOT17-02-SDP", root).folder
    assert inner == root / "MOT17/train/MOT17-02-SDP"
    assert find_sequence("./MOT17-02-SDP", root).folder == root / "MOT17-02-SDP"
    assert find_sequence(str(inner), "nowhere").folder == inner


@pytest.mark.parametrize("name", ["MOT17-03", "mot17-02-sdp", "MOT17-0", "M", "", ".", ".."])
def test_unknown_name_lists_what_is_near_and_ways_out(root, name):
    with pytest.raises(InputError) as caught:
        find_sequence(name, root)
    line = str(caught.value)
    assert "MOT17-02-SDP" in line
    assert "--seq synthetic" in line and "https://motchallenge.net/data/MOT17.zip" in line


@pytest.mark.parametrize("there", [False, True])
def test_no_data_at_all(tmp_path, there):
    if there:
        (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="--seq synthetic"):
        find_sequence("MOT17-02", tmp_path / "data")


def test_list_follows_links_once_and_skips_hidden_folders(root, make_scene):
    make_scene("data/.trash/MOT17-99")
    (root / "mine" / "loop").symlink_to(root)
    (root / "again").symlink_to(root / "MOT17" / "train" / "MOT17-04-SDP")
    names = [folder.name for folder in list_sequences(root)]
    assert names == ["MOT17-02-SDP", "MOT17-04-SDP", "PETS09-S2L1", "again"]
    assert list_sequences(root / "again") == [root / "again"]


def test_data_root(monkeypatch):
    monkeypatch.setenv("FOOTFALL_DATA", "/somewhere")
    assert data_root() == Path("/somewhere")
    monkeypatch.setenv("FOOTFALL_DATA", "")
    assert data_root() == Path("data")
    monkeypatch.delenv("FOOTFALL_DATA")
    assert data_root() == Path("data")
