import json
import random
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mot.check import CheckFlags, check, main
from mot.checks.finding import ERROR, NOTE, WARNING
from mot.errors import InputError, one_line_errors
from mot.synthetic import SceneSettings, write_scene
from tests.conftest import complaint, truth_rows, write_video


def found(folder: Path, **flags: object) -> list[tuple[str, int, str, str]]:
    """File name, line, severity and kind of everything found, by file and line."""
    kept = check(CheckFlags(folder, **flags)).findings.kept
    return sorted((f.path.name, f.line, f.severity, f.kind) for f in kept)


def add_rows(scene: Path, *rows: str, file: str = "gt/gt.txt") -> int:
    """Append rows to a file and return the line of the first."""
    path = scene / file
    text = path.read_text()
    path.write_text(text + "\n".join(rows) + "\n")
    return text.count("\n") + 1


def test_a_sound_scene_has_no_findings(scene):
    checked = check(CheckFlags(scene, all_frames=True))
    assert (checked.findings.kept, checked.sequences, checked.rows) == ([], 1, 3 * 12 + 12)


def test_a_rendered_scene_has_no_findings(tmp_path):
    write_scene(SceneSettings(frames=6, width=160, height=96, people=3), tmp_path / "s")
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("row", "severity", "kind"),
    [
        ("1,9,a,5,10,10,1,1,1", ERROR, "numbers"),
        ("1,9,5,5,10,10,1,1,\xff", ERROR, "numbers"),
        ("1,9,5,5,10,10,1,1", ERROR, "columns"),
        ("1,9,5,5,10,10,1,1,1,1", ERROR, "columns"),
        ("1,9,nan,5,10,10,1,1,1", ERROR, "nan"),
        ("1,9,5,5,inf,10,1,1,1", ERROR, "nan"),
        ("0,9,5,5,10,10,1,1,1", ERROR, "frame"),
        ("1.5,9,5,5,10,10,1,1,1", ERROR, "frame"),
        ("13,9,5,5,10,10,1,1,1", ERROR, "frame"),
        ("1,9.5,5,5,10,10,1,1,1", ERROR, "id"),
        ("1,-1,5,5,10,10,1,1,1", ERROR, "id"),
        ("1,99999999,5,5,10,10,1,1,1", ERROR, "id"),
        ("1,9,5,5,0,10,1,1,1", ERROR, "size"),
        ("1,9,5,5,10,-3,1,1,1", ERROR, "size"),
        ("1,9,1e9,5,10,10,1,1,1", ERROR, "far"),
        ("1,1,3,11,10,30,1,1,1", ERROR, "duplicate"),
        ("1,9,5,5,10,10,1,1.5,1", ERROR, "class"),
        ("1,9,5,5,10,10,1,77,1", WARNING, "class"),
        ("1,9,5,5,10,10,1,1,1.5", WARNING, "visibility"),
        ("1,9,65,5,10,10,1,1,1", WARNING, "outside"),
        ("1,9,-9,5,10,10,1,1,1", WARNING, "outside"),
        ("1,9,5,49,10,10,1,1,1", WARNING, "outside"),
    ],
)
def test_each_defect_of_a_row_is_found_alone_and_with_its_line(scene, row, severity, kind):
    line = add_rows(scene, row)
    assert found(scene) == [("gt.txt", line, severity, kind)]


@pytest.mark.parametrize(
    "row", ["1,-1,5,5,10,10,0,8,1", "1,9,64,48,10,10,1,1,-1", "1,9,-8.9,5,10,10,1,1,0",
            "1,9,5,5,10,10,1,-1,1"],
)  # fmt: skip
def test_what_is_allowed_is_no_finding(scene, row):
    add_rows(scene, row)
    assert found(scene) == []


def test_all_defects_of_a_file_are_found_in_one_go(scene):
    first = add_rows(
        scene, "x", "1,9,5,5,0,0,1,1,1", "", "2,9,5,5,5,5,1,1,nan", "99,9,5,5,5,5,1,1,1"
    )
    assert found(scene) == [
        ("gt.txt", first, ERROR, "numbers"),
        ("gt.txt", first + 1, ERROR, "size"),
        ("gt.txt", first + 3, ERROR, "nan"),
        ("gt.txt", first + 4, ERROR, "frame"),
    ]


