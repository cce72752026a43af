"""The job of a pose net: its loss, its log row and its weights file, for `nets.training.train`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from labelmaps.keypoints import find_keypoints
from mot.shapes import expect
from nets.clip_net import ClipNet
from nets.curves import draw_curves
from nets.loader import load_batches
from nets.pose_crops import PoseBatches, PoseTargets
from nets.run_log import LOG
from nets.training import Job, mean_loss
from nets.weights import save_weights

KIND = "pose"  # in a weights file's notes
LABELLED = 0.5  # what a label map reaches where its point is in the crop
NEAR_SHARE = 0.1  # of the crop's height: within it the log counts a point as found

Batch = tuple[Tensor, PoseTargets]


def keypoint_loss(logits: Tensor, targets: PoseTargets) -> Tensor:
    """Kullback-Leibler divergence from each label map to the net's, a mean over labelled points.

    A crop holds each point once, so a map is a distribution over its cells: the softmax of the
    net's values against the label map over its sum. Where left and right look alike the net may say
    "here or there", while squared error (arXiv:1804.06208) would fade both. Maps are
    (B, T, K, h, w); those without a labelled point, and cells of weight 0, teach nothing.
    """
    expect(logits, " ".join(map(str, targets.heat.shape)), "keypoint maps")
    told = (targets.heat * targets.weight).flatten(-2)
    there = told.amax(dim=-1) > LABELLED
    share = told / told.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    log_p = F.log_softmax(logits.float().flatten(-2), dim=-1)
    divergence = F.kl_div(log_p, share, reduction="none").sum(dim=-1)
    return (divergence * there).sum() / there.sum().clamp(min=1)


def pose_job(
    net: ClipNet,
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
        draw=lambda: draw_curves(run / LOG, run / "curves.png"),
        validate=lambda model: mean_loss(
            model, validation, lambda maps, targets: keypoint_loss(maps["keypoints"], targets)
        ),
    )


def _loss_and_sums(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
    """Loss of one batch, and how many of its points are found."""
    crops, targets = batch
    logits = model(crops)["keypoints"]
    found, points = _found(logits.detach(), targets)
    return keypoint_loss(logits, targets), {"found": found, "points": points}


def _found(logits: Tensor, targets: PoseTargets) -> tuple[int, int]:
    """Points that are within a tenth of the crop's height of the label's peak, and all points."""
    there = (targets.heat.amax(dim=(-2, -1)) > LABELLED).cpu().numpy()
    shifted = logits.float() - logits.float().amin(dim=(-2, -1), keepdim=True)
    read, _ = find_keypoints(shifted.cpu().numpy(), stride=1, refine=False)
    true, _ = find_keypoints(targets.heat.cpu().numpy(), stride=1, refine=False)
    off = ((read - true) ** 2).sum(axis=-1) ** 0.5
    return int((off[there] <= NEAR_SHARE * logits.shape[-2]).sum()), int(there.sum())


def _row(sums: dict[str, Any], steps: int) -> dict[str, float]:
    """One row of log.csv from sums over `steps` steps."""
    return {
        "loss": sums["loss"] / steps,
        "found_share": sums["found"] / max(sums["points"], 1),
        "grad_norm": sums["grad_norm"] / steps,
    }
