"""Train a net: read the settings, open the data, build net and loss, run the loop.

python train.py --frames 5 --out runs/first                   rendered scenes
python train.py --config recipes/footfall-m-base.yaml --data DIR --out runs/real
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from mot.command_line import parse_flags
from mot.errors import one_line_errors
from nets.density_run import CONFIG, run_training
from nets.recipe import TrainSettings, load_recipe


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


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = read_flags(sys.argv[1:] if arguments is None else arguments)
    run_training(flags.settings, Path(flags.out), resume=flags.resume)
    print(f"weights: {Path(flags.out) / 'weights.safetensors'}")


if __name__ == "__main__":
    main()
