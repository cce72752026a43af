"""python -m mot.statistics on drawn scenes."""

import csv
import json

import cv2
import pytest

from mot.errors import one_line_errors
from mot.statistics import main
from tests.conftest import complaint


@pytest.fixture(autouse=True)
def without_pictures(request, monkeypatch):
    """They take most of the time; two tests look at them."""
    if "picture" not in request.node.name and "empty" not in request.node.name:
        monkeypatch.setattr("mot.statistics.draw_statistics", lambda path, rows: None)


def test_picture_table_and_numbers(make_scene, tmp_path, capsys):
    make_scene("data/A")
    make_scene("data/B")
    bare = make_scene("data/C")
    (bare / "gt" / "gt.txt").unlink()
    out = tmp_path / "stats.png"
    main(["--data", str(tmp_path / "data"), "--out", str(out)])
    printed = capsys.readouterr().out
    assert "without a truth, left out: C" in printed and "ALL" in printed
    height, width = cv2.imread(str(out)).shape[:2]
    assert width == 1064 and 600 < height < 1500
    content = json.loads(out.with_suffix(".json").read_text())["sequences"]
    assert list(content) == ["A", "B", "ALL"]
    # Two people who count in each of 12 frames at 25 frames/s.
    assert content["A"]["boxes"] == 24 and content["ALL"]["boxes"] == 48
    assert content["A"]["per_frame_p50"] == 2 and content["A"]["seconds"] == 0.48
    assert content["A"]["visibility_mean"] == 0.75
    rows = list(csv.DictReader(out.with_suffix(".csv").open()))
    assert [row["sequence"] for row in rows] == ["A", "B", "ALL"]
    assert float(rows[0]["height_p50"]) == 30


def test_missing_rate_and_visibility_are_said(make_scene, tmp_path, capsys):
    scene = make_scene("data/A", frameRate=None)
    rows = (scene / "gt" / "gt.txt").read_text().split()
    (scene / "gt" / "gt.txt").write_text("\n".join(row.rsplit(",", 1)[0] for row in rows))
    main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "a.png")])
    printed = capsys.readouterr().out
    assert "A: its truth has no frame rate" in printed and "--fps" in printed
    assert "A: its truth has no visibility" in printed
    main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "b.png"), "--fps", "25"])
    assert "no frame rate" not in capsys.readouterr().out
    values = json.loads((tmp_path / "b.json").read_text())["sequences"]["A"]
    assert values["track_s_p50"] == 0.48


def test_equal_names_are_told_apart(make_scene, tmp_path, capsys):
    make_scene("data/one/A")
    make_scene("data/two/A")
    main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "a.png")])
    names = list(json.loads((tmp_path / "a.json").read_text())["sequences"])
    assert names == ["one-A", "two-A", "ALL"]


def test_an_empty_truth_is_a_case(make_scene, tmp_path):
    scene = make_scene("data/A")
    (scene / "gt" / "gt.txt").write_text("")
    main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "a.png")])
    values = json.loads((tmp_path / "a.json").read_text())["sequences"]["A"]
    assert values["boxes"] == 0 and values["per_frame_max"] == 0 and values["height_max"] is None


def test_bad_input_is_one_line(make_scene, tmp_path, capsys):
    bare = make_scene("bare/A")
    (bare / "gt" / "gt.txt").unlink()
    data, out = ["--data", str(tmp_path / "bare")], ["--out", str(tmp_path / "a.png")]
    for arguments, word in (
        ([*data, *out], "gt/gt.txt"),
        ([*data, *out, "--seqs", "A"], "ground truth"),
        ([*data, *out, "--seqs", "B"], "sequence B"),
        (["--data", str(tmp_path / "nowhere"), *out], "nowhere"),
        ([*data, "--out", str(tmp_path / "a.txt")], "--out"),
        ([*data, *out, "--fps", "0"], "--fps"),
    ):
        with pytest.raises(SystemExit) as stop:
            one_line_errors(main)(arguments)
        assert stop.value.code == 2
        assert word in complaint(capsys)
    (tmp_path / "a.csv").write_text("kept")
    with pytest.raises(SystemExit):
        one_line_errors(main)([*data, *out])
    assert "a new file" in complaint(capsys) and (tmp_path / "a.csv").read_text() == "kept"
