"""Recipes for light, colour and angle: off by default, and each does what it says."""

import colorsys
import math

import numpy as np
import pytest

from mot.errors import InputError
from nets.augment import AugmentSettings
from nets.clips import sample_clip
from nets.jitter import equalise, jitter, pca_colour, rehue_people, stretch, turn
from nets.people import People
from tests.nets.test_clips import PLAIN, SIZE, Street

NOBODY = np.zeros((0, 4), np.float32)


def shades(seed=0, shape=(2, 32, 48, 3), low=60, high=120):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def person(*ltwh, identity=1.0):
    return People(np.array([ltwh], np.float32), np.array([identity]), NOBODY, NOBODY)


def test_nothing_is_drawn_or_changed_by_default():
    rng = np.random.default_rng(5)
    clip = shades()
    assert jitter(clip, (person(1, 1, 9, 9),) * 2, AugmentSettings(), rng) is clip
    assert rng.random() == np.random.default_rng(5).random()


def test_stretching_uses_the_whole_range():
    found = stretch(shades())
    assert found.min() == 0
    assert found.max() == 255
    order = np.argsort(shades(), axis=None, kind="stable")
    assert (np.diff(found.reshape(-1)[order].astype(int)) >= 0).all()
    flat = np.full((1, 8, 8, 3), 77, np.uint8)
    assert len(np.unique(stretch(flat))) == 1


def test_equalising_raises_contrast_and_keeps_hues():
    clip = shades(shape=(1, 64, 64, 1)).repeat(3, axis=3)
    found = equalise(clip)
    assert found.std() > 1.5 * clip.std()
    assert np.ptp(found.astype(int), axis=3).max() <= 3  # grey stays grey


def test_colours_move_along_their_principal_axes():
    """Against the eigenvectors of the covariance, found by a singular value decomposition."""
    rng = np.random.default_rng(1)
    base = rng.normal(0, 1, (1, 40, 40, 1)) * [9, 6, 2] + rng.normal(0, 2, (1, 40, 40, 3)) + 120
    clip = base.round().astype(np.uint8)
    sample = clip[:, ::4, ::4].reshape(-1, 3) / 255
    centred = sample - sample.mean(axis=0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    variance = size**2 / (len(sample) - 1)
    shift = (pca_colour(clip, np.array([0, 0, 40.0])).astype(float) - clip).mean(axis=(0, 1, 2))
    expected = 255 * 40 * variance[0] * axes[0]
    sign = np.sign(shift @ expected)
    np.testing.assert_allclose(shift, sign * expected, atol=0.6)
    assert (pca_colour(clip, np.zeros(3)) == clip).all()


def test_clothes_change_their_hue_and_nothing_else():
    clip = np.tile(np.array([200, 60, 40], np.uint8), (2, 20, 30, 1))
    people = (person(4, 5, 8, 10), person(6, 5, 8, 10))
    found = rehue_people(clip, people, np.random.default_rng(3))
    inside = [found[0, 5:15, 4:12].reshape(-1, 3), found[1, 5:15, 6:14].reshape(-1, 3)]
    assert (inside[0] == inside[1]).all()  # one person, one colour through the clip
    before = colorsys.rgb_to_hsv(*(clip[0, 0, 0] / 255))
    after = colorsys.rgb_to_hsv(*(inside[0][0] / 255))
    assert after[0] != pytest.approx(before[0], abs=0.01)
    assert after[1:] == pytest.approx(before[1:], abs=0.02)
    found[0, 5:15, 4:12] = found[1, 5:15, 6:14] = clip[0, 0, 0]
    assert (found == clip).all()


@pytest.mark.parametrize("degrees", [-20.0, 7.0, 45.0])
def test_boxes_turn_with_the_picture(degrees):
    clip = np.zeros((1, 61, 81, 3), np.uint8)
    clip[0, 18:23, 48:53] = 255
    turned, (people,) = turn(clip, (person(48, 18, 5, 5),), degrees)
    rows, columns = np.nonzero(turned[0, :, :, 0] > 127)
    x, y, w, h = people.ltwh[0]
    assert (x + w / 2, y + h / 2) == pytest.approx(
        (columns.mean() + 0.5, rows.mean() + 0.5), abs=0.6
    )
    # By hand: anticlockwise as one sees it, where y grows downwards.
    angle, dx, dy = math.radians(degrees), 50.5 - 40.5, 20.5 - 30.5
    assert x + w / 2 == pytest.approx(40.5 + dx * math.cos(angle) + dy * math.sin(angle), abs=1e-4)
    assert (w, h) == (5, 5)


def test_only_people_of_a_size_teach_and_others_are_ignored():
    settings = AugmentSettings(**{**vars(PLAIN), "teach_px": (40.0, 90.0)})
    rng = np.random.default_rng(0)
    none = sample_clip(Street(), 2, settings, rng)
    assert all(len(p.ltwh) == 0 and len(p.ignored) == 1 for p in none.people)
    settings = AugmentSettings(**{**vars(PLAIN), "teach_px": (30.0, 90.0)})
    some = sample_clip(Street(), 2, settings, np.random.default_rng(0))
    assert all(len(p.ltwh) == 1 for p in some.people)


def test_a_turned_training_clip_keeps_its_people_in_their_boxes():
    settings = AugmentSettings(**{**vars(PLAIN), "rotate": 10.0})
    for seed in range(5):
        clip = sample_clip(Street(), 2, settings, np.random.default_rng(seed))
        assert clip.frames.shape == (2, *SIZE, 3)
        for frame, people in zip(clip.frames, clip.people, strict=True):
            for x, y, w, h in people.ltwh:
                column, row = int(x + w / 2), int(y + h / 2)
                assert frame[row, column, 0] == 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"equalise_share": 2.0}, "--equalise-share: expected a share in 0..1"),
        ({"stretch_share": -0.1}, "--stretch-share: expected"),
        ({"hue_share": math.nan}, "--hue-share: expected"),
        ({"pca": -1.0}, "--pca: expected"),
        ({"rotate": 90.0}, "--rotate: expected an angle"),
        ({"teach_px": (90.0, 30.0)}, "--teach-px: expected two rising heights"),
    ],
)
def test_settings_that_cannot_be_used(settings, words):
    with pytest.raises(InputError) as caught:
        AugmentSettings(**settings)
    assert words in str(caught.value)
