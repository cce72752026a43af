"""What a choice in training is worth in tracks: trainings of a sweep, scored by following people.

`python -m benchmarks.tracked --config FILE` trains every variant of a sweep (settings, variants and
seeds, as `nets.sweep` reads them), each run on one thread, follows people with it and prints HOTA,
MOTA, IDF1, recall, recall of those who show less than 0.4 of themselves, and how far off the counts
are. With `--data` it trains on real frames, with `--truth DIR --seq …` it scores on them; otherwise
on rendered scenes of the test split. Started again, it goes on where it was stopped.

Without flags: who is found behind others, frames stacked, apart, or in the tri-plane net?
"""

import argparse
import math
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.rows import mean_score, named, print_means, rows_of, train_whole
from eval import ScoredSequence, evaluate
from mot.analysis.breakdown import SceneErrors
from mot.analysis.run_folder import load_scene, open_scored, read_scores
from mot.errors import InputError, one_line_errors
from mot.sequence import data_root
from mot.synthetic import RENDERED, ensure_scenes
from nets.grid import SEED, read_grid
from nets.predict import PredictSettings
from nets.recipe import TrainSettings
from nets.sweep import check_cells
from nets.trial import one_thread
from reid.detector import LookSettings

CONFIG = Path("recipes/tracked-occluded.yaml")
HIDDEN = 0.4  # whoever shows less of himself is occluded
MEANS = ("HOTA", "MOTA", "IDF1", "count_mae", "density_mae")


@dataclass(frozen=True)
class Outcome:
    """One training and what its net finds.

    Attributes:
        variant: its name, and the values of the sweep's axes.
        HOTA, MOTA, IDF1: percent, means over the sequences.
        count_mae, density_mae: people a frame, by tracks and by density, means over the sequences;
            the last NaN without a density.
        recall: percent, of all their people.
        recall_hidden: of people who show less than `HIDDEN` of themselves; NaN without any.
        people_hidden: how many boxes of such people the truth has.
        frames_per_second: followed, by one thread.
        train_s: wall time of one thread.
    """

    variant: str
    seed: int
    HOTA: float
    MOTA: float
    IDF1: float
    count_mae: float
    density_mae: float
    recall: float
    recall_hidden: float
    people_hidden: int
    frames_per_second: float
    train_s: float


@dataclass(frozen=True)
class Task:
    """What to train, what to score on, and where."""

    variant: str
    settings: TrainSettings
    seqs: tuple[str, ...]
    scenes: int
    truth: Path | None
    run: Path


def train_and_score(task: Task) -> Outcome:
    """Train, follow and score in this process."""
    shutil.rmtree(task.run, ignore_errors=True)  # what a stopped benchmark left
    task.run.mkdir(parents=True)
    start = time.perf_counter()
    with one_thread():
        train_whole(task.settings, task.run)
        train_s = time.perf_counter() - start
        scored = evaluate(
            *task.seqs,
            data=task.truth,
            out=task.run / "eval",
            weights=task.run / "weights.safetensors",
            embedder="none",
            report=False,
            scenes=task.scenes,
            looks=LookSettings(detect_fps=0),
            predict=PredictSettings(amp="off"),
        )
    found, visible = found_and_visible(task.run / "eval", [run.name for run in scored])
    hidden = (visible >= 0) & (visible < HIDDEN)
    return Outcome(
        task.variant,
        task.settings.schedule.seed,
        *(mean_score(scored, name) for name in MEANS),
        100 * float(found.mean()),
        100 * float(found[hidden].mean()) if hidden.any() else math.nan,
        int(hidden.sum()),
        frames_per_second(scored),
        train_s,
    )


def frames_per_second(scored: Iterable[ScoredSequence]) -> float:
    """Frames of all sequences over the time that following them took."""
    summaries = [run.summary for run in scored]
    seconds = sum(s["frames"] / s["frames_per_second"] for s in summaries)
    return float(sum(s["frames"] for s in summaries) / seconds)


def found_and_visible(run: Path, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each true box (N,) has a track, and what it shows of itself."""
    scores = read_scores(run)
    people = [
        SceneErrors.of(load_scene(run, open_scored(run, name, None), scores[name])).people
        for name in names
    ]
    found, visible = (
        np.concatenate([getattr(facts, key) for facts in people]) for key in ("found", "visibility")
    )
    return found, visible


def tasks_of(args: argparse.Namespace) -> dict[str, Task]:
    """Trainings by name.

    Raises:
        InputError: a sweep without variants, or unknown ones named.
    """
    grid = read_grid(args.config)
    known = list(grid.variants)
    chosen = args.variants or known
    if not chosen or not set(chosen) <= set(known):
        got, remedy = ", ".join(chosen) or "none", "see its variants"
        raise InputError(f"--variants of {args.config}", f"some of {known}", got, remedy)
    data = {"data.cache": str(args.out / "cache")} | ({"data.data": args.data} if args.data else {})
    steps = {"schedule.max_steps": args.steps} if args.steps else {}
    grid = replace(
        grid,
        shared=grid.shared | data | steps,
        variants={name: grid.variants[name] for name in chosen},
        seeds=tuple(args.seeds or grid.seeds),
    )
    tasks = {}
    cells = list(grid.cells())
    check_cells(cells)
    for cell in cells:
        label = ", ".join(text for name, text in cell.names.items() if name != SEED)
        told = cell.key, args.seq, args.scenes, args.truth
        key = named(f"{label} seed{cell.names[SEED]}", *told)
        where = tuple(args.seq), args.scenes, args.truth, args.out / key
        tasks[key] = Task(label, cell.settings, *where)
    return tasks


def print_table(rows: Iterable[Outcome]) -> None:
    """Mean over the seeds of each variant, with its lowest and highest seed."""
    known = list(rows)
    title = f"{known[0].people_hidden} boxes show less than {HIDDEN} of themselves (hidden)"
    groups = {v: [r for r in known if r.variant == v] for v in (row.variant for row in known)}
    print_means(title, groups, (*MEANS, "recall", "recall_hidden", "frames_per_second", "train_s"))


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=CONFIG, help="sweep with variants (YAML)")
    parser.add_argument("--data", help="folder to train from, in the place of the sweep's")
    parser.add_argument("--truth", type=Path, help="folder of the sequences to score")
    parser.add_argument("--seq", nargs="+", default=[RENDERED])
    parser.add_argument("--scenes", type=int, default=8, help="rendered scenes to score")
    parser.add_argument("--variants", nargs="+", help="of the sweep; none named = all")
    parser.add_argument("--seeds", type=int, nargs="+", help="in the place of the sweep's")
    parser.add_argument("--steps", type=int, help="of each training, in the place of the sweep's")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/tracked"))
    args = parser.parse_args()
    tasks = tasks_of(args)
    if args.seq == [RENDERED]:
        ensure_scenes(args.truth or data_root(), args.scenes, split="test")
    print_table(rows_of(train_and_score, tasks, Outcome, args.out, args.workers).values())


if __name__ == "__main__":
    main()
