"""Train an embedder on crops of people: `python -m reid.train --data market --out runs/reid`."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import yaml

from mot.atomic import write_text
from mot.command_line import parse_flags
from mot.errors import one_line_errors, require_setting
from nets.checkpoint import require_startable
from nets.ranks import rank
from nets.schedule import ScheduleSettings
from nets.training import train
from nets.weights import check_state, load_image_weights, load_weights, settle_norms
from reid.crops import describe, join_crops, training_crops
from reid.embedder import KIND, Embedder, EmbedderSettings
from reid.job import Learner, reid_job
from reid.losses import ReidLossSettings
from reid.sampler import CropBatches, SamplerSettings


@dataclass(frozen=True)
class ReidTrainFlags:
    """Train an embedder on crops of people."""

    data: tuple[str, ...]
    """Folders of crops named as in Market-1501, or of such as hold bounding_box_train, and HDF5
    files of python -m reid.extract; nobody is in two of them."""
    out: str = "runs/reid"
    """Folder of the run: config.yaml, log.csv, weights.safetensors, curves.png, checkpoint.pt."""
    weights: str = "none"
    """Weights to start from: imagenet, none, a .safetensors file of image weights, or one of this
    command, whose trunk is taken."""
    half: bool = False
    """Save the weights as fp16: half the bytes."""
    resume: bool = False
    """Continue the run in --out from its checkpoint; the flags must be the same."""
    embedder: EmbedderSettings = field(default_factory=EmbedderSettings)
    sampler: SamplerSettings = field(default_factory=SamplerSettings)
    loss: ReidLossSettings = field(default_factory=ReidLossSettings)
    schedule: ScheduleSettings = field(
        default_factory=lambda: ScheduleSettings(max_steps=3000, lr=3.5e-4, warmup_steps=100)
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", tuple(self.data))
        require_setting(self, "data", bool(self.data), "at least one folder or file")


def run_training(flags: ReidTrainFlags) -> None:
    """Train an embedder as the flags say and leave its run folder complete.

    Raises:
        InputError: crops, weights or settings that cannot be used, or a run that is in the way.
    """
    run = Path(flags.out)
    values = asdict(flags)
    config = yaml.safe_dump({k: v for k, v in values.items() if k not in ("out", "resume")})
    require_startable(run, config, resume=flags.resume)
    crops = join_crops([training_crops(place) for place in flags.data])
    schedule = flags.schedule
    torch.manual_seed(schedule.seed)
    embedder = Embedder(flags.embedder)
    batches = CropBatches(
        crops,
        flags.sampler,
        size_hw=flags.embedder.size,
        seed=schedule.seed,
        rank=rank(),
        count=schedule.max_steps,
    )
    learner = Learner(embedder, batches.identities, flags.loss)
    if not flags.resume:
        start = start_trunk(embedder, batches, flags.weights)
        if rank() == 0:
            print(f"start: {start}; {describe(batches.crops)}", file=sys.stderr)
    if rank() == 0:
        write_text(run / "config.yaml", config)
    job = reid_job(learner, batches, flags.loss, run, workers=schedule.workers, half=flags.half)
    train(job, schedule, run, config=config, resume=flags.resume)


def start_trunk(embedder: Embedder, batches: CropBatches, weights: str) -> str:
    """Load what `weights` names into the trunk; returns what was done, in words.

    Raises:
        InputError: weights that cannot be read or do not fit.
    """
    if Path(weights).is_file():
        state, metadata = load_weights(Path(weights))
        if metadata.get("kind") == KIND:
            own = {
                name.removeprefix("trunk."): value
                for name, value in state.items()
                if name.startswith("trunk.")
            }
            check_state(embedder.trunk, own, where=weights)
            embedder.trunk.load_state_dict(own)
            return f"trunk of {weights}"
    report = load_image_weights(embedder.trunk, weights)
    settle_norms(embedder.trunk, batches[0][0].float(), report.folded)
    return str(report)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(ReidTrainFlags, arguments)
    run_training(flags)
    print(f"weights: {Path(flags.out) / 'weights.safetensors'}")


if __name__ == "__main__":
    main()
