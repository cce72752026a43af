from pathlib import Path

import pytest

from mot.errors import InputError
from mot.sources import Source, find_sources, open_source
from tests.conftest import FPS, FRAMES, HEIGHT, WIDTH, write_images, write_video


@pytest.fixture
def videos(tmp_path):
    for place in ("north/gate.mp4", "south/gate.mp4", "south/yard.mp4"):
        write_video(tmp_path / place, 6)
    return tmp_path


def named(*words):
    return {source.name: Path(source.word).name for source in find_sources(map(str, words))}


def test_a_pattern_stands_for_its_videos_and_a_folder_for_those_in_it(videos):
    assert named(videos / "south" / "*.mp4") == {"gate": "gate.mp4", "yard": "yard.mp4"}
    assert named(videos / "south") == {"gate": "gate.mp4", "yard": "yard.mp4"}


def test_videos_of_the_same_name_are_told_apart_by_their_folders(videos):
    assert list(named(videos / "*" / "*.mp4")) == ["north-gate", "south-gate", "yard"]
    (videos / "south" / "yard.avi").write_bytes((videos / "south" / "yard.mp4").read_bytes())
    assert list(named(videos / "south" / "yard.*")) == ["yard-avi", "yard-mp4"]


def test_a_pattern_of_images_is_one_source(tmp_path):
    write_images(tmp_path / "shots", pattern="{}.jpg")
    [source] = find_sources([str(tmp_path / "shots" / "*.jpg")])
    assert source.name == "shots"
    footage = open_source(source, fps=5.0)
    assert (footage.count, footage.width, footage.height) == (FRAMES, WIDTH, HEIGHT)
    numbers = [number for number, _ in footage.read((HEIGHT, WIDTH), 1)]
    assert numbers == list(range(1, FRAMES + 1))


def test_a_sequence_folder_and_a_camera_stay_what_they_are(make_scene):
    folder = make_scene("MOT17-77-SDP")
    assert find_sources([str(folder), "0"]) == [
        Source("MOT17-77-SDP", str(folder)),
        Source("camera0", "0"),
    ]


@pytest.mark.parametrize("words", [["nothing*.mp4"], ["{at}/gate.mp4", "{at}/gate.mp4"]])
def test_what_fits_nothing_or_twice_is_refused(videos, words):
    with pytest.raises(InputError):
        find_sources([word.format(at=videos / "north") for word in words])


def test_images_and_videos_do_not_mix(videos):
    (videos / "south" / "a.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="images and others"):
        find_sources([str(videos / "south" / "*")])


def test_every_third_frame_up_to_a_limit(videos):
    [source] = find_sources([str(videos / "north" / "gate.mp4")])
    footage = open_source(source, every=2, max_frames=2)
    assert footage.count == 2
    assert [number for number, _ in footage.read((HEIGHT, WIDTH), 1)] == [1, 3]
    assert footage.seconds(3) == pytest.approx(2 / FPS)
    for wrong in ({"every": 0}, {"max_frames": -1}):
        with pytest.raises(InputError, match=next(iter(wrong)).replace("_", "-")):
            open_source(source, **wrong)


def test_times_of_a_varying_rate_are_the_films_own(tmp_path):
    from fractions import Fraction

    import av
    import numpy as np

    path = tmp_path / "phone.mp4"
    shown = [0, 1, 2, 10, 11, 30]  # tenths of a second
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for tick in shown:
            frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    [source] = find_sources([str(path)])
    footage = open_source(source)
    assert [round(10 * footage.seconds(k)) for k in range(1, 7)] == shown
    even = open_source(source, fps=5.0)  # whoever says the rate means it
    assert even.seconds(6) == 1.0
