import dataclasses

import numpy as np
import pytest

from mot.errors import InputError
from nets.augment import OUTSIDE_VALUE, Augmentation, AugmentSettings, draw_augmentation, recolour

PLAIN = AugmentSettings(crop=(64, 96), colour=0.0, blur_share=0.0, noise=0.0)
NOBODY = np.empty((0, 4), np.float32)


def square(image_hw, ltwh):
    """A black frame with a white box."""
    image = np.zeros((*image_hw, 3), np.uint8)
    x, y, w, h = (int(v) for v in ltwh)
    image[y : y + h, x : x + w] = 255
    return image


def found(crop):
    """Left, top, right, bottom of what is white in a crop; grey outside is below the threshold."""
    rows, columns = np.nonzero(crop[..., 0] > 127)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def expected_ltrb(draw, ltwh, frame=0):
    moved = draw.boxes(np.array([ltwh], np.float32), frame)[0]
    height, width = draw.crop
    corners = np.array([moved[0], moved[1], moved[0] + moved[2], moved[1] + moved[3]])
    return np.clip(corners, 0, [width, height, width, height])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scale", [0.25, 0.47, 0.8, 1.0, 1.31, 3.0])
def test_boxes_and_pixels_move_together(scale, flip):
    rng = np.random.default_rng(int(100 * scale))
    box = (101, 53, 33, 47)
    image = square((150, 260), box)
    centre = np.array([101 + 33 / 2, 53 + 47 / 2]) * scale
    for _ in range(20):
        offset = centre - np.array([96, 64]) * rng.uniform(0.3, 0.7, 2)
        draw = Augmentation(scale, offset[None], flip, (64, 96))
        assert found(draw.apply(image, 0)) == pytest.approx(expected_ltrb(draw, box), abs=1.01)


def test_without_scale_a_crop_is_a_cut():
    image = np.random.default_rng(0).integers(0, 255, (100, 150, 3), np.uint8)
    draw = Augmentation(1.0, np.array([[7.0, 11.0]]), False, (64, 96))
    assert np.array_equal(draw.apply(image, 0), image[11:75, 7:103])


def test_flipped_twice_is_itself():
    image = np.random.default_rng(0).integers(0, 255, (100, 150, 3), np.uint8)
    boxes = np.array([[10, 20, 30, 40], [-5, 0, 8, 90]], np.float32)
    draw = Augmentation(0.9, np.array([[3.3, 4.4]]), False, (64, 96))
    mirrored = dataclasses.replace(draw, flip=True)
    assert np.array_equal(mirrored.apply(image, 0)[:, ::-1], draw.apply(image, 0))
    again = Augmentation(1.0, np.zeros((1, 2)), True, (64, 96))
    back = again.boxes(mirrored.boxes(boxes, 0), 0)
    np.testing.assert_allclose(back, draw.boxes(boxes, 0), atol=1e-4)


def test_beyond_the_frame_lies_grey():
    image = np.full((40, 40, 3), 255, np.uint8)
    crop = Augmentation(1.0, np.array([[-10.0, -20.0]]), False, (64, 96)).apply(image, 0)
    assert (crop[20:60, 10:50] == 255).all()
    crop[20:60, 10:50] = OUTSIDE_VALUE
    assert (crop == OUTSIDE_VALUE).all()
    for offset in ([500.0, 0.0], [0.0, -500.0]):
        missed = Augmentation(1.0, np.array([offset]), False, (64, 96)).apply(image, 0)
        assert (missed == OUTSIDE_VALUE).all()


def test_all_frames_of_a_clip_share_one_draw():
    rng = np.random.default_rng(0)
    for _ in range(10):
        draw = draw_augmentation((150, 260), NOBODY, 5, PLAIN, rng, drift=False)
        assert (draw.offset == draw.offset[0]).all()


def test_the_crop_drifts_evenly_over_a_photo():
    rng = np.random.default_rng(0)
    draw = draw_augmentation((150, 260), NOBODY, 5, PLAIN, rng, drift=True)
    steps = np.diff(draw.offset, axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape))
    assert np.abs(steps).max() > 0


def test_crops_stay_on_a_frame_that_is_larger():
    rng = np.random.default_rng(1)
    people = np.array([[0, 0, 10, 20], [240, 120, 20, 30]], np.float32)
    for _ in range(50):
        draw = draw_augmentation((150, 260), people, 1, PLAIN, rng, drift=False)
        end = draw.offset[0] + [96, 64]
        assert (draw.offset[0] >= 0).all()
        assert (end <= np.array([260, 150]) * draw.scale + 1e-9).all()


def test_person_px_decides_the_height_of_who_is_in_the_middle():
    settings = dataclasses.replace(
        PLAIN, person_px=(30.0, 50.0), scale=(0.1, 4.0), background_share=0.0
    )
    rng = np.random.default_rng(2)
    person = np.array([[100, 20, 40, 100]], np.float32)
    heights = [
        draw_augmentation((300, 400), person, 1, settings, rng, drift=False).boxes(person, 0)[0, 3]
        for _ in range(50)
    ]
    assert 30 <= min(heights) < 35
    assert 45 < max(heights) <= 50.001


def test_colours_change_the_same_way_in_all_frames():
    settings = dataclasses.replace(PLAIN, colour=0.5)
    frame = np.random.default_rng(3).integers(0, 255, (16, 20, 3), np.uint8)
    changed = recolour(np.stack([frame] * 3), settings, np.random.default_rng(4))
    assert changed.shape == (3, 16, 20, 3)
    assert changed.dtype == np.uint8
    assert (changed == changed[0]).all()
    assert (changed[0] != frame).any()


def test_blur_and_noise_keep_type_and_size():
    settings = dataclasses.replace(PLAIN, blur_share=1.0, noise=20.0)
    clip = np.full((2, 16, 20, 3), 128, np.uint8)
    for seed in range(6):
        changed = recolour(clip, settings, np.random.default_rng(seed))
        assert changed.shape == clip.shape
        assert changed.dtype == np.uint8


def test_no_augmentation_changes_nothing():
    clip = np.random.default_rng(0).integers(0, 255, (2, 16, 20, 3), np.uint8)
    assert np.array_equal(recolour(clip, PLAIN, np.random.default_rng(0)), clip)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"crop": (16, 64)}, "--crop"),
        ({"crop": (64,)}, "--crop"),
        ({"scale": (1.2, 0.8)}, "--scale"),
        ({"scale": (0.0, 1.0)}, "--scale"),
        ({"person_px": (50.0, 20.0)}, "--person-px"),
        ({"frame_steps": ()}, "--frame-steps"),
        ({"frame_steps": (0,)}, "--frame-steps"),
        ({"background_share": 1.5}, "--background-share"),
        ({"colour": -0.1}, "--colour"),
        ({"noise": float("nan")}, "--noise"),
        ({"paste_share": 1.5}, "--paste-share"),
        ({"paste_most": 0}, "--paste-most"),
    ],
)
def test_unusable_settings_are_refused(change, flag):
    with pytest.raises(InputError, match=f"^{flag}: expected"):
        AugmentSettings(**change)
