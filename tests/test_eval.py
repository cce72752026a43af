import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import eval as evaluation
from mot.annotations import ResultWriter, read_results
from mot.errors import InputError
from mot.sequence import open_sequence, open_video
from nets.menu import build_net
from nets.predict import PredictSettings
from nets.settings import NetSettings
from nets.weights import save_weights
from tests.conftest import complaint

ROOT = Path(evaluation.__file__).parent
FRAMES = 12
ERRORS = ("FP", "FN", "IDs")
COUNTED = 2  # people of a scene who count, in every frame


@pytest.fixture
def data(make_scene, tmp_path):
    """Data root with two scenes at different depths."""
    make_scene("data/near")
    make_scene("data/MOT17/train/far-01-SDP", video=True)
    return tmp_path / "data"


def run(*arguments, data=None, weights=None):
    """Run the command in this process with fast settings; None, or the exit code."""
    given = [*map(str, arguments), "--backend", "torch", "--amp", "off"]
    given += ["--data", str(data)] if data else []
    given += ["--weights", str(weights)] if weights else []
    try:
        evaluation.main(given)
    except SystemExit as stop:
        return stop.code
    return None


def perfect_detections(folder, missed=()):
    """Replace the public detections by the people who count, score 1, but in missed frames."""
    truth = [line.split(",") for line in (folder / "gt" / "gt.txt").read_text().splitlines()]
    rows = [
        ",".join([t[0], "-1", *t[2:6], "1"])
        for t in truth
        if t[6] == "1" and int(t[0]) not in missed
    ]
    (folder / "det" / "det.txt").write_text("\n".join(rows) + "\n")


def test_two_scenes_end_to_end(data, tiny_weights, tmp_path, capsys):
    out = tmp_path / "run"
    names = "near", "far-01-SDP"
    assert run("--seq", "near", "far-01", "--out", out, data=data, weights=tiny_weights) is None
    printed = capsys.readouterr()
    assert "COMBINED" in printed.out and "report.html" in printed.out and printed.err == ""
    scores = json.loads((out / "scores.json").read_text())
    assert {*names, "COMBINED"} <= scores.keys()
    for name in (*names, "COMBINED"):
        assert {"MOTA", "IDF1", "HOTA", "count_mae", "density_mae"} <= scores[name].keys()
        assert scores[name]["density_mae"] is not None
    assert scores["config"]["predict"]["backend"] == "torch"
    for name in names:
        tracks = read_results(out / f"{name}.txt", length=FRAMES)
        assert len(tracks), "the tiny net should take something for people"
        per_frame = np.bincount(tracks.frame.astype(int), minlength=FRAMES + 1)[1:]
        assert scores[name]["count_mae"] == pytest.approx(np.abs(per_frame - COUNTED).mean(), 1e-3)
        assert name in (out / "report.html").read_text()


def test_video_and_overlap(data, tiny_weights, tmp_path):
    out = tmp_path / "run"
    arguments = ("--seq", "near", "--out", out, "--video", "--overlap", 2, "--linker", "sort")
    assert run(*arguments, data=data, weights=tiny_weights) is None
    video = open_video(out / "near.mp4")
    assert video.length == FRAMES
    assert "near.mp4" in (out / "report.html").read_text()


def test_a_density_net_is_scored_by_its_counts(data, tmp_path):
    torch.manual_seed(0)
    settings = NetSettings(frames=3, width=0.125, neck_channels=8, deepest=8, heads=("density",))
    notes = {"settings": settings.to_json(), "test_px": "4096"}
    save_weights(tmp_path / "d.safetensors", build_net(settings).state_dict(), notes)
    weights, out = tmp_path / "d.safetensors", tmp_path / "run"
    assert run("--seq", "near", "--out", out, data=data, weights=weights) is None
    scores = json.loads((out / "scores.json").read_text())["near"]
    assert scores["MOTA"] == 0 and scores["density_mae"] > 0
    assert (out / "near.txt").read_text() == ""


def test_a_net_without_density_has_no_density_score(data, tmp_path):
    torch.manual_seed(0)
    heads = ("centre", "box")
    settings = NetSettings(frames=3, width=0.125, neck_channels=8, deepest=8, heads=heads)
    notes = {"settings": settings.to_json(), "test_px": "4096"}
    save_weights(tmp_path / "c.safetensors", build_net(settings).state_dict(), notes)
    weights, out = tmp_path / "c.safetensors", tmp_path / "run"
    assert run("--seq", "near", "--out", out, data=data, weights=weights) is None
    assert json.loads((out / "scores.json").read_text())["near"]["density_mae"] is None


