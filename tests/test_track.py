import doctest
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import av
import h5py
import numpy as np
import pandas as pd
import pytest

import track as tracking
from mot.annotations import read_results
from mot.track_files import TrackFiles
from mot.window import Window
from nets.predict import PredictSettings
from tests.conftest import FPS, FRAMES, complaint, write_images, write_video

ROOT = Path(tracking.__file__).parent


def run(*arguments, weights=None):
    """Run the command in this process with fast settings; None, or the exit code."""
    given = [*map(str, arguments), "--backend", "torch", "--amp", "off", "--embedder", "none"]
    given += ["--weights", str(weights)] if weights else []
    try:
        tracking.main(given)
    except SystemExit as stop:
        return stop.code
    return None


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / "street.mp4", 20)
    return tmp_path / "street.mp4"


def test_a_video_file(video, tiny_weights, tmp_path, capsys):
    assert run(video, "--out", tmp_path / "run", weights=tiny_weights) is None
    tracks = read_results(tmp_path / "run" / "street.txt", length=20)
    assert set(tracks.frame) == set(range(1, 21))
    printed = capsys.readouterr()
    assert "street.txt" in printed.out and printed.err == ""


def test_a_folder_of_images_needs_its_rate(tiny_weights, tmp_path, capsys):
    write_images(tmp_path / "photos", pattern="shot {}.jpg")
    out = tmp_path / "run"
    assert run(tmp_path / "photos", "--out", out, weights=tiny_weights) == 2
    assert "--fps" in complaint(capsys) and not out.exists()
    assert run(tmp_path / "photos", "--fps", 10, "--out", out, weights=tiny_weights) is None
    assert len(read_results(out / "photos.txt", length=FRAMES))


def test_a_sequence_by_folder_and_by_name(make_scene, tiny_weights, tmp_path, monkeypatch):
    folder = make_scene("data/MOT17/MOT17-77-SDP")
    assert run(folder, "--out", tmp_path / "one", weights=tiny_weights) is None
    monkeypatch.setenv("FOOTFALL_DATA", str(tmp_path / "data"))
    assert run("MOT17-77", "--out", tmp_path / "two", weights=tiny_weights) is None
    results = [(tmp_path / run / "MOT17-77-SDP.txt").read_text() for run in ("one", "two")]
    assert results[0] == results[1] != ""


def test_the_overlay_has_every_frame_once(video, tiny_weights, tmp_path):
    out = tmp_path / "run"
    assert run(video, "--video", "--overlap", 1, "--out", out, weights=tiny_weights) is None
    with av.open(str(out / "street.mp4")) as container:
        assert container.streams.video[0].average_rate == FPS
        assert sum(1 for _ in container.decode(video=0)) == 20


def test_a_video_that_ends_early_keeps_its_rows(make_scene, tiny_weights, tmp_path, capsys):
    folder = make_scene("short", frames=10, video=True, seqLength=30)
    assert run(folder, "--out", tmp_path / "run", weights=tiny_weights) == 2
    assert "frame 11" in complaint(capsys)
    assert read_results(tmp_path / "run" / "short.txt").frame.max() == 10


def test_nothing_is_written_over(video, tiny_weights, tmp_path, capsys):
    before = video.read_bytes()
    # The overlay would bear the source's own name.
    assert run(video, "--video", "--out", tmp_path, weights=tiny_weights) == 2
    assert "another --out" in complaint(capsys)
    assert video.read_bytes() == before and not (tmp_path / "street.txt").exists()
    (tmp_path / "street.txt").write_text("precious")
    assert run(video, "--out", tmp_path, weights=tiny_weights) == 2
    assert "another --out" in complaint(capsys)
    assert (tmp_path / "street.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.mp4"], "no such file"),
        (["{video}", "--linker", "magic"], "--linker"),
        (["{video}", "--device", "abacus"], "--device"),
        (["{video}", "--fps", "-1"], "--fps"),
        (["{video}", "--min-score", "2"], "--min-score"),
        (["{text}"], "text"),
        ([], "a video to follow"),
    ],
)
def test_what_cannot_be_used_ends_in_one_line(
    video, tiny_weights, tmp_path, capsys, arguments, message
):
    (tmp_path / "text.mp4").write_text("no video at all")
    named = {"video": video, "text": tmp_path / "text.mp4"}
    given = [argument.format(**named) for argument in arguments]
    assert run(*given, "--out", tmp_path / "run", weights=tiny_weights) == 2
    assert message in complaint(capsys).lower()
    assert not (tmp_path / "run").exists()


