"""Density maps on disk: what is written comes back, what is of another video is refused."""

import numpy as np
import pytest

from mot.density_files import MENU, READERS, DensityFiles, DensityMaps
from mot.errors import InputError


def write(folder, frames, kind="npy", size=(3, 4)):
    files = DensityFiles(folder, kind)
    for frame in frames:
        files.write(frame, np.full(size, frame, np.float32))
    return folder


@pytest.mark.parametrize("kind", sorted(MENU))
def test_maps_come_back_as_they_were(tmp_path, kind):
    maps = DensityMaps.open(write(tmp_path / "maps", [1, 2, 10], kind))
    assert list(maps.files) == [1, 2, 10]
    assert maps.read(10).dtype == np.float32
    assert (maps.read(10) == 10).all()
    assert set(READERS) == set(MENU)


@pytest.mark.parametrize(
    ("frames", "first", "last", "expected"),
    [
        (range(1, 13), 1, 12, range(1, 13)),
        (range(1, 13), 4, 6, range(4, 7)),
        (range(1, 13, 3), 1, 12, range(1, 13, 3)),
        (range(1, 13, 3), 2, 9, range(4, 10, 3)),
        ([5], 5, 5, range(5, 6)),
    ],
)
def test_every_frame_or_every_so_many(tmp_path, frames, first, last, expected):
    maps = DensityMaps.open(write(tmp_path / "maps", frames))
    assert list(maps.frames_within(first, last, 12)) == list(expected)


@pytest.mark.parametrize(
    ("frames", "first", "last", "word"),
    [
        (range(1, 14), 1, 12, "frame 13"),  # of a longer video
        (range(1, 8), 1, 12, "none of 8"),  # of a shorter one
        ([1, 2, 4, 5], 1, 5, "none of 3"),
        (range(5, 13), 1, 12, "none of 1"),
        ([1, 3, 6, 9], 1, 9, "none of 5"),
        ([8, 9], 1, 3, "none of 1"),
    ],
)
def test_density_of_another_video_is_refused(tmp_path, frames, first, last, word):
    maps = DensityMaps.open(write(tmp_path / "maps", frames))
    with pytest.raises(InputError, match=word):
        maps.frames_within(first, last, 12)


def test_what_is_no_folder_of_maps_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "missing", tmp_path / "empty", tmp_path / "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="density maps"):
            DensityMaps.open(folder)
    both = write(write(tmp_path / "both", [1, 2]), [2], "h5")
    with pytest.raises(InputError, match="one map for each frame"):
        DensityMaps.open(both)


def test_what_is_no_map_is_refused(tmp_path):
    folder = write(tmp_path / "maps", [1, 2, 3, 4])
    (folder / "000001.npy").write_text("words")
    np.save(folder / "000002.npy", np.full((3, 4), np.nan))
    np.save(folder / "000003.npy", np.zeros(5))
    (folder / "000004.npy").write_bytes(b"")
    maps = DensityMaps.open(folder)
    for frame in range(1, 6):
        with pytest.raises(InputError, match=f"00000{frame}|frame 5"):
            maps.read(frame)
    (folder / "000006.h5").write_text("words")
    with pytest.raises(InputError, match="000006"):
        DensityMaps.open(folder).read(6)