def test_public_detections_need_no_frames(data, tmp_path):
    shutil.rmtree(data / "near" / "img1")
    out = tmp_path / "run"
    assert run("--seq", "near", "--detections", "public", "--out", out, data=data) is None
    names = {"near.txt", "near.counts.csv", "near.json", "scores.json", "report.html"}
    assert {path.name for path in out.iterdir()} == names


def test_offline_joins_what_the_linker_cut(data, tmp_path):
    tracks = {}
    for flag in ("--online", "--offline"):
        out = tmp_path / flag
        arguments = ("--seq", "near", "--detections", "public", flag, "--out", out)
        assert run(*arguments, data=data) is None
        tracks[flag] = read_results(out / "near.txt", length=FRAMES)
    assert len(tracks["--offline"]) >= len(tracks["--online"])
    both = ("--seq", "near", "--offline", "--online", "--out", tmp_path / "both")
    assert run(*both, data=data) == 2


def test_the_truth_as_public_detections_scores_100(data, tmp_path):
    perfect_detections(data / "near")
    out = tmp_path / "run"
    assert run("--seq", "near", "--detections", "public", "--out", out, data=data) is None
    scores = json.loads((out / "scores.json").read_text())["near"]
    assert scores["MOTA"] == 100 and scores["IDF1"] == 100 and scores["count_mae"] == 0


def test_gaps_are_filled_but_not_online(data, tmp_path):
    perfect_detections(data / "near", missed=(6, 7))
    arguments = ("--seq", "near", "--detections", "public", "--out")
    assert run(*arguments, tmp_path / "filled", data=data) is None
    assert run(*arguments, tmp_path / "online", "--online", data=data) is None
    filled, online = (read_results(tmp_path / name / "near.txt") for name in ("filled", "online"))
    assert set(filled.frame) - set(online.frame) == {6, 7}
    scores = [json.loads((tmp_path / n / "scores.json").read_text()) for n in ("filled", "online")]
    assert scores[0]["near"]["FN"] == 0 and scores[1]["near"]["FN"] == 2 * COUNTED


def test_missing_frames_name_the_way_without_them(data, tiny_weights, tmp_path, capsys):
    shutil.rmtree(data / "near" / "img1")
    out = tmp_path / "run"
    assert run("--seq", "near", "--out", out, data=data, weights=tiny_weights) == 2
    assert "--detections public" in complaint(capsys)
    # What failed before its first frame is not in the way of the next try.
    perfect_detections(data / "near")
    assert run("--seq", "near", "--detections", "public", "--out", out, data=data) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--seq"),
        (["--seq", "neer"], "near: near"),
        (["--seq", "near", "near"], "each sequence once"),
        (["--seq", "near", "--linker", "magic"], "--linker"),
        (["--seq", "near", "--detections", "psychic"], "--detections"),
        (["--seq", "near", "--backend", "abacus"], "--backend"),
        (["--seq", "near", "--device", "abacus"], "--device"),
        (["--seq", "near", "--overlap", "3"], "--overlap"),
        (["--seq", "near", "--test-px", "-4"], "--test-px"),
        (["--seq", "near", "--fps", "0"], "--fps"),
        (["--seq", "synthetic", "--fps", "30"], "--fps"),
        (["--seq", "near", "--video", "--detections", "public"], "--video"),
        (["--seq", "synthetic", "--scenes", "0"], "--scenes"),
        (["--seq", "near", "--frobnicate"], "frobnicate"),
        (["--seq", "near", "--weights", "nowhere.safetensors"], "no such file"),
    ],
)
def test_what_cannot_be_used_ends_in_one_line(
    data, tiny_weights, tmp_path, capsys, arguments, message
):
    out = tmp_path / "run"
    weights = None if "--weights" in arguments else tiny_weights
    if "--backend" in arguments:  # `run` names one of its own, and the last one counts
        flags = [*arguments, "--data", str(data), "--weights", str(weights), "--out", str(out)]
        with pytest.raises(SystemExit) as stop:
            evaluation.main(flags)
        assert stop.value.code == 2
    else:
        assert run(*arguments, "--out", out, data=data, weights=weights) == 2
    assert message in complaint(capsys)
    assert not out.exists()


