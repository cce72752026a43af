"""Keypoint label maps against a loop over cells, and back to points."""

import math

import numpy as np
import pytest

from labelmaps.keypoints import find_keypoints, keypoint_targets
from mot.errors import InputError
from mot.keypoints import Keypoints

SIZE = (70, 90)


def people(count, seed, *, labelled=0.7):
    rng = np.random.default_rng(seed)
    return Keypoints(
        frame=rng.integers(1, 4, count),
        id=np.arange(count),
        ltwh=np.column_stack([rng.uniform(-5, 40, (count, 2)), rng.uniform(20, 250, (count, 2))]),
        xy=rng.uniform(-15, 100, (count, 3, 2)),
        visibility=2 * (rng.random((count, 3)) < labelled),
        names=("a", "b", "c"),
        edges=(),
    )


@pytest.mark.parametrize("stride", [3, 4])
def test_maps_are_what_a_loop_over_cells_says(stride):
    table = people(7, stride)
    got = keypoint_targets(table, [1, 2, 3], SIZE, stride=stride)
    shape = 3, 3, math.ceil(70 / stride), math.ceil(90 / stride)
    assert got.heat.shape == got.weight.shape == shape
    for frame, point, row, column in np.ndindex(shape):
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        heat, blocked, near = 0.0, False, False
        for who in np.flatnonzero(table.frame == frame + 1):
            left, top, width, height = table.ltwh[who].tolist()
            if table.visibility[who, point]:
                sigma = max(0.04 * max(width, height), stride)
                dx, dy = (table.xy[who, point] - (x, y)).tolist()
                value = math.exp(-(dx * dx + dy * dy) / (2 * sigma * sigma))
                if abs(dx) <= 4 * sigma and abs(dy) <= 4 * sigma:
                    heat, near = max(heat, value), True
            elif left <= x < left + width and top <= y < top + height:
                blocked = True
        assert got.heat[frame, point, row, column] == pytest.approx(heat, abs=1e-6)
        if not (blocked and near):
            assert got.weight[frame, point, row, column] == (not blocked)


def test_a_labelled_point_teaches_within_the_box_of_somebody_unlabelled():
    table = Keypoints(
        frame=[1, 1], id=[1, 2], ltwh=[[0, 0, 80, 60], [0, 0, 80, 60]],
        xy=[[[20, 20]], [[0, 0]]], visibility=[[2], [0]], names=("a",), edges=(),
    )  # fmt: skip
    got = keypoint_targets(table, [1], (60, 80))
    assert got.weight[0, 0, 4, 4] == 1 and got.weight[0, 0, 14, 19] == 0


def test_nobody_gives_empty_maps_that_count():
    got = keypoint_targets(people(0, 1), [1, 2], SIZE)
    assert not got.heat.any() and got.weight.all()


def test_points_come_back_from_their_maps():
    """Anywhere but at the map's edge, to a hundredth of a pixel at stride 4."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        xy = rng.uniform((8, 8), (80, 60), (1, 5, 2))
        table = Keypoints(
            frame=[1], id=[1], ltwh=[[0, 0, 90, 70]], xy=xy, visibility=np.full((1, 5), 1),
            names=tuple("abcde"), edges=(),
        )  # fmt: skip
        heat = keypoint_targets(table, [1], SIZE).heat
        found, score = find_keypoints(heat)
        np.testing.assert_allclose(found[0], xy[0], atol=0.01)
        assert (score > 0.75).all()
        rough, _ = find_keypoints(heat, refine=False)
        assert np.abs(rough[0] - xy[0]).max() <= 2 + 1e-6


def test_flat_and_edge_maps_keep_cells_centres():
    assert find_keypoints(np.zeros((4, 5)))[0].tolist() == [2, 2]
    corner = np.zeros((2, 4, 5), np.float32)
    corner[:, 3, 4] = 1
    found, score = find_keypoints(corner)
    assert found.tolist() == [[18, 14]] * 2 and score.tolist() == [1, 1]


def test_what_cannot_be_is_refused():
    for maps in (np.zeros((3, 0, 4)), np.zeros(3), np.full((2, 2), np.nan)):
        with pytest.raises(InputError):
            find_keypoints(maps)
    with pytest.raises(InputError):
        keypoint_targets(people(1, 1), [1], SIZE, sigma_share=0)
