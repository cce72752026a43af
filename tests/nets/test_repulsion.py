"""The repulsion loss against one box at a time."""

import math

import numpy as np
import pytest
import torch

from labelmaps.targets import box_targets
from nets.repulsion import SIGMA, repulsion_loss

STRIDE = 4
SIZE_HW = (64, 96)


def taught(*people):
    """Target distances (1, 1, 4, h, w) and weights (1, 1, h, w) of boxes ltwh."""
    target = box_targets(np.array(people, np.float64), SIZE_HW, stride=STRIDE)
    return (torch.from_numpy(a)[None, None] for a in (target.distances, target.weight))


def smooth(share):
    if share <= SIGMA:
        return -math.log(1 - share)
    return (share - SIGMA) / (1 - SIGMA) - math.log(1 - SIGMA)


def overlap(box, other):
    sides = [min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1)]
    return max(sides[0], 0) * max(sides[1], 0)


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def one_at_a_time(predicted, target, weight):
    """The same by loops over cells and people of one frame."""
    cells = [(r, c) for r in range(weight.shape[0]) for c in range(weight.shape[1])]

    def box(maps, row, column):
        x, y = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
        left, top, right, bottom = (float(v) for v in maps[:, row, column])
        return x - left, y - top, x + right, y + bottom

    people = [box(target, *cell) for cell in cells if weight[cell] >= 1]
    total = weights = 0.0
    for cell in cells:
        share = float(weight[cell])
        if share == 0:
            continue
        own, guess = box(target, *cell), box(predicted, *cell)
        others = [p for p in people if max(abs(a - b) for a, b in zip(p, own, strict=True)) >= 0.5]

        def iou(other, guess=guess):
            shared = overlap(guess, other)
            return shared / (area(guess) + area(other) - shared)

        if others:
            nearest = max(others, key=iou)
            total += share * smooth(overlap(guess, nearest) / area(nearest))
        weights += share
    return total / weights


def test_it_is_what_loops_over_cells_and_people_give():
    target, weight = taught([10, 10, 16, 40], [20, 12, 18, 44], [60, 20, 12, 30])
    noise = torch.rand(target.shape, generator=torch.Generator().manual_seed(1))
    predicted = (target + 6 * noise).clamp(min=0.5)
    expected = one_at_a_time(predicted[0, 0], target[0, 0], weight[0, 0])
    assert expected > 0.05
    assert repulsion_loss(predicted, target, weight, STRIDE).item() == pytest.approx(expected)


def test_it_pushes_the_edge_that_lies_in_the_neighbour_back():
    target, weight = taught([10, 10, 16, 40], [30, 10, 16, 40])
    predicted = (target + 8 * (target != 0)).requires_grad_()  # each box reaches into the other
    repulsion_loss(predicted, target, weight, STRIDE).backward()
    left, top, right, bottom = predicted.grad[0, 0]
    first = slice(None), slice(0, 7)  # columns of the person on the left
    assert right[first].max() > 0
    assert left[first].abs().max() == 0
    assert top.abs().max() == bottom.abs().max() == 0


@pytest.mark.parametrize(
    "people", [([10, 10, 16, 40],), ([10, 10, 16, 40], [60, 10, 16, 40])], ids=["alone", "apart"]
)
def test_who_overlaps_nobody_is_left_alone(people):
    target, weight = taught(*people)
    assert repulsion_loss(target.clamp(min=0.1), target, weight, STRIDE) == 0


def test_a_frame_without_people_has_a_gradient_of_nothing():
    predicted = torch.ones((1, 1, 4, 5, 5), requires_grad=True)
    repulsion_loss(predicted, torch.zeros_like(predicted), torch.zeros(1, 1, 5, 5), 4).backward()
    assert (predicted.grad == 0).all()


def test_a_batch_is_the_mean_over_its_cells():
    """Two clips of three frames, no two alike."""
    frames = [tuple(taught([10 + 3 * n, 10, 16, 40], [20 + 2 * n, 12, 18, 44])) for n in range(6)]
    target, weight = (
        torch.cat(maps).reshape(2, 3, *maps[0].shape[2:]) for maps in zip(*frames, strict=True)
    )
    noise = torch.rand(target.shape, generator=torch.Generator().manual_seed(2))
    predicted = (target + 6 * noise).clamp(min=0.5)
    assert target.shape[:2] == (2, 3)
    total = sum(
        one_at_a_time(predicted[b, t], target[b, t], weight[b, t]) * float(weight[b, t].sum())
        for b in range(2)
        for t in range(3)
    )
    expected = total / float(weight.sum())
    assert repulsion_loss(predicted, target, weight, STRIDE).item() == pytest.approx(expected)


def test_frames_do_not_repel_each_other():
    one, two = taught([10, 10, 16, 40]), taught([14, 10, 16, 40])
    target, weight = (torch.cat(pair, dim=1) for pair in zip(one, two, strict=True))
    assert repulsion_loss(target.clamp(min=0.1), target, weight, STRIDE) == 0