def test_weights_that_are_cut_or_pickled(data, tiny_weights, tmp_path, capsys):
    cut, pickled = tmp_path / "cut.safetensors", tmp_path / "net.pt"
    cut.write_bytes(tiny_weights.read_bytes()[:-50])
    torch.save({"a": torch.zeros(2)}, pickled)
    for path, message in ((cut, "cut off"), (pickled, "pickle")):
        assert run("--seq", "near", "--out", tmp_path / "run", data=data, weights=path) == 2
        line = complaint(capsys)
        assert message in line and str(path) in line


def test_a_sequence_without_truth_or_rate(data, tiny_weights, tmp_path, capsys, make_scene):
    (data / "near" / "gt" / "gt.txt").unlink()
    assert run("--seq", "near", "--out", tmp_path / "run", data=data, weights=tiny_weights) == 2
    assert "gt.txt" in complaint(capsys)
    make_scene("data/still", frameRate=None)
    public = ("--seq", "still", "--detections", "public", "--out", tmp_path / "run")
    assert run(*public, data=data) == 2
    assert "--fps" in complaint(capsys)
    assert run(*public, "--fps", 25, data=data) is None


def test_without_data_the_error_says_how_to_get_some(tmp_path, tiny_weights, capsys):
    arguments = ("--seq", "MOT17-02", "--out", tmp_path / "run")
    assert run(*arguments, data=tmp_path / "none", weights=tiny_weights) == 2
    line = complaint(capsys)
    assert "motchallenge.net" in line and "--seq synthetic" in line


@pytest.mark.parametrize("name", ["scores.json", "near.txt"])
def test_results_in_the_way_stay(data, tiny_weights, tmp_path, capsys, name):
    out = tmp_path / "run"
    out.mkdir()
    (out / name).write_text("precious")
    assert run("--seq", "near", "--out", out, data=data, weights=tiny_weights) == 2
    assert "another --out" in complaint(capsys)
    assert (out / name).read_text() == "precious" and len(list(out.iterdir())) == 1


def test_a_file_in_place_of_the_folder(data, tiny_weights, tmp_path, capsys):
    (tmp_path / "run").write_text("precious")
    assert run("--seq", "near", "--out", tmp_path / "run", data=data, weights=tiny_weights) == 2
    assert str(tmp_path / "run") in complaint(capsys)
    assert (tmp_path / "run").read_text() == "precious"


def test_a_broken_frame_keeps_the_rows_before_it(data, tiny_weights, tmp_path, capsys):
    broken = data / "near" / "img1" / "000008.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    out = tmp_path / "run"
    assert run("--seq", "near", "--out", out, data=data, weights=tiny_weights) == 2
    assert "frame 8" in complaint(capsys)
    assert read_results(out / "near.txt").frame.max() == 7


def test_a_full_disk_keeps_whole_frames(data, tiny_weights, tmp_path, capsys, monkeypatch):
    written = []

    def write(self, boxes, write=ResultWriter.write):
        if len(written) == 5:
            raise OSError(28, "No space left on device", str(self.path))
        write(self, boxes)
        written.append(len(boxes))

    monkeypatch.setattr(ResultWriter, "write", write)
    out = tmp_path / "run"
    assert run("--seq", "near", "--out", out, data=data, weights=tiny_weights) == 2
    assert "No space left" in complaint(capsys)
    assert len(read_results(out / "near.txt")) == sum(written)


def test_rendered_scenes_are_made_where_the_data_is(tiny_weights, tmp_path, monkeypatch):
    def scenes(root, count, split):
        assert (root, count, split) == (tmp_path, 2, "test")
        return [open_sequence(tmp_path / "synthetic-test-0001")]

    from tests.conftest import seqinfo, truth_rows, write_images

    folder = tmp_path / "synthetic-test-0001"
    write_images(folder / "img1")
    (folder / "gt").mkdir()
    (folder / "gt" / "gt.txt").write_text(truth_rows())
    (folder / "seqinfo.ini").write_text(seqinfo("synthetic-test-0001"))
    monkeypatch.setattr(evaluation, "ensure_scenes", scenes)
    monkeypatch.setattr(evaluation, "default_weights", lambda rendered: rendered and tiny_weights)
    out = tmp_path / "run"
    assert run("--seq", "synthetic", "--scenes", 2, "--out", out, data=tmp_path) is None
    assert (out / "synthetic-test-0001.txt").is_file()


