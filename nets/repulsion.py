"""Repulsion: in a crowd a predicted box must not lean over to a neighbour.

RepGT of X. Wang et al., arXiv:1711.07752, eq. 3 to 6.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA = 0.5  # overlap from which the penalty rises in a straight line: ln alone has no bound at 1


def repulsion_loss(predicted: Tensor, target: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Penalty on the share of a neighbour's true box that predicted boxes cover; a scalar.

    A weighted cell's neighbour is whoever, its own person aside, overlaps the predicted box most by
    IoU. Two people of one true box are not kept apart.

    Args:
        predicted: distances to left, top, right, bottom in pixels (B, T, 4, h, w), > 0.
        target: the same for the true box.
        weight: (B, T, h, w), above 0 where a box is taught and 1 at the centres.
        stride: pixels per cell.

    Returns:
        The mean over weighted cells, 0 without any.
    """
    chosen = weight > 0
    share = weight[chosen]
    if len(share) == 0:
        return predicted.sum() * 0.0
    frame, cells = _places(chosen, stride)
    boxes = _corners(predicted.permute(0, 1, 3, 4, 2)[chosen], cells)
    own = _corners(target.permute(0, 1, 3, 4, 2)[chosen], cells)
    middles = weight >= 1
    frame_of, places = _places(middles, stride)
    people = _corners(target.permute(0, 1, 3, 4, 2)[middles], places)
    # Frame by frame: all cells by all people of a batch would be a hundred times the pairs.
    covered = torch.zeros_like(share)
    for number in sorted(set(frame_of.tolist())):
        here = frame == number
        covered[here] = _covered(boxes[here], own[here], people[frame_of == number])
    return (_smooth_ln(covered) * share).sum() / share.sum()


def _places(marked: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Number of the frame in the batch (N,) and centre in pixels (N, 2) of each marked cell."""
    clip, time, row, column = marked.nonzero(as_tuple=True)
    middle = (torch.stack([column, row], dim=1) + 0.5) * stride
    return clip * marked.shape[1] + time, middle


def _corners(distances: Tensor, cells: Tensor) -> Tensor:
    """Left, top, right, bottom in pixels, (N, 4)."""
    return torch.cat([cells - distances[:, :2], cells + distances[:, 2:]], dim=1)


def _covered(boxes: Tensor, own: Tensor, people: Tensor) -> Tensor:
    """Share of its neighbour that each predicted box covers, (N,), among people (M, 4)."""
    low = torch.maximum(boxes[:, None, :2], people[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], people[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    area, theirs = ((b[:, 2:] - b[:, :2]).clamp(min=0).prod(dim=1) for b in (boxes, people))
    iou = shared / (area[:, None] + theirs[None] - shared).clamp(min=1e-6)
    same = (own[:, None] - people[None]).abs().amax(dim=2) < 0.5  # px: one and the same box
    neighbour = iou.detach().masked_fill(same, -1.0).argmax(dim=1, keepdim=True)
    share = (shared / theirs.clamp(min=1e-6)).masked_fill(same, 0.0)
    return share.gather(1, neighbour)[:, 0]


def _smooth_ln(share: Tensor) -> Tensor:
    """−ln(1 − x), straight on from `SIGMA` (eq. 6)."""
    bent = -torch.log1p(-share.clamp(max=SIGMA))
    return bent + (share - SIGMA).clamp(min=0) / (1 - SIGMA)
