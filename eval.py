"""Score a net or public detections on sequences with a truth: follow, write, score, report.

python eval.py --seq MOT17-02 --out runs/mot17-02
python eval.py --seq synthetic --out runs/synthetic           rendered scenes, nothing to get
python eval.py --seq MOT17-09 --detections public --out runs/public

In a notebook: ``from eval import evaluate``, then ``evaluate("MOT17-09", out="runs/mot17-09")``.
"""

from __future__ import annotations

from mot.errors import run_script

if __name__ == "__main__":
    run_script("eval")

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.analysis.run_folder import SCORES
from mot.atomic import require_new
from mot.batch import Batch, follow_each, require_free_names
from mot.command_line import parse_flags, plain_settings
from mot.errors import InputError, one_line_errors, require_setting
from mot.parallel import ParallelSettings, run_all
from mot.preprocessing import protocol_of
from mot.progress import progress_bar
from mot.report.html import SequenceSeries, write_report
from mot.report.preview import Budget, load_preview, save_preview
from mot.report.scored import budgets, scored_series
from mot.report.table import print_scores, write_scores_json
from mot.scoring import SequenceScores, score_sequence
from mot.sequence import Sequence, data_root, find_sequence
from mot.sources import content_of
from mot.synthetic import RENDERED, ensure_scenes
from mot.track_files import COUNTS_ENDING
from mot.track_run import (
    IN_THE_WAY,
    SUMMARY,
    StateFile,
    TrackedVideo,
    read_summary,
)
from nets.predict import Predictor, PredictSettings, load_net, open_predictor
from nets.shipped import default_weights
from reid.detector import LookSettings
from reid.embedder import choose_embedder
from reid.linking import linker_settings
from reid.sequence_run import (
    finish_files,
    first_pass,
    follow_sequence,
    join_offline,
    link_public,
)

DETECTIONS = ("net", "public")
# Results do not depend on these; one sequence's not on the others.
PLACES = ("seq", "data", "out", "scenes", "report", "resume", "parallel")


@dataclass(frozen=True)
class EvalFlags:
    """Follow people through sequences that have a truth, and score the tracks."""

    seq: tuple[str, ...] = ()
    """Sequences by name (the beginning is enough), or synthetic: rendered scenes kept for tests."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""
    out: str = "runs/eval"
    """Folder of the run: <sequence>.txt, .counts.csv and .json, scores.json, report.html."""
    weights: str | None = None
    """Weights of a net (.safetensors), or what python -m nets.export made of it (.onnx, .xml,
    .torchscript), or one that comes with Footfall: footfall-m (what none means), footfall-s."""
    detections: str = "net"
    """net: boxes by the net; public: those in det/det.txt, which need no frames."""
    linker: str = "byte"
    """How detections become tracks: iou, sort, byte, oc, or a .yaml file of python -m reid.tune."""
    online: bool = False
    """Report every frame at once: no boxes from before a track's confirmation, gaps stay gaps."""
    offline: bool = False
    """Join tracks across long gaps once a sequence is known to its end."""
    embedder: str = "auto"
    """Who recognises people after a long gap, with --detections net: auto (weights that come with
    Footfall), none, or weights of python -m reid.train."""
    fps: float | None = None
    """Frames per second; overrides what the sequences say, if they say anything."""
    scenes: int = 20
    """Rendered scenes to score for --seq synthetic."""
    video: bool = False
    """Write an overlay video per sequence as well."""
    report: bool = True
    """Write report.html: pictures with boxes, counts, identities, errors, scores."""
    resume: bool = False
    """Go on with the run in --out: what is followed to its end is scored from its files, the rest
    is followed."""
    parallel: ParallelSettings = field(default_factory=ParallelSettings)
    looks: LookSettings = field(default_factory=LookSettings)
    predict: PredictSettings = field(default_factory=PredictSettings)

    def __post_init__(self) -> None:
        if not self.seq:
            raise InputError("--seq", "at least one sequence", "none", "try --seq synthetic")
        if self.detections not in DETECTIONS:
            expected = " or ".join(DETECTIONS)
            raise InputError("--detections", expected, self.detections, "choose one of them")
        require_setting(self, "scenes", self.scenes >= 1, "at least 1")
        require_setting(self, "offline", not (self.offline and self.online), "not with --online")
        if self.video and self.offline:
            remedy = "leave one out; python -m mot.view shows result files over frames"
            raise InputError("--video", "tracks that are known frame by frame", "--offline", remedy)
        if self.video and self.detections == "public":
            remedy = "leave one out; python -m mot.view shows result files over frames"
            raise InputError("--video", "--detections net", "--detections public", remedy)
        if self.fps is not None and RENDERED in self.seq:
            remedy = "leave --fps out: the scenes know theirs"
            raise InputError("--fps", "sequences other than rendered ones", RENDERED, remedy)


