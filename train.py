"""Train a net: read the settings, open the data, build net and loss, run the loop.

python train.py --frames 5 --labelrate 30 --out runs/first          rendered scenes
python train.py --config recipes/footfall-s.yaml --data DIR --out runs/real
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mot.atomic import write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from nets.checkpoint import CHECKPOINT, read_checkpoint
from nets.clips import ClipBatches, Source
from nets.cutouts import Cutouts
from nets.density_job import density_job
from nets.menu import build_net
from nets.ranks import rank
from nets.recipe import TrainSettings, load_recipe, recipe_text
from nets.schedule import frozen_stages
from nets.sources import training_cutouts, training_sources, validation_sources
from nets.start import start_from
from nets.training import choose_device, train

CONFIG = "config.yaml"
VALIDATION_BATCHES = 8


@dataclass(frozen=True)
class TrainFlags:
    """Train a density net on sequences and photos, or on rendered scenes where no data is named."""

    settings: TrainSettings = field(default_factory=TrainSettings)
    out: str = "runs/train"
    """Folder of the run: config.yaml, log.csv, weights.safetensors, curves.png, checkpoint.pt."""
    config: str | None = None
    """Recipe (YAML) to start from; flags beside it win."""
    resume: bool = False
    """Continue the run in --out from its checkpoint, with the settings in its config.yaml."""


def read_flags(arguments: list[str]) -> TrainFlags:
    """Parse flags over the recipe that --config names, or the run's own with --resume, if any."""
    flags = parse_flags(TrainFlags, arguments)
    recipe = flags.config
    if recipe is None and flags.resume and (Path(flags.out) / CONFIG).is_file():
        recipe = str(Path(flags.out) / CONFIG)
    if recipe is None:
        return flags
    default = replace(flags, settings=load_recipe(Path(recipe)))
    return parse_flags(TrainFlags, arguments, default=default)


def run_training(settings: TrainSettings, run: Path, *, resume: bool = False) -> None:
    """Train a net as the settings say and leave its run folder complete; see nets.training.train.

    Raises:
        InputError: settings, data or weights that cannot be used, or a run that is in the way.
    """
    config = recipe_text(settings)
    main = rank() == 0
    # What cannot be used is refused here, before anything is written.
    if resume:
        read_checkpoint(run / CHECKPOINT, config)
    elif main and (run / "log.csv").exists():
        raise InputError(run, "a new run folder", "one with a log", "use another --out or --resume")
    choose_device(settings.schedule.device)
    torch.manual_seed(settings.schedule.seed)
    net = build_net(settings.net)
    frozen_stages(net, settings.schedule.freeze)
    steps, seed = settings.schedule.max_steps, settings.schedule.seed
    training = batches(
        *training_sources(settings.data), settings, seed, steps, training_cutouts(settings)
    )
    held_out = validation_sources(settings.data)
    shares = [1.0] * len(held_out)
    validation = batches(held_out, shares, settings, 0, VALIDATION_BATCHES) if held_out else None
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
        label=settings.loss.label,
        seed=seed,
        rank=rank(),
        count=count,
        bank=cutouts,
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = read_flags(sys.argv[1:] if arguments is None else arguments)
    run_training(flags.settings, Path(flags.out), resume=flags.resume)
    print(f"weights: {Path(flags.out) / 'weights.safetensors'}")


if __name__ == "__main__":
    main()