def test_a_header_is_one_fault_not_one_for_every_row(scene):
    path = scene / "gt" / "gt.txt"
    path.write_text("frame,id\n" + path.read_text())
    assert found(scene) == [("gt.txt", 1, ERROR, "numbers")]


def test_a_class_that_changes_names_both_places(scene):
    classes = {1: 1, 8: 7, 9: 7, 10: 1}  # and back again: one finding all the same
    line = add_rows(scene, *(f"{n},9,5,5,10,10,1,{c},1" for n, c in classes.items()))
    [finding] = check(CheckFlags(scene)).findings.kept
    assert (finding.line, finding.kind, finding.severity) == (line + 1, "class-change", WARNING)
    assert f"frame 1, line {line}" in finding.what


def test_a_jump_is_measured_in_heights_and_seconds(make_scene):
    rows = ["4,9,5,5,10,20,1,1,1", "5,9,17,5,10,20,1,1,1"]  # 12 pixels = 0.6 heights
    for fps, jumps in ((25, True), (10, False)):
        scene = make_scene(f"fps{fps}", frameRate=fps)
        line = add_rows(scene, *rows)
        assert found(scene) == ([("gt.txt", line + 1, WARNING, "jump")] if jumps else [])
        assert found(scene, jump=1e6) == []
    gap = make_scene("gap")
    add_rows(gap, rows[0], "7,9,50,5,10,20,1,1,1")  # two frames are missing: nobody knows
    car = make_scene("car")
    add_rows(car, *(row.replace("1,1,1", "1,3,1") for row in rows))
    assert found(gap) == found(car) == []


def test_scores_outside_0_to_1_are_a_note_where_they_are_usual(make_scene):
    plain, usual, dpm = make_scene("plain"), make_scene("usual"), make_scene("X-DPM")
    rows = [f"{n},-1,5,5,10,10,{n * 7}" for n in range(1, 13)]
    for scene, ending in ((plain, ""), (usual, ",-1,-1,-1"), (dpm, "")):
        (scene / "det" / "det.txt").write_text("\n".join(row + ending for row in rows))
    assert found(plain) == [("det.txt", 0, WARNING, "score")]
    assert found(usual) == found(dpm) == [("det.txt", 0, NOTE, "score")]


def test_detections_may_be_empty_boxes_but_not_negative_ones(scene):
    line = add_rows(scene, "1,-1,5,5,0,10,1", "1,-1,5,5,-1,10,1", file="det/det.txt")
    assert found(scene) == [
        ("det.txt", line, WARNING, "size"),
        ("det.txt", line + 1, ERROR, "size"),
    ]


def test_text_from_windows_is_a_note(scene):
    path = scene / "gt" / "gt.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", "\r\n").encode())
    assert found(scene) == [("gt.txt", 0, NOTE, "text")] * 2


def test_flags_other_than_0_and_1_are_a_note(scene):
    (scene / "gt" / "gt.txt").write_text("1,1,5,5,9,9,-1,-1,-1,-1\n2,1,5,5,9,9,-1,-1,-1,-1\n")
    assert found(scene) == [("gt.txt", 0, NOTE, "flag")]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_truth_is_a_warning(scene, text):
    (scene / "gt" / "gt.txt").write_text(text)
    assert found(scene) == [("gt.txt", 0, WARNING, "empty")]


def test_too_few_columns_throughout(scene):
    (scene / "gt" / "gt.txt").write_text("1,1,5\n2,1,5\n")
    assert found(scene) == [("gt.txt", 1, ERROR, "columns")]


# seqinfo.ini and frames


def test_length_and_size_that_disagree_with_the_frames(make_scene):
    short, long = make_scene("short", seqLength=10), make_scene("long", seqLength=15)
    kinds = {kind for _, _, _, kind in found(short)}
    assert kinds == {"length", "frame"}  # frames 11 and 12: of the images, and of the rows
    assert found(long) == [("img1", 0, ERROR, "missing")]
    wide = make_scene("wide", imWidth=65)
    images = [f"{n:06d}.jpg" for n in (1, 7, 12)]
    assert found(wide) == [(name, 0, ERROR, "size") for name in images]
    assert len(found(wide, all_frames=True)) == 12


