"""The command on runs over the 12-frame scene: what it leaves, says and refuses."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest

from mot.analysis.scene import ScoredScene
from mot.analysis.sheet import (
    CAPTION,
    FALSE,
    GAP,
    MATCHED,
    MISSED,
    SWITCHED,
    TILE_WIDTH,
    draw_errors,
    worst_frames,
)
from mot.annotations import considered, write_results
from mot.boxes import Boxes
from mot.error_analysis import main
from mot.errors import InputError
from mot.report.table import write_scores_json
from mot.scoring import score_sequence
from mot.sequence import open_sequence


def perfect(sequence):
    truth = sequence.truth()
    return truth[considered(truth)]


def flawed(sequence):
    """The second person is missed until frame 6 and changes track at 10; a box on nobody in 3."""
    tracks = perfect(sequence)
    tracks = tracks[~((tracks.id == 2) & (tracks.frame <= 6))]
    tracks = tracks.with_columns(id=np.where((tracks.id == 2) & (tracks.frame >= 10), 9, tracks.id))
    return Boxes.concatenate([tracks, Boxes.of([3], [[20, 44, 4, 4]], [5])])


def write_run(folder, *sequences, tracks=flawed):
    """A folder such as eval.py leaves."""
    scores = []
    for sequence in sequences:
        boxes = tracks(sequence)
        write_results(folder / f"{sequence.name}.txt", boxes)
        scores.append(
            score_sequence(sequence.truth(), boxes, length=sequence.length, name=sequence.name)
        )
        config = {"fps": None, "source": str(sequence.folder)}
        summary = {"complete": True, "config": config}
        (folder / f"{sequence.name}.json").write_text(json.dumps(summary))
    write_scores_json(folder / "scores.json", scores, {"config": {"seq": []}})
    return folder


@pytest.fixture
def run(scene, tmp_path):
    return write_run(tmp_path / "run", open_sequence(scene))


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_a_run_gets(run, capsys):
    main([str(run)])
    rows = rows_of(run / "errors.csv")
    assert [row["kind"] for row in rows].count("miss") == 6
    [false] = [row for row in rows if row["kind"] == "false_positive"]
    assert (false["frame"], false["id"], false["cause"]) == ("3", "5", "background")
    assert (false["x"], false["height_px"], false["visibility"]) == ("20", "4", "")
    [switch] = [row for row in rows if row["kind"] == "switch"]
    assert (switch["frame"], switch["old_track"], switch["new_track"]) == ("10", "2", "9")
    assert switch["visibility"] == "0.5" and switch["gap_frames"] == "0"
    shown = capsys.readouterr().out
    assert "Misses by visible share" in shown and str(run / "errors-scene.jpg") in shown
    page = (run / "errors.md").read_text()
    assert page.startswith("# Errors of run\n\n## scene\n")
    assert "| scene | 24 | 6 | 25.0 |" in page
    assert "| background | 1 | 100.0 | none of these |" in page
    # 25 frames a second: half a second is the whole scene, so the sheet has its worst frame only.
    picture = cv2.imread(str(run / "errors-scene.jpg"))
    assert picture.shape == (3 * CAPTION + CAPTION + TILE_WIDTH * 48 // 64, TILE_WIDTH, 3)


def test_a_sheet_of_many_frames(make_scene, tmp_path):
    sequence = open_sequence(make_scene(frameRate=2))
    run = write_run(tmp_path / "run", sequence)
    out = tmp_path / "out"
    main([str(run), "--out", str(out), "--worst", "5", "--data", str(tmp_path)])
    height, width = cv2.imread(str(out / "errors-scene.jpg")).shape[:2]
    tile = CAPTION + TILE_WIDTH * 48 // 64
    assert width == 4 * TILE_WIDTH + 3 * GAP and height == 3 * CAPTION + 2 * tile + GAP
    assert not (run / "errors.csv").exists()


def test_errors_have_the_colours_of_their_kinds(scene):
    sequence = open_sequence(scene)
    boxes = flawed(sequence)
    errors = ScoredScene.of("scene", sequence.truth(), boxes, length=12, size_hw=(48, 64), fps=25.0)
    grey = np.full((480, 640, 3), 90, np.uint8)

    def at(frame, x, y):
        return tuple(draw_errors(grey, errors, frame)[10 * y, 10 * x].tolist())

    # in frame 3 the people's boxes are (6, 10, 10, 30) and (44, 12, 10, 30); between them nothing
    assert at(3, 11, 10) == MATCHED and at(3, 49, 12) == MISSED and at(3, 22, 44) == FALSE
    assert at(10, 35, 12) == SWITCHED and at(9, 37, 12) == MATCHED
    assert at(3, 30, 20) == (90, 90, 90) and (grey == 90).all()


def test_false_boxes_have_their_scores_below_them(scene):
    sequence = open_sequence(scene)
    grey = np.full((480, 640, 3), 90, np.uint8)

    def plain(score):
        boxes = flawed(sequence)
        false = boxes.id == 5
        assert false.sum() == 1
        scored = boxes.with_columns(score=np.where(false, score, 0.0))
        errors = ScoredScene.of(
            "scene", sequence.truth(), scored, length=12, size_hw=(48, 64), fps=25.0
        )
        drawn = draw_errors(grey, errors, 3)
        return (drawn[470:, 205:225] == 90).sum()  # within the box, whose edge is the frame's

    assert plain(0.8) < plain(0.0)


def test_the_worst_frames_lie_apart():
    counts = np.array([[0, 3, 4, 5, 1, 0, 1], [0, 0, 1, 0, 0, 0, 1]])
    assert worst_frames(counts, 9, 2) == [3, 7, 5]
    assert worst_frames(counts, 2, 1) == [3, 4]
    assert worst_frames(counts, 9, 99) == [3]
    assert worst_frames(np.zeros((3, 5), int), 9, 1) == []


def test_several_sequences_and_a_run_before(make_scene, tmp_path, capsys):
    one, other = open_sequence(make_scene("one")), open_sequence(make_scene("other"))
    run = write_run(tmp_path / "after", one, other, tracks=perfect)
    before = write_run(tmp_path / "before", one, other)
    main([str(run), "--before", str(before)])
    page = (run / "errors.md").read_text()
    assert "before: before" in page and page.count("### Misses by cause") == 3
    assert "| all | 48 | 12 | 0 | 25.0 | 0.0 | -12 |" in page
    assert "| one | 24 | 6 | 0 | 25.0 | 0.0 | -6 |" in page
    # Track boxes differ: both numbers stand there.
    assert "|  | track boxes before | track boxes after | false before |" in page
    assert len(rows_of(run / "errors.csv")) == 0
    shown = capsys.readouterr().out
    assert shown.count("no picture, for there are no errors") == 2
    assert not list(run.glob("*.jpg")) and not (before / "errors.csv").exists()


def test_without_frames_there_are_tables(scene, run, capsys):
    shutil.rmtree(scene / "img1")
    main([str(run)])
    assert "scene: no picture, for the frames are not there" in capsys.readouterr().out
    assert len(rows_of(run / "errors.csv")) == 8 and not list(run.glob("*.jpg"))


def test_a_frame_that_cannot_be_read_costs_the_picture_only(scene, run, capsys):
    for path in (scene / "img1").glob("*.jpg"):
        path.write_bytes(path.read_bytes()[:100])
    main([str(run)])
    assert "scene: no picture, for " in capsys.readouterr().out
    assert (run / "errors.md").is_file() and not list(run.glob("*.jpg"))


def test_a_truth_without_visibility_is_said(scene, run, capsys):
    truth = (scene / "gt" / "gt.txt").read_text().splitlines()
    (scene / "gt" / "gt.txt").write_text("".join(line.rsplit(",", 1)[0] + "\n" for line in truth))
    main([str(run), "--no-pictures"])
    assert "scene: its truth has no visibility" in capsys.readouterr().out
    assert "| unknown | 24 | 6 | 25.0 |" in (run / "errors.md").read_text()
    assert not list(run.glob("*.jpg"))


def refusal(*arguments):
    with pytest.raises(InputError) as caught:
        main([str(argument) for argument in arguments])
    return str(caught.value)


def test_what_is_no_run_is_refused(run, tmp_path):
    assert "run folder" in refusal(tmp_path / "none")
    assert "scores.json" in refusal(tmp_path)
    for text in ("{", "[]", "{}", '{"scene": {"FN": 1}}', '{"scene": 3}'):
        (run / "scores.json").write_text(text)
        assert "scores.json" in refusal(run)
    assert not list(run.glob("errors*"))


def test_other_data_and_other_tracks_are_refused(scene, run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "sequence scene" in refusal(run, "--data", elsewhere)
    write_results(run / "scene.txt", Boxes.empty())
    assert "FN 6 FP 1 IDs 1" in refusal(run) and "FN 24" in refusal(run)
    (run / "scene.txt").unlink()
    assert "scene.txt" in refusal(run)
    assert not list(run.glob("errors*"))


def test_a_run_before_of_other_sequences_is_refused(run, make_scene, tmp_path):
    other = write_run(tmp_path / "other-run", open_sequence(make_scene("other")))
    assert "none of scene" in refusal(run, "--before", other)
    assert "scores.json" in refusal(run, "--before", tmp_path)


def test_nothing_is_written_over_and_limits_are_said(run):
    assert "--worst" in refusal(run, "--worst", "0")
    main([str(run), "--no-pictures"])
    assert "errors.md" in refusal(run)
