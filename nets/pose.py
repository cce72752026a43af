"""Train a pose net on crops of single people: keypoint maps from the trunk, neck and heads.

    python -m nets.pose --out runs/pose                    rendered walkers, whose joints are known
    python -m nets.pose --poses FILE.json --images DIR --out runs/pose

`python -m nets.pose_eval` measures what it learned.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from mot.atomic import write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.yaml_settings import yaml_text
from nets.checkpoint import require_startable
from nets.menu import build_net
from nets.pose_crops import PoseBatches, PoseCropSettings
from nets.pose_data import PoseDataSettings, pose_sources
from nets.pose_job import pose_job
from nets.ranks import rank
from nets.schedule import ScheduleSettings
from nets.settings import NetSettings
from nets.start import start_from
from nets.training import train

CONFIG = "config.yaml"
VALIDATION_SCENES = 4
VALIDATION_BATCHES = 4


@dataclass(frozen=True)
class PoseSettings:
    """Everything that decides how a pose net is trained."""

    data: PoseDataSettings = field(default_factory=PoseDataSettings)
    crops: PoseCropSettings = field(default_factory=PoseCropSettings)
    net: NetSettings = field(
        default_factory=lambda: NetSettings(
            backbone="small", frames=1, fuse="none", width=1.0, deepest=32, heads=("keypoints",)
        )
    )
    schedule: ScheduleSettings = field(
        default_factory=lambda: ScheduleSettings(
            max_steps=2000, batch=32, lr=3e-3, warmup_steps=100, log_every=20
        )
    )
    weights: str = "none"
    """Weights to start from: none, imagenet, or a .safetensors file whose trunk fits."""

    def __post_init__(self) -> None:
        alone = self.net.heads == ("keypoints",)
        if not alone:
            got = " ".join(self.net.heads)
            raise InputError("--heads", "keypoints", got, "train other heads with train.py")


@dataclass(frozen=True)
class PoseFlags:
    """Train a pose net on crops of single people."""

    settings: PoseSettings = field(default_factory=PoseSettings)
    out: str = "runs/pose"
    """Folder of the run: config.yaml, log.csv, weights.safetensors, curves.png, checkpoint.pt."""
    resume: bool = False
    """Continue the run in --out from its checkpoint; the flags must be the same."""


def run_training(settings: PoseSettings, run: Path, *, resume: bool = False) -> None:
    """Train a pose net as the settings say and leave its run folder complete.

    Raises:
        InputError: data, weights or settings that cannot be used, or a run that is in the way.
    """
    config, schedule = yaml_text(settings), settings.schedule
    require_startable(run, config, resume=resume)
    training = _batches(settings, "train", schedule.max_steps)
    if settings.net.keypoints not in ((), training.names):
        got, remedy = " ".join(settings.net.keypoints), "leave --keypoints out"
        raise InputError("--keypoints", f"the data's: {' '.join(training.names)}", got, remedy)
    torch.manual_seed(schedule.seed)
    net = build_net(replace(settings.net, keypoints=training.names))
    if not resume:
        start = start_from(net, settings.weights, clips=lambda: training[0][0])
        if rank() == 0:
            print(f"{start}; {len(training.people)} people", file=sys.stderr)
    if rank() == 0:
        write_text(run / CONFIG, config)
    validation = None
    if not settings.data.poses:
        validation = _batches(settings, "val", VALIDATION_BATCHES)
    job = pose_job(net, training, validation, run, workers=schedule.workers)
    train(job, schedule, run, config=config, resume=resume)


def _batches(settings: PoseSettings, split: str, count: int) -> PoseBatches:
    """Batches of a split: those of training are changed at random, others are not."""
    training = split == "train"
    data = settings.data if training else replace(settings.data, scenes=VALIDATION_SCENES)
    return PoseBatches(
        pose_sources(data, split),
        settings.crops,
        frames=settings.net.frames,
        batch=settings.schedule.batch,
        stride=settings.net.stride,
        seed=settings.schedule.seed if training else 0,
        rank=rank() if training else 0,
        count=count,
        augment=training,
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(PoseFlags, arguments, description=__doc__)
    run_training(flags.settings, Path(flags.out), resume=flags.resume)
    print(f"weights: {Path(flags.out) / 'weights.safetensors'}")


if __name__ == "__main__":
    main()
