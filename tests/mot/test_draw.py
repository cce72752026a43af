import numpy as np
import pytest

from mot.boxes import FILLED_SCORE, Boxes
from mot.draw import (
    NOBODY,
    colours_of,
    draw_boxes,
    draw_text,
    draw_trails,
    mosaic,
    overlay_density,
)
from mot.errors import InputError


@pytest.fixture
def grey():
    image = np.full((120, 160, 3), 90, np.uint8)
    image.flags.writeable = False
    return image


def people(*rows):
    frame, identity, ltwh = zip(*rows, strict=True)
    return Boxes.of(frame, ltwh, id=identity)


def test_colours_are_stable_bright_and_apart():
    colours = colours_of(np.arange(24)).astype(int)
    assert (colours_of([7.0])[0] == colours[7]).all()
    assert colours.max(axis=1).min() > 150
    apart = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 999 * np.eye(24, dtype=int)
    assert apart.min() > 30
    assert np.abs(np.diff(colours, axis=0)).sum(axis=1).min() > 100


def test_no_identity_is_grey():
    assert colours_of([-1])[0].tolist() == list(NOBODY)


def test_no_colours_for_nobody():
    assert colours_of(np.empty(0)).shape == (0, 3)


def test_box_is_drawn_where_it_is_and_the_input_stays(grey):
    drawn = draw_boxes(grey, people((1, 3, (40, 30, 20, 50))), labels=False)
    assert (drawn[55, 40] == colours_of([3])[0]).all()
    assert (drawn[80, 50] == colours_of([3])[0]).all()
    assert (drawn[40:70, 45:55] == 90).all()
    assert (grey == 90).all()


def test_labels_and_boxes_outside_the_image_are_no_trouble(grey):
    boxes = people((1, 3, (-500, -500, 20, 50)), (1, -1, (150, 110, 1e6, 1e6)))
    assert draw_boxes(grey, boxes).shape == grey.shape
    assert (draw_boxes(grey, Boxes.empty()) == grey).all()


def test_of_a_box_that_fills_a_gap_the_corners_are_drawn(grey):
    boxes = people((1, 3, (40, 30, 20, 48)))
    whole = draw_boxes(grey, boxes, labels=False, thickness=1)
    corners = draw_boxes(grey, boxes.with_columns(score=FILLED_SCORE), labels=False, thickness=1)
    drawn = (corners != grey).any(axis=2)
    assert ((whole != grey).any(axis=2) | ~drawn).all()  # nothing beside the box
    assert drawn[30, 40] and drawn[30, 60] and drawn[78, 40] and drawn[78, 60]
    assert drawn[30, 44] and not drawn[30, 50] and drawn[40, 40] and not drawn[54, 40]


def test_in_place_draws_into_the_input_and_refuses_views(grey):
    image = grey.copy()
    assert draw_boxes(image, people((1, 3, (40, 30, 20, 50))), in_place=True) is image
    assert (image != 90).any()
    with pytest.raises(InputError, match="in_place"):
        draw_boxes(grey, Boxes.empty(), in_place=True)
    with pytest.raises(InputError, match="in_place"):
        draw_boxes(image[:, ::2], Boxes.empty(), in_place=True)


def test_trail_follows_the_feet_and_fades(grey):
    rows = [(frame, 2, (10 + 10 * frame, 20, 10, 40)) for frame in range(1, 13)]
    drawn = draw_trails(grey, people(*rows), frame=12, frames=12)
    changed = np.abs(drawn.astype(int) - 90).sum(axis=2)
    assert changed[60, 130] > changed[60, 80] > changed[60, 40] > 0
    assert changed[:50].sum() == 0


def test_trail_leaves_out_future_old_and_nameless_boxes(grey):
    rows = [(1, 2, (10, 20, 10, 40)), (2, 2, (30, 20, 10, 40)), (50, -1, (9, 9, 9, 9)),
            (51, -1, (30, 9, 9, 9)), (90, 5, (9, 9, 9, 9)), (91, 5, (40, 9, 9, 9))]  # fmt: skip
    assert (draw_trails(grey, people(*rows), frame=60, frames=20) == grey).all()
    assert (draw_trails(grey, Boxes.empty(), frame=1) == grey).all()


def test_density_shows_where_people_are_and_leaves_the_rest(grey):
    density = np.zeros((30, 40), np.float32)
    density[10, 20] = 0.7
    drawn = overlay_density(grey, density)
    assert np.abs(drawn[42, 82].astype(int) - 90).sum() > 100
    assert (drawn[:20] == 90).all()
    assert (overlay_density(grey, density, alpha=0.0) == grey).all()
    faint = overlay_density(grey, density, peak=70.0)
    assert np.abs(faint.astype(int) - 90).sum() < np.abs(drawn.astype(int) - 90).sum()


def test_empty_and_negative_density_change_nothing(grey):
    assert (overlay_density(grey, np.zeros((30, 40))) == grey).all()
    assert (overlay_density(grey, np.full((30, 40), -1.0)) == grey).all()


def test_density_of_wrong_rank_or_alpha_is_refused(grey):
    with pytest.raises(InputError):
        overlay_density(grey, np.zeros((3, 30, 40)))
    with pytest.raises(InputError):
        overlay_density(grey, np.zeros((30, 40)), alpha=2)


def test_mosaic_keeps_every_image(grey):
    small = np.full((60, 80, 3), 200, np.uint8)
    sheet = mosaic([grey, small, grey], columns=2, gap_px=4)
    assert sheet.shape == (244, 324, 3)
    assert (sheet[:120, :160] == 90).all() and (sheet[:60, 164:244] == 200).all()
    assert mosaic([grey]).shape == grey.shape
    assert (mosaic([grey, small], titles=["a", "b"]) != mosaic([grey, small])).any()


def test_mosaic_without_images_or_with_lacking_titles_is_refused(grey):
    with pytest.raises(InputError):
        mosaic([])
    with pytest.raises(InputError):
        mosaic([grey, grey], titles=["one"])


def test_text_is_written_into_the_corner(grey):
    drawn = draw_text(grey, "frame 12")
    assert (drawn[:20, :60] != 90).any() and (drawn[40:] == 90).all()