def test_ctrl_c_leaves_whole_rows(tiny_weights, tmp_path):
    write_video(tmp_path / "long.mp4", 3000)
    command = [sys.executable, "track.py", str(tmp_path / "long.mp4"), "--backend", "torch"]
    command += ["--amp", "off", "--weights", str(tiny_weights), "--out", str(tmp_path / "run")]
    result = tmp_path / "run" / "long.txt"
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    give_up = time.monotonic() + 60
    while not (result.is_file() and result.stat().st_size) and time.monotonic() < give_up:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.count("\n") == 1 and "interrupted" in errors
    assert result.read_text().endswith("\n")
    assert 1 <= read_results(result).frame.max() < 3000


FILES = (".txt", ".csv", ".counts.csv", ".zones.csv", ".lines.csv")
MARKS = ("--zone", "door=0,0,40,0,40,40,0,40", "--line", "fence=0,20,64,20")


def test_all_tables_agree(video, tiny_weights, tmp_path, capsys):
    out = tmp_path / "run"
    assert run(video, "--every", 2, *MARKS, "--out", out, weights=tiny_weights) is None
    rows = pd.read_csv(out / "street.csv")
    tracks = read_results(out / "street.txt")
    assert rows.frame.tolist() == tracks.frame.tolist() and set(rows.frame) <= set(range(1, 21, 2))
    np.testing.assert_allclose(rows[["x", "y", "w", "h"]], tracks.ltwh, atol=0.011)
    pd.testing.assert_frame_equal(pd.read_parquet(out / "street.parquet"), rows)
    counts = pd.read_csv(out / "street.counts.csv")
    assert counts.frame.tolist() == list(range(1, 21, 2))
    np.testing.assert_allclose(counts.time, (counts.frame - 1) / FPS, atol=0.001)
    per_frame = rows.groupby("frame").size().reindex(counts.frame, fill_value=0)
    assert counts.tracks.tolist() == per_frame.tolist()
    zones = pd.read_csv(out / "street.zones.csv")
    assert (zones.people <= counts.tracks).all() and set(zones.zone) == {"door"}
    summary = json.loads((out / "street.json").read_text())
    assert summary["complete"] and summary["frames"] == 10
    assert summary["people"] == rows.id.nunique() and summary["max_tracks"] == counts.tracks.max()
    assert summary["mean_density"] == pytest.approx(counts.density.mean(), abs=0.002)
    assert set(summary["counted"]) == {"door", "fence"}
    assert f"{summary['people']} people in 10 frames" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["npy", "h5"])
def test_density_maps_sum_to_the_count(video, tiny_weights, tmp_path, kind):
    out = tmp_path / "run"
    arguments = (video, "--max-frames", 4, "--density", kind, "--out", out)
    assert run(*arguments, weights=tiny_weights) is None
    counts = pd.read_csv(out / "street.counts.csv")
    for frame, count in zip(counts.frame, counts.density, strict=True):
        path = out / "street-density" / f"{frame:06d}.{kind}"
        density = np.load(path) if kind == "npy" else h5py.File(path)["density"][:]
        assert density.ndim == 2 and density.sum() == pytest.approx(count, abs=0.002)


def test_boxes_of_ones_own_detector(make_scene, tmp_path, capsys):
    folder = make_scene("scene")
    boxes = folder / "det" / "det.txt"
    assert run(folder, "--boxes", boxes, "--out", tmp_path / "run") is None
    tracks = read_results(tmp_path / "run" / "scene.txt")
    assert set(tracks.id) == {1} and len(tracks) == 12
    assert pd.read_csv(tmp_path / "run" / "scene.counts.csv").density.isna().all()
    assert run(folder, "--boxes", boxes, "--density", "npy", "--out", tmp_path / "other") == 2
    assert "--density" in complaint(capsys)


