"""What track.py cannot follow, or not to its end: one line, and nothing is lost."""

import json
import os
import re
import resource
import shutil
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from mot.annotations import read_results
from mot.track_files import TrackFiles
from mot.track_run import Totals
from nets.predict import PredictSettings
from tests.conftest import (
    FPS,
    FRAMES,
    HEIGHT,
    WIDTH,
    complaint,
    draw_frame,
    press_ctrl_c,
    write_images,
    write_video,
)
from tests.mot.test_live import endless, serve  # noqa: F401 - fixtures
from tests.test_track import run
from track import track

TEXTS = (".txt", ".csv", ".counts.csv")


def write_frames(path, sizes_wh, times_ms=None):
    """Write a video of one part for each size (10 frames), or of frames at these times."""
    parts = []
    for part, (width, height) in enumerate(sizes_wh):
        at = path.with_name(f"part{part}{path.suffix}")
        times = times_ms or [40 * (10 * part + k) for k in range(10)]
        with av.open(str(at), "w") as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"g": "5", "bf": "0", "tune": "zerolatency"}
            stream.codec_context.time_base = Fraction(1, 1000)
            for index, time in enumerate(times):
                image = cv2.resize(draw_frame(index % FRAMES + 1), (width, height))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        parts.append(at.read_bytes())
        at.unlink()
    path.write_bytes(b"".join(parts))


