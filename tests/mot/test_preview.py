"""The preview: bounded, evenly spread, resumable; its film and its maps say what went in."""

import io
import zlib

import av
import numpy as np
import pytest

from mot.report.preview import (
    KEY_EVERY,
    LONGEST_PX,
    Budget,
    PreviewRecorder,
    coarsen,
    to_levels,
)

SIZE = (48, 64)


def image(number, size_hw=SIZE):
    return np.full((*size_hw, 3), (5 * number) % 250, np.uint8)


def record(path, numbers, *, most=50, density=None, **settings):
    with PreviewRecorder(path, SIZE, budget=Budget(most, 10**6), **settings) as recorder:
        for number in numbers:
            recorder.add(number, image(number), density and density(number))
        return recorder.finish(shown=False)


def greys(film):
    with av.open(io.BytesIO(film)) as container:
        frames = container.decode(video=0)
        return [float(frame.to_ndarray(format="rgb24").mean()) for frame in frames]


def test_the_film_shows_each_frame_in_its_place(tmp_path):
    preview = record(tmp_path / "p", range(1, 31), count=30)
    assert preview.frames == list(range(1, 31)) and preview.density is None
    np.testing.assert_allclose(greys(preview.film), [5 * n for n in range(1, 31)], atol=4)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("length", [1, 7, 8, 9, 100])
@pytest.mark.parametrize("known", [True, False])
def test_frames_are_bounded_and_evenly_spread(tmp_path, length, known):
    preview = record(tmp_path / "p", range(1, length + 1), most=8, count=length if known else None)
    frames = preview.frames
    assert frames[0] == 1 and min(length, 4) <= len(frames) <= 8
    assert len(set(np.diff(frames))) <= 1
    assert length - frames[-1] < 2 * (frames[1] - 1 if len(frames) > 1 else 1)
    np.testing.assert_allclose(greys(preview.film), [(5 * n) % 250 for n in frames], atol=4)


def test_the_file_is_bounded_too(tmp_path):
    path = tmp_path / "p"
    with PreviewRecorder(path, SIZE, count=None, budget=Budget(8)) as recorder:
        for number in range(1, 9):
            recorder.add(number, image(number))
        first = path.stat().st_size
        for number in range(9, 1025):
            recorder.add(number, image(number))
        assert path.stat().st_size <= first * (1 + 7 / 2) * 1.2  # seven doublings


def test_a_run_that_goes_on_has_the_preview_of_one_that_was_never_stopped(tmp_path):
    whole = record(tmp_path / "whole", range(1, 41), most=8, count=None)
    path = tmp_path / "p"
    with pytest.raises(RuntimeError):
        with PreviewRecorder(
            path, SIZE, count=None, budget=Budget(8, 10**6), resumable=True
        ) as recorder:
            for number in range(1, 20):
                recorder.add(number, image(number))
                if number == 17:
                    state = recorder.state()
            raise RuntimeError
    assert path.is_file()
    again = record(path, range(18, 41), most=8, count=None, state=state)
    assert again.frames == whole.frames
    # Not byte by byte: under a bound on the rate, x264's threads decide by their timing.
    np.testing.assert_allclose(greys(again.film), greys(whole.film), atol=1)
    lost = record(tmp_path / "lost", range(18, 41), most=50, count=23, state=state)
    assert lost.frames == list(range(18, 41))


def test_a_failed_run_that_cannot_go_on_leaves_nothing(tmp_path):
    for resumable in (True, False):
        with pytest.raises(RuntimeError):
            with PreviewRecorder(tmp_path / "p", SIZE, count=9, resumable=resumable) as recorder:
                recorder.add(1, image(1))
                if not resumable:
                    recorder.state()
                raise RuntimeError
        assert not list(tmp_path.iterdir())


def test_pictures_have_the_frames_shape_and_a_bounded_size(tmp_path):
    with PreviewRecorder(tmp_path / "p", (1080, 1920), count=1) as recorder:
        recorder.add(1, image(9, (544, 960)))
        film = recorder.finish(shown=False).film
    with av.open(io.BytesIO(film)) as container:
        picture = next(container.decode(video=0))
    assert (picture.width, picture.height) == (LONGEST_PX, LONGEST_PX * 1080 // 1920)


def test_the_film_keeps_to_its_bytes_and_can_be_jumped_about_in(tmp_path):
    rng = np.random.default_rng(0)
    with PreviewRecorder(tmp_path / "p", (96, 128), count=100, budget=Budget(100, 150_000)) as p:
        for number in range(1, 101):
            p.add(number, rng.integers(0, 255, (96, 128, 3), dtype=np.uint8))
        film = p.finish(shown=False).film
    assert 50_000 < len(film) < 1.5 * 150_000  # noise would take three times as much
    assert film.index(b"moov") < film.index(b"mdat")
    with av.open(io.BytesIO(film)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
    keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
    assert max(np.diff([*keys, 100])) <= KEY_EVERY
    assert all(packet.pts == packet.dts for packet in packets)


def test_budgets_are_shared_by_length():
    parts = [Budget().share(length, 4000) for length in (1000, 3000)]
    assert sum(part.frames for part in parts) <= Budget().frames
    assert parts[1].frames == 3 * parts[0].frames and parts[1].size == 3 * parts[0].size
    assert Budget().share(1, 10**6).frames == 1


@pytest.mark.parametrize("shape", [(3, 5), (96, 96), (97, 200), (300, 40)])
def test_coarse_maps_keep_their_sum(shape):
    density = np.random.default_rng(1).random(shape).astype(np.float32)
    coarse, (down, right) = coarsen(density)
    assert coarse.sum() == pytest.approx(density.sum(), rel=1e-5)
    assert max(coarse.shape) <= 96
    factor = -(-max(shape) // 96)
    assert down == pytest.approx(coarse.shape[0] * factor / shape[0])
    assert right == pytest.approx(coarse.shape[1] * factor / shape[1]) and right >= 1


def test_levels_give_the_density_back(tmp_path):
    rng = np.random.default_rng(2)
    maps = {n: (n * rng.random((6, 8)) ** 4).astype(np.float32) for n in range(1, 6)}
    maps[3][:] = 0
    preview = record(tmp_path / "p", maps, count=5, density=maps.get)
    packed = preview.density
    levels = np.frombuffer(zlib.decompress(packed.levels), np.uint8).reshape(5, *packed.shape)
    for number, level, peak in zip(maps, levels, packed.peaks, strict=True):
        back = peak * (level / 255.0) ** 2
        np.testing.assert_allclose(back, maps[number], atol=peak * (1 / 255 + 1e-3))
    assert to_levels(np.zeros((2, 2), np.float32))[1] == 0
