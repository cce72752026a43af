"""The job of a density net: its loss, its log row, its doctor and its weights file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mot.errors import InputError
from nets.clip_net import ClipNet
from nets.clips import ClipBatches
from nets.curves import draw_curves
from nets.diversity import diversity, spread
from nets.doctor import Doctor
from nets.loader import load_batches
from nets.losses import LossSettings, Targets, total_loss
from nets.recipe import TrainSettings
from nets.run_log import LOG
from nets.training import Job, mean_loss
from nets.weights import save_weights

Batch = tuple[Tensor, Targets]
Judged = tuple[Tensor, dict[str, Tensor]]
RATIO_STEPS = 100  # a mass ratio looks back about so far: the clips of ten steps scatter by 5 %


def density_job(
    net: ClipNet,
    training: ClipBatches,
    validation: ClipBatches | None,
    settings: TrainSettings,
    run: Path,
) -> Job:
    """Put together how to train `net` on batches of clips, and set the unit of its density.

    Args:
        net: with random weights; an earlier net's weights, loaded after this, bring their own unit.
        training: batches to learn from.
        validation: batches to measure the loss on, or None.
        settings: all of the run.
        run: folder of the run.

    Raises:
        InputError: the net maps keypoints, of which clips of boxes know nothing.
    """
    if "keypoints" in settings.net.heads:
        heads, remedy = " ".join(settings.net.heads), "train it with python -m nets.pose"
        raise InputError("--heads", "heads that boxes teach", heads, remedy)
    people_per_cell = training.people_per_cell()
    if net.density_head is not None:
        unit = people_per_cell
        if settings.loss.raw_loss:
            unit = 1 / settings.loss.labelrate  # the net's raw output is the label's, as in 2019
        net.density_head.set_unit(unit)
    frames = settings.net.frames
    metadata = {
        "settings": settings.net.to_json(),
        "labelrate": str(settings.loss.labelrate),
        "test_px": str(settings.test_px or training.frame_px()),
    }

    def judge(maps: dict[str, Tensor], targets: Targets) -> Judged:
        return total_loss(maps, targets, settings.loss, people_per_cell, settings.net.stride)

    def save(weights: Mapping[str, Tensor]) -> None:
        save_weights(run / "weights.safetensors", dict(weights), metadata)

    return Job(
        net=net,
        batches=lambda first: load_batches(training, first, settings.schedule.workers),
        loss=lambda model, batch: _loss_and_sums(model, batch, judge),
        row=lambda sums, steps: _row(sums, steps, frames),
        carry=_fade,
        save=save,
        watch=_watcher(frames, settings.loss),
        draw=lambda: draw_curves(run / LOG, run / "curves.png"),
        validate=lambda model: mean_loss(
            model,
            validation,
            lambda maps, targets: judge(maps, targets)[0],
        ),
    )


def _loss_and_sums(
    model: nn.Module, batch: Batch, judge: Callable[[dict[str, Tensor], Targets], Judged]
) -> tuple[Tensor, dict[str, Any]]:
    """Loss of one batch, and what the log adds up: masses per frame, spread, each loss."""
    clips, targets = batch
    maps = model(clips)
    loss, parts = judge(maps, targets)
    sums: dict[str, Any] = {f"{name}_loss": float(part.detach()) for name, part in parts.items()}
    masses = _masses(maps, targets)
    if masses:
        density, truth = masses
        sums["pred_mass"] = sums["pred_recent"] = density.sum(dim=(0, 2, 3)).cpu()
        sums["true_mass"] = sums["true_recent"] = truth.sum(dim=(0, 2, 3)).cpu()
        sums["pred_spread"], sums["true_spread"] = spread(density), spread(truth)
        sums["true_mean"] = truth.mean().cpu()
    return loss, sums


def _masses(maps: dict[str, Tensor], targets: Targets) -> tuple[Tensor, Tensor] | None:
    """What is watched, predicted and true (B, T, h, w): people, or cells in boxes; else None."""
    if "density" in maps:
        density = maps["density"][:, :, 0].detach()
        return density * targets.valid, targets.density * targets.valid
    if "seg" in maps:
        share = torch.sigmoid(maps["seg"][:, :, 0].detach())
        return share * targets.detectable, targets.seg * targets.detectable
    return None


def _row(sums: dict[str, Any], steps: int, frames: int) -> dict[str, float]:
    """One row of log.csv from sums over `steps` steps."""
    row = {"loss": sums["loss"] / steps}
    if "pred_mass" in sums:
        ratio = sums["pred_recent"] / sums["true_recent"]
        ratio[sums["true_recent"] == 0] = math.nan  # nobody there: nothing to compare with
        row |= {f"mass_ratio_{k}": float(ratio[k]) for k in range(frames)}
        row["pred_mass"] = float(sums["pred_mass"].sum())
        row["true_mass"] = float(sums["true_mass"].sum())
        spreads = (float(sums[name]) for name in ("pred_spread", "true_spread", "true_mean"))
        row["diversity"] = diversity(*spreads)
    parts = [name for name in sums if name.endswith("_loss")]
    row |= {name: sums[name] / steps for name in parts}
    row["grad_norm"] = sums["grad_norm"] / steps
    return row


def _fade(sums: dict[str, Any], steps: int) -> dict[str, Any]:
    """What is left of the recent masses after `steps` steps, to go on from in the next row."""
    left = math.exp(-steps / RATIO_STEPS)
    return {name: left * sums[name] for name in ("pred_recent", "true_recent") if name in sums}


def _watcher(
    frames: int, settings: LossSettings
) -> Callable[[int, dict[str, Any], dict[str, float]], list[str]]:
    """The doctor, fed with each log row."""
    doctor = Doctor(frames, raw_loss=settings.raw_loss)

    def watch(step: int, sums: dict[str, Any], row: dict[str, float]) -> list[str]:
        if "pred_mass" not in sums:
            return []
        masses = sums["pred_mass"].numpy(), sums["true_mass"].numpy()
        return doctor.update(step, *masses, row["diversity"], row["grad_norm"], row["loss"])

    return watch
