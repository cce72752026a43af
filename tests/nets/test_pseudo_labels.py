"""Frames labelled by teachers, written as sequences and photo folders to train on."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mot.annotations import considered, ignore_regions
from mot.boxes import Boxes
from mot.errors import InputError
from mot.sequence import open_sequence
from mot.stills import open_stills
from mot.synthetic import SceneSettings, ensure_scenes
from nets.pseudo_labels import label_stills, label_video, labels_of, main
from nets.teachers import Teacher, Verdict
from tests.nets.test_teachers import saved_graph, ssd_rows

SEEN = np.array([[10, 20, 30, 60]], np.float32)
UNSURE = np.array([[100, 20, 30, 60]], np.float32)


def teachers() -> list[Teacher]:
    """Both see one person; the first alone a second."""
    first = np.concatenate([SEEN, UNSURE]), np.array([0.9, 0.8], np.float32)
    second = SEEN, np.array([0.7], np.float32)
    return [Teacher("one", lambda image: first), Teacher("two", lambda image: second)]


def test_without_a_truth_people_are_those_agreed_on() -> None:
    rows = labels_of(Verdict(SEEN, UNSURE), None)
    np.testing.assert_array_equal(rows.ltwh[considered(rows)], SEEN)
    np.testing.assert_array_equal(rows.ltwh[ignore_regions(rows)], UNSURE)


def test_a_truth_stays_and_whom_it_lacks_is_ignored() -> None:
    known = Boxes.of(1, SEEN + 2, 7)
    elsewhere = np.array([[300, 20, 30, 60]], np.float32)
    rows = labels_of(Verdict(np.concatenate([SEEN, elsewhere]), UNSURE), known)
    np.testing.assert_array_equal(rows.ltwh[considered(rows)], known.ltwh)
    np.testing.assert_array_equal(rows.ltwh[ignore_regions(rows)], elsewhere)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SceneSettings(frames=12, width=192, height=96, people=2)
    return ensure_scenes(tmp_path_factory.mktemp("data"), 1, split="train", settings=settings)[
        0
    ].folder


def test_a_video_becomes_a_sequence_of_the_labelled_frames(scene: Path, tmp_path: Path) -> None:
    (scene / "gt" / "gt.txt").rename(scene / "gt" / "kept.txt")
    try:
        video = open_sequence(scene)
        label_video(video, teachers(), tmp_path, every_s=0.3, most_px=96 * 48)
    finally:
        (scene / "gt" / "kept.txt").rename(scene / "gt" / "gt.txt")
    made = open_sequence(tmp_path / video.name)
    step = round(0.3 * video.fps)
    assert (made.width, made.height, made.length) == (96, 48, -(-12 // step))
    assert made.fps == pytest.approx(video.fps / step)
    truth = made.truth()
    people = truth[considered(truth)]
    np.testing.assert_allclose(people.ltwh, np.repeat(SEEN / 2, made.length, axis=0), atol=0.01)
    # Nobody is followed: a name comes once.
    assert len(np.unique(people.id)) == made.length
    assert ignore_regions(truth).sum() == made.length


def test_photos_keep_their_boxes_and_masks(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((100, 200, 3), np.uint8))
    cv2.imwrite(str(folder / "a_mask.png"), np.zeros((100, 200), np.uint8))
    (folder / "boxes.csv").write_text("image,x,y,w,h\na.png,120,10,30,60\n")
    label_stills(open_stills(folder), teachers(), tmp_path / "out" / "photos")
    made = open_stills(tmp_path / "out" / "photos")
    rows = made.boxes
    np.testing.assert_array_equal(rows.ltwh[considered(rows)], [[120, 10, 30, 60]])
    np.testing.assert_array_equal(rows.ltwh[ignore_regions(rows)], SEEN)
    assert (tmp_path / "out" / "photos" / "a_mask.png").is_file()
    (folder / "boxes.csv").write_text("image,x,y,w,h,ignored\na.png,120,10,30,60,2\n")
    with pytest.raises(InputError, match="0 or 1 as ignored"):
        open_stills(folder)


def test_the_command_says_what_it_labelled(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        saved_graph(tmp_path / f"{name}.xml", ssd_rows((0.9, 0.9, 0.0, 1.0, 0.2)), (32, 32))
        for name in ("one", "two")
    ]
    out = tmp_path / "labelled"
    call = ["--teachers", *map(str, files), "--inputs", scene.name, "--data", str(scene.parent)]
    main([*call, "--out", str(out), "--every-s", "0.5"])
    assert f"{scene.name}: " in capsys.readouterr().out
    main([*call, "--out", str(out)])
    assert "is there already" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        main([*call[:2], *call[3:], "--out", str(out)])
    assert stop.value.code == 2
