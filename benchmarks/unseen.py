"""What a net scores on a place it has never seen: `python -m benchmarks.unseen --recipe …`.

For each place in turn a net is trained by the recipe on all other sequences, calibrated on those,
and scored on the sequences of that place; one table holds all of them, with the settings of the
product and no threshold of its own. Started again, it goes on where it was stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from eval import ScoredSequence, evaluate
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.report.table import print_scores, write_scores_json
from mot.sequence import list_sequences, open_sequence
from nets.calibrate import CalibrateFlags, calibrate
from nets.checkpoint import CHECKPOINT
from nets.density_run import run_training
from nets.predict import PredictSettings
from nets.recipe import TrainSettings, load_recipe
from reid.detector import LookSettings

PLACES = ("MOT17-02", "MOT17-09", "PETS09", "TUD-Stadtmitte", "KITTI-17")


@dataclass(frozen=True)
class UnseenFlags:
    """Train without a place, score on it, for each place in turn."""

    recipe: Path
    """Recipe (YAML) that names all --train-seqs."""
    truth: Path
    """Folder that holds the sequences to score, whole and with their truth."""
    data: str | None = None
    """Folder to train from, in the place of the recipe's."""
    out: Path = Path("runs/unseen")
    """Folder of the runs: PLACE/train, PLACE/eval, and scores.json of all."""
    places: tuple[str, ...] = PLACES
    """Beginnings of sequence names: what begins alike is of one place."""
    weights: str | None = None
    """Weights to start from in the place of the recipe's; they must not know the places."""
    max_steps: int | None = None
    """Steps of each training in the place of the recipe's."""
    seed: int | None = None
    """Seed in the place of the recipe's."""
    embedder: str = "none"
    """As eval.py has it. The embedder that comes with Footfall knows people of MOT17-02 and
    KITTI-17: with it, those two are no unseen places."""
    online: bool = False
    """Report every frame at once, as a tracker that looks at no later frame."""
    looks: LookSettings = field(default_factory=LookSettings)
    predict: PredictSettings = field(default_factory=PredictSettings)


def without(settings: TrainSettings, place: str) -> TrainSettings:
    """The settings without the place's sequences.

    Raises:
        InputError: the recipe does not name sequences, or nothing is left.
    """
    kept = tuple(name for name in settings.data.train_seqs if not name.startswith(place))
    if not kept:
        raise InputError("--recipe", f"train_seqs beside {place}", "none", "name more sequences")
    return replace(settings, data=replace(settings.data, train_seqs=kept))


def train_without(place: str, flags: UnseenFlags) -> Path:
    """Train and calibrate a net that has not seen a place; returns its weights."""
    settings = without(load_recipe(flags.recipe), place)
    if flags.data is not None:
        settings = replace(settings, data=replace(settings.data, data=flags.data))
    schedule = settings.schedule
    if flags.max_steps is not None:
        schedule = replace(schedule, max_steps=flags.max_steps)
    if flags.seed is not None:
        schedule = replace(schedule, seed=flags.seed)
    settings = replace(settings, schedule=schedule, weights=flags.weights or settings.weights)
    run = flags.out / place / "train"
    calibrated = flags.out / place / "net.safetensors"
    if not calibrated.is_file():
        run_training(settings, run, resume=(run / CHECKPOINT).is_file())
        calibrate(
            CalibrateFlags(
                str(run / "weights.safetensors"),
                settings.data.train_seqs,
                out=str(calibrated),
                half=True,
                data=settings.data.data,
                predict=flags.predict,
            )
        )
    return calibrated


def score_on(place: str, weights: Path, flags: UnseenFlags) -> list[ScoredSequence]:
    """Follow and score the sequences of a place."""
    found = [open_sequence(folder) for folder in list_sequences(flags.truth)]
    names = [s.name for s in found if s.name.startswith(place) and s.has_truth]
    if not names:
        raise InputError(flags.truth, f"sequences of {place}", "none", "name another --truth")
    return evaluate(
        *names,
        data=flags.truth,
        out=flags.out / place / ("online" if flags.online else "eval"),
        weights=weights,
        embedder=flags.embedder,
        online=flags.online,
        looks=flags.looks,
        predict=flags.predict,
        resume=True,
        report=False,
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(UnseenFlags, arguments, description=__doc__)
    scored: list[ScoredSequence] = []
    for place in flags.places:
        scored += score_on(place, train_without(place, flags), flags)
    scores = [run.scores for run in scored]
    name = "scores-online.json" if flags.online else "scores.json"
    write_scores_json(flags.out / name, scores, {"recipe": str(flags.recipe)})
    print_scores(scores)
    means = [float(np.mean([getattr(s, key) for s in scores])) for key in ("HOTA", "MOTA", "IDF1")]
    print("mean over sequences: HOTA {:.1f}, MOTA {:.1f}, IDF1 {:.1f}".format(*means))


if __name__ == "__main__":
    main()
