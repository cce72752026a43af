"""The job of a pose net: its loss, its log row and its weights file, for `nets.training.train`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from labelmaps.keypoints import find_keypoints
from mot.shapes import expect
from nets.curves import draw_curves
from nets.frame_stack import FrameStack
from nets.loader import load_batches
from nets.pose_crops import PoseBatches, PoseTargets
from nets.training import Job
from nets.weights import save_weights

KIND = "pose"  # in a weights file's notes
NEAR_SHARE = 0.1  # of the crop's height: within it the log counts a point as found

Batch = tuple[Tensor, PoseTargets]


def heat_loss(predicted: Tensor, targets: PoseTargets) -> Tensor:
    """Squared error over the squares of the label maps; 1 for a net that says 0 everywhere.

    Squared error is the loss of arXiv:1804.06208; divided so, it does not depend on the number of
    cells, nor on how many points are labelled. Maps are (B, T, K, h, w); cells of weight 0 count in
    neither sum.
    """
    expect(predicted, " ".join(map(str, targets.heat.shape)), "keypoint maps")
    missed = ((predicted - targets.heat).square() * targets.weight).sum()
    whole = (targets.heat.square() * targets.weight).sum()
    return missed / whole.clamp(min=1.0)


def pose_job(
    net: FrameStack,
    training: PoseBatches,
    validation: PoseBatches | None,
    run: Path,
    *,
    workers: int,
) -> Job:
    """Put together how to train `net` on batches of crops.

    Args:
        net: with a keypoints head.
        training: batches to learn from.
        validation: batches to measure the loss on, or None.
        run: folder of the run.
        workers: processes that prepare batches.
    """
    metadata = {
        "kind": KIND,
        "settings": net.settings.to_json(),
        "crops": json.dumps(asdict(training.settings), sort_keys=True),
    }

    def save(weights: Mapping[str, Tensor]) -> None:
        save_weights(run / "weights.safetensors", dict(weights), metadata)

    return Job(
        net=net,
        batches=lambda first: load_batches(training, first, workers),
        loss=_loss_and_sums,
        row=_row,
        carry=lambda sums, steps: {},
        save=save,
        watch=lambda step, sums, row: [],
        draw=lambda: draw_curves(run / "log.csv", run / "curves.png"),
        validate=lambda model: _validate(model, validation),
    )


def _loss_and_sums(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
    """Loss of one batch, and how many of its points are found."""
    crops, targets = batch
    heat = model(crops)["keypoints"]
    found, points = _found(heat.detach(), targets)
    return heat_loss(heat, targets), {"found": found, "points": points}


def _found(heat: Tensor, targets: PoseTargets) -> tuple[int, int]:
    """Points that are within a tenth of the crop's height of the label's peak, and all points."""
    there = (targets.heat.amax(dim=(-2, -1)) > 0.5).cpu().numpy()
    read, _ = find_keypoints(heat.float().cpu().numpy(), stride=1)
    true, _ = find_keypoints(targets.heat.cpu().numpy(), stride=1)
    off = ((read - true) ** 2).sum(axis=-1) ** 0.5
    return int((off[there] <= NEAR_SHARE * heat.shape[-2]).sum()), int(there.sum())


def _row(sums: dict[str, Any], steps: int) -> dict[str, float]:
    """One row of log.csv from sums over `steps` steps."""
    return {
        "loss": sums["loss"] / steps,
        "found_share": sums["found"] / max(sums["points"], 1),
        "grad_norm": sums["grad_norm"] / steps,
    }


@torch.no_grad()
def _validate(model: nn.Module, batches: PoseBatches | None) -> float:
    """Mean loss over all validation batches; NaN without any."""
    if batches is None:
        return float("nan")
    model.eval()
    device = next(model.parameters()).device
    losses = []
    for number in range(len(batches)):
        crops, targets = batches[number]
        heat = model(crops.to(device))["keypoints"]
        losses.append(float(heat_loss(heat, targets.to(device))))
    return sum(losses) / len(losses)
