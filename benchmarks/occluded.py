"""Who is found behind others: frames stacked, apart, or the tri-plane net?

`python -m benchmarks.occluded` trains the same five-frame net three ways on rendered crossings, on
the same clips for the same number of steps, once per seed, each run on one thread:

- stacked: `--net frame_stack --fuse input`, the five frames as one input;
- apart: `--net frame_stack --fuse none`, which never looks across frames;
- triplane: `--net triplane`, whose blocks look across time.

It follows people through scenes of the test split and prints HOTA, MOTA, IDF1, recall, and recall
of those who show less than 0.4 of themselves. With `--recipe FILE --truth DIR --seq …` it trains by
another recipe and scores on those sequences. Started again, it goes on where it was stopped.
"""

import argparse
import hashlib
import math
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.rows import rows_of
from eval import evaluate
from mot.analysis.breakdown import SceneErrors
from mot.analysis.run_folder import load_scene, open_scored, read_scores
from mot.errors import InputError, one_line_errors
from mot.sequence import data_root
from mot.synthetic import ensure_scenes
from nets.predict import PredictSettings
from nets.recipe import TrainSettings, load_recipe, recipe_text
from nets.sources import training_sources
from nets.trial import one_thread, train_quietly

NETS = {
    "stacked": {"net": "frame_stack", "fuse": "input"},
    "apart": {"net": "frame_stack", "fuse": "none"},
    "triplane": {"net": "triplane", "fuse": "input", "mixer": False},
}
RECIPE = Path("recipes/occluded.yaml")
HIDDEN = 0.4  # whoever shows less of himself is occluded


@dataclass(frozen=True)
class Outcome:
    """One training and what its net finds, in percent.

    Attributes:
        HOTA, MOTA, IDF1: means over the sequences.
        recall: of all their people.
        recall_hidden: of people who show less than `HIDDEN` of themselves; NaN without any.
        people_hidden: how many boxes of such people the truth has.
        train_s, score_s: wall time of one thread.
    """

    net: str
    seed: int
    HOTA: float
    MOTA: float
    IDF1: float
    recall: float
    recall_hidden: float
    people_hidden: int
    train_s: float
    score_s: float


@dataclass(frozen=True)
class Task:
    """What to train, what to score on, and where."""

    net: str
    seed: int
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
        train_quietly(task.settings, task.run)
        trained = time.perf_counter()
        scored = evaluate(
            *task.seqs,
            data=task.truth,
            out=task.run / "eval",
            weights=task.run / "weights.safetensors",
            embedder="none",
            report=False,
            scenes=task.scenes,
            predict=PredictSettings(backend="torch", amp="off"),
        )
    end = time.perf_counter()
    found, visible = found_and_visible(task.run / "eval", [run.name for run in scored])
    hidden = (visible >= 0) & (visible < HIDDEN)
    means = [
        float(np.mean([getattr(r.scores, k) for r in scored])) for k in ("HOTA", "MOTA", "IDF1")
    ]
    return Outcome(
        task.net,
        task.seed,
        *means,
        100 * float(found.mean()),
        100 * float(found[hidden].mean()) if hidden.any() else math.nan,
        int(hidden.sum()),
        trained - start,
        end - trained,
    )


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
    """Trainings by name."""
    base = load_recipe(args.recipe)
    data = replace(base.data, data=args.data or base.data.data, cache=str(args.out / "cache"))
    tasks = {}
    for seed in range(1, args.seeds + 1):
        for name in args.nets:
            schedule = replace(
                base.schedule, seed=seed, max_steps=args.steps or base.schedule.max_steps
            )
            net = replace(base.net, **NETS[name])
            settings = replace(base, data=data, net=net, schedule=schedule)
            told = f"{recipe_text(settings)}{args.seq}{args.scenes}{args.truth}"
            key = f"{name}-seed{seed}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"
            where = tuple(args.seq), args.scenes, args.truth, args.out / key
            tasks[key] = Task(name, seed, settings, *where)
    return tasks


def print_table(rows: Iterable[Outcome], nets: Iterable[str]) -> None:
    """Mean over the seeds of each net, with its lowest and highest seed."""
    known = list(rows)
    table = Table(title=f"{known[0].people_hidden} boxes show less than {HIDDEN} of themselves")
    measures = ("HOTA", "MOTA", "IDF1", "recall", "recall_hidden", "train_s", "score_s")
    for heading in ("net", "seeds", *measures):
        table.add_column(heading.replace("_hidden", f" <{HIDDEN}"), justify="right")
    for net in nets:
        mine = [row for row in known if row.net == net]
        cells = []
        for name in measures:
            values = [float(getattr(row, name)) for row in mine]
            spread = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{spread}")
        table.add_row(net, str(len(mine)), *cells)
    Console(width=180).print(table)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--data", help="folder to train from, in the place of the recipe's")
    parser.add_argument("--truth", type=Path, help="folder of the sequences to score")
    parser.add_argument("--seq", nargs="+", default=["synthetic"])
    parser.add_argument("--scenes", type=int, default=8, help="rendered scenes to score")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this")
    parser.add_argument("--steps", type=int, help="of each training, in the place of the recipe's")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/occluded"))
    args = parser.parse_args()
    if args.seeds < 1:
        raise InputError("--seeds", "1 or more", args.seeds, "raise it")
    tasks = tasks_of(args)
    training_sources(next(iter(tasks.values())).settings.data)  # once, before several want them
    if args.seq == ["synthetic"]:
        ensure_scenes(args.truth or data_root(), args.scenes, split="test")
    rows = rows_of(train_and_score, tasks, Outcome, args.out, args.workers)
    print_table(rows.values(), args.nets)


if __name__ == "__main__":
    main()
