"""Does training converge from any seed, at any labelrate? `python -m benchmarks.convergence`.

Trains the frame-stack net (a narrow VGG16-BN, T = 5) from random weights on rendered scenes, once
per seed and labelrate, each run on one thread. A run converged when every channel's mass ratio
(predicted over true people) in the last row of its log.csv lies within 0.9 to 1.1. Prints a table
and keeps a row per run in a CSV; started again, it goes on where it was stopped.
"""

import argparse
import contextlib
import csv
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from mot.synthetic import ensure_scenes
from nets.augment import AugmentSettings
from nets.doctor import DEAD_RATIO
from nets.losses import LossSettings
from nets.recipe import DataSettings, TrainSettings
from nets.schedule import ScheduleSettings
from nets.settings import NetSettings

FRAMES, SCENES = 5, 4
WHOLE = ("seed", "steps", "dead")  # columns of the CSV that hold whole numbers
LOWEST, HIGHEST = 0.9, 1.1
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """One training run.

    Attributes:
        worst: largest |mass ratio - 1| of a channel in the last row.
        mean: mean |mass ratio - 1| over the channels.
        dead: channels that predict next to nothing.
        loss: of the last row.
        seconds: wall time.
    """

    seed: int
    labelrate: float
    steps: int
    worst: float
    mean: float
    dead: int
    loss: float
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether every channel came near its truth."""
        return self.worst <= HIGHEST - 1


def settings_of(seed: int, labelrate: float, steps: int, home: Path) -> TrainSettings:
    """The training that `train.py` would run with these flags, small enough for a minute."""
    return TrainSettings(
        data=DataSettings(scenes=SCENES, cache=str(home / "cache")),
        net=NetSettings(backbone="vgg16", width=0.125, neck_channels=32, frames=FRAMES),
        augment=AugmentSettings(crop=(96, 160)),
        loss=LossSettings(labelrate=labelrate),
        schedule=ScheduleSettings(max_steps=steps, batch=4, seed=seed, workers=0, device="cpu"),
    )


def train_once(seed: int, labelrate: float, steps: int, home: Path) -> Outcome:
    """Train in this process and judge the log's last row."""
    import torch

    from nets.density_run import run_training

    torch.set_num_threads(1)
    run = home / f"seed{seed}-labelrate{labelrate:g}-steps{steps}"
    shutil.rmtree(run, ignore_errors=True)  # what a stopped benchmark left
    run.mkdir(parents=True)
    start = time.perf_counter()
    with (run / "stderr.txt").open("w") as log, contextlib.redirect_stderr(log):
        run_training(settings_of(seed, labelrate, steps, home), run)
    seconds = time.perf_counter() - start
    with (run / "log.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    ratio = np.array([float(last[f"mass_ratio_{k}"]) for k in range(FRAMES)])
    off, dead = np.abs(ratio - 1), int((ratio < DEAD_RATIO).sum())
    loss = float(last["loss"])
    return Outcome(seed, labelrate, steps, off.max(), off.mean(), dead, loss, seconds)


def read_outcomes(path: Path) -> list[Outcome]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [Outcome(**{n: _number(n, text) for n, text in row.items()}) for row in rows]


def _number(name: str, text: str) -> Any:
    return int(text) if name in WHOLE else float(text)


def append_outcome(path: Path, outcome: Outcome) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Outcome)])
        if new:
            writer.writeheader()
        cells = asdict(outcome)
        rounded = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in cells.items()}
        writer.writerow(rounded | {"labelrate": outcome.labelrate})


def train_all(tasks: list[tuple[int, float, int]], home: Path, workers: int) -> None:
    """Train what is not in the CSV yet, several runs at a time."""
    for name in THREAD_VARIABLES:  # read when a worker loads its libraries
        os.environ[name] = "1"
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        runs = [pool.submit(train_once, *task, home) for task in tasks]
        try:
            for run in tqdm(as_completed(runs), total=len(runs), unit="run", disable=None):
                append_outcome(home / "convergence.csv", run.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def print_table(outcomes: Iterable[Outcome], labelrates: Iterable[float]) -> None:
    table = Table(title=f"every channel's mass ratio within {LOWEST} to {HIGHEST}")
    for heading in ("labelrate", "converged", "mean |ratio-1|", "worst", "dead channels", "s/run"):
        table.add_column(heading, justify="right")
    known = list(outcomes)
    for labelrate in labelrates:
        mine = [o for o in known if o.labelrate == labelrate]
        table.add_row(
            f"{labelrate:g}",
            f"{sum(o.converged for o in mine)}/{len(mine)}",
            f"{np.mean([o.mean for o in mine]):.3f}",
            f"{max(o.worst for o in mine):.3f}",
            str(sum(o.dead for o in mine)),
            f"{np.mean([o.seconds for o in mine]):.0f}",
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="seeds 1 to this")
    parser.add_argument("--labelrates", type=float, nargs="+", default=[1, 30, 100, 5000])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/convergence"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    ensure_scenes(args.out, SCENES, split="train")  # once, before several processes want them
    seeds = range(1, args.seeds + 1)
    tasks = [(seed, rate, args.steps) for seed in seeds for rate in args.labelrates]
    log = args.out / "convergence.csv"
    done = {(o.seed, o.labelrate, o.steps) for o in read_outcomes(log)}
    train_all([task for task in tasks if task not in done], args.out, args.workers)
    asked = [o for o in read_outcomes(log) if (o.seed, o.labelrate, o.steps) in set(tasks)]
    print_table(asked, args.labelrates)


if __name__ == "__main__":
    main()
