"""Slices of the report against loops over pictures and maps, and what the page says of them."""

import numpy as np

from mot.boxes import Boxes
from mot.cuts import Crossings
from mot.report.html import SequenceSeries, write_report
from mot.report.preview import Budget, PreviewRecorder
from mot.report.runs import runs_of
from mot.report.scene import Scene
from mot.report.slices import SliceStack, slice_panel

SIZE = (40, 60)


def moving(frames=9, first_id=3):
    """One person who moves right by 5 px a frame, and is away in frame 5."""
    numbers = [n for n in range(1, frames + 1) if n != 5]
    return Boxes.of(numbers, [[5 * n, 12, 6, 9] for n in numbers], first_id)


def picture(number):
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (*SIZE, 3), np.uint8)


def density(number):
    return np.random.default_rng(100 + number).random((8, 12), np.float32)


def test_crossings_are_what_a_loop_counts():
    rng = np.random.default_rng(2)
    boxes = Boxes.of(
        1, np.column_stack([rng.uniform(-9, 60, (30, 2)), rng.uniform(1, 25, (30, 2))])
    )
    crossings = Crossings(SIZE)
    for part in (boxes[:11], boxes[11:]):
        crossings.add(part)
    rows = [((boxes.y <= r) & (r < boxes.y + boxes.h)).sum() for r in range(SIZE[0])]
    columns = [((boxes.x <= c) & (c < boxes.x + boxes.w)).sum() for c in range(SIZE[1])]
    assert crossings.most("x") == int(np.argmax(rows))
    assert crossings.most("y") == int(np.argmax(columns))
    assert Crossings(SIZE).most("x") == 20 and Crossings(SIZE).most("y") == 30
    kept = crossings.copy()
    crossings.add(Boxes.of(1, np.tile([0, 0, 1, 1], (99, 1))))
    assert kept.most("x") == int(np.argmax(rows)) and crossings.most("x") == 0


def test_lines_are_the_row_and_column_of_every_picture():
    crossings = Crossings(SIZE)
    crossings.add(moving())
    maps = [density(n) for n in range(1, 10)]
    stack = SliceStack(SIZE, 9, crossings, maps)
    for number in range(1, 10):
        stack.add(picture(number))
    slices = stack.finish()
    row, column = crossings.most("x"), crossings.most("y")
    for n in range(9):
        assert (slices.pixels[0][n] == picture(n + 1)[row]).all()
        assert (slices.pixels[1][n] == picture(n + 1)[:, column]).all()
        np.testing.assert_allclose(slices.density[0][n], maps[n].sum(axis=0), rtol=1e-5)
        np.testing.assert_allclose(slices.density[1][n], maps[n].sum(axis=1), rtol=1e-5)


def test_many_pictures_are_averaged(monkeypatch):
    monkeypatch.setattr("mot.report.slices.MOST_LINES", 4)
    stack = SliceStack(SIZE, 10, Crossings(SIZE))
    for number in range(10):
        stack.add(np.full((*SIZE, 3), 10 * number, np.uint8))
    slices = stack.finish()
    assert slices.per_line == 3 and slices.density is None
    assert slices.pixels[0][:, 0, 0].tolist() == [10, 40, 70, 90]
    assert SliceStack(SIZE, 0, Crossings(SIZE)).finish() is None


def test_tracks_lie_where_the_boxes_are_and_break_where_nobody_is():
    stack = SliceStack(SIZE, 9, Crossings(SIZE))
    for number in range(1, 10):
        stack.add(picture(number))
    panel = slice_panel(stack.finish(), list(range(1, 10)), moving(), SIZE, (1.0, 1.0), 10.0)
    across, down = panel.figures
    assert panel.span == "0.0 s to 0.8 s" and [f.axis for f in panel.figures] == ["x", "y"]
    assert across.size == (60, 9) and down.size == (9, 40)
    [path] = across.tracks
    assert path.identity == "3" and path.path.startswith("M8.0,0.5L13.0,1.5")
    assert path.path.count("M") == 2 and "M33.0,5.5" in path.path
    assert down.tracks[0].path.startswith("M0.5,16.5L1.5,16.5")
    assert len(across.views) == 1 and across.views[0].image.startswith("data:image/jpeg")


def test_the_page_holds_both_slices(tmp_path):
    tracks = moving()
    with PreviewRecorder(tmp_path / "p", SIZE, count=9, budget=Budget(9, 10**6)) as recorder:
        for number in range(1, 10):
            recorder.add(number, picture(number), density(number), tracks.at(number))
        preview = recorder.finish(shown=False)
    assert preview.slices is not None and preview.slices.density is not None
    series = SequenceSeries(
        length=9, counts={"tracks": np.ones(9)}, runs=runs_of([tracks]), fps=10.0,
        scene=Scene(SIZE, preview, tracks),
    )  # fmt: skip
    write_report(tmp_path / "r.html", title="t", scores=[], series={"a": series}, config={})
    page = (tmp_path / "r.html").read_text()
    assert page.count("<figcaption>x–t") == 2 and page.count("<figcaption>y–t") == 2
    assert 'href="#sequence-1-slices-x"' in page and 'id="sequence-1-slices-x"' in page