def test_missing_frames_are_named_as_runs(scene):
    for number in (3, 5, 6, 7):
        (scene / "img1" / f"{number:06d}.jpg").unlink()
    kept = check(CheckFlags(scene)).findings.kept
    assert [f.what for f in kept] == ["no image of frame 3", "no image of frames 5 to 7"]


def test_a_far_too_large_length_is_one_finding(make_scene):
    kept = check(CheckFlags(make_scene(seqLength=16_000_000))).findings.kept
    assert [f.what for f in kept] == ["no image of frames 13 to 16000000"]


def test_what_cannot_be_read_does_not_end_the_check(make_scene, tmp_path):
    a, b = make_scene("a"), make_scene("b", seqLength=13)
    (a / "gt" / "gt.txt").unlink()
    (a / "gt" / "gt.txt").symlink_to(a / "gt" / "gt.txt")  # a loop: not even its kind is known
    (a / "img1" / "000003.jpg").unlink()
    (a / "img1" / "000003.jpg").mkdir()
    kinds = {(f.path.parent.parent.name, f.kind) for f in check(CheckFlags(tmp_path)).findings.kept}
    assert ("a", "undecodable") in kinds and (b.parent.name, "missing") in kinds


def test_frames_that_count_from_0_are_fine(scene):
    for number in range(1, 13):
        image = scene / "img1" / f"{number:06d}.jpg"
        image.rename(image.with_name(f"{number - 1:06d}.jpg"))
    assert found(scene) == []


def test_images_that_are_no_frames(scene):
    shutil.copy(scene / "img1" / "000003.jpg", scene / "img1" / "3.png")
    shutil.copy(scene / "img1" / "000003.jpg", scene / "img1" / "thumb.jpg")
    assert found(scene) == [("3.png", 0, WARNING, "twice"), ("thumb.jpg", 0, WARNING, "name")]


def test_every_cut_off_image_is_found_though_few_are_decoded(scene):
    for number in (2, 5, 9):
        image = scene / "img1" / f"{number:06d}.jpg"
        image.write_bytes(image.read_bytes()[:-30])
    (scene / "img1" / "000004.jpg").write_bytes(b"")
    assert found(scene) == [(f"{n:06d}.jpg", 0, ERROR, "cut-off") for n in (2, 4, 5, 9)]


def test_damage_inside_is_found_by_decoding_all(scene):
    (scene / "img1" / "000005.jpg").write_bytes(b"\xff\xd8 no image \xff\xd9")
    assert found(scene) == []
    assert found(scene, all_frames=True) == [("000005.jpg", 0, ERROR, "undecodable")]


def test_other_image_formats(scene):
    for number in range(1, 13):
        image = scene / "img1" / f"{number:06d}.jpg"
        cv2.imwrite(str(image.with_suffix(".png")), np.zeros((48, 64, 3), np.uint8))
        image.unlink()
    assert found(scene) == [("img1", 0, WARNING, "suffix")]


@pytest.mark.parametrize(
    ("changes", "line", "severity"),
    [
        ({"seqLength": None}, 0, ERROR),
        ({"imWidth": "wide"}, 6, ERROR),
        ({"imHeight": -1}, 7, ERROR),
        ({"frameRate": None}, 0, WARNING),
        ({"frameRate": 0}, 4, ERROR),
        ({"imDir": "../other"}, 3, ERROR),
        ({"imExt": ".txt"}, 8, ERROR),
    ],
)
def test_each_field_of_seqinfo_is_checked(make_scene, changes, line, severity):
    assert found(make_scene(**changes)) == [("seqinfo.ini", line, severity, "seqinfo")]


def test_a_seqinfo_that_is_missing_or_none(make_scene):
    missing, broken = make_scene("missing"), make_scene("broken")
    (missing / "seqinfo.ini").unlink()
    (broken / "seqinfo.ini").write_text("seqLength=12\n")
    assert found(missing) == [("seqinfo.ini", 0, WARNING, "seqinfo")]
    assert found(broken) == [("seqinfo.ini", 0, ERROR, "seqinfo")]


