"""A whole training of a density net: data opened, net built, weights loaded, the loop run.

What train.py does with its settings; sweeps and benchmarks train through it as well.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from mot.atomic import write_text
from nets.augment import as_they_are
from nets.checkpoint import require_startable
from nets.clips import ClipBatches, Source
from nets.curriculum import label_at
from nets.cutouts import Cutouts
from nets.density_job import density_job
from nets.menu import build_net
from nets.ranks import rank
from nets.recipe import TrainSettings, recipe_text
from nets.schedule import frozen_stages
from nets.sources import training_cutouts, training_sources, validation_sources
from nets.start import start_from
from nets.training import choose_device, train

CONFIG = "config.yaml"
VALIDATION_BATCHES = 8


def run_training(settings: TrainSettings, run: Path, *, resume: bool = False) -> None:
    """Train a net as the settings say and leave its run folder complete; see nets.training.train.

    Raises:
        InputError: settings, data or weights that cannot be used, or a run that is in the way.
    """
    config = recipe_text(settings)
    main = rank() == 0
    # What cannot be used is refused here, before anything is written.
    require_startable(run, config, resume=resume)
    choose_device(settings.schedule.device)
    torch.manual_seed(settings.schedule.seed)
    net = build_net(settings.net)
    frozen_stages(net, settings.schedule.freeze)
    steps, seed = settings.schedule.max_steps, settings.schedule.seed
    training = batches(
        *training_sources(settings.data), settings, seed, steps, training_cutouts(settings)
    )
    training.labels = partial(label_at, steps=steps, settings=settings.loss)
    held_out = validation_sources(settings.data)
    shares, plain = [1.0] * len(held_out), replace(settings, augment=as_they_are(settings.augment))
    validation = batches(held_out, shares, plain, 0, VALIDATION_BATCHES) if held_out else None
    job = density_job(net, training, validation, settings, run)
    if not resume:
        start = start_from(net, settings.weights, inflate=settings.inflate, clips=training.images)
        if main:
            print(start, file=sys.stderr)
    if main:
        write_text(run / CONFIG, config)
    train(job, settings.schedule, run, config=config, resume=resume)


def batches(
    sources: list[Source],
    shares: list[float],
    settings: TrainSettings,
    seed: int,
    count: int,
    cutouts: Cutouts | None = None,
) -> ClipBatches:
    """Clips from sources as this process's batches, `count` of them, with people pasted if any."""
    return ClipBatches(
        sources,
        shares,
        frames=settings.net.frames,
        batch=settings.schedule.batch,
        augment=settings.augment,
        stride=settings.net.stride,
        label=settings.loss.last_label,
        heads=settings.net.heads,
        seed=seed,
        rank=rank(),
        count=count,
        bank=cutouts,
    )
