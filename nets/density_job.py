"""The job of a density net: its loss, its log row, its doctor and its weights file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nets.clips import ClipBatches, one_cv2_thread
from nets.curves import draw_curves
from nets.doctor import Doctor
from nets.frame_stack import FrameStack
from nets.losses import LossSettings, MapScale, Targets, total_loss
from nets.recipe import TrainSettings
from nets.training import Job
from nets.weights import save_weights

Batch = tuple[Tensor, Targets]
VALIDATION_BATCHES = 8


def density_job(
    net: FrameStack,
    training: ClipBatches,
    validation: ClipBatches | None,
    settings: TrainSettings,
    run: Path,
) -> Job:
    """Put together how to train `net` on batches of clips.

    Args:
        net: with its density unit not yet set.
        training: batches to learn from.
        validation: batches to measure the loss on, or None.
        settings: all of the run.
        run: folder of the run.
    """
    scale = training.map_scale()
    if net.density_head is not None:
        raw = settings.loss.raw_loss
        unit = 1 / settings.loss.labelrate if raw else scale.people_per_cell
        net.density_head.set_unit(unit)
    frames = settings.net.frames
    metadata = {
        "settings": settings.net.to_json(),
        "labelrate": str(settings.loss.labelrate),
        "test_px": str(settings.test_px),
    }

    def save(weights: Mapping[str, Tensor]) -> None:
        save_weights(run / "weights.safetensors", dict(weights), metadata)

    return Job(
        net=net,
        batches=lambda first: _loader(training, first, settings.schedule.workers),
        loss=lambda model, batch: _loss_and_sums(model, batch, settings.loss, scale),
        row=lambda sums, steps: _row(sums, steps, frames),
        save=save,
        watch=_watcher(frames),
        draw=lambda: draw_curves(run / "log.csv", run / "curves.png"),
        validate=lambda model: _validate(model, validation, settings.loss, scale),
    )


def _loader(batches: ClipBatches, first: int, workers: int) -> Iterable[Batch]:
    """Batches from number `first` on, prepared ahead by worker processes."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, len(batches)),
        num_workers=workers,
        worker_init_fn=one_cv2_thread,
        prefetch_factor=3 if workers else None,
        # A forked process would inherit OpenCV's thread pool without its threads, and hang.
        multiprocessing_context="spawn" if workers else None,
    )


def _loss_and_sums(
    model: nn.Module, batch: Batch, settings: LossSettings, scale: MapScale
) -> tuple[Tensor, dict[str, Any]]:
    """Loss of one batch, and what the log adds up: masses per frame, spread, each loss."""
    clips, targets = batch
    maps = model(clips)
    loss, parts = total_loss(maps, targets, settings, scale)
    sums: dict[str, Any] = {f"{name}_loss": float(part.detach()) for name, part in parts.items()}
    if "density" in maps:
        density = maps["density"][:, :, 0].detach() * targets.valid
        truth = targets.density * targets.valid
        sums["pred_mass"] = density.sum(dim=(0, 2, 3)).cpu()
        sums["true_mass"] = truth.sum(dim=(0, 2, 3)).cpu()
        spread = density.std(dim=0, correction=0).mean()
        sums["diversity"] = float(spread / density.mean().clamp(min=1e-12))
    return loss, sums


def _row(sums: dict[str, Any], steps: int, frames: int) -> dict[str, float]:
    """One row of log.csv from sums over `steps` steps."""
    row = {"loss": sums["loss"] / steps}
    if "pred_mass" in sums:
        ratio = sums["pred_mass"] / sums["true_mass"].clamp(min=1e-6)
        row |= {f"mass_ratio_{k}": float(ratio[k]) for k in range(frames)}
        row["pred_mass"] = float(sums["pred_mass"].sum())
        row["true_mass"] = float(sums["true_mass"].sum())
        row["diversity"] = sums["diversity"] / steps
    parts = [name for name in sums if name.endswith("_loss")]
    row |= {name: sums[name] / steps for name in parts}
    row["grad_norm"] = sums["grad_norm"] / steps
    return row


def _watcher(frames: int) -> Callable[[int, dict[str, float]], list[str]]:
    """The doctor, fed from log rows."""
    doctor = Doctor(frames)

    def watch(step: int, row: dict[str, float]) -> list[str]:
        if "pred_mass" not in row:
            return []
        share = row["true_mass"] / frames
        true = torch.full((frames,), share).numpy()
        ratio = torch.tensor([row[f"mass_ratio_{k}"] for k in range(frames)]).numpy()
        return doctor.update(
            step, ratio * true, true, row["diversity"], row["grad_norm"], row["loss"]
        )

    return watch


@torch.no_grad()
def _validate(
    model: nn.Module, batches: ClipBatches | None, settings: LossSettings, scale: MapScale
) -> float:
    """Mean loss over fixed validation batches; NaN without any."""
    if batches is None:
        return float("nan")
    model.eval()
    device = next(model.parameters()).device
    losses = []
    for number in range(min(VALIDATION_BATCHES, len(batches))):
        clips, targets = batches[number]
        maps = model(clips.to(device))
        losses.append(float(total_loss(maps, targets.to(device), settings, scale)[0]))
    return cast(float, sum(losses) / len(losses))
