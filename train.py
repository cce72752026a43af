"""Train a net: read the settings, open the data, build net and loss, run the loop.

python train.py --frames 5 --out runs/first                   rendered scenes
python train.py --config recipes/footfall-m-base.yaml --data DIR --out runs/real
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
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
    recipe = recipe_of(arguments)
    default = TrainFlags(settings=load_recipe(recipe)) if recipe else None
    return parse_flags(TrainFlags, arguments, default=default)


def recipe_of(arguments: list[str]) -> Path | None:
    """The recipe that the flags are laid over; only with it can the others be judged."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    parser.add_argument("--out", default=TrainFlags.out)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=False)
    try:
        flags, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:  # a flag without its value, as the whole parse will say
        return None
    if flags.config not in (None, "None"):
        return Path(flags.config)
    own = Path(flags.out) / CONFIG
    return own if flags.resume and own.is_file() else None


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = read_flags(sys.argv[1:] if arguments is None else arguments)
    run_training(flags.settings, Path(flags.out), resume=flags.resume)
    print(f"weights: {Path(flags.out) / 'weights.safetensors'}")


if __name__ == "__main__":
    main()
