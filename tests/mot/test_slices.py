"""x–t slices of the 12-frame scene, and of densities that are known."""

import cv2
import numpy as np
import pytest

from mot.annotations import write_results
from mot.boxes import Boxes
from mot.density_files import DensityFiles, DensityMaps
from mot.errors import InputError, one_line_errors
from mot.sequence import open_sequence
from mot.slice_picture import SlicePicture, draw_slices
from mot.slices import Cut, frames_per_line, main, slice_density, slice_pixels
from tests.conftest import complaint, draw_frame

SIZE = (48, 64)


@pytest.fixture
def maps(tmp_path):
    """12 maps of 6x8 cells; frame n holds n people."""
    rng = np.random.default_rng(3)
    files = DensityFiles(tmp_path / "density", "npy")
    for frame in range(1, 13):
        values = rng.random((6, 8), np.float32)
        files.write(frame, values * np.float32(frame / values.sum()))
    return DensityMaps.open(tmp_path / "density")


@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_slice_is_the_same_line_of_every_frame(scene, axis):
    cut = Cut.about(axis, 20, 5, SIZE)
    got = slice_pixels(open_sequence(scene), cut, 3, 9)
    rows = [draw_frame(n) if axis == "x" else draw_frame(n).swapaxes(0, 1) for n in range(3, 10)]
    expected = np.stack([frame[18:23].astype(float).mean(axis=0) for frame in rows])
    assert got.shape == (7, 64 if axis == "x" else 48, 3) and got.dtype == np.uint8
    assert np.abs(got - expected).mean() < 6  # JPEG


def test_a_long_video_is_averaged_in_time(scene):
    cut = Cut.about("x", 2, 1, SIZE)
    got = slice_pixels(open_sequence(scene), cut, 1, 12, per_line=5)
    # Above the people frame n is grey 20 n.
    assert got.mean(axis=(1, 2)) == pytest.approx([60, 160, 230], abs=3)


@pytest.mark.parametrize(
    ("first", "last", "most", "step", "expected"),
    [
        (1, 12, 12, 1, 1),
        (1, 13, 12, 1, 2),
        (1, 12, 100, 3, 3),
        (1, 100, 10, 3, 12),
        (5, 5, 1, 1, 1),
    ],
)
def test_frames_per_line(first, last, most, step, expected):
    assert frames_per_line(first, last, most, step) == expected


@pytest.mark.parametrize("axis", ["x", "y"])
def test_density_lines_sum_to_the_count(maps, axis):
    whole = Cut.about(axis, 0, 1, SIZE).whole
    got = slice_density(maps, whole, range(1, 13))
    assert got.shape == (12, 8 if axis == "x" else 6)
    assert got.sum(axis=1) == pytest.approx(np.arange(1, 13), rel=1e-5)


def test_bands_that_tile_the_frame_share_its_people(maps):
    edges = [0, 5, 6, 21, 48]  # cells are 8 pixels high, so bands cut through them
    bands = [Cut("x", a, b, SIZE) for a, b in zip(edges, edges[1:], strict=False)]
    parts = [slice_density(maps, band, range(1, 13)) for band in bands]
    whole = slice_density(maps, Cut("x", 0, 48, SIZE), range(1, 13))
    assert np.sum(parts, axis=0) == pytest.approx(whole, abs=1e-5)


def test_density_is_averaged_in_time(maps):
    whole = Cut("x", 0, 48, SIZE)
    got = slice_density(maps, whole, range(1, 13, 2), per_line=4)
    assert got.sum(axis=1) == pytest.approx([2, 6, 10], rel=1e-5)  # of 1, 3; 5, 7; 9, 11