@dataclass(frozen=True)
class ScoredSequence(TrackedVideo):
    """A sequence that was followed and scored.

    Attributes:
        name: of the sequence; its files begin with it.
        out: folder of the run.
        summary: what stands in the summary file.
        scores: in percent and people; see `mot.scoring.SequenceScores`.
    """

    scores: SequenceScores


def evaluate(*seq: str | Path, **settings: Any) -> list[ScoredSequence]:
    """Follow and score sequences; the command line as a function.

    Args:
        seq: names or folders of sequences, as `EvalFlags.seq`.
        settings: other fields of `EvalFlags`, e.g. ``data="MOT17", out="runs/mot17"``.

    Returns:
        One per sequence, in the order of their names.

    Raises:
        InputError: sequences, weights or settings that cannot be used, or a result that is there;
            of several sequences, when all others are followed.

    >>> [run] = evaluate("scene", data=data, out=folder)
    >>> 0 <= run.scores.HOTA <= 100
    True
    >>> run.tracks().ltwh.shape[1]  # left, top, width, height in pixels
    4
    >>> list(run.counts().columns)  # a row per frame: its number, seconds, people, people
    ['frame', 'time', 'density', 'tracks']
    """
    return evaluate_all(EvalFlags(tuple(map(str, seq)), **plain_settings(settings)))


