"""Do the side, top and tri-plane nets converge, from any seed, and at what cost?

`python -m benchmarks.views` trains each of them from random weights on small rendered scenes
(T = 20), once per seed, each run on one thread, and judges it on scenes of the validation split:

- count error: mean |predicted - true people| of a frame over the mean true people;
- dead frames: places among the 20 whose people are predicted to less than 5 %;
- border: mean count error of the first and the last frame of a block over that of its middle ten;
- cost: processor time per frame to train and to predict, over those of the frame-stack net of as
  many parameters and T that keeps frames apart (--fuse none), timed in turns in the same process;
  and, for the record, of the one that stacks them at the input, one pass for all frames.

Keeps a row per run in a file; started again, it goes on where it was stopped.
"""

import argparse
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.table import Table

from benchmarks.rows import named, rows_of, train_whole
from mot.errors import one_line_errors
from mot.frames import stream_frames
from mot.scene_settings import SceneSettings
from mot.sequence import Sequence
from mot.synthetic import ensure_scenes
from mot.terminal import terminal
from nets.augment import AugmentSettings
from nets.clip_net import ClipNet
from nets.clips import density_target
from nets.doctor import DEAD_RATIO
from nets.menu import build_net
from nets.people import people_of
from nets.predict import Predictor, PredictSettings, load_net
from nets.recipe import DataSettings, TrainSettings, recipe_text
from nets.schedule import ScheduleSettings
from nets.settings import NetSettings
from nets.trial import one_thread

NETS = ("side", "top", "triplane")
FRAMES = 20
STRIDE = 4
MIDDLE = slice(5, 15)
SCENE = SceneSettings(
    width=96, height=64, people=9, min_height=14, max_height=26, frames=30,
    lighting=0.3, clutter=2, occluders=0, shadows=0.2, noise=2,
)  # fmt: skip
SCENES = {"train": 640, "val": 40}  # many and short: a few hundred are learned by heart
COUNT_BAR, BORDER_BAR, COST_BAR = 0.10, 1.2, 2.0
WIDTHS = [n / 16 for n in range(1, 65)]  # of the frame-stack net that has as many parameters
REPEATS = 5


@dataclass(frozen=True)
class Outcome:
    """One training run and what its net costs.

    Attributes:
        count_error: mean absolute count error of a frame over the mean count.
        mass_ratio: predicted over true people of all frames.
        dead: frames of the block that predict next to nothing.
        border: count error at the block's ends over that in its middle.
        parameters: of the net.
        train_ms, predict_ms: per frame.
        train_cost, predict_cost: times those of the frame-stack net with --fuse none.
        train_cost_input, predict_cost_input: times those of the one with --fuse input.
        seconds: wall time of the training.
    """

    net: str
    seed: int
    steps: int
    count_error: float
    mass_ratio: float
    dead: int
    border: float
    parameters: int
    train_ms: float
    predict_ms: float
    train_cost: float
    predict_cost: float
    train_cost_input: float
    predict_cost_input: float
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether it counts, in every frame of the block."""
        return self.count_error <= COUNT_BAR and self.dead == 0


def net_settings(net: str) -> NetSettings:
    """The net of 2019 in this respect: density and nothing else."""
    return NetSettings(
        net=net, backbone="small", width=0.5, neck_channels=32, frames=FRAMES, heads=("density",)
    )


def settings_of(net: str, seed: int, steps: int, home: Path) -> TrainSettings:
    """The training that `train.py` would run with these flags, small enough for minutes."""
    scenes = ensure_scenes(home, SCENES["train"], split="train", settings=SCENE)
    return TrainSettings(
        data=DataSettings(
            data=str(Path(scenes[0].folder).parent),
            train_seqs=tuple(scene.name for scene in scenes),
            cache=str(home / "cache"),
        ),
        net=net_settings(net),
        # Colours as when it is judged: a short training under others is off by 10 %.
        augment=AugmentSettings(
            crop=(SCENE.height, SCENE.width),
            scale=(0.95, 1.05),
            background_share=0.5,
            colour=0.05,
            blur_share=0,
            noise=2,
        ),
        schedule=ScheduleSettings(
            max_steps=steps, batch=8, seed=seed, workers=0, device="cpu", lr=3e-3, ema=0.99
        ),
    )


@dataclass(frozen=True)
class Task:
    """Which net to train, and where."""

    net: str
    seed: int
    steps: int
    home: Path

    @property
    def name(self) -> str:
        """Of a training with these settings on these scenes alone."""
        settings = settings_of(self.net, self.seed, self.steps, self.home)
        told = recipe_text(replace(settings, data=DataSettings())), SCENE, SCENES
        return named(f"{self.net} seed{self.seed}", *told)


def train_once(task: Task) -> Outcome:
    """Train in this process, then judge."""
    run = task.home / task.name
    shutil.rmtree(run, ignore_errors=True)  # what a stopped benchmark left
    run.mkdir(parents=True)
    start = time.perf_counter()
    with one_thread():
        train_whole(settings_of(task.net, task.seed, task.steps, task.home), run)
        seconds = time.perf_counter() - start
        predicted, true = held_out_counts(run / "weights.safetensors", task.home)
        cost = costs(task.net)
    error = np.abs(predicted - true).mean(axis=0)
    ratio = predicted.sum(axis=0) / true.sum(axis=0)
    return Outcome(
        task.net,
        task.seed,
        task.steps,
        float(error.mean() / true.mean()),
        float(predicted.sum() / true.sum()),
        int((ratio < DEAD_RATIO).sum()),
        float(error[[0, -1]].mean() / error[MIDDLE].mean()),
        *cost,
        seconds,
    )


def held_out_counts(
    weights: Path, home: Path
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """People predicted and true, by place in the block: (blocks, T) each.

    Every scene is cut into blocks twice, the second time half a block later, so that the places
    see other frames.
    """
    settings = PredictSettings(backend="torch", device="cpu", amp="off")
    predictor = Predictor(load_net(weights), settings)
    pairs = [
        counts_of(scene, predictor, first)
        for scene in ensure_scenes(home, SCENES["val"], split="val", settings=SCENE)
        for first in (1, 1 + FRAMES // 2)
    ]
    predicted, true = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    return predicted, true


def counts_of(
    scene: Sequence, predictor: Predictor, first: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Predicted and true people of a scene's whole blocks from frame `first` on."""
    last = first - 1 + (scene.length - first + 1) // FRAMES * FRAMES
    size_hw = scene.height, scene.width
    frames = stream_frames(scene, size_hw=size_hw, first=first, last=last)
    truth = scene.truth()
    pairs = []
    for found in predictor.predict(frames, size_hw):
        target, valid = density_target(people_of(truth.at(found.frame)), size_hw, STRIDE)
        pairs.append([(valid * each).sum() for each in (found.density, target)])
    predicted, true = np.array(pairs, np.float64).T
    return predicted.reshape(-1, FRAMES), true.reshape(-1, FRAMES)


