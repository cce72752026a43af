import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

import track as tracking
from mot.annotations import read_results
from mot.sequence import open_sequence
from nets.predict import Predictor, PredictSettings, load_net
from reid.linker import MENU
from tests.conftest import FPS, FRAMES, complaint, write_images, write_video

ROOT = Path(tracking.__file__).parent


def run(*arguments, weights=None):
    """Run the command in this process with fast settings; None, or the exit code."""
    given = [*map(str, arguments), "--backend", "torch", "--amp", "off"]
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


def test_every_frame_comes_once_with_its_own_picture(scene, tiny_weights):
    sequence = open_sequence(scene)
    predictor = Predictor(load_net(tiny_weights), PredictSettings(backend="torch", amp="off"))
    frames = []
    for item in tracking.follow(sequence, predictor, MENU["byte"]):
        frames.append(item.prediction.frame)
        grey = float(item.prediction.image[:6].mean())  # a frame's grey tells its number
        assert grey == pytest.approx(20 * item.prediction.frame, abs=6)
        assert set(item.tracks.frame) <= {item.prediction.frame}
    assert frames == list(range(1, FRAMES + 1))


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
        ([], "(required)"),
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