def write_noise(path, frames):
    """A video too large for a reader to hold as a whole: noise does not compress."""
    noise = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        for _ in range(frames):
            image = noise.integers(0, 255, (240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def no_frames(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.start_encoding()


def cut_after_head(path):
    write_video(path)
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    "make",
    [no_frames, cut_after_head, Path.touch],
    ids=["no-frames", "cut", "no-bytes"],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_without_frames(tmp_path, tiny_weights, capsys, make, suffix):
    path = tmp_path / f"street{suffix}"
    make(path)
    assert run(path, "--out", tmp_path / "run", weights=tiny_weights) == 2
    assert str(path) in complaint(capsys) and not (tmp_path / "run").exists()


def assert_rows_up_to(out, name, frame):
    """All tables end with this frame and a whole line."""
    for ending in TEXTS:
        assert (out / f"{name}{ending}").read_bytes().endswith(b"\n")
    assert pd.read_csv(out / f"{name}.counts.csv").frame.tolist() == list(range(1, frame + 1))
    assert read_results(out / f"{name}.txt").frame.max() == frame
    assert not (out / f"{name}.json").exists()


def test_frames_that_change_their_size(tmp_path, tiny_weights, capsys):
    write_images(tmp_path / "photos")
    cv2.imwrite(str(tmp_path / "photos" / "000007.jpg"), np.zeros((30, 30, 3), np.uint8))
    write_frames(tmp_path / "street.ts", [(WIDTH, HEIGHT), (96, 64)])
    for source, flags, last in (("photos", ("--fps", 10), 6), ("street.ts", (), 10)):
        out = tmp_path / f"run-{source}"
        assert run(tmp_path / source, *flags, "--out", out, weights=tiny_weights) == 2
        line = complaint(capsys)
        assert f"frame {last + 1}: expected 64x48 pixels" in line and "one size" in line
        assert_rows_up_to(out, Path(source).stem, last)


def test_times_of_a_varying_rate_are_the_videos_own(tmp_path, tiny_weights):
    times = [0, 40, 80, 480, 520, 560, 960, 1000, 1400]
    write_frames(tmp_path / "phone.mp4", [(WIDTH, HEIGHT)], times)
    write_video(tmp_path / "even.mp4", 10)
    for name in ("phone", "even"):
        out = tmp_path / "run"
        assert run(tmp_path / f"{name}.mp4", "--out", out, weights=tiny_weights) is None
    counts = pd.read_csv(out / "phone.counts.csv")
    assert (counts.time * 1000).round().astype(int).tolist() == times
    summaries = [json.loads((out / f"{name}.json").read_text()) for name in ("phone", "even")]
    assert "uneven: 0.040 to 0.400 s apart" in summaries[0]["times"]
    assert summaries[1]["times"] == "the file's own, even"


def test_a_stream_that_drops_and_returns(endless, tmp_path, tiny_weights, capsys):  # noqa: F811
    out, flags = tmp_path / "run", ("--fps", FPS, "--max-frames", 12)
    assert run(endless.address, *flags, "--out", out, weights=tiny_weights) is None
    [path] = out.glob("*.counts.csv")
    counts = pd.read_csv(path)
    # Who is slower than the stream loses frames; the time that passes is in the numbers.
    assert 6 <= len(counts) <= 12 and (counts.frame.diff().iloc[1:] >= 1).all()
    assert counts.frame.iloc[-1] > 12 and endless.connections >= 3
    np.testing.assert_allclose(counts.time, (counts.frame - 1) / FPS, atol=0.001)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_a_stream_and_once_more_breaks_off(
    endless,  # noqa: F811
    tmp_path,
    tiny_weights,
    monkeypatch,
    presses,
):
    seen, add = [], Totals.add

    def pressed(self, *facts):
        add(self, *facts)
        seen.append(facts)
        if len(seen) == 4:
            for _ in range(presses):
                press_ctrl_c()

    monkeypatch.setattr(Totals, "add", pressed)
    flags = "--fps", FPS, "--out", tmp_path / "run"
    if presses == 2:
        fast = {"predict": PredictSettings(backend="torch", amp="off"), "embedder": "none"}
        with pytest.raises(KeyboardInterrupt):
            track(endless.address, out=tmp_path / "run", weights=tiny_weights, fps=FPS, **fast)
        assert not list((tmp_path / "run").glob("*.html"))
        return
    assert run(endless.address, *flags, weights=tiny_weights) is None
    [path] = (tmp_path / "run").glob("*.json")
    summary = json.loads(path.read_text())
    # What waited for its neighbours in time comes out as well.
    assert summary["complete"] and summary["frames"] == len(seen) >= 4
    assert path.with_suffix(".html").is_file()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,-1,5,5,10,30,nan", "boxes.txt:1: expected finite numbers"),
        ("1,-1,5,5,10,30,1\n13,-1,5,5,10,30,1", "boxes.txt:2: expected a frame within"),
        ("1,-1,5,5,10,30,1\n2,-1,5,5,0,30,1", "width and height above 0"),
    ],
)
def test_boxes_that_cannot_be(tmp_path, capsys, rows, message):
    write_video(tmp_path / "street.mp4")
    (tmp_path / "boxes.txt").write_text(rows)
    boxes = ("--boxes", tmp_path / "boxes.txt")
    assert run(tmp_path / "street.mp4", *boxes, "--out", tmp_path / "run") == 2
    assert message in complaint(capsys) and not (tmp_path / "run").exists()


def test_scores_in_a_unit_of_their_own_are_mapped_and_it_is_said(tmp_path, caplog):
    write_video(tmp_path / "street.mp4")
    rows = [f"{n},-1,{2 * n},11,10,30,{score}" for n in range(1, FRAMES + 1) for score in (-3, 70)]
    (tmp_path / "boxes.txt").write_text("\n".join(rows))
    out = tmp_path / "run"
    boxes = ("--boxes", tmp_path / "boxes.txt")
    assert run(tmp_path / "street.mp4", *boxes, "--out", out) is None
    assert "all 24 mapped" in caplog.text
    assert set(read_results(out / "street.txt").id) == {1}


def test_one_video_named_twice(tmp_path, tiny_weights, capsys):
    write_video(tmp_path / "a" / "cam.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a" / "cam.mp4")
    for again in (tmp_path / "a" / ".." / "a" / "cam.mp4", tmp_path / "link.mp4"):
        words = (tmp_path / "a" / "cam.mp4", again)
        assert run(*words, "--out", tmp_path / "run", weights=tiny_weights) == 2
        assert "twice" in complaint(capsys) and not (tmp_path / "run").exists()


def test_what_is_wrong_for_all_videos_is_said_once(tmp_path, capsys):
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4")
    for flags in (("--linker", "magic"), ("--zone", "1,2,3"), ("--weights", "nowhere")):
        assert run(tmp_path / "*.mp4", *flags, "--out", tmp_path / "run") == 2
        assert flags[-1] in complaint(capsys)
        assert not (tmp_path / "run").exists()


@contextmanager
def full_disk(size):
    """No file can grow beyond so many bytes: the nearest thing to a full disk without a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("limit", "ending"), [(6000, ".txt"), (2000, ".mp4")])
def test_a_full_disk_keeps_whole_frames(tmp_path, tiny_weights, capsys, limit, ending):
    write_video(tmp_path / "street.mp4", 24)
    flags = ("--video", "--min-score", 0.99) if ending == ".mp4" else ()
    arguments = (tmp_path / "street.mp4", "--online", "--no-report", *flags)
    assert run(*arguments, "--out", tmp_path / "whole", weights=tiny_weights) is None
    capsys.readouterr()
    out = tmp_path / "full"
    with full_disk(limit):
        assert run(*arguments, "--out", out, weights=tiny_weights) == 2
    assert f"street{ending}" in complaint(capsys)
    for part in TEXTS:
        assert (
            (tmp_path / "whole" / f"street{part}")
            .read_bytes()
            .startswith((out / f"street{part}").read_bytes())
        )
        assert (out / f"street{part}").read_bytes()[-1:] in (b"\n", b"")
    if ending == ".mp4":
        with av.open(str(out / "street.mp4")) as container:
            list(container.decode(video=0))
    assert run(*arguments, "--resume", "--out", out, weights=tiny_weights) is None
    for part in TEXTS:
        whole = (tmp_path / "whole" / f"street{part}").read_bytes()
        assert (out / f"street{part}").read_bytes() == whole


def test_a_video_that_goes_while_it_is_read(tmp_path, tiny_weights, capsys, monkeypatch):
    write_images(tmp_path / "photos")
    for number in range(FRAMES + 1, 41):
        shutil.copy(tmp_path / "photos" / "000001.jpg", tmp_path / "photos" / f"{number:06d}.jpg")
    write_noise(tmp_path / "cut.mkv", 60)
    write, source = TrackFiles.write, None

    def write_and_take_away(self, frame, *rest):
        write(self, frame, *rest)
        if frame == 3:
            if source.is_dir():
                shutil.rmtree(source)
            else:
                os.truncate(source, source.stat().st_size // 2)

    monkeypatch.setattr(TrackFiles, "write", write_and_take_away)
    for name, flags in (("photos", ("--fps", FPS)), ("cut.mkv", ())):
        source, out = tmp_path / name, tmp_path / f"run-{name}"
        arguments = (source, "--online", *flags, "--out", out)
        assert run(*arguments, weights=tiny_weights) == 2
        last = int(re.search(r"frame (\d+)", complaint(capsys))[1]) - 1
        assert 3 <= last < 40
        assert_rows_up_to(out, source.stem, last)


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cannot_be_made(tmp_path, tiny_weights, capsys, place):
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("needs /proc, where nobody may write")
    write_video(tmp_path / "street.mp4")
    (tmp_path / "file").write_text("precious")
    assert run(tmp_path / "street.mp4", "--out", tmp_path / place, weights=tiny_weights) == 2
    assert place in complaint(capsys)
    assert (tmp_path / "file").read_text() == "precious"


def test_resume_goes_on_with_the_same_video_only(tmp_path, tiny_weights, capsys, monkeypatch):
    for folder in "ab":
        write_video(tmp_path / folder / "cam.mp4", 12)
    out, resume = tmp_path / "run", ("--resume", "--out", tmp_path / "run")
    with monkeypatch.context() as patch:  # a run that is stopped, and its mark is there
        patch.setattr(TrackFiles, "finish", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert run(tmp_path / "a" / "cam.mp4", "--out", out, weights=tiny_weights) == 2
    complaint(capsys)
    for _ in ("stopped", "complete"):
        before = (out / "cam.txt").read_bytes()
        assert run(tmp_path / "b" / "cam.mp4", *resume, weights=tiny_weights) == 2
        assert "--resume, source" in complaint(capsys)
        shutil.move(tmp_path / "a" / "cam.mp4", tmp_path / "cam.mp4")
        write_video(tmp_path / "a" / "cam.mp4", 13)
        assert run(tmp_path / "a" / "cam.mp4", *resume, weights=tiny_weights) == 2
        assert "--resume, content" in complaint(capsys)
        shutil.move(tmp_path / "cam.mp4", tmp_path / "a" / "cam.mp4")
        assert (out / "cam.txt").read_bytes() == before
        assert run(tmp_path / "a" / "cam.mp4", *resume, weights=tiny_weights) is None
        capsys.readouterr()


def test_resume_leaves_files_alone_that_no_run_has_written(tmp_path, tiny_weights, capsys):
    write_video(tmp_path / "street.mp4")
    (tmp_path / "street.txt").write_text("precious")
    arguments = (tmp_path / "street.mp4", "--resume", "--out", tmp_path)
    assert run(*arguments, weights=tiny_weights) == 2
    assert "another --out" in complaint(capsys)
    assert (tmp_path / "street.txt").read_text() == "precious"
