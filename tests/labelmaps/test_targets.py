"""Box targets: who owns a cell, and what it is told."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmaps.render import inside_frame
from labelmaps.targets import box_targets
from mot.errors import InputError


@st.composite
def crowds(draw):
    rows = draw(
        st.lists(
            st.tuples(st.floats(-20, 120), st.floats(-20, 90), st.floats(0, 80), st.floats(0, 80)),
            max_size=8,
        )
    )
    return np.array(rows, float).reshape(-1, 4)


@settings(max_examples=60, deadline=None)
@given(crowds(), st.sampled_from([1, 4, 8]))
def test_each_owned_cell_reads_its_owners_box_back(boxes, stride):
    targets = box_targets(boxes, (75, 101), stride=stride)
    h, w = math.ceil(75 / stride), math.ceil(101 / stride)
    assert targets.distances.shape == (4, h, w) and targets.distances.dtype == np.float32
    assert targets.weight.shape == targets.owner.shape == (h, w)
    assert ((targets.weight > 0) == (targets.owner >= 0)).all()
    assert not targets.distances[:, targets.owner < 0].any()
    rows, columns = np.nonzero(targets.owner >= 0)
    left, top, right, bottom = targets.distances[:, rows, columns]
    xc, yc = (columns + 0.5) * stride, (rows + 0.5) * stride
    read = np.stack([xc - left, yc - top, left + right, top + bottom], axis=1)
    np.testing.assert_allclose(read, boxes[targets.owner[rows, columns]], atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(crowds(), st.sampled_from([4, 8]))
def test_every_person_inside_owns_its_centre_cell_unless_a_nearer_one_has_it(boxes, stride):
    targets = box_targets(boxes, (75, 101), stride=stride)
    inside = inside_frame(boxes, (75, 101))
    assert set(np.unique(targets.owner)) - {-1} <= set(np.flatnonzero(inside))
    bottoms = boxes[:, 1] + boxes[:, 3]
    for index in np.flatnonzero(inside):
        column, row = ((boxes[index, :2] + boxes[index, 2:] / 2) // stride).astype(int)
        owner = targets.owner[row, column]
        assert targets.weight[row, column] == 1
        assert owner == index or bottoms[owner] >= bottoms[index]


def test_weight_falls_from_the_centre_and_ends_within_the_box():
    targets = box_targets([[40, 40, 80, 160]], (240, 160))
    row, column = 30, 20
    assert targets.weight[row, column] == 1
    assert (np.diff(targets.weight[row, column : column + 6]) < 0).all()
    rows, columns = np.nonzero(targets.weight)
    assert columns.max() - columns.min() + 1 <= 0.54 * 80 / 4 + 1
    assert rows.max() - rows.min() + 1 <= 0.54 * 160 / 4 + 1


def test_the_nearer_person_owns_what_both_claim():
    far, near = [40, 20, 60, 100], [44, 40, 60, 100]
    for boxes in ([far, near], [near, far]):
        targets = box_targets(boxes, (200, 200))
        shared = targets.owner[70 // 4 + 3, 72 // 4]
        assert boxes[shared] == near
        assert boxes[targets.owner[70 // 4, 70 // 4]] == far  # its own centre cell stays its own


def test_nobody():
    for nobody in ([], [[-100, 0, 10, 10]]):
        targets = box_targets(nobody, (17, 33))
        assert (targets.owner == -1).all()
        assert not targets.weight.any() and not targets.distances.any()


def test_a_box_without_area_teaches_one_cell():
    targets = box_targets([[20, 20, 0, 0]], (40, 40))
    assert np.argwhere(targets.weight).tolist() == [[5, 5]]


def test_bad_boxes_are_named():
    with pytest.raises(InputError):
        box_targets([[0, 0, float("inf"), 4]], (40, 40))
