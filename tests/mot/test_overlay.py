from dataclasses import replace

import av
import numpy as np
import pytest

from mot.boxes import Boxes
from mot.errors import InputError
from mot.footage import footage_of
from mot.overlay import OverlayWriter
from mot.sequence import open_sequence


def images(count, size_hw=(48, 64)):
    return [np.full((*size_hw, 3), 40, np.uint8) for _ in range(count)]


def walker(frame):
    return Boxes.of(frame, [[2.0 * frame, 10, 10, 30]], id=1)


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_one_picture_per_frame_with_boxes_trails_and_density(scene, tmp_path):
    density = np.zeros((6, 8), np.float32)
    density[4, 7] = 1.0
    with OverlayWriter(tmp_path / "out.mp4", footage_of(open_sequence(scene))) as overlay:
        for number, image in enumerate(images(12), 1):
            overlay.write(number, image, walker(number), density)
            assert (image == 40).all()
    frames = decoded(tmp_path / "out.mp4")
    assert len(frames) == 12 and frames[0].shape == (48, 64, 3)
    last = frames[-1].astype(int)
    assert abs(last[20, 24] - 40).max() > 30  # an edge of the box
    assert abs(last[36, 60] - 40).max() > 15  # density
    assert abs(last[39:43, 8] - 40).max() > 10  # where the feet were
    assert abs(last[3, 60] - 40).max() < 10  # nothing here


def test_boxes_are_scaled_to_the_images_that_come(scene, tmp_path):
    with OverlayWriter(tmp_path / "out.mp4", footage_of(open_sequence(scene))) as overlay:
        overlay.write(10, images(1, (96, 128))[0], walker(10))
    frame = decoded(tmp_path / "out.mp4")[0].astype(int)
    assert frame.shape == (96, 128, 3)
    assert abs(frame[50, 40] - 40).max() > 30  # left edge: x = 20 in the original
    assert abs(frame[50, 22] - 40).max() < 15


def test_frames_without_people_and_empty_density(scene, tmp_path):
    with OverlayWriter(tmp_path / "out.mp4", footage_of(open_sequence(scene))) as overlay:
        for number, image in enumerate(images(3), 1):
            overlay.write(number, image, Boxes.empty(), np.zeros((6, 8), np.float32))
    frames = decoded(tmp_path / "out.mp4")
    assert len(frames) == 3 and abs(frames[1].astype(int) - 40).max() < 6


def test_frames_that_a_live_stream_has_lost_take_their_time(scene, tmp_path):
    footage = replace(footage_of(open_sequence(scene)), fps=20.0, step=2)
    with OverlayWriter(tmp_path / "out.mp4", footage) as overlay:
        for number, image in zip([41, 43, 50, 52], images(4), strict=True):
            overlay.write(number, image, Boxes.empty())
    with av.open(str(tmp_path / "out.mp4")) as container:
        seconds = np.array([frame.time for frame in container.decode(video=0)])
    np.testing.assert_allclose(seconds - seconds[0], [0, 0.1, 0.4, 0.5], atol=1e-3)


@pytest.mark.parametrize("fps", [0.4, 25.0])
def test_memory_is_that_of_the_trails(scene, tmp_path, fps):
    footage = footage_of(replace(open_sequence(scene), fps=fps))
    with OverlayWriter(tmp_path / "out.mp4", footage) as overlay:
        for number, image in enumerate(images(60), 1):
            overlay.write(number, image, walker(number))
        assert len(overlay._overlay._recent) == overlay._overlay.trail == max(1, round(2 * fps))


def test_no_frames_no_file(scene, tmp_path):
    with OverlayWriter(tmp_path / "out.mp4", footage_of(open_sequence(scene))):
        pass
    assert not (tmp_path / "out.mp4").exists()


def test_an_unknown_rate_names_the_flag(scene, tmp_path):
    with pytest.raises(InputError, match="--fps"):
        OverlayWriter(tmp_path / "out.mp4", footage_of(replace(open_sequence(scene), fps=None)))


def test_what_was_written_plays_after_an_error(scene, tmp_path):
    overlay = OverlayWriter(tmp_path / "out.mp4", footage_of(open_sequence(scene)))
    with pytest.raises(KeyboardInterrupt), overlay:
        for number, image in enumerate(images(5), 1):
            overlay.write(number, image, walker(number))
        raise KeyboardInterrupt
    assert len(decoded(tmp_path / "out.mp4")) == 5