def test_bands_stay_in_the_frame():
    assert Cut.about("x", 47, 9, SIZE) == Cut("x", 43, 48, SIZE)
    assert Cut.about("y", 63, 1, SIZE) == Cut("y", 63, 64, SIZE)
    for axis, at in (("x", 48), ("x", -1), ("y", 64)):
        with pytest.raises(InputError, match="--at"):
            Cut.about(axis, at, 1, SIZE)


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize(("fps", "step"), [(25.0, 1), (None, 3)])
def test_a_track_is_drawn_where_it_is(tmp_path, axis, fps, step):
    """On black, only the ridge has the track's colour: a line from corner to corner."""
    frames = range(1, 41, step)
    track = Boxes.of(frames, [(2 * n - 5, 2 * n - 5, 10, 10) for n in frames], id=1)
    picture = SlicePicture(
        name="scene",
        pixels=np.zeros((40, 80, 3), np.uint8),
        density=None,
        axis=axis,
        band=(0, 80),
        density_band=(0, 80),
        size_hw=(80, 80),
        first=1,
        last=40,
        per_line=1,
        fps=fps,
        boxes=track,
        whose="a",
    )
    draw_slices(tmp_path / "with.png", picture)
    image = cv2.imread(str(tmp_path / "with.png")).astype(int)
    dark = (image < 60).all(axis=2)
    rows, columns = np.nonzero(dark)
    panel = image[rows.min() : rows.max(), columns.min() + 40 : columns.max()]
    inside = np.abs(panel - np.array((255, 159, 117))).sum(axis=2) < 40  # colour 1, BGR
    found_rows, found_columns = np.nonzero(inside)
    assert len(found_rows) > 50
    assert np.corrcoef(found_rows, found_columns)[0, 1] > 0.99


def test_the_command_on_a_scene(scene, maps, tmp_path, capsys):
    results = tmp_path / "empty.txt"
    results.write_text("")
    for number, more in enumerate(
        (
            ["--axis", "y", "--density", str(maps.folder), "--most-lines", "5"],
            ["--results", str(results), "--density", str(maps.folder), "--density-of", "band"],
        )
    ):
        out = tmp_path / f"{number}.png"
        main(["--seq", str(scene), "--out", str(out), *more])
        height, width = cv2.imread(str(out)).shape[:2]
        assert 300 < height < 1400 and width == 988  # fits on a page
    assert "12 frames in 4 lines: each is the mean of 3 frames" in capsys.readouterr().out


def test_the_default_row_is_where_most_people_are(scene, tmp_path, monkeypatch):
    results = tmp_path / "high.txt"
    write_results(results, Boxes.of([1, 2, 3], [(0, 3, 5, 4), (0, 5, 5, 9), (0, 6, 5, 30)], id=1))
    seen = []
    monkeypatch.setattr("mot.slices.draw_slices", lambda path, picture: seen.append(picture))
    main(["--seq", str(scene), "--results", str(results), "--out", str(tmp_path / "a.png")])
    main(["--seq", str(scene), "--no-tracks", "--out", str(tmp_path / "b.png")])
    assert [picture.band for picture in seen] == [(6, 7), (24, 25)]


def test_bad_input_is_one_line(scene, maps, tmp_path, capsys):
    seq, out = ["--seq", str(scene)], ["--out", str(tmp_path / "a.png")]
    (maps.folder / "000013.npy").write_bytes((maps.folder / "000012.npy").read_bytes())
    for arguments, word in (
        ([*seq, *out, "--at", "48"], "--at"),
        ([*seq, *out, "--band", "0"], "--band"),
        ([*seq, *out, "--density", str(maps.folder)], "frame 13"),
        ([*seq, *out, "--results", str(tmp_path / "missing.txt")], "missing.txt"),
        ([*seq, "--out", str(tmp_path / "a.mp4")], "--out"),
        ([*seq, *out, str(scene)], "both"),
        (out, "neither"),
        ([*seq, *out, "--frames", "13"], "--frames"),
    ):
        with pytest.raises(SystemExit) as stop:
            one_line_errors(main)(arguments)
        assert stop.value.code == 2
        assert word in complaint(capsys)
    assert not (tmp_path / "a.png").exists()
    (tmp_path / "a.png").write_text("kept")
    with pytest.raises(InputError, match="a new file"):
        main([*seq, *out])
    assert (tmp_path / "a.png").read_text() == "kept"
