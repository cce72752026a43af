import pickle

import cv2
import numpy as np
import pytest

from mot.errors import InputError
from nets.cutouts import LARGEST_CUT_PX, open_cutouts

SIZE = (140, 200)


def stand(mask, value, left, top, width=30, height=70):
    """Paint a person: a head, a body and two legs."""
    person = np.zeros((70, 30), np.uint8)
    cv2.circle(person, (15, 9), 9, value, -1)
    person[18:] = value
    person[40:, 12:18] = 0
    fitted = cv2.resize(person, (width, height), interpolation=cv2.INTER_NEAREST)
    window = mask[top : top + height, left : left + width]
    window[:] = np.maximum(window, fitted[: len(window), : window.shape[1]])


@pytest.fixture
def photo(tmp_path):
    """Write a photo of noise with a mask; returns the photo as RGB."""

    def write(mask, name="a", size=SIZE):
        image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        if mask is not None:
            cv2.imwrite(str(tmp_path / f"{name}_mask.png"), mask)
        return image[:, :, ::-1]

    return write


def refusal(*folders):
    with pytest.raises(InputError) as caught:
        open_cutouts(folders)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_people_are_cut_along_their_outlines(photo, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    stand(mask, 1, 20, 30)
    stand(mask, 2, 100, 40, width=40, height=80)
    image = photo(mask)
    bank = open_cutouts([tmp_path])
    assert len(bank) == 2
    for index, value in enumerate((1, 2)):
        cutout = bank.read(index)
        rows, columns = np.nonzero(mask == value)
        box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert np.array_equal(cutout[:, :, :3], image[box])
        assert np.array_equal(cutout[:, :, 3], np.where(mask[box] == value, 255, 0))


def test_colours_of_a_palette_tell_people_apart(photo, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    stand(mask, 1, 20, 30)
    stand(mask, 2, 100, 40)
    photo(np.array([[0, 0, 0], [0, 0, 128], [0, 128, 0]], np.uint8)[mask])
    assert len(open_cutouts([tmp_path])) == 2


@pytest.mark.parametrize(
    "place",
    [
        {"height": 55},
        {"left": 0},
        {"top": 0},
        {"left": 170},
        {"top": 70},
        {"width": 80},
        {"width": 40, "height": 50},
    ],
    ids=str,
)
def test_who_is_low_wide_or_cut_by_the_border_is_left_out(place, photo, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    stand(mask, 1, **({"left": 100, "top": 20} | place))
    photo(mask)
    whole = np.zeros(SIZE, np.uint8)
    stand(whole, 1, 100, 20)
    photo(whole, "b")
    assert len(open_cutouts([tmp_path])) == 1


def test_outlines_that_are_no_person_or_stand_against_another_are_left_out(photo, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[20:90, 20:50] = 1  # a full rectangle
    mask[20:90, 70], mask[89, 70:100] = 2, 2  # a bare corner
    stand(mask, 3, 120, 30)
    stand(mask, 4, 150, 35)
    photo(mask)
    assert "expected a whole person of 60 px or more" in refusal(tmp_path)


def test_large_people_are_shrunk(photo, tmp_path):
    mask = np.zeros((700, 300), np.uint8)
    stand(mask, 1, 50, 50, width=200, height=600)
    photo(mask, size=mask.shape)
    assert open_cutouts([tmp_path]).read(0).shape == (LARGEST_CUT_PX, 133, 4)


def test_copies_for_other_processes_are_light_and_the_same(photo, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    stand(mask, 1, 20, 30)
    photo(mask)
    bank = open_cutouts([tmp_path])
    before = bank.read(0)
    packed = pickle.dumps(bank)
    assert len(packed) < before.nbytes / 2
    assert np.array_equal(pickle.loads(packed).read(0), before)


def test_folders_without_people_are_refused_in_one_line(photo, tmp_path):
    assert "no such folder; check --cutouts" in refusal(tmp_path / "none")
    photo(None)
    assert "NAME_mask.png beside them, got no mask" in refusal(tmp_path)
    photo(np.zeros(SIZE, np.uint8))
    assert "got none" in refusal(tmp_path)


def test_a_mask_of_another_size_is_refused(photo, tmp_path):
    mask = np.zeros((140, 180), np.uint8)
    stand(mask, 1, 20, 30)
    photo(mask)
    with pytest.raises(InputError, match=r"a_mask.png: expected 200x140, the size of its photo"):
        open_cutouts([tmp_path]).read(0)
