import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot.boxes import NO_ID, PEDESTRIAN, Boxes, iou_matrix
from mot.errors import InputError


def table() -> Boxes:
    return Boxes.of([2, 1, 2, 5], [[i, 2 * i, 10, 20] for i in range(4)], id=[9, 3, 4, 1])


def test_of_repeats_scalars_and_fills_defaults():
    boxes = Boxes.of(7, [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert boxes.frame.tolist() == [7, 7]
    assert boxes.id.tolist() == [NO_ID, NO_ID]
    assert boxes.cls.tolist() == [PEDESTRIAN, PEDESTRIAN]
    assert boxes.visibility.tolist() == [-1, -1]


def test_columns_are_float32_and_contiguous():
    boxes = table()
    assert boxes.x.dtype == np.float32 and boxes.x.flags.c_contiguous


def test_columns_of_different_length_are_refused():
    with pytest.raises(InputError, match="one length"):
        Boxes(*(np.zeros(3 if i else 2) for i in range(9)))


def test_empty_table_has_a_defined_answer_everywhere():
    empty = Boxes.empty()
    assert len(empty) == 0 and empty.ltwh.shape == (0, 4) and empty.ltrb.shape == (0, 4)
    assert [len(rows) for _, rows in empty.by_frame(3)] == [0, 0, 0]
    assert len(Boxes.concatenate([])) == 0
    assert iou_matrix(empty.ltwh, table().ltwh).shape == (0, 4)


def test_by_frame_yields_every_frame_in_order():
    frames = [(frame, rows.id.tolist()) for frame, rows in table().by_frame(5)]
    assert frames == [(1, [3]), (2, [9, 4]), (3, []), (4, []), (5, [1])]


def test_sorted_by_frame_then_id():
    assert table().sorted_by_frame().id.tolist() == [3, 4, 9, 1]


def test_scaled_and_back_is_itself():
    there = table().scaled(0.5, 0.25)
    assert there.ltwh[1].tolist() == [0.5, 0.5, 5, 5]
    np.testing.assert_allclose(there.scaled(2, 4).ltwh, table().ltwh)


def test_concatenate_keeps_order():
    both = Boxes.concatenate([table(), table()[:1]])
    assert both.id.tolist() == [9, 3, 4, 1, 9]


def test_iou_by_hand():
    first = [[0, 0, 10, 10]]
    second = [[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 5, 5], [0, 0, 0, 10]]
    np.testing.assert_allclose(iou_matrix(np.array(first), np.array(second)), [[1, 1 / 3, 0, 0]])


@given(st.lists(st.tuples(*[st.integers(0, 40)] * 4), min_size=1, max_size=6))
def test_iou_against_pixels_counted_one_by_one(rows):
    boxes = np.array(rows)
    matrix = iou_matrix(boxes, boxes)
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            masks = []
            for left, top, width, height in (a, b):
                mask = np.zeros((90, 90), bool)
                mask[top : top + height, left : left + width] = True
                masks.append(mask)
            union = (masks[0] | masks[1]).sum()
            wanted = (masks[0] & masks[1]).sum() / union if union else 0
            assert matrix[i, j] == pytest.approx(wanted)