def costs(name: str) -> tuple[int, float, float, float, float, float, float]:
    """Parameters, milliseconds per frame to train and predict, and those as multiples."""
    settings = net_settings(name)
    net = build_net(settings)
    stacks = [as_large(net, fuse) for fuse in ("none", "input")]
    rows = np.array([[_ms_per_frame(n, train) for n in (net, *stacks)] for train in (True, False)])
    # The fastest of rounds in which the three take turns: other work on the machine hits all.
    for _ in range(REPEATS - 1):
        again = [[_ms_per_frame(n, train) for n in (net, *stacks)] for train in (True, False)]
        rows = np.minimum(rows, again)
    (train, *trains), (predict, *predicts) = rows.tolist()
    none = train / trains[0], predict / predicts[0]
    stacked = train / trains[1], predict / predicts[1]
    return _parameters(net), train, predict, *none, *stacked


def as_large(net: ClipNet, fuse: str) -> ClipNet:
    """The frame-stack net whose number of parameters comes nearest."""
    plain = replace(net.settings, net="frame_stack", fuse=fuse)
    built = (build_net(replace(plain, width=width)) for width in WIDTHS)
    return min(built, key=lambda other: abs(_parameters(other) - _parameters(net)))


def _parameters(net: ClipNet) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _ms_per_frame(net: ClipNet, train: bool) -> float:
    """Milliseconds of processor time per frame of a clip, with or without its gradients."""
    net.to(memory_format=torch.channels_last).train(train)  # type: ignore[call-overload]
    clips = torch.zeros((1, FRAMES, 3, SCENE.height, SCENE.width), dtype=torch.uint8)
    start = time.process_time()
    with torch.set_grad_enabled(train):
        maps = net(clips)
        if train:
            torch.autograd.backward(torch.stack([m.square().mean() for m in maps.values()]).sum())
    return 1000 * (time.process_time() - start) / FRAMES


def print_table(outcomes: Iterable[Outcome], nets: Iterable[str]) -> None:
    """Mean and worst over the seeds of each net, beside its bar."""
    known = list(outcomes)
    table = Table(title=f"T = {FRAMES}, random weights, rendered scenes; mean (worst) of the seeds")
    headings = ("net", "parameters", "converged", f"count error ≤{COUNT_BAR:.0%}", "dead")
    costs_of = (
        f"train ≤{COST_BAR:g}×",
        f"predict ≤{COST_BAR:g}×",
        "train ×input",
        "predict ×input",
    )
    for heading in (*headings, f"border ≤{BORDER_BAR}", "ms/frame", *costs_of, "s/run"):
        table.add_column(heading, justify="right")
    for net in nets:
        mine = [o for o in known if o.net == net]
        if not mine:
            continue

        def both(name: str, mine: list[Outcome] = mine) -> str:
            values = [float(getattr(o, name)) for o in mine]
            return f"{np.mean(values):.3g} ({max(values):.3g})"

        ms = (np.mean([getattr(o, name) for o in mine]) for name in ("train_ms", "predict_ms"))
        table.add_row(
            net,
            str(mine[0].parameters),
            f"{sum(o.converged for o in mine)}/{len(mine)}",
            both("count_error"),
            str(sum(o.dead for o in mine)),
            both("border"),
            " / ".join(f"{mean:.2f}" for mean in ms),
            both("train_cost"),
            both("predict_cost"),
            both("train_cost_input"),
            both("predict_cost_input"),
            f"{np.mean([o.seconds for o in mine]):.0f}",
        )
    terminal(200).print(table)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1 to this")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/views"))
    args = parser.parse_args()
    for split, count in SCENES.items():  # once, before several processes want them
        ensure_scenes(args.out, count, split=split, settings=SCENE)
    seeds = range(1, args.seeds + 1)
    tasks = [Task(net, seed, args.steps, args.out) for seed in seeds for net in args.nets]
    rows = rows_of(train_once, {t.name: t for t in tasks}, Outcome, args.out, args.workers)
    print_table(rows.values(), args.nets)


if __name__ == "__main__":
    main()
