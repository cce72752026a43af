import gc
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest

from mot import frames as frames_module
from mot.errors import InputError
from mot.frames import stream_frames, window_streams
from mot.sequence import find_sequence, open_sequence, open_video
from tests.conftest import draw_frame, write_video


def decoders() -> int:
    return sum(thread.name == "decode-ahead" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert decoders() == 0


@pytest.fixture(params=["images", "video"])
def sequence(request, make_scene):
    return open_sequence(make_scene(video=request.param == "video"))


def luma_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference of brightness: colour at edges depends on how chroma is interpolated."""
    first, second = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second))
    return float(cv2.absdiff(first, second).mean())


def test_frames_come_in_order_as_rgb(make_scene):
    streamed = list(stream_frames(open_sequence(make_scene())))
    assert [number for number, _ in streamed] == list(range(1, 13))
    for number, image in streamed:
        assert image.shape == (48, 64, 3) and image.dtype == np.uint8
        assert image.flags.c_contiguous and image.flags.owndata | image.flags.writeable
        assert np.abs(image.astype(int) - draw_frame(number)).mean() < 4


def test_video_is_rgb_too(make_scene):
    _, image = next(stream_frames(open_sequence(make_scene(video=True))))
    # Frame 1 of the drawn video is drawing 2: a red block left and a blue one right.
    assert image[20, 8, 0] > 150 > image[20, 8, 2] and image[25, 50, 2] > 150 > image[25, 50, 0]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"first": 4}, range(4, 13)),
        ({"last": 3}, range(1, 4)),
        ({"first": 2, "last": 11, "step": 3}, range(2, 12, 3)),
        ({"first": 12}, [12]),
        ({"step": 100}, [1]),
        ({"ahead": 1}, range(1, 13)),
    ],
)
def test_ranges_and_steps_pick_the_same_frames(sequence, options, numbers):
    whole = dict(stream_frames(sequence))
    picked = list(stream_frames(sequence, **options))
    assert [number for number, _ in picked] == list(numbers)
    assert all(np.array_equal(image, whole[number]) for number, image in picked)


@pytest.mark.parametrize(
    "options",
    [{"first": 0}, {"last": 13}, {"first": 5, "last": 4}, {"step": 0}, {"ahead": 0}],
)
def test_ranges_outside_are_refused_at_once(sequence, options):
    with pytest.raises(InputError, match="frames of scene"):
        stream_frames(sequence, **options)
    with pytest.raises(InputError, match="size_hw"):
        stream_frames(sequence, size_hw=(0, 5))


@pytest.mark.parametrize(
    ("length", "count", "expected"),
    [
        (4, 3, [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]),
        (4, 1, [[1, 2, 3, 4]]),
        (20, 5, [list(range(1, 13))]),  # the sequence has room for one
        (11, 9, [list(range(1, 12)), list(range(2, 13))]),
    ],
)
def test_windows_are_spread_from_end_to_end(scene, length, count, expected):
    streams = window_streams(open_sequence(scene), length, count, (24, 32))
    found = [[(number, image.shape) for number, image in stream()] for stream in streams]
    assert [[number for number, _ in window] for window in found] == expected
    assert {shape for window in found for _, shape in window} == {(24, 32, 3)}


@pytest.mark.parametrize("size_hw", [(24, 32), (96, 128), (17, 91), (48, 64)])
def test_resize(sequence, size_hw):
    _, whole = next(stream_frames(sequence))
    _, image = next(stream_frames(sequence, size_hw=size_hw))
    assert image.shape == (*size_hw, 3) and image.flags.c_contiguous
    method = cv2.INTER_AREA if size_hw[0] < 48 else cv2.INTER_LINEAR
    wanted = cv2.resize(whole, size_hw[::-1], interpolation=method)
    assert luma_difference(image, wanted) < 3


# Long videos: seeking


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".avi", ".mkv"])
def test_a_late_start_finds_the_same_frame(tmp_path, suffix):
    path = tmp_path / f"long{suffix}"
    write_video(path, frames=90, codec="mpeg4" if suffix == ".avi" else "libx264")
    video = open_video(path)
    whole = dict(stream_frames(video))
    assert len(whole) == 90
    for first in (50, 51, 52, 77, 90):
        number, image = next(stream_frames(video, first=first))
        assert number == first and np.array_equal(image, whole[first])


def test_a_video_that_begins_in_the_middle_of_a_group_is_counted_as_it_decodes(tmp_path):
    write_video(tmp_path / "whole.ts", frames=40)
    cut = tmp_path / "cut.ts"
    cut.write_bytes((tmp_path / "whole.ts").read_bytes()[188 * 30 :])
    video = open_video(cut)
    assert 0 < video.length < 40
    assert len(list(stream_frames(video))) == video.length


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_phones_rotation_mark_is_obeyed(tmp_path, turn):
    path = tmp_path / "phone.mp4"
    write_video(path)
    one, none, back = (1 << 16).to_bytes(4), bytes(4), (-1 << 16).to_bytes(4, signed=True)
    a, b, c, d = {
        90: (none, one, back, none),
        180: (back, none, none, back),
        270: (none, back, one, none),
    }[turn]
    raw = bytearray(path.read_bytes())
    matrix_at = raw.index(b"tkhd") + 4 + 40
    raw[matrix_at : matrix_at + 20] = a + b + none + c + d
    path.write_bytes(raw)
    video = open_video(path)
    assert (video.width, video.height) == ((64, 48) if turn == 180 else (48, 64))
    _, image = next(stream_frames(video))
    ok, reference = cv2.VideoCapture(str(path)).read()
    assert ok and np.array_equal(image, reference[:, :, ::-1])
    _, small = next(stream_frames(video, size_hw=(32, 20)))
    wanted = cv2.resize(image, (20, 32), interpolation=cv2.INTER_AREA)
    assert luma_difference(small, wanted) < 3


# Bad frames


def test_missing_image_is_named_before_any_work(scene):
    (scene / "img1" / "000007.jpg").unlink()
    sequence = open_sequence(scene)
    with pytest.raises(InputError, match=r"000007\.jpg, frame 7"):
        next(stream_frames(sequence))
    assert len(list(stream_frames(sequence, last=6))) == 6


def test_fewer_images_than_seqinfo_says_are_named(make_scene):
    with pytest.raises(InputError, match="img1, frame 13: expected an image for each of 14"):
        next(stream_frames(open_sequence(make_scene(seqLength=14))))


@pytest.mark.parametrize("folder", [".", "gt", "gt/gt.txt", "nowhere"])
def test_image_folder_that_is_none(make_scene, folder):
    with pytest.raises(InputError, match="scene"):
        next(stream_frames(open_sequence(make_scene(imDir=folder))))


@pytest.mark.parametrize("keep", [0, 2, 300, -2])
def test_truncated_image_is_named(scene, keep):
    path = scene / "img1" / "000003.jpg"
    path.write_bytes(path.read_bytes()[:keep])
    stream = stream_frames(open_sequence(scene))
    assert [next(stream)[0], next(stream)[0]] == [1, 2]
    with pytest.raises(InputError, match=r"000003\.jpg, frame 3"):
        next(stream)


def test_truncated_png_is_named(tmp_path):
    for number in (1, 2):
        noise = np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), noise)
    path = tmp_path / "2.png"
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match=r"2\.png, frame 2"):
        list(stream_frames(open_video(tmp_path)))


def test_padding_behind_an_image_is_no_fault(scene):
    path = scene / "img1" / "000001.jpg"
    path.write_bytes(path.read_bytes() + bytes(500))
    assert len(list(stream_frames(open_sequence(scene)))) == 12


def test_frame_of_another_size_is_named(scene):
    path = scene / "img1" / "000005.jpg"
    cv2.imwrite(str(path), np.zeros((40, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"frame 5: expected 64x48 .* got 64x40"):
        list(stream_frames(open_sequence(scene)))


def test_seqinfo_of_another_size_is_named(make_scene):
    for video in (False, True):
        folder = make_scene(f"scene{video}", video=video, imWidth=60)
        with pytest.raises(InputError, match=r"frame 1: expected 60x48"):
            next(stream_frames(open_sequence(folder)))


def test_video_that_ends_early_gives_what_it_has_and_names_the_frame(make_scene):
    sequence = open_sequence(make_scene(video=True, seqLength=15))
    seen = []
    with pytest.raises(InputError, match=r"video\.mp4, frame 13: expected a video of 15 frames"):
        for number, _ in stream_frames(sequence):
            seen.append(number)
    assert seen == list(range(1, 13))
    with pytest.raises(InputError, match="frame 13"):
        list(stream_frames(sequence, first=1, step=4))
    with pytest.raises(InputError, match="frame 14"):
        list(stream_frames(sequence, first=14))


def test_cut_video_file_with_its_index_in_front(tmp_path):
    write_video(tmp_path / "whole.mp4", frames=60)
    with av.open(str(tmp_path / "whole.mp4")) as source:
        front = tmp_path / "front.mp4"
        with av.open(str(front), "w", options={"movflags": "faststart"}) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    front.write_bytes(front.read_bytes()[: front.stat().st_size * 7 // 10])
    video = open_video(front)
    assert video.length == 60
    seen = []
    with pytest.raises(InputError, match=r"front\.mp4, frame"):
        for number, _ in stream_frames(video):
            seen.append(number)
    assert 5 < len(seen) < 60


def test_no_frames_at_all(scene):
    sequence = replace(open_sequence(scene), frames_at=scene / "img2")
    with pytest.raises(InputError, match="--detections public"):
        next(stream_frames(sequence))


# The thread


def test_reader_may_stop_at_any_point(sequence):
    for count in (0, 1, 5):
        stream = stream_frames(sequence, ahead=2)
        for _ in range(count):
            next(stream)
        stream.close()
        assert decoders() == 0
    for _ in stream_frames(sequence, ahead=2):
        break
    gc.collect()
    assert decoders() == 0


def test_memory_is_bounded(sequence, monkeypatch):
    decoded = []

    def counting(source):
        for item in source:
            decoded.append(item[0])
            yield item

    name = "_decode_images" if sequence.images else "_decode_video_file"
    decode = getattr(frames_module, name)
    monkeypatch.setattr(frames_module, name, lambda *rest: counting(decode(*rest)))
    stream = stream_frames(sequence, ahead=3)
    next(stream)
    time.sleep(0.3)
    assert len(decoded) <= 1 + 3 + 1
    stream.close()


def test_a_program_that_ends_with_an_open_stream_ends(scene):
    code = (
        "from mot.frames import stream_frames\n"
        "from mot.sequence import open_sequence\n"
        f"stream = stream_frames(open_sequence({str(scene)!r}), ahead=1)\n"
        "print(next(stream)[0])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "1", "")


@pytest.mark.real
def test_a_real_video_holds_what_seqinfo_says(real_data):
    try:
        sequence = find_sequence("TUD-Stadtmitte", real_data)
    except InputError as error:
        pytest.skip(str(error))
    numbers = [number for number, _ in stream_frames(sequence, size_hw=(120, 160))]
    assert numbers == list(range(1, 180))
