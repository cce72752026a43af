"""Contact sheets of the 12-frame scene, in which two people count."""

import cv2
import numpy as np
import pytest

from mot.chosen_frames import spread
from mot.density_files import DensityFiles, DensityMaps
from mot.density_sheet import load_tiles, main
from mot.errors import InputError
from mot.sequence import open_sequence, open_video


@pytest.fixture
def maps(tmp_path):
    files = DensityFiles(tmp_path / "density", "h5")
    for frame in range(1, 13):
        files.write(frame, np.full((6, 8), frame / 48, np.float32))
    return DensityMaps.open(tmp_path / "density")


def test_frames_are_spread_evenly():
    assert spread(range(1, 13), 4) == [1, 5, 8, 12]
    assert spread(range(1, 100), 5)[::4] == [1, 99]
    assert spread(range(4, 10, 3), 12) == [4, 7]
    assert spread(range(7, 8), 1) == [7]


def test_tiles_know_both_counts(scene, maps):
    tiles = load_tiles(open_sequence(scene), maps, [1, 5, 12], 32)
    assert [tile.density.sum() for tile in tiles] == pytest.approx([1, 5, 12])
    assert [tile.people for tile in tiles] == [2, 2, 2]
    assert [tile.error for tile in tiles] == pytest.approx([-1, 3, 10])
    assert {tile.image.shape for tile in tiles} == {(24, 32, 3)}


def test_a_video_without_truth_has_no_error(scene, maps):
    [tile] = load_tiles(open_video(scene / "img1"), maps, [3], 64)
    assert tile.people is None and np.isnan(tile.error)


@pytest.mark.parametrize("count", ["1", "100"])
def test_the_command_makes_a_page(scene, maps, tmp_path, count):
    out = tmp_path / "sheet.jpg"
    main(
        [str(scene), "--density", str(maps.folder), "--out", str(out), "--count", count]
        + ["--columns", "4"]
    )
    height, width = cv2.imread(str(out)).shape[:2]
    assert width == 988 and height < 1400
    with pytest.raises(InputError, match="a new file"):
        main([str(scene), "--density", str(maps.folder), "--out", str(out)])


def test_other_density_is_refused(scene, maps, tmp_path):
    (maps.folder / "000012.h5").unlink()
    for more in ([], ["--count", "0"], ["--out", str(tmp_path / "sheet.txt")]):
        with pytest.raises(InputError):
            main(
                [str(scene), "--density", str(maps.folder), "--out", str(tmp_path / "s.png"), *more]
            )
    assert not list(tmp_path.glob("s*.png"))
