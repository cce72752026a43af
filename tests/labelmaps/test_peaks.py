"""Peaks: what was rendered is found again, rivals are softened, bad maps are named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelmaps.peaks import find_peaks, soften
from labelmaps.render import render
from labelmaps.targets import box_targets
from mot.boxes import iou_matrix
from mot.errors import InputError

SIZE = (240, 320)


def maps_of(boxes, size_hw=SIZE, stride=4):
    centre = render(boxes, size_hw, stride=stride, kind="centre")
    return centre, box_targets(boxes, size_hw, stride=stride).distances


def in_order(boxes):
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    return boxes[np.lexsort((boxes[:, 1], boxes[:, 0]))]


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from([4, 8]))
def test_people_apart_are_found_with_their_boxes(data, stride):
    # One person per tile of a grid, at least a cell of air between.
    boxes = []
    for row in range(3):
        for column in range(4):
            if data.draw(st.booleans()):
                w, h = data.draw(st.floats(2, 60)), data.draw(st.floats(2, 60))
                left = column * 80 + data.draw(st.floats(stride, 80 - stride - w))
                top = row * 80 + data.draw(st.floats(stride, 80 - stride - h))
                boxes.append([left, top, w, h])
    ltwh, score = find_peaks(*maps_of(boxes, stride=stride), stride=stride)
    assert ltwh.dtype == score.dtype == np.float32
    assert len(ltwh) == len(boxes)
    np.testing.assert_allclose(in_order(ltwh), in_order(boxes), atol=0.5)
    assert (score == 1).all()


def test_an_empty_map_gives_nobody():
    ltwh, score = find_peaks(np.zeros((60, 80)), np.ones((4, 60, 80)))
    assert ltwh.shape == (0, 4) and score.shape == (0,)


def test_a_map_of_ones_gives_boxes_that_do_not_claim_each_other():
    ltwh, score = find_peaks(np.ones((60, 80)), np.full((4, 60, 80), 20.0), min_score=0.5)
    assert 0 < len(ltwh) < 500
    overlap = iou_matrix(ltwh, ltwh)
    np.fill_diagonal(overlap, 0)
    assert overlap.max() < 0.6
    everything, _ = find_peaks(np.ones((60, 80)), np.full((4, 60, 80), 0.5), max_boxes=77)
    assert len(everything) == 77


def test_a_peak_that_reads_the_same_box_is_softened_away():
    centre = np.zeros((60, 80))
    centre[30, 40], centre[34, 40] = 0.9, 0.8
    distances = np.zeros((4, 60, 80))
    for row in (30, 34):
        xc, yc = 40.5 * 4, (row + 0.5) * 4
        distances[:, row, 40] = xc - 142, yc - 82, 182 - xc, 162 - yc
    ltwh, score = find_peaks(centre, distances)
    np.testing.assert_allclose(ltwh, [[142, 82, 40, 80]], atol=1e-4)
    assert score == pytest.approx([0.9])


def test_two_people_in_one_another_keep_their_scores_until_they_nearly_coincide():
    def second_score(shift_px):
        boxes = np.array([[100, 80, 40, 80], [100 + shift_px, 80, 40, 80]], np.float32)
        return soften(boxes, np.array([0.9, 0.8], np.float32), min_score=0.1, nms_iou=0.6)[1]

    assert second_score(20) == pytest.approx(0.8)  # IoU 1/3, centres apart
    assert second_score(8) == pytest.approx(0.8 * (1 - 32 / 48))
    assert second_score(0) == 0


def test_twins_leave_one_even_without_a_threshold():
    boxes = np.array([[100, 80, 40, 80]] * 3, np.float32)
    softened = soften(boxes, np.array([0.7, 0.9, 0.8], np.float32), min_score=0.0, nms_iou=0.6)
    assert softened == pytest.approx([0, 0.9, 0])


def test_small_box_on_the_centre_of_a_large_one_loses_a_little():
    boxes = np.array([[100, 80, 40, 80], [110, 100, 20, 40]], np.float32)
    softened = soften(boxes, np.array([0.9, 0.8], np.float32), min_score=0.1, nms_iou=0.6)
    assert softened == pytest.approx([0.9, 0.8 * 0.75])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.integers(0, 10**6))
def test_soften_against_naive_soft_nms(count, seed):
    rng = np.random.default_rng(seed)
    boxes = np.concatenate(
        [rng.uniform(0, 40, (count, 2)), rng.uniform(10, 60, (count, 2))], axis=1
    ).astype(np.float32)
    score = rng.uniform(0.1, 1, count).astype(np.float32)
    expected = score.astype(float).tolist()
    overlap = iou_matrix(boxes, boxes)
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    left = list(range(count))
    while left:
        best = max(left, key=lambda k: expected[k])
        left.remove(best)
        if expected[best] < 0.1:
            break
        for other in left:
            apart = (centre[other] - centre[best]) / (0.27 * boxes[best, 2:])
            if overlap[best, other] >= 0.6 or (apart**2).sum() <= 1:
                expected[other] *= 1 - overlap[best, other]
    softened = soften(boxes, score, min_score=0.1, nms_iou=0.6)
    np.testing.assert_allclose(softened, expected, atol=1e-5)


def test_best_first_and_thresholds():
    centre, distances = np.zeros((60, 80)), np.full((4, 60, 80), 6.0)
    for index, value in enumerate((0.3, 0.9, 0.05, 0.6)):
        centre[10, 10 + 15 * index] = value
    assert find_peaks(centre, distances)[1] == pytest.approx([0.9, 0.6, 0.3])
    assert find_peaks(centre, distances, min_score=0.5)[1] == pytest.approx([0.9, 0.6])
    assert find_peaks(centre, distances, max_boxes=1)[1] == pytest.approx([0.9])


def test_boxes_without_area_are_dropped():
    centre, distances = np.zeros((60, 80)), np.full((4, 60, 80), 6.0)
    centre[10, 10] = 1
    distances[2, 10, 10] = -6
    assert len(find_peaks(centre, distances)[0]) == 0


@pytest.mark.parametrize("bad", [np.nan, -0.5, 4.6, np.inf])
def test_centre_maps_that_are_no_probabilities_are_named(bad):
    centre = np.zeros((6, 8))
    centre[3, 3] = bad
    with pytest.raises(InputError, match="centre map"):
        find_peaks(centre, np.ones((4, 6, 8)))


def test_other_bad_maps_are_named():
    centre = np.zeros((6, 8))
    centre[3, 3] = 1
    with pytest.raises(InputError, match="distance map"):
        find_peaks(centre, np.full((4, 6, 8), np.nan))
    with pytest.raises(InputError, match="distance map"):
        find_peaks(centre, np.ones((4, 8, 6)))
    with pytest.raises(InputError, match="centre map"):
        find_peaks(centre[None], np.ones((4, 6, 8)))
