"""Losses that pull crops of one person together: triplets mined in the batch, and a classifier.

Distances are Euclidean between features (B, D). A triplet is an anchor, another crop of the same
person (positive) and a crop of someone else (negative).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from mot.errors import require_setting
from mot.shapes import expect

SMALLEST_SQUARE = 1e-12  # the root's gradient is infinite at 0


@dataclass(frozen=True)
class ReidLossSettings:
    """Which losses, and how they are weighed."""

    triplet: str = "hard"
    """Mining of triplets: hard (hardest positive and negative per anchor), all, or none."""
    margin: float = 0.3
    """Distance by which negatives should be farther than positives; 0 = soft margin."""
    triplet_weight: float = 1.0
    """Weight of the triplet loss."""
    classify: str = "cosine"
    """Classifier over the training identities: linear, cosine or none."""
    smoothing: float = 0.1
    """Share of the label spread over the other identities."""

    def __post_init__(self) -> None:
        require = partial(require_setting, self)
        require("triplet", self.triplet in (*TRIPLETS, "none"), "hard, all or none")
        require("classify", self.classify in ("linear", "cosine", "none"), "linear, cosine or none")
        some = self.triplet != "none" or self.classify != "none"
        require("triplet", some, "a loss: --triplet or --classify")
        for name in ("margin", "triplet_weight"):
            require(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        require("smoothing", 0 <= self.smoothing < 1, "a share in [0, 1)")


def pairwise_distances(features: Tensor) -> Tensor:
    """Euclidean distances between all rows, (B, D) to (B, B)."""
    expect(features, "B D", "features")
    squares = features.square().sum(dim=1)
    square = squares[:, None] + squares[None, :] - 2 * features @ features.T
    return square.clamp(min=SMALLEST_SQUARE).sqrt()


def batch_hard(distance: Tensor, identity: Tensor, margin: float) -> Tensor:
    """Per anchor the farthest positive and the nearest negative (arXiv:1703.07737).

    Anchors without a positive or a negative do not count.

    Args:
        distance: (B, B).
        identity: (B,).
        margin: 0 = soft margin, log(1 + exp(x)).

    Returns:
        (A,) losses of the anchors that have a triplet.
    """
    positive, negative = _pairs(identity)
    farthest = distance.masked_fill(~positive, -math.inf).amax(dim=1)
    nearest = distance.masked_fill(~negative, math.inf).amin(dim=1)
    usable = positive.any(dim=1) & negative.any(dim=1)
    return _hinge(farthest[usable] - nearest[usable], margin)


def batch_all(distance: Tensor, identity: Tensor, margin: float) -> Tensor:
    """All triplets with a loss above 0 (arXiv:1703.07737); (A,) losses."""
    positive, negative = _pairs(identity)
    gap = distance[:, :, None] - distance[:, None, :]
    losses = _hinge(gap[positive[:, :, None] & negative[:, None, :]], margin)
    return losses[losses > 0]


TRIPLETS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "hard": batch_hard,
    "all": batch_all,
}


def triplet_loss(features: Tensor, identity: Tensor, settings: ReidLossSettings) -> Tensor:
    """Mean loss over the mined triplets; 0 (with a gradient of 0) where there is none."""
    distance = pairwise_distances(features.float())
    losses = TRIPLETS[settings.triplet](distance, identity, settings.margin)
    return losses.mean() if len(losses) else features.sum() * 0.0


def cosine_scale(identities: int) -> float:
    """Scale of a cosine softmax over n classes, √2 · log(n − 1) (AdaCos, arXiv:1905.00292)."""
    return math.sqrt(2) * math.log(max(identities - 1, 2))


def _pairs(identity: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (B, B) of positives, self excluded, and of negatives."""
    same = identity[:, None] == identity[None, :]
    itself = torch.eye(len(identity), dtype=torch.bool, device=identity.device)
    return same & ~itself, ~same


def _hinge(gap: Tensor, margin: float) -> Tensor:
    return F.relu(gap + margin) if margin > 0 else F.softplus(gap)
