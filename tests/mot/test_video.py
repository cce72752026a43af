import os
import signal
import subprocess
import sys
import textwrap

import av
import numpy as np
import pytest

from mot.errors import InputError
from mot.growing import GrowingFile
from mot.video import VideoWriter


def ramp(height, width, level):
    frame = np.full((height, width, 3), level, np.uint8)
    frame[: height // 2, :, 0] = 200
    return frame


def read_back(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return frames, stream.codec_context.name, stream.codec_context.pix_fmt


def test_frames_come_back_in_order_and_nearly_the_same(tmp_path):
    path = tmp_path / "deep" / "out.mp4"
    frames = [ramp(48, 64, 10 * k) for k in range(12)]
    with VideoWriter(path, 25, (48, 64), crf=10) as writer:
        for frame in frames:
            writer.write(frame)
    back, codec, pixels = read_back(path)
    assert (len(back), codec, pixels) == (12, "h264", "yuv420p")
    for sent, got in zip(frames, back, strict=True):
        assert np.abs(sent.astype(int) - got).mean() < 4


def test_odd_sizes_are_padded_by_one_pixel(tmp_path):
    with VideoWriter(tmp_path / "odd.mp4", 30000 / 1001, (33, 47)) as writer:
        for k in range(5):
            writer.write(ramp(33, 47, 20 * k))
    back, _, _ = read_back(tmp_path / "odd.mp4")
    assert back[0].shape == (34, 48, 3) and len(back) == 5


def test_rate_survives(tmp_path):
    with VideoWriter(tmp_path / "rate.mp4", 30000 / 1001, (32, 32)) as writer:
        for k in range(30):
            writer.write(ramp(32, 32, k))
    with av.open(str(tmp_path / "rate.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(29.97, abs=0.01)


def test_no_frames_at_all_closes_cleanly(tmp_path):
    writer = VideoWriter(tmp_path / "none.mp4", 25, (32, 32))
    writer.close()
    writer.close()
    assert (tmp_path / "none.mp4").exists()


def test_killed_writer_leaves_a_readable_file_up_to_its_last_fragment(tmp_path):
    path = tmp_path / "killed.mp4"
    script = textwrap.dedent(
        f"""
        import os, sys
        import numpy as np
        from mot.video import VideoWriter
        writer = VideoWriter({str(path)!r}, 10, (48, 64))
        rng = np.random.default_rng(0)
        for k in range(100):
            writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        os.kill(os.getpid(), {int(signal.SIGKILL)})
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=os.getcwd(), check=False)
    assert ended.returncode == -signal.SIGKILL
    back, _, _ = read_back(path)
    assert 60 <= len(back) <= 100


@pytest.mark.parametrize(
    "arguments", [(0, (32, 32)), (float("nan"), (32, 32)), (25, (0, 32))], ids=str
)
def test_bad_rate_or_size_is_refused(tmp_path, arguments):
    with pytest.raises(InputError):
        VideoWriter(tmp_path / "bad.mp4", *arguments)
    assert not (tmp_path / "bad.mp4").exists()


def test_bad_quality_is_refused(tmp_path):
    with pytest.raises(InputError, match="crf"):
        VideoWriter(tmp_path / "bad.mp4", 25, (32, 32), crf=99)


def test_frame_of_another_size_or_type_is_refused_and_the_rest_is_kept(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", 25, (32, 32)) as writer:
        writer.write(ramp(32, 32, 5))
        with pytest.raises(InputError, match="shape"):
            writer.write(ramp(32, 34, 5))
        with pytest.raises(InputError, match="uint8"):
            writer.write(np.zeros((32, 32, 3)))
        writer.write(ramp(32, 32, 6))
    assert len(read_back(tmp_path / "out.mp4")[0]) == 2


def test_a_seekable_film_keeps_its_frames_and_key_frames(tmp_path):
    with VideoWriter(tmp_path / "film.mp4", 25, (48, 64), seekable=5, crf=10) as writer:
        for level in range(20):
            writer.write(np.full((48, 64, 3), 10 * level, np.uint8))
    with av.open(str(tmp_path / "film.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [round(frame.time * 25) for frame in frames] == list(range(20))
    means = [frame.to_ndarray(format="rgb24").mean() for frame in frames]
    np.testing.assert_allclose(means, [10 * level for level in range(20)], atol=3)
    assert all(frames[place].key_frame for place in range(0, 20, 5))


def test_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        VideoWriter(tmp_path / "file" / "out.mp4", 25, (32, 32))


class Growing:
    """Notes what a file holds after every write to it."""

    def __init__(self, monkeypatch, path, room=1 << 30):
        self.states, write = [], GrowingFile.write

        def write_and_note(file, piece):
            if file.size + len(piece) > room:
                raise OSError(28, "No space left on device", str(path))
            write(file, piece)
            self.states.append(path.read_bytes())

        monkeypatch.setattr(GrowingFile, "write", write_and_note)


def test_the_file_plays_to_its_end_after_every_write(tmp_path, monkeypatch):
    noise = np.random.default_rng(0)
    seen = Growing(monkeypatch, tmp_path / "out.mp4")
    with VideoWriter(tmp_path / "out.mp4", 4, (96, 128), crf=1) as writer:
        for _ in range(18):  # fragments of more than the muxer's buffer
            writer.write(noise.integers(0, 255, (96, 128, 3), np.uint8))
    counts = []
    for number, state in enumerate(seen.states):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(state)
        counts.append(len(read_back(path)[0]) if len(state) > 2000 else 0)
    assert counts == sorted(counts) and counts[-1] == 18 and len(set(counts)) > 4
    assert np.diff([len(state) for state in seen.states]).max() > 50_000


def test_a_full_disk_leaves_whole_fragments(tmp_path, monkeypatch):
    noise = np.random.default_rng(0)
    Growing(monkeypatch, tmp_path / "out.mp4", room=300_000)
    with pytest.raises(OSError, match="No space left"):
        with VideoWriter(tmp_path / "out.mp4", 4, (96, 128), crf=1) as writer:
            for _ in range(18):
                writer.write(noise.integers(0, 255, (96, 128, 3), np.uint8))
    size = (tmp_path / "out.mp4").stat().st_size
    assert size < 300_000 and 0 < len(read_back(tmp_path / "out.mp4")[0]) < 18