def test_a_sequence_is_not_called_like_the_scores(make_scene, tiny_weights, tmp_path):
    make_scene("data/scores")
    with pytest.raises(InputError, match="scores, as a file of the run is called"):
        evaluation.evaluate(
            "scores", data=tmp_path / "data", out=tmp_path / "run", weights=tiny_weights
        )
    assert not (tmp_path / "run").exists()


def test_the_function_in_its_docstring(data, tiny_weights, tmp_path):
    given = {"weights": str(tiny_weights), "predict": PredictSettings(backend="torch", amp="off")}
    shutil.move(data / "near", data / "scene")
    names = {
        "evaluate": partial(evaluation.evaluate, **given),
        "data": data,
        "folder": tmp_path / "run",
    }
    finder = doctest.DocTestFinder(recurse=False)
    [example] = finder.find(evaluation.evaluate, "evaluate", globs=names)
    assert doctest.DocTestRunner().run(example).failed == 0 < len(example.examples)


def test_what_is_followed_is_only_scored_again(data, tiny_weights, tmp_path, capsys):
    out = tmp_path / "run"
    broken = data / "near" / "img1" / "000008.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    arguments = ("--seq", "near", "far-01", "--out", out)
    assert run(*arguments, data=data, weights=tiny_weights) == 2
    assert "1 of 2 failed: near" in complaint(capsys) and not (out / "scores.json").exists()
    assert read_results(out / "near.txt").frame.max() == 7
    done = (out / "far-01-SDP.txt").stat().st_mtime_ns
    broken.write_bytes(whole)
    assert run(*arguments, data=data, weights=tiny_weights) == 2
    assert "--resume" in complaint(capsys)
    assert run(*arguments, "--resume", data=data, weights=tiny_weights) is None
    assert (out / "far-01-SDP.txt").stat().st_mtime_ns == done
    assert (
        run("--seq", "near", "far-01", "--out", tmp_path / "b", data=data, weights=tiny_weights)
        is None
    )
    scores = [json.loads((folder / "scores.json").read_text()) for folder in (out, tmp_path / "b")]
    assert all(score.pop("config") for score in scores) and scores[0] == scores[1]


def test_resume_takes_up_its_own_run_only(data, tiny_weights, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ("--seq", "near", "--detections", "public", "--out", out)
    out.mkdir()
    (out / "near.txt").write_text("precious")
    assert run(*arguments, "--resume", data=data) == 2
    assert "another --out" in complaint(capsys)
    assert (out / "near.txt").read_text() == "precious"
    (out / "near.txt").unlink()
    assert run(*arguments, data=data) is None
    assert run(*arguments, "--resume", "--linker", "sort", data=data) == 2
    assert "--resume, linker" in complaint(capsys)
    shutil.move(data / "near", data / "other")
    shutil.copytree(data / "other", data / "deeper" / "near")
    assert run(*arguments, "--resume", data=data) == 2
    assert "--resume, source" in complaint(capsys)


def test_bad_input_from_the_shell_is_one_line_and_2(tmp_path):
    command = [sys.executable, "eval.py", "--seq", "MOT99-99", "--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


def test_the_report_counts_the_errors_of_the_table(data, tiny_weights, tmp_path):
    out = tmp_path / "run"
    assert run("--seq", "near", "far-01", "--out", out, data=data, weights=tiny_weights) is None
    scores = json.loads((out / "scores.json").read_text())
    page = (out / "report.html").read_text()
    told = re.findall(r"<b>(False boxes|Missed people|Identity switches)</b>: ([\d,]+)", page)
    expected = [str(scores[n][field]) for n in ("near", "far-01-SDP") for field in ERRORS]
    assert [number for _, number in told] == expected and int(expected[0]) > 0
    assert page.count("All 12 frames.") == 2 and page.count("data:image/jpeg") > 4
    assert not list(out.glob(".*"))


def test_a_score_without_a_report(data, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ("--seq", "near", "--detections", "public", "--no-report", "--out", out)
    assert run(*arguments, data=data) is None
    names = {"near.txt", "near.counts.csv", "near.json", "scores.json"}
    assert {path.name for path in out.iterdir()} == names
    assert "report" not in capsys.readouterr().out


def test_public_detections_are_shown_on_the_frames_that_are_there(data, tmp_path):
    out = tmp_path / "run"
    assert run("--seq", "near", "--detections", "public", "--out", out, data=data) is None
    page = (out / "report.html").read_text()
    # A picture of all frames, and the slices x-t and y-t.
    assert "All 12 frames." in page and page.count("data:image/jpeg") == 3