def test_a_run_that_is_killed_goes_on_to_the_same_bytes(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setattr("mot.track_run.SAVE_S", 0.0)
    write_video(tmp_path / "street.mp4", 40)
    arguments = [tmp_path / "street.mp4", *MARKS]
    assert run(*arguments, "--out", tmp_path / "whole", weights=tiny_weights) is None
    out = tmp_path / "killed"

    class Killed(BaseException):
        """What no handler may catch, like a kill."""

    write = TrackFiles.write
    for stop in (3, 17, 18, 39):

        def die(self, frame, *rest, stop=stop):
            write(self, frame, *rest)
            if frame == stop:
                raise Killed

        monkeypatch.setattr(TrackFiles, "write", die)
        with pytest.raises(Killed):
            run(*arguments, "--resume", "--out", out, weights=tiny_weights)
        for ending in FILES:
            assert (out / f"street{ending}").read_bytes().endswith(b"\n" if stop > 3 else b"")
    monkeypatch.setattr(TrackFiles, "write", write)
    assert run(*arguments, "--resume", "--out", out, weights=tiny_weights) is None
    for ending in FILES:
        whole = (tmp_path / "whole" / f"street{ending}").read_bytes()
        assert (out / f"street{ending}").read_bytes() == whole
    before, after = (
        json.loads((tmp_path / place / "street.json").read_text()) for place in ("whole", "killed")
    )
    assert before["people"] == after["people"] and before["counted"] == after["counted"]
    assert not (out / "street.resume").exists()


def test_a_run_goes_on_with_the_same_settings_only(video, tiny_weights, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    stored = {"config": {"online": True}, "state": {}}
    (out / "street.resume").write_bytes(pickle.dumps(stored))
    assert run(video, "--resume", "--out", out, weights=tiny_weights) == 2
    assert "same video and settings" in complaint(capsys)
    (out / "street.resume").write_bytes(b"half a pick")
    assert run(video, "--resume", "--out", out, weights=tiny_weights) == 2
    assert "delete it" in complaint(capsys)


def test_a_batch_lists_what_is_done_and_goes_on_with_the_rest(tiny_weights, tmp_path, capsys):
    for place in ("north/gate.mp4", "south/gate.mp4"):
        write_video(tmp_path / place, 8)
    (tmp_path / "south" / "yard.mp4").write_text("no video")
    out = tmp_path / "run"
    arguments = (tmp_path / "*" / "*.mp4", "--out", out)
    assert run(*arguments, weights=tiny_weights) == 2
    assert "1 of 3 failed: yard" in complaint(capsys)
    table = pd.read_csv(out / "summary.csv")
    assert table.name.tolist() == ["north-gate", "south-gate"] and (table.frames == 8).all()
    assert run(*arguments, weights=tiny_weights) == 2
    assert "--resume" in complaint(capsys)
    write_video(tmp_path / "south" / "yard.mp4", 8)
    done = (out / "north-gate.csv").stat().st_mtime_ns
    assert run(*arguments, "--resume", weights=tiny_weights) is None
    assert (out / "north-gate.csv").stat().st_mtime_ns == done
    manifest = json.loads((out / "manifest.json").read_text())
    assert {entry["status"] for entry in manifest.values()} == {"done"}
    assert len(pd.read_csv(out / "summary.csv")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("where", [("--workers", "2"), ("--ray", "local")])
def test_workers_and_ray_give_what_one_process_gives(tiny_weights, tmp_path, where):
    if "--ray" in where:
        pytest.importorskip("ray")
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", 10)
    for out, how in (("one", ()), ("many", where)):
        arguments = (tmp_path / "*.mp4", *how, "--out", tmp_path / out)
        assert run(*arguments, weights=tiny_weights) is None
    for name in ("a.txt", "b.csv", "b.counts.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_the_function_in_its_docstring(video, tiny_weights, tmp_path):
    given = {"weights": str(tiny_weights), "predict": PredictSettings(backend="torch", amp="off")}
    names = {
        "track": partial(tracking.track, **given),
        "video": video,
        "folder": str(tmp_path / "run"),
    }
    [example] = doctest.DocTestFinder(recurse=False).find(tracking.track, "track", globs=names)
    assert doctest.DocTestRunner().run(example).failed == 0 < len(example.examples)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--zone", "5,5,9,9,5,9", "--every", "0"], "--every"),
        (["--zone", "500,5,900,9,500,900"], "outside"),
        (["--line", "1,1"], "--line"),
        (["--density", "png"], "--density"),
        (["--show"], "--show"),
        (["--zone", "door=5,5,9,5,9,9", "--line", "door=1,1,9,9"], "names that differ, got door"),
    ],
)
def test_settings_that_cannot_be(
    video, tiny_weights, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert run(video, *arguments, "--out", tmp_path / "run", weights=tiny_weights) == 2
    assert message in complaint(capsys)
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


def test_who_quits_the_window_has_all_that_was_shown(video, tiny_weights, tmp_path, monkeypatch):
    class ClosedAtThe(Window):
        def __init__(self, title):
            self.shown = 0

        def show(self, rgb):
            self.shown += 1
            return self.shown < 8

        def close(self):
            assert self.shown == 8

    monkeypatch.setattr(tracking, "Window", ClosedAtThe)
    assert run(video, "--show", "--out", tmp_path / "run", weights=tiny_weights) is None
    counts = pd.read_csv(tmp_path / "run" / "street.counts.csv")
    assert counts.frame.tolist() == list(range(1, len(counts) + 1))
    assert 8 < len(counts) <= 20  # those that the linker held when the window was closed, too
    summary = json.loads((tmp_path / "run" / "street.json").read_text())
    assert summary["frames"] == len(counts)
    scene, _ = scene_of(tmp_path / "run" / "street.html")
    assert scene["frames"][-1] >= 8


def test_a_batch_leaves_its_own_files_their_names(tiny_weights, tmp_path, capsys):
    for name in ("summary", "street"):
        write_video(tmp_path / "videos" / f"{name}.mp4", 5)
    assert run(tmp_path / "videos", "--out", tmp_path / "run", weights=tiny_weights) == 2
    assert "summary, as a file of the run is called" in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_videos_of_a_batch_share_net_and_embedder(tiny_weights, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr("reid.embedder.load_embedder", lambda path: loaded.append(path))
    for name in "ab":
        write_video(tmp_path / "videos" / f"{name}.mp4", 5)
    given = {"weights": str(tiny_weights), "predict": PredictSettings(backend="torch", amp="off")}
    for out in ("one", "two"):  # a later call reads the file anew
        tracking.track(tmp_path / "videos", out=tmp_path / out, **given)
    assert len(loaded) == 2


def scene_of(page):
    """What the report of one video holds."""
    text = page.read_text(encoding="utf-8")
    [data] = re.findall(r'<script type="application/json" class="scene">(.*?)</script>', text)
    return json.loads(data), text


def test_the_report_shows_what_the_tables_say(video, tiny_weights, tmp_path):
    out = tmp_path / "run"
    assert run(video, "--every", 2, *MARKS, "--out", out, weights=tiny_weights) is None
    scene, text = scene_of(out / "street.html")
    tracks = read_results(out / "street.txt")
    assert scene["frames"] == list(range(1, 21, 2)) and "All 10 frames." in text
    for number, row in zip(scene["frames"], scene["tracks"], strict=True):
        mine = tracks.at(number)
        assert sorted(row[::6]) == sorted(mine.id)
        by_id = {row[k]: row[k + 1 : k + 5] for k in range(0, len(row), 6)}
        for identity, ltwh in zip(mine.id, mine.ltwh, strict=True):
            np.testing.assert_allclose(by_id[identity], ltwh, atol=0.06)
    seen = dict(zip(scene["people"]["id"], scene["people"]["seen"], strict=True))
    assert seen == {int(k): int((tracks.id == k).sum()) for k in np.unique(tracks.id)}
    assert [mark["name"] for mark in scene["marks"]] == ["door", "fence"]
    assert len(scene["density"]["peaks"]) == 10 and scene["truth"] is None
    assert "not scored" in text and "fence" in text
    assert not list(out.glob("*.preview"))


def test_a_run_without_a_report(video, tiny_weights, tmp_path):
    out = tmp_path / "run"
    assert run(video, "--no-report", "--out", out, weights=tiny_weights) is None
    assert not list(out.glob("*.html")) and not list(out.glob("*.preview"))


@pytest.mark.parametrize("kept", [True, False])
def test_the_report_of_a_run_that_goes_on(tiny_weights, tmp_path, monkeypatch, kept):
    monkeypatch.setattr("mot.track_run.SAVE_S", 0.0)
    write_video(tmp_path / "street.mp4", 20)
    arguments = (tmp_path / "street.mp4", "--resume", "--out", tmp_path / "run")
    write = TrackFiles.write

    def die(self, frame, *rest):
        write(self, frame, *rest)
        if frame == 12:
            raise KeyError("a kill")

    monkeypatch.setattr(TrackFiles, "write", die)
    with pytest.raises(KeyError):
        run(*arguments, weights=tiny_weights)
    monkeypatch.setattr(TrackFiles, "write", write)
    if not kept:
        (tmp_path / "run" / "street.preview").unlink()
    assert run(*arguments, weights=tiny_weights) is None
    scene, text = scene_of(tmp_path / "run" / "street.html")
    if kept:
        assert scene["frames"] == list(range(1, 21)) and "All 20 frames." in text
    else:
        assert scene["frames"] == list(range(12, 21))
        assert "the pictures before frame 12 are lost" in text
