import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot.boxes import iou_matrix
from reid import cost
from reid.cost import near_pairs, overlapping_pairs


def crowd(rng, count, extent=800.0):
    sizes = np.exp(rng.normal(3.5, 0.7, (count, 2)))
    return np.column_stack([rng.uniform(-100, extent, (count, 2)), sizes])


@pytest.mark.parametrize("min_iou", [0.0, 0.2, 0.5, 0.85])
@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (40, 60), (300, 250)])
def test_pairs_are_those_of_the_full_matrix(shape, min_iou):
    rng = np.random.default_rng(3)
    first = crowd(rng, shape[0])
    second = crowd(rng, shape[1])
    half = min(shape) // 2
    second[:half] = first[:half] + rng.normal(0, 2, (half, 4))
    second[:, 2:] = np.maximum(second[:, 2:], 1)
    full = iou_matrix(first, second)
    row, column = np.nonzero((full >= min_iou) & (full > 0))
    pairs = overlapping_pairs(first, second, min_iou)
    npt.assert_array_equal(pairs.row, row)
    npt.assert_array_equal(pairs.column, column)
    npt.assert_allclose(pairs.iou, full[row, column], rtol=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9]),
    st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_the_grid_loses_no_pair(seed, count, min_iou, zoom):
    rng = np.random.default_rng(seed)
    first = crowd(rng, count, extent=rng.choice([1.0, 100.0, 1e6])) * zoom
    second = np.concatenate([first * rng.uniform(0.97, 1.03, first.shape), crowd(rng, count)])
    row, column = near_pairs(first, second, min_iou)
    found = set(zip(row.tolist(), column.tolist(), strict=True))
    assert len(found) == len(row)
    full = iou_matrix(first, second)
    assert set(zip(*np.nonzero((full >= min_iou) & (full > 0)), strict=True)) <= found


def test_equal_boxes_all_pair_up():
    boxes = np.tile([[3.0, 4, 10, 20]], (7, 1))
    row, _ = near_pairs(boxes, boxes, 0.5)
    assert len(row) == 49
    assert overlapping_pairs(boxes, boxes, 0.5).iou == pytest.approx(1.0)


def test_candidates_grow_with_the_crowd_not_with_its_square():
    rng = np.random.default_rng(0)
    counts = []
    for count in (500, 2000):
        # The same density on four times the area.
        boxes = np.column_stack(
            [rng.uniform(0, 40 * count**0.5, (count, 2)), np.full((count, 2), 40)]
        )
        counts.append(len(near_pairs(boxes, boxes, 0.3)[0]))
    assert counts[1] < 4.5 * counts[0]
    assert counts[1] < 0.01 * 2000**2


def test_one_giant_box_does_not_widen_the_search_of_the_others(monkeypatch):
    monkeypatch.setattr(cost, "_DENSE_PAIRS", 0)
    rng = np.random.default_rng(0)
    first = np.column_stack([rng.uniform(0, 2000, (400, 2)), np.full((400, 2), 30)])
    giant = np.array([[0.0, 0, 2000, 2000]])
    plain = len(near_pairs(first, first, 0.3)[0])
    mixed = len(near_pairs(np.concatenate([first, giant]), np.concatenate([first, giant]), 0.3)[0])
    assert mixed <= plain + 900
