"""Tune a linker on sequences with a truth: `python -m reid.tune --seqs A B --out runs/tune`.

Optuna's TPE sampler (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization") proposes
settings, its median pruner drops those that fall behind after a sequence. Optuna is an extra:
`pip install optuna`.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mot.annotations import read_detections
from mot.boxes import Boxes
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.preprocessing import protocol_of
from mot.progress import progress_bar
from mot.scoring import SequenceScores, combine, score_sequence
from mot.sequence import Sequence, data_root, find_sequence
from mot.splits import recording_of
from reid.linking import link, linker_settings, unit_scores
from reid.recipe import write_settings
from reid.search_space import SearchSpace
from reid.settings import LinkerSettings
from reid.study import finished_trials, next_trial, open_study, require_optuna, require_place
from reid.tune_report import (
    BEST,
    Best,
    best_of,
    draw_pictures,
    print_comparison,
    write_trials,
)

if TYPE_CHECKING:
    from optuna import Study

METRICS = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
# Recordings that results are reported on (docs/linking.md, docs/results.md), in lower case: whoever
# tunes on them has nothing left to report.
REPORTED = ("mot17-04*", "mot17-09*", "tud-stadtmitte*", "synthetic-test-*")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TuneFlags:
    """Search a linker's settings by the combined score of sequences with a truth."""

    seqs: tuple[str, ...] = ()
    """Sequences to tune on, by name (the beginning is enough); those that results are reported on
    are refused."""
    out: str = "runs/tune"
    """Folder of the study: study.db, best.yaml, trials.csv, history.png, importances.png."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""
    boxes: str | None = None
    """Folder of detections, <sequence>.txt as MOT rows; none = public ones, det/det.txt."""
    linker: str = "byte"
    """Linker to start from."""
    online: bool = False
    """Report every frame at once, as eval.py --online; settings that look ahead stay off."""
    parameters: tuple[str, ...] = ()
    """Settings of the linker to search; none = all numbers."""
    trials: int = 100
    """Trials in all, the linker to start from and those of a resumed study included."""
    seed: int = 1
    """Another seed, another search."""
    metric: str = "HOTA"
    """What is maximised: HOTA, DetA, AssA, IDF1 or MOTA."""
    resume: bool = False
    """Go on with the study in --out; --trials may be larger, other flags must be the same."""

    def __post_init__(self) -> None:
        for name in ("seqs", "parameters"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require = partial(require_setting, self)
        require("seqs", bool(self.seqs), "at least one sequence")
        require("trials", self.trials >= 1, "at least 1")
        require("seed", self.seed >= 0, "0 or more")
        require("metric", self.metric in METRICS, f"one of {', '.join(METRICS)}")


@dataclass(frozen=True)
class Scene:
    """A sequence with what linking and scoring need of it; detections have scores in 0..1."""

    sequence: Sequence
    detections: Boxes
    truth: Boxes

    def score(self, settings: LinkerSettings) -> SequenceScores:
        """Link the detections and score the tracks."""
        length, name = self.sequence.length, self.sequence.name
        fps = self.sequence.require_fps()
        tracks = link(self.detections, length=length, fps=fps, settings=settings)
        protocol = protocol_of(name)
        return score_sequence(self.truth, tracks, length=length, name=name, protocol=protocol)


@dataclass(frozen=True)
class Outcome:
    """What came of a tuning: the linker it started from and the best one, each with its scores."""

    start: LinkerSettings
    best: Best
    start_scores: list[SequenceScores]
    best_scores: list[SequenceScores]


def tune(flags: TuneFlags) -> Outcome:
    """Search, and leave the study, its best settings, its table and its pictures in --out.

    Raises:
        InputError: sequences, detections or settings that cannot be used, a study that is in the
            way or is another one, or no optuna.
    """
    require_optuna()
    out = Path(flags.out)
    require_place(out, resume=flags.resume)
    start = linker_settings(flags.linker, online=flags.online)
    space = SearchSpace(start, flags.parameters, online=flags.online)
    scenes = open_scenes(flags)
    with open_study(out, _config(flags, start, scenes)) as study:
        done = len(finished_trials(study))
        with progress_bar(flags.trials, unit="trial", title="tuning", start=done) as bar:
            start_scores = [scene.score(start) for scene in scenes]
            marks = _marks(start_scores, flags.metric)
            best = _save(out, study, space, flags, marks)
            for _ in range(done, flags.trials):
                run_trial(study, space, scenes, start_scores, flags)
                best = _save(out, study, space, flags, marks)
                bar.set_postfix({flags.metric: f"{best.value:.2f}"}, refresh=False)
                bar.update()
        draw_pictures(out, study, marks, flags.metric)
    return Outcome(start, best, start_scores, [scene.score(best.settings) for scene in scenes])


def run_trial(
    study: Study,
    space: SearchSpace,
    scenes: list[Scene],
    start_scores: list[SequenceScores],
    flags: TuneFlags,
) -> None:
    """Score one proposal sequence by sequence, until it is through or falls behind.

    The pruner compares what is gained over the linker to start from, on the same sequences:
    sequences differ in difficulty, and it looks at the best of a trial's values so far.

    Args:
        study: where the trial is drawn from and noted.
        space: the settings that are searched.
        scenes: sequences to score on.
        start_scores: of the linker to start from, for each of them.
        flags: metric and seed.
    """
    from optuna.trial import TrialState

    marks = _marks(start_scores, flags.metric)
    trial = next_trial(study, space, flags.seed)
    try:
        settings = space.settings(trial.params)
        scores: list[SequenceScores] = []
        for step, scene in enumerate(scenes):
            known = settings == space.start
            scores.append(start_scores[step] if known else scene.score(settings))
            reached = getattr(combine(scores), flags.metric)
            trial.report(reached - marks[step], step)
            if step + 1 < len(scenes) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
        study.tell(trial, reached)
    except BaseException:  # Ctrl-C as well: what is half done does not count
        study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        raise


def open_scenes(flags: TuneFlags) -> list[Scene]:
    """Read the sequences to tune on.

    Raises:
        InputError: unknown or ambiguous name, a name given twice, a sequence that results are
            reported on, or one without truth, frame rate or detections.
    """
    root = Path(flags.data) if flags.data else data_root()
    found = [find_sequence(name, root) for name in flags.seqs]
    names = [sequence.name for sequence in found]
    for name in names:
        refuse_reported(name)
        if names.count(name) > 1:
            raise InputError("--seqs", "each sequence once", name, "name it once")
    return [_open_scene(sequence, flags.boxes) for sequence in found]


def refuse_reported(name: str) -> None:
    """Refuse a sequence that results are reported on, by whichever of its names.

    Raises:
        InputError: its recording is one of `REPORTED`.
    """
    recording = recording_of(name).lower()
    if any(fnmatchcase(recording, pattern) for pattern in REPORTED):
        raise InputError(
            f"--seqs {name}",
            "sequences that no results are reported on",
            f"one that they are ({', '.join(REPORTED)})",
            "tune on others, such as MOT17-02 and MOT17-05",
        )


def _open_scene(sequence: Sequence, folder: str | None) -> Scene:
    sequence.require_fps()
    truth = sequence.truth()
    if folder is None:
        boxes = sequence.detections()
    else:
        boxes = read_detections(Path(folder) / f"{sequence.name}.txt", length=sequence.length)
    boxes, mapped = unit_scores(boxes)
    if mapped:
        _log.warning("%s: scores outside 0..1, all %d mapped", sequence.name, mapped)
    return Scene(sequence, boxes, truth)


def _marks(scores: list[SequenceScores], metric: str) -> list[float]:
    """The combined score of the first sequence, of the first two, and so on."""
    return [getattr(combine(scores[: count + 1]), metric) for count in range(len(scores))]


def _save(
    out: Path, study: Study, space: SearchSpace, flags: TuneFlags, marks: list[float]
) -> Best:
    """Write best.yaml and trials.csv as they stand; returns the best so far."""
    best = best_of(study, space, marks[-1])
    name = f"{flags.linker}, online" if flags.online else flags.linker
    trials = f"{len(finished_trials(study))}, seed {flags.seed}"
    place = (
        f"trial {best.trial} of {trials}" if best.trial else f"the start, none better of {trials}"
    )
    notes = [
        f"linker {name}, tuned by python -m reid.tune: {place}",
        f"{flags.metric} {best.value:.2f} (start: {marks[-1]:.2f}) on {' '.join(flags.seqs)}: "
        "a training score, which says little of other sequences",
    ]
    write_settings(out / BEST, best.settings, notes)
    write_trials(out, study, space, marks, flags.metric)
    return best


def _config(flags: TuneFlags, start: LinkerSettings, scenes: list[Scene]) -> dict[str, Any]:
    """What must be the same when a study goes on."""
    digest = hashlib.sha256()
    for scene in scenes:
        for boxes in (scene.detections, scene.truth):
            for column in vars(boxes).values():
                digest.update(column.tobytes())
    return {
        "seqs": [scene.sequence.name for scene in scenes],
        "boxes and truth": digest.hexdigest()[:16],
        "linker": asdict(start),
        "online": flags.online,
        "parameters": sorted(flags.parameters),
        "seed": flags.seed,
        "metric": flags.metric,
    }


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(TuneFlags, arguments)
    outcome = tune(flags)
    print_comparison(outcome.start, outcome.best, outcome.start_scores, outcome.best_scores)
    print(f"settings: {Path(flags.out) / BEST}")


if __name__ == "__main__":
    main()
