"""Losses between predicted maps and targets, each in units of its own so that none needs tuning.

The map losses of the menu compare densities; heads other than density have one loss each. A cell
under an ignore region counts in none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from labelmaps.kernels import DENSITY_KINDS
from mot.errors import require_setting
from mot.shapes import expect
from nets.repulsion import repulsion_loss

FOCAL_REGRESSION_BETA = 1.0  # per unit of normalised error
FOCAL_ALPHA, FOCAL_BETA = 2.0, 4.0  # exponents of CornerNet, arXiv:1808.01244
L1_SHARE = 0.2  # of the box loss: pixel distances beside GIoU


@dataclass(frozen=True)
class Targets:
    """What the net should have said, for a batch of clips.

    Maps of heads that the net does not have may be empty.

    Attributes:
        density: people per cell (B, T, h, w), hidden ones too, before labelrate.
        centre: heatmap with 1 at each centre cell (B, T, h, w).
        box: distances to left, top, right, bottom edges in input pixels (B, T, 4, h, w).
        box_weight: weight of a cell in the box loss, 0 = none (B, T, h, w).
        valid: 0 under ignore regions, else 1 (B, T, h, w).
        detectable: as valid, and 0 where people are hidden: no centre is asked for there, and one
            is no mistake (B, T, h, w).
        motion: displacement x, y to the next frame in input pixels (B, T, 2, h, w).
        motion_weight: box_weight where a person's next position is known, else 0 (B, T, h, w).
        seg: 1 where a cell's centre lies in the box of somebody who can be seen (B, T, h, w).
    """

    density: Tensor
    centre: Tensor
    box: Tensor
    box_weight: Tensor
    valid: Tensor
    detectable: Tensor
    motion: Tensor
    motion_weight: Tensor
    seg: Tensor

    def to(self, device: torch.device) -> Targets:
        """Move all maps to a device."""
        return Targets(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class LossSettings:
    """Which losses, and in which units."""

    loss: tuple[str, ...] = ("mse", "count")
    """Losses on the density map, added up: mse, l1, focal, count."""
    labelrate: float = 30.0
    """Gain on the label map under --raw-loss; without it, it cancels and changes nothing."""
    label: str = "gaussian"
    """Kind of label map: quadratic, gaussian, adaptive, half, point or box."""
    curriculum: tuple[str, ...] = ()
    """Kinds of label map that follow each other in the place of --label: quadratic half point."""
    curriculum_shares: tuple[float, ...] = ()
    """Shares of the steps that the stages of --curriculum get; none named = all alike."""
    target: str = "density"
    """density, or seg: in its place a mask of the boxes, filled, and a loss per cell."""
    raw_loss: bool = False
    """As in 2019: sums of differences in label units, and a ReLU density; no normalised means."""
    density_weight: float = 0.3
    """Weight of the density losses beside the detection heads'; 1 where density is alone."""
    centre_weight: float = 1.0
    """Weight of the centre head's focal loss."""
    box_weight: float = 1.0
    """Weight of the box head's GIoU + L1 loss."""
    repulsion_weight: float = 0.0
    """Weight of the penalty on predicted boxes that lean over to a neighbour's; 0 = none."""
    motion_weight: float = 0.1
    """Weight of the motion head's L1 loss."""
    seg_weight: float = 1.0
    """Weight of the mask's cross-entropy."""
    positive_weight: float = 1.0
    """Weight of a mask's cells in a box beside those outside, in the cross-entropy."""
    label_smoothing: float = 0.0
    """Share of certainty that is taken from the mask: s asks for s / 2 and 1 − s / 2."""

    def __post_init__(self) -> None:
        for name in ("loss", "curriculum", "curriculum_shares"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        known = bool(self.loss) and set(self.loss) <= set(DENSITY_LOSSES)
        require_setting(self, "loss", known, f"some of {', '.join(DENSITY_LOSSES)}")
        require_setting(self, "labelrate", 0 < self.labelrate < 1e9, "a gain above 0, such as 30")
        kinds = ", ".join(DENSITY_KINDS)
        require_setting(self, "label", self.label in DENSITY_KINDS, f"one of {kinds}")
        known = set(self.curriculum) <= set(DENSITY_KINDS)
        require_setting(self, "curriculum", known, f"some of {kinds}")
        shares = self.curriculum_shares
        fits = not shares or (len(shares) == len(self.curriculum) and min(shares) > 0)
        require_setting(self, "curriculum_shares", fits, "a share above 0 for each stage, or none")
        require_setting(self, "target", self.target in ("density", "seg"), "density or seg")
        of_density = self.target == "density" or not self.raw_loss
        require_setting(self, "raw_loss", of_density, "not with --target seg, which has one loss")
        smooth = 0 <= self.label_smoothing < 1
        require_setting(self, "label_smoothing", smooth, "a share in [0, 1)")
        require_setting(self, "positive_weight", 0 < self.positive_weight < 1e9, "above 0")
        for head in ("density", "centre", "box", "repulsion", "motion", "seg"):
            name = f"{head}_weight"
            require_setting(self, name, 0 <= getattr(self, name) < 1e9, "a weight of 0 or more")

    @property
    def last_label(self) -> str:
        """Kind of label map that the trained net is to give: the curriculum's last, or --label."""
        return self.curriculum[-1] if self.curriculum else self.label


def mse(error: Tensor, valid: Tensor) -> Tensor:
    """Sum of squared errors over the valid cells of each frame; (B, T, h, w) → (B, T)."""
    return (error.square() * valid).sum(dim=(-2, -1))


def l1(error: Tensor, valid: Tensor) -> Tensor:
    """Sum of absolute errors over the valid cells of each frame; (B, T, h, w) → (B, T)."""
    return (error.abs() * valid).sum(dim=(-2, -1))


def focal(error: Tensor, valid: Tensor) -> Tensor:
    """As l1 with small errors damped: Focal-R (arXiv:2102.09554), γ = 1; → (B, T)."""
    size = error.abs()
    damped = (2 * torch.sigmoid(FOCAL_REGRESSION_BETA * size) - 1) * size
    return (damped * valid).sum(dim=(-2, -1))


def count(error: Tensor, valid: Tensor) -> Tensor:
    """Absolute error of each frame's sum over its valid cells; (B, T, h, w) → (B, T)."""
    return (error * valid).sum(dim=(-2, -1)).abs()


@dataclass(frozen=True)
class DensityLoss:
    """A loss between density maps.

    Attributes:
        of: (error, valid), both (B, T, h, w) → sum over each frame's valid cells (B, T).
        share: what a normalised mean of it is multiplied by, so that an error of one person per
            person-sized spot is worth about 1: a spot's density is tens of times the mean, which
            squared would drown the other losses. The count, which pushes all cells alike, has less:
            it would settle the sum before the net knows where people are, and hold it back.
    """

    of: Callable[[Tensor, Tensor], Tensor]
    share: float


DENSITY_LOSSES: dict[str, DensityLoss] = {
    "mse": DensityLoss(mse, 0.02),
    "l1": DensityLoss(l1, 0.5),
    "focal": DensityLoss(focal, 0.5),
    "count": DensityLoss(count, 0.05),
}


def density_loss(
    predicted: Tensor, target: Tensor, valid: Tensor, settings: LossSettings, unit: float
) -> Tensor:
    """Loss between density maps (B, T, h, w) in people per cell; a scalar.

    Normalised, both maps are divided by `unit`, the mean people per cell over the training data
    (labelrate, a factor of map and unit alike, cancels), the loss is a mean over a frame's valid
    cells, and every frame of the clip weighs the same.
    Raw, the map in label units enters as it is and cells are added up, as in 2019.
    """
    expect(predicted, "B T h w", "density")
    losses = [DENSITY_LOSSES[name] for name in settings.loss]
    if settings.raw_loss:
        error = settings.labelrate * (predicted - target)
        sums = [loss.of(error, valid) for loss in losses]
        return torch.stack(sums).sum(dim=0).mean()
    error = (predicted - target) / unit
    cells = valid.sum(dim=(-2, -1)).clamp(min=1)
    means = [loss.share * loss.of(error, valid) / cells for loss in losses]
    return torch.stack(means).sum(dim=0).mean()


def centre_loss(logits: Tensor, heatmap: Tensor, valid: Tensor) -> Tensor:
    """Penalty-reduced focal loss of CornerNet (arXiv:1808.01244, eq. 1) over (B, T, h, w).

    Divided by the number of centres; a batch without people is divided by 1.
    """
    positive = (heatmap >= 1.0).float() * valid
    negative = (1.0 - heatmap).pow(FOCAL_BETA) * (1.0 - (heatmap >= 1.0).float()) * valid
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    p = torch.sigmoid(logits)
    gain = (1 - p).pow(FOCAL_ALPHA) * log_p * positive
    penalty = p.pow(FOCAL_ALPHA) * log_q * negative
    return -(gain.sum() + penalty.sum()) / positive.sum().clamp(min=1.0)


def box_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """GIoU (arXiv:1902.09630) plus L1 relative to the box's size, at weighted cells.

    Args:
        predicted: distances to left, top, right, bottom in pixels (B, T, 4, h, w), > 0.
        target: the same for the true box; its edges may lie on either side of the cell.
        weight: (B, T, h, w).
    """
    chosen = weight > 0
    if not bool(chosen.any()):
        return predicted.sum() * 0.0
    pred = predicted.permute(0, 1, 3, 4, 2)[chosen]
    true = target.permute(0, 1, 3, 4, 2)[chosen]
    share = weight[chosen]
    giou = _giou(pred, true)
    size = (true[:, :2] + true[:, 2:]).clamp(min=1.0).repeat(1, 2)
    relative = ((pred - true).abs() / size).sum(dim=1)
    return ((1 - giou + L1_SHARE * relative) * share).sum() / share.sum()


def _giou(pred: Tensor, true: Tensor) -> Tensor:
    """Generalised IoU of boxes given as distances from a shared point, (N, 4) each."""
    inner, outer = torch.minimum(pred, true), torch.maximum(pred, true)
    shared_size = (inner[:, :2] + inner[:, 2:]).clamp(min=0)
    hull_size = outer[:, :2] + outer[:, 2:]
    area_pred = (pred[:, :2] + pred[:, 2:]).prod(dim=1)
    area_true = (true[:, :2] + true[:, 2:]).prod(dim=1)
    shared, hull = shared_size.prod(dim=1), hull_size.prod(dim=1).clamp(min=1e-6)
    union = (area_pred + area_true - shared).clamp(min=1e-6)
    return shared / union - (hull - union) / hull


def motion_loss(predicted: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute displacement error in input pixels at weighted cells; (B, T, 2, h, w)."""
    error = (predicted - target).abs().sum(dim=2) * weight
    return error.sum() / weight.sum().clamp(min=1.0)


def seg_loss(logits: Tensor, mask: Tensor, valid: Tensor, settings: LossSettings) -> Tensor:
    """Cross-entropy per valid cell between logits and a mask of 0 and 1, (B, T, h, w) each.

    Cells in the mask weigh `positive_weight`; the mean is over weights. Label smoothing after
    Szegedy et al., arXiv:1512.00567.
    """
    asked = mask + settings.label_smoothing * (0.5 - mask)
    weight = (1 + (settings.positive_weight - 1) * mask) * valid
    entropy = F.binary_cross_entropy_with_logits(logits, asked, reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp(min=1e-6)


def total_loss(
    maps: dict[str, Tensor], targets: Targets, settings: LossSettings, unit: float, stride: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the losses of the heads that the net has, and each loss by name.

    Args:
        maps: what the net returned, each (B, T, C, h, w).
        targets: the truth at the same stride.
        settings: weights and kinds.
        unit: of the density loss, mean people per cell over the training data.
        stride: pixels per cell.
    """
    parts: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    if "density" in maps:
        density = maps["density"][:, :, 0]
        parts["density"] = density_loss(density, targets.density, targets.valid, settings, unit)
        weights["density"] = settings.density_weight if len(maps) > 1 else 1.0
    if "centre" in maps:
        parts["centre"] = centre_loss(maps["centre"][:, :, 0], targets.centre, targets.detectable)
        weights["centre"] = settings.centre_weight
    if "box" in maps:
        parts["box"] = box_loss(maps["box"], targets.box, targets.box_weight)
        weights["box"] = settings.box_weight
        if settings.repulsion_weight:
            boxes = maps["box"], targets.box, targets.box_weight
            parts["repulsion"] = repulsion_loss(*boxes, stride)
            weights["repulsion"] = settings.repulsion_weight
    if "motion" in maps:
        parts["motion"] = motion_loss(maps["motion"], targets.motion, targets.motion_weight)
        weights["motion"] = settings.motion_weight
    if "seg" in maps:
        parts["seg"] = seg_loss(maps["seg"][:, :, 0], targets.seg, targets.detectable, settings)
        weights["seg"] = settings.seg_weight
    total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
    return total, parts
