"""The 2019 layout: what was written is read back, once each; malformed blocks are named."""

import numpy as np
import pytest

from labelmaps.blocks2019 import BLOCK_FRAMES, bytes_per_frame, read_blocks, write_blocks
from mot.errors import InputError

N = 23
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (N, 4, 6, 3), dtype=np.uint8)
MAPS = RNG.random((N, 2, 3), dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    assert write_blocks(FRAMES, MAPS, tmp_path / "blocks") == 4
    return tmp_path / "blocks"


def test_round_trip(folder):
    frames, maps = zip(*read_blocks(folder), strict=True)
    np.testing.assert_array_equal(np.stack(frames), FRAMES)
    np.testing.assert_array_equal(np.stack(maps), MAPS)
    assert frames[0].dtype == np.uint8 and maps[0].dtype == np.float32


def test_layout(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        *(f"frames_{k:06d}.npy" for k in (1, 2, 3, 4)),
        *(f"maps_{k:06d}.npy" for k in (1, 2, 3, 4)),
    ]
    third = np.load(folder / "frames_000003.npy")
    assert third.shape == (20, 4, 6, 3) and third.dtype == np.float32
    np.testing.assert_array_equal(third, FRAMES[2:22])


def test_bytes_per_frame_are_eighty_times_those_of_the_cache():
    assert bytes_per_frame((480, 960)) == 80 * 480 * 960 * 3
    assert round(BLOCK_FRAMES * 480 * 960 * 3 * 4 / 1e6) == 111


def test_own_blocks_are_replaced_and_other_files_are_safe(folder):
    write_blocks(FRAMES[:20], MAPS[:20], folder)
    assert len(list(folder.iterdir())) == 2
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="thesis.tex"):
        write_blocks(FRAMES, MAPS, folder)
    with pytest.raises(InputError, match="a file"):
        write_blocks(FRAMES, MAPS, folder / "thesis.tex")


@pytest.mark.parametrize(
    ("frames", "maps", "message"),
    [
        (FRAMES[:19], MAPS[:19], "at least 20"),
        (FRAMES, MAPS[:-1], "frame 23"),
        (FRAMES[:-1], MAPS, "frame 23"),
        (FRAMES.astype(np.float32), MAPS, "uint8"),
        ([*FRAMES[:-1], FRAMES[0, :2]], MAPS, "frame 23"),
    ],
)
def test_unusable_frames_are_named_and_nothing_is_written(tmp_path, frames, maps, message):
    with pytest.raises(InputError, match=message):
        write_blocks(frames, maps, tmp_path / "blocks")
    assert list(tmp_path.iterdir()) == []


def change(path, edit):
    block = np.load(path)
    np.save(path, edit(block))


def spoil(value):
    def edit(block):
        block[-1, 0, 0, ...] = value
        return block

    return edit


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("frames_000002.npy", lambda p: p.unlink()),
        ("maps_000002.npy", lambda p: p.unlink()),
        ("frames_000002.npy", lambda p: p.write_bytes(p.read_bytes()[:-9])),
        ("frames_000002.npy", lambda p: p.write_bytes(b"")),
        ("frames_000002.npy", lambda p: change(p, lambda b: b.astype(np.uint8))),
        ("frames_000002.npy", lambda p: change(p, lambda b: b[:19])),
        ("block 2", lambda p: change(p.with_name("frames_000002.npy"), lambda b: b[:, :2])),
        ("maps_000002.npy", lambda p: change(p, lambda b: b[..., None])),
        ("frames_000002.npy", lambda p: change(p, lambda b: b[::-1])),
        ("frames_000004.npy", lambda p: change(p, spoil(np.nan))),
        ("frames_000004.npy", lambda p: change(p, spoil(256))),
        ("frames_000004.npy", lambda p: change(p, spoil(0.5))),
        ("frames_000004.npy", lambda p: change(p.with_name("maps_000004.npy"), spoil(np.inf))),
    ],
)
def test_malformed_blocks_are_named(folder, name, damage):
    damage(folder / name)
    with pytest.raises(InputError) as caught:
        list(read_blocks(folder))
    assert name in caught.value.where


def test_no_blocks(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="frames_000001"):
            list(read_blocks(place))
