"""One training of a sweep: train, measure, judge. The same function in a process or on a cluster.

Leaves config.yaml, log.csv, curves.png and held-out.npz (a frame, its density, the net's) in its
folder; the weights are dropped, unless they are to be kept.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mot.atomic import atomic_path
from mot.errors import InputError
from nets.curves import RATIO, read_log
from nets.density_run import run_training
from nets.held_out import HeldOut, held_out_clips, measure
from nets.predict import load_net
from nets.recipe import TrainSettings
from nets.verdict import Measures, verdict_of

WEIGHTS, SAMPLE, OUTPUT = "weights.safetensors", "held-out.npz", "output.txt"
ENDS_ROWS = 5  # of the log, that make up the loss at the start and at the end
DROPPED = ("checkpoint.pt", "tensorboard", "bad_batch.pt")


@dataclass(frozen=True)
class Trial:
    """What to train, in which folder, and whether its weights stay there."""

    settings: TrainSettings
    run: Path
    keep: bool = False


@dataclass(frozen=True)
class Finding:
    """What one training came to.

    Attributes:
        verdict: converges, falls, stalls, collapses or diverges; see nets.verdict.
        steps: that were taken.
        mass_ratio: mean over the frames of the clip.
        worst, mean: largest and mean |mass ratio − 1| of a frame.
        dead: frames of the clip that stay black.
        final_loss: mean over the log's last rows.
        skill, f1: on held-out clips; see nets.held_out.
        seconds: wall time.
    """

    verdict: str
    steps: int
    mass_ratio: float
    worst: float
    mean: float
    dead: int
    final_loss: float
    skill: float
    f1: float
    seconds: float


def run_trial(trial: Trial) -> Finding:
    """Train and measure on one thread; what a killed try left in the folder goes first.

    Raises:
        InputError: settings or data that cannot be used. A loss that is not finite is a finding.
    """
    start = time.perf_counter()
    shutil.rmtree(trial.run, ignore_errors=True)
    trial.run.mkdir(parents=True)
    clips = held_out_clips(trial.settings)
    with one_thread():
        finite = train_quietly(trial.settings, trial.run)
        found = measure(load_net(trial.run / WEIGHTS).net, clips)
    _write_sample(trial.run / SAMPLE, found)
    _tidy(trial)
    steps, measures = _measures(trial.run, finite, found)
    return Finding(
        verdict=verdict_of(measures),
        steps=steps,
        mass_ratio=_mean(measures.ratios),
        worst=max(measures.off, default=math.nan),
        mean=_mean(measures.off),
        dead=measures.dead,
        final_loss=measures.last_loss,
        skill=measures.skill,
        f1=measures.f1,
        seconds=time.perf_counter() - start,
    )


def train_quietly(settings: TrainSettings, run: Path) -> bool:
    """Train into a folder, what it says kept in a file there.

    Returns:
        Whether all steps could be taken; a loss that is not finite ends a training early.

    Raises:
        InputError: settings or data that cannot be used.
    """
    with (run / OUTPUT).open("w") as output, contextlib.redirect_stderr(output):
        try:
            run_training(settings, run)
        except InputError as error:
            if not isinstance(error.__cause__, ArithmeticError):
                raise
            print(error, file=output)
            return False
    return True


def _measures(run: Path, finite: bool, found: HeldOut) -> tuple[int, Measures]:
    """Steps that the log knows, and what it and the held-out clips say."""
    held_out = found.mass_ratio, found.skill, found.f1
    try:
        log = read_log(run)
    except InputError:
        if finite:
            raise
        return 0, Measures([], math.nan, math.nan, finite, *held_out)
    ratios = [float(log[name].iloc[-1]) for name in log if name.startswith(RATIO)]
    first, last = log["loss"].head(ENDS_ROWS).mean(), log["loss"].tail(ENDS_ROWS).mean()
    measures = Measures(ratios, float(first), float(last), finite, *held_out)
    return int(log["step"].iloc[-1]), measures


def _mean(values: Many[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _write_sample(path: Path, found: HeldOut) -> None:
    shown = found.shown
    with atomic_path(path) as temporary:
        truth, predicted = (m.astype(np.float16) for m in (shown.truth, shown.predicted))
        np.savez_compressed(temporary, image=shown.image, truth=truth, predicted=predicted)


def _tidy(trial: Trial) -> None:
    """Drop what is large or nobody looks at."""
    for name in (*DROPPED, *(() if trial.keep else (WEIGHTS,))):
        path = trial.run / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Small nets gain nothing from more, and sums of more threads differ in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