def test_videos_are_measured_as_well(make_scene, tmp_path):
    fine = make_scene("fine", video=True)
    assert found(fine) == []
    wrong = make_scene("wrong", video=True, imWidth=100)
    write_video(wrong / "video.mp4", 10)
    assert found(wrong) == [
        ("video.mp4", 0, ERROR, "length"),
        ("video.mp4", 0, ERROR, "size"),
    ]


def test_frames_that_are_not_there_at_all(scene):
    shutil.rmtree(scene / "img1")
    assert found(scene) == [("img1", 0, WARNING, "frames")]


# Folders, output, exit codes


def test_sequences_at_any_depth_and_strays(make_scene, tmp_path):
    make_scene("MOT17/train/a")
    bad = make_scene("MOT17/train/b", seqLength=13)
    stray = tmp_path / "MOT17" / "c" / "gt"
    stray.mkdir(parents=True)
    (stray / "gt.txt").write_text(truth_rows())
    assert found(tmp_path) == [("c", 0, ERROR, "stray"), ("img1", 0, ERROR, "missing")]
    assert [f.path for f in check(CheckFlags(tmp_path)).findings.kept][1] == bad / "img1"


def test_a_gt_folder_without_gt_txt(scene):
    (scene / "gt" / "gt.txt").rename(scene / "gt" / "gt_train.txt")
    assert found(scene) == [("gt.txt", 0, WARNING, "missing")]


def test_exit_codes_and_lines(scene, capsys):
    main([str(scene)])
    assert capsys.readouterr().out == "1 sequence, 48 rows: 0 errors, 0 warnings, 0 notes\n"
    line = add_rows(scene, "1,9,5,5,0,10,1,1,1")
    with pytest.raises(SystemExit) as stopped:
        main([str(scene)])
    assert stopped.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{scene}/gt/gt.txt:{line}: error: a box of 0 x 10 pixels [size]",
        "1 sequence, 49 rows: 1 error, 0 warnings, 0 notes",
    ]


def test_notes_are_no_defects(scene, capsys):
    path = scene / "seqinfo.ini"
    path.write_text(path.read_text().replace("name=scene", "name=another"))
    main([str(scene)])  # exits 0
    assert f"{path}:2: note: name is another, the folder's is scene" in capsys.readouterr().out


def test_json_holds_the_same(scene, capsys):
    line = add_rows(scene, "1,9,5,5,0,10,1,1,1", "1,8,5,5,0,10,1,1,1", "1,7,5,5,0,10,1,1,1")
    with pytest.raises(SystemExit):
        main([str(scene), "--json", "--most", "2"])
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"error": 3, "warning": 0, "note": 0}
    assert (told["sequences"], told["rows"]) == (1, 51)
    path = str(scene / "gt" / "gt.txt")
    assert told["findings"][0] == {
        "path": path, "line": line, "severity": "error", "kind": "size",
        "what": "a box of 0 x 10 pixels",
    }  # fmt: skip
    assert len(told["findings"]) == 2
    assert told["untold"] == [{"path": path, "severity": "error", "kind": "size", "count": 1}]


@pytest.mark.parametrize(
    "arguments", [["nowhere"], [], ["--jump", "0", "."], ["--most", "-1", "."]]
)
def test_bad_usage_is_one_line_and_2(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        one_line_errors(main)(arguments)
    assert stopped.value.code == 2
    complaint(capsys)


def test_a_folder_without_sequences_is_no_clean_bill(tmp_path):
    with pytest.raises(InputError, match="sequence folders"):
        check(CheckFlags(tmp_path))


def test_a_large_file_takes_seconds_even_when_damaged(scene):
    generator = random.Random(1)
    rows = [
        f"{n % 12 + 1},{n // 12},{generator.uniform(1, 50):.2f},5,9,9,1,8,1" for n in range(200_000)
    ]
    rows[150_000] = "oops"
    (scene / "gt" / "gt.txt").write_text("\n".join(rows))
    start = time.process_time()
    assert found(scene) == [("gt.txt", 150_001, ERROR, "numbers")]
    assert time.process_time() - start < 3