def find_sequences(flags: EvalFlags) -> list[Sequence]:
    """Open the sequences to score; `synthetic` stands for the rendered test scenes.

    Raises:
        InputError: unknown or ambiguous name, a name given twice, a sequence without truth or
            frame rate.
    """
    root = Path(flags.data) if flags.data else data_root()
    found: list[Sequence] = []
    for name in flags.seq:
        if name == RENDERED:
            found += ensure_scenes(root, flags.scenes, split="test")
        else:
            found.append(find_sequence(name, root, fps=flags.fps))
    names = [sequence.name for sequence in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("--seq", "each sequence once", ", ".join(twice), "name it once")
    for sequence in found:
        sequence.require_fps()
        sequence.truth()
    return found


@dataclass(frozen=True)
class Task:
    """One sequence on its way; what a worker is given.

    Attributes:
        flags: of the run.
        sequence: to follow and to score.
        budget: of its preview in the report.
    """

    flags: EvalFlags
    sequence: Sequence
    budget: Budget

    @property
    def preview_at(self) -> Path:
        """Where the preview waits until the report is written."""
        return Path(self.flags.out) / f"{self.sequence.name}.preview"


def evaluate_all(flags: EvalFlags) -> list[ScoredSequence]:
    """Follow and score all sequences, write scores.json and report.html."""
    out = Path(flags.out)
    for loaded in (predictor_for, choose_embedder):
        loaded.cache_clear()  # an earlier call's, whose file may have changed since
    if (out / SCORES).exists() and not flags.resume:
        raise InputError(out, "a new run folder", "one with scores", IN_THE_WAY)
    linker_settings(flags.linker, online=flags.online)
    sequences = find_sequences(flags)
    if len(sequences) == 1:  # which is followed here, whatever is said of workers
        flags = replace(flags, parallel=ParallelSettings())
    elif flags.detections == "net":  # one line says what all would
        load_net(flags.weights or default_weights(rendered=set(flags.seq) == {RENDERED}))
        choose_embedder(flags.embedder)
    require_free_names((s.name for s in sequences), [SCORES], "sequence")
    if not flags.resume:
        paths = (out / f"{s.name}{end}" for s in sequences for end in endings(flags))
        require_new(paths, IN_THE_WAY)
    room = budgets(sequences)
    tasks = {s.name: Task(flags, s, room[s.name]) for s in sequences}
    words = {s.name: str(s.folder) for s in sequences}
    batch = partial(Batch, out, words, resume=flags.resume, unit="sequence")
    follow_each(follow_one, tasks, batch, flags.parallel)
    predictor_for.cache_clear()  # the net's memory is free for the scoring
    scored = score_all(tasks, flags)
    scores = [run.scores for run in scored]
    write_scores_json(out / SCORES, scores, {"config": asdict(flags)})
    if flags.report:
        report(list(tasks.values()), scored, flags)
    return scored


def endings(flags: EvalFlags) -> tuple[str, ...]:
    """What the files of one sequence end with."""
    files = (".txt", COUNTS_ENDING, SUMMARY)
    return (*files, ".mp4") if flags.video else files


def follow_one(task: Task) -> TrackedVideo:
    """Follow one sequence into its files, unless an earlier run has; returns what it came to."""
    flags, sequence = task.flags, task.sequence
    out, name = Path(flags.out), sequence.name
    rendered = set(flags.seq) == {RENDERED}
    config = {k: v for k, v in asdict(flags).items() if k not in PLACES} | {"rendered": rendered}
    config |= {"source": str(sequence.folder), "content": content_of(sequence.frames_at)}
    states = StateFile(out, name, config, resume=flags.resume)
    if done := states.finished():
        return TrackedVideo(name, out, done)
    states.load(endings(flags))
    start = time.monotonic()
    linker = linker_settings(flags.linker, online=flags.online)
    linked = first_pass(linker, offline=flags.offline)
    if flags.detections == "public":
        states.begin()
        backend, followed = "public detections", link_public(sequence, linked, out)
    else:
        net = predictor_for(flags.weights, rendered, flags.predict)
        embedder, backend = choose_embedder(flags.embedder), net.backend
        states.begin()
        followed = follow_sequence(
            sequence,
            net,
            linked,
            embedder,
            out,
            looks=flags.looks,
            video=flags.video,
            budget=task.budget if flags.report else None,
            shown=flags.parallel.here,
        )
    if flags.offline:
        followed = join_offline(followed, linker, out)
    if followed.preview:
        save_preview(task.preview_at, followed.preview)
    work_s = time.monotonic() - start
    summary = finish_files(followed, out, config=config, backend=backend, work_s=work_s)
    states.remove()
    return TrackedVideo(name, out, summary)


@lru_cache(maxsize=1)
def predictor_for(weights: str | None, rendered: bool, settings: PredictSettings) -> Predictor:
    """Load the named net, or the one that ships for these sequences; all of them share it."""
    return open_predictor(weights, settings, rendered=rendered)


def score_all(tasks: Mapping[str, Task], flags: EvalFlags) -> list[ScoredSequence]:
    """Score all sequences from their files."""
    scored: dict[str, ScoredSequence] = {}
    with progress_bar(len(tasks), unit="sequence", title="scoring") as bar:
        for outcome in run_all(score_one, tasks, flags.parallel):
            if outcome.answer is None:
                where, remedy = f"scoring of {outcome.name}", "mend the cause and use --resume"
                raise InputError(where, "scores", outcome.error, remedy)
            scored[outcome.name] = outcome.answer
            bar.update()
    return [scored[name] for name in tasks]


def score_one(task: Task) -> ScoredSequence:
    """Score one sequence by its benchmark's protocol, from the files that following it left."""
    sequence, out, name = task.sequence, Path(task.flags.out), task.sequence.name
    run = TrackedVideo(name, out, read_summary(out, name) or {})
    scores = score_sequence(
        sequence.truth(),
        run.tracks(),
        length=sequence.length,
        name=name,
        density_count=density_of(run),
        protocol=protocol_of(name),
    )
    return ScoredSequence(name, out, run.summary, scores)


def density_of(run: TrackedVideo) -> npt.NDArray[np.float64] | None:
    """People per frame by density (length,), None without density."""
    density = run.counts()["density"].to_numpy(np.float64)
    return None if np.isnan(density).any() else density


def report(tasks: list[Task], scored: list[ScoredSequence], flags: EvalFlags) -> None:
    """Write report.html; the previews that following has left are in it then, and go."""
    out = Path(flags.out)
    series: dict[str, SequenceSeries] = {}
    with progress_bar(len(tasks), unit="sequence", title="report") as bar:
        for task, run in zip(tasks, scored, strict=True):
            sequence = task.sequence
            series[sequence.name] = scored_series(
                sequence,
                run.tracks(),
                density_count=density_of(run),
                preview=load_preview(task.preview_at),
                out=out,
                budget=task.budget,
                sequences=len(tasks),
                video=f"{sequence.name}.mp4" if flags.video else None,
            )
            bar.update()
    write_report(
        out / "report.html",
        title=f"Footfall: {', '.join(flags.seq)}",
        scores=[run.scores for run in scored],
        series=series,
        config=asdict(flags),
    )
    for task in tasks:
        task.preview_at.unlink(missing_ok=True)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(EvalFlags, arguments)
    print_scores([run.scores for run in evaluate_all(flags)])
    if flags.report:
        print(f"report: {Path(flags.out) / 'report.html'}")
