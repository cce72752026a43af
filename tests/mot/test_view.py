import av
import cv2
import numpy as np
import pytest

from mot.annotations import write_results
from mot.boxes import Boxes
from mot.chosen_frames import parse_range
from mot.errors import InputError, one_line_errors
from mot.timeline import Panel, covering_tracks, find_runs
from mot.view import ViewSettings, main, render_panels, show


def tracks(*rows):
    """Rows of (frame, id, left)."""
    frame, identity, left = zip(*rows, strict=True)
    return Boxes.of(frame, [(x, 10, 10, 30) for x in left], id=identity)


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "runs" / "scene.txt"
    write_results(path, tracks(*[(n, 5, 2 * n) for n in range(1, 13)]))
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (1, 30)),
        ("5:9", (5, 9)),
        ("5:", (5, 30)),
        (":9", (1, 9)),
        ("7", (7, 7)),
        (":", (1, 30)),
    ],
)
def test_ranges(text, expected):
    assert parse_range(text, 30) == expected


@pytest.mark.parametrize("text", ["9:5", "0:3", "1:31", "a:b", "1:2:3", "31"])
def test_bad_ranges_are_refused(text):
    with pytest.raises(InputError, match="--frames"):
        parse_range(text, 30)


def test_video_shows_truth_and_results_side_by_side(scene, results, tmp_path):
    out = tmp_path / "view.mp4"
    main(["--seq", str(scene), "--results", str(results), str(results), "--out", str(out)])
    with av.open(str(out)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 12
    # Three panels on a grid of two by two, each 64x48 with a gap of 4.
    assert (frames[0].width, frames[0].height) == (2 * 64 + 4, 2 * 48 + 4)


def test_still_shows_one_frame(scene, results, tmp_path):
    out = tmp_path / "view.png"
    assert show(ViewSettings(seq=str(scene), out=out, results=(results,), frames="3")) == [out]
    assert cv2.imread(str(out)).shape == (48, 132, 3)


def test_timeline_is_a_picture_beside_the_video_or_alone(scene, results, tmp_path):
    out = tmp_path / "view.mp4"
    settings = ViewSettings(
        seq=str(scene), out=out, results=(results,), frames="1:2", timeline=True
    )
    assert show(settings) == [out.with_suffix(".png"), out]
    assert min(cv2.imread(str(tmp_path / "view.png")).shape[:2]) > 200
    alone = ViewSettings(
        seq=str(scene), out=tmp_path / "only.png", results=(results,), timeline=True, truth=False
    )
    assert show(alone) == [tmp_path / "only.png"]


def test_panels_draw_their_own_boxes_only():
    image = np.full((60, 80, 3), 60, np.uint8)
    panels = [Panel("a", tracks((1, 1, 5))), Panel("b", tracks((2, 1, 60)))]
    sheet = render_panels(image, panels, 1, labels=False)
    left, right = sheet[:, :80], sheet[:, 84:]
    assert (left[25:40] != 60).any() and (right[25:] == 60).all()
    assert (image == 60).all()


def test_empty_results_can_be_shown(scene, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    out = tmp_path / "view.png"
    show(ViewSettings(seq=str(scene), out=out, results=(empty,), timeline=True, truth=False))
    assert out.stat().st_size > 0


def test_runs_break_at_gaps_and_at_changes_of_colour():
    boxes = tracks((1, 7, 0), (2, 7, 0), (5, 7, 0), (6, 7, 0), (1, 3, 0))
    assert find_runs(boxes).tolist() == [[3, 1, 1, 3], [7, 1, 2, 7], [7, 5, 6, 7]]
    shown = np.array([1, 2, 2, 2, -1])
    assert find_runs(boxes, shown).tolist() == [
        [3, 1, 1, -1], [7, 1, 1, 1], [7, 2, 2, 2], [7, 5, 6, 2]
    ]  # fmt: skip
    assert find_runs(Boxes.empty()).shape == (0, 4)


def test_two_people_cross_and_swap_ids():
    truth = tracks((1, 1, 0), (1, 2, 50), (2, 1, 0), (2, 2, 50), (3, 1, 0), (3, 2, 50))
    swapped = tracks((1, 11, 1), (1, 12, 50), (2, 12, 1), (2, 11, 50), (3, 12, 30), (3, 11, 50))
    assert covering_tracks(truth, swapped).tolist() == [11, 12, 12, 11, -1, 11]


def test_cover_keeps_the_track_of_the_frame_before():
    truth = tracks((1, 1, 0), (2, 1, 0))
    rivals = tracks((1, 11, 0), (2, 11, 2), (2, 12, 0))
    assert covering_tracks(truth, rivals).tolist() == [11, 11]


def test_errors_are_one_line(scene, tmp_path, capsys):
    for arguments in (
        ["--seq", "nowhere", "--data", str(tmp_path), "--out", str(tmp_path / "a.png")],
        ["--seq", str(scene), "--out", str(tmp_path / "a.gif")],
        ["--seq", str(scene), "--out", str(tmp_path / "a.png"), "--frames", "99"],
        ["--seq", str(scene), "--out", str(tmp_path / "a.png"), "--results", "missing.txt"],
        ["--seq", str(scene), "--out", str(tmp_path / "a.png"), "--no-truth"],
        ["--sequence", str(scene)],
    ):
        with pytest.raises(SystemExit) as stop:
            one_line_errors(main)(arguments)
        assert stop.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "a.png").exists()
