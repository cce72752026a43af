"""Train a net: read the settings, open the data, build net and loss, run the loop.

    python train.py --frames 5 --labelrate 30 --out runs/first          rendered scenes
    python train.py --config recipes/real.yaml --data DIR --out runs/real
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from nets.clips import ClipBatches, Source
from nets.density_job import density_job
from nets.frame_stack import build_net
from nets.recipe import TrainSettings, load_recipe, save_recipe
from nets.sources import training_sources, validation_sources
from nets.start import start_from
from nets.training import train


@dataclass(frozen=True)
class TrainFlags:
    """Train a density net on sequences and photos, or on rendered scenes where no data is named."""

    settings: TrainSettings = field(default_factory=TrainSettings)
    out: str = "runs/train"
    """Folder of the run: config.yaml, log.csv, weights.safetensors, curves.png, checkpoint.pt."""
    config: str | None = None
    """Recipe (YAML) to start from; flags beside it win."""
    resume: bool = False
    """Continue the run in --out from its checkpoint."""


def read_flags(arguments: list[str]) -> TrainFlags:
    """Parse flags over the recipe that --config names, if any."""
    flags = parse_flags(TrainFlags, arguments)
    if flags.config is None:
        return flags
    recipe = replace(flags, settings=load_recipe(Path(flags.config)))
    return parse_flags(TrainFlags, arguments, default=recipe)


def run_training(settings: TrainSettings, run: Path, *, resume: bool = False) -> None:
    """Train a net as the settings say and leave its run folder complete; see nets.training.train.

    Raises:
        InputError: settings, data or weights that cannot be used, or a run that is in the way.
    """
    if (run / "log.csv").exists() and not resume:
        raise InputError(run, "a new run folder", "one with a log", "use another --out or --resume")
    torch.manual_seed(settings.schedule.seed)
    sources, shares = training_sources(settings.data)
    training = batches(sources, shares, settings, settings.schedule.seed)
    held_out = validation_sources(settings.data)
    validation = batches(held_out, [1.0] * len(held_out), settings, 0) if held_out else None
    net = build_net(settings.net)
    print(start_from(net, settings.weights, inflate=settings.inflate), file=sys.stderr)
    job = density_job(net, training, validation, settings, run)
    config = save_recipe(settings, run / "config.yaml")
    train(job, settings.schedule, run, config=config, resume=resume)


def batches(
    sources: list[Source], shares: list[float], settings: TrainSettings, seed: int
) -> ClipBatches:
    """Clips from sources as this process's batches."""
    return ClipBatches(
        sources,
        shares,
        frames=settings.net.frames,
        batch=settings.schedule.batch,
        augment=settings.augment,
        stride=settings.net.stride,
        label=settings.loss.label,
        seed=seed,
        rank=int(os.environ.get("RANK", "0")),
        count=settings.schedule.max_steps,
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = read_flags(sys.argv[1:] if arguments is None else arguments)
    run_training(flags.settings, Path(flags.out), resume=flags.resume)
    print(f"weights: {Path(flags.out) / 'weights.safetensors'}")


if __name__ == "__main__":
    main()
