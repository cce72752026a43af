"""What does looking twice buy: mirror images, other sizes, shared windows, nets of other seeds?

`python -m benchmarks.test_time --weights A B C --seq …` follows people with each of the nets (one
recipe's, of several seeds) as it is, and again with one of the flags of `eval.py` that look at a
frame more than once, and prints the mean over nets with the lowest and the highest. Without `--seq`
the sequences are rendered scenes of the test split. Started again, it goes on.
"""

import argparse
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.rows import mean_score, named, print_means, rows_of
from eval import evaluate
from mot.errors import one_line_errors
from mot.sequence import data_root
from mot.synthetic import RENDERED, ensure_scenes
from nets.predict import PredictSettings, load_net
from nets.trial import one_thread

MEASURES = ("HOTA", "MOTA", "IDF1", "recall", "count_mae", "density_mae")


@dataclass(frozen=True)
class Outcome:
    """How a net does when frames are looked at in one way.

    Attributes:
        look: key of `LOOKS`.
        weights: of the net.
        HOTA, MOTA, IDF1, recall: percent, means over the sequences.
        count_mae, density_mae: people a frame, by tracks and by density, means over the sequences;
            the last NaN without a density.
        seconds: to follow all sequences and score them, on one thread.
    """

    look: str
    weights: str
    HOTA: float
    MOTA: float
    IDF1: float
    recall: float
    count_mae: float
    density_mae: float
    seconds: float


@dataclass(frozen=True)
class Task:
    """What to look at, with which net, how, and where to write."""

    look: str
    weights: Path
    predict: PredictSettings
    seqs: tuple[str, ...]
    data: Path | None
    scenes: int
    run: Path


LOOKS = {
    "plain": "as it is",
    "flip": "--flip",
    "smaller": "--scales 0.7",
    "both": "--scales 0.7 1.4",
    "larger": "--test-px of 1.5 times the side",
    "overlap": "--overlap of half a window",
    "overlap-most": "--overlap of all frames but one",
    "beside": "--beside the other nets",
}


def settings_of(look: str, weights: Path, others: list[Path]) -> PredictSettings | None:
    """Flags of a look at frames; None where a net of one frame, or alone, cannot look so."""
    base = PredictSettings(backend="torch", device="cpu", amp="off")
    notes = load_net(weights).notes
    frames = notes.settings.frames
    beside = tuple(str(path) for path in others if path != weights)
    if (look.startswith("overlap") and frames == 1) or (look == "beside" and not beside):
        return None
    changes: dict[str, dict[str, Any]] = {
        "plain": {},
        "flip": {"flip": True},
        "smaller": {"scales": (0.7,)},
        "both": {"scales": (0.7, 1.4)},
        "larger": {"test_px": round(2.25 * notes.test_px)},
        "overlap": {"overlap": frames // 2},
        "overlap-most": {"overlap": frames - 1},
        "beside": {"beside": beside},
    }
    return replace(base, **changes[look])


def follow(task: Task) -> Outcome:
    """Follow and score in this process."""
    shutil.rmtree(task.run, ignore_errors=True)  # what a stopped benchmark left
    start = time.perf_counter()
    with one_thread():
        runs = evaluate(
            *task.seqs,
            data=task.data,
            out=task.run,
            weights=task.weights,
            embedder="none",
            report=False,
            scenes=task.scenes,
            predict=task.predict,
        )
    means = (mean_score(runs, name) for name in MEASURES)
    return Outcome(task.look, str(task.weights), *means, time.perf_counter() - start)


def tasks_of(args: argparse.Namespace) -> dict[str, Task]:
    """Looks by name."""
    tasks = {}
    for weights in args.weights:
        for look in args.looks:
            predict = settings_of(look, weights, args.weights)
            if predict is None:
                continue
            key = named(look, weights.resolve(), predict, args.seq, args.data, args.scenes)
            where = tuple(args.seq), args.data, args.scenes, args.out / key
            tasks[key] = Task(look, weights, predict, *where)
    return tasks


def print_table(rows: Iterable[Outcome]) -> None:
    """Mean of the nets for each way of looking, with its lowest and highest."""
    known = list(rows)
    groups = {LOOKS[k]: [r for r in known if r.look == k] for k in (row.look for row in known)}
    print_means("each net with each look", groups, (*MEASURES, "seconds"))


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--looks", nargs="+", default=list(LOOKS), choices=list(LOOKS))
    parser.add_argument("--seq", nargs="+", default=[RENDERED])
    parser.add_argument("--data", type=Path, help="folder of the sequences")
    parser.add_argument("--scenes", type=int, default=8, help="rendered scenes to score")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/test-time"))
    args = parser.parse_args()
    tasks = tasks_of(args)
    if args.seq == [RENDERED]:
        ensure_scenes(args.data or data_root(), args.scenes, split="test")
    rows = rows_of(follow, tasks, Outcome, args.out, args.workers)
    print_table(rows.values())


if __name__ == "__main__":
    main()
