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
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.annotations import ResultWriter, considered, write_results
from mot.batch import Batch, follow_each
from mot.boxes import Boxes
from mot.command_line import parse_flags, plain_settings
from mot.errors import InputError, one_line_errors, require_setting
from mot.footage import footage_of
from mot.overlay import OverlayWriter
from mot.parallel import ParallelSettings, run_all
from mot.preprocessing import protocol_of
from mot.progress import progress_bar
from mot.report.html import SequenceSeries, write_report
from mot.report.table import print_scores, write_scores_json
from mot.scoring import SequenceScores, frame_counts, score_sequence
from mot.sequence import Sequence, data_root, find_sequence
from mot.sources import content_of
from mot.synthetic import RENDERED, ensure_scenes
from mot.track_files import COUNTS_ENDING, write_counts, write_summary
from mot.track_run import (
    IN_THE_WAY,
    SUMMARY,
    StateFile,
    Totals,
    TrackedVideo,
    read_summary,
    require_new,
)
from nets.predict import Predictor, PredictSettings, load_net
from nets.shipped import default_weights
from reid.embedder import Embedder, choose_embedder
from reid.following import Follower
from reid.linker import LinkerSettings
from reid.linking import finish_offline, link, linker_settings, raw_settings
from reid.offline import OfflineSettings

DETECTIONS = ("net", "public")
SCORES = "scores.json"
# Results do not depend on these; one sequence's not on the others.
PLACES = ("seq", "data", "out", "scenes", "resume", "parallel")
JOIN_TABLES = 1000  # so many tables of one frame each weigh more than their rows


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
    """Weights of a net (.safetensors); none = those that come with Footfall."""
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
    """Write an overlay video per sequence and show it in the report."""
    resume: bool = False
    """Go on with the run in --out: what is followed to its end is scored from its files, the rest
    is followed."""
    parallel: ParallelSettings = field(default_factory=ParallelSettings)
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
class Result:
    """Tracks of one sequence; density_count is (length,) people per frame, None without density."""

    tracks: Boxes
    density_count: npt.NDArray[np.float64] | None
    backend: str


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


def evaluate_all(flags: EvalFlags) -> list[ScoredSequence]:
    """Follow and score all sequences, write scores.json and report.html."""
    out = Path(flags.out)
    if (out / SCORES).exists() and not flags.resume:
        raise InputError(out, "a new run folder", "one with scores", IN_THE_WAY)
    linker_settings(flags.linker, online=flags.online)
    sequences = find_sequences(flags)
    if len(sequences) > 1 and flags.detections == "net":  # one line says what all would
        load_net(flags.weights or default_weights(rendered=set(flags.seq) == {RENDERED}))
        choose_embedder(flags.embedder)
    if not flags.resume:
        paths = (out / f"{s.name}{end}" for s in sequences for end in endings(flags))
        require_new(paths, IN_THE_WAY)
    tasks = {sequence.name: (flags, sequence) for sequence in sequences}
    words = {sequence.name: str(sequence.folder) for sequence in sequences}
    batch = partial(Batch, out, words, resume=flags.resume, unit="sequence")
    follow_each(follow_one, tasks, batch, flags.parallel)
    predictor_for.cache_clear()  # the net's memory is free for the scoring
    scored = score_all(tasks, flags)
    scores = [run.scores for run in scored]
    write_scores_json(out / SCORES, scores, {"config": asdict(flags)})
    pairs = zip(sequences, scored, strict=True)
    write_report(
        out / "report.html",
        title=f"Footfall: {', '.join(flags.seq)}",
        scores=scores,
        series={s.name: draw_series(s, run, video=flags.video) for s, run in pairs},
        config=asdict(flags),
    )
    return scored


def endings(flags: EvalFlags) -> tuple[str, ...]:
    """What the files of one sequence end with."""
    files = (".txt", COUNTS_ENDING, SUMMARY)
    return (*files, ".mp4") if flags.video else files


def follow_one(task: tuple[EvalFlags, Sequence]) -> TrackedVideo:
    """Follow one sequence into its files, unless an earlier run has; returns what it came to."""
    flags, sequence = task
    out, name = Path(flags.out), sequence.name
    config = {k: v for k, v in asdict(flags).items() if k not in PLACES}
    config |= {"source": str(sequence.folder), "content": content_of(sequence.frames_at)}
    states = StateFile(out, name, config, resume=flags.resume)
    if done := states.finished():
        return TrackedVideo(name, out, done)
    states.load(endings(flags))
    start = time.monotonic()
    linker = linker_settings(flags.linker, online=flags.online)
    live = raw_settings(linker) if flags.offline else linker
    if flags.detections == "public":
        states.begin()
        result = link_public(sequence, live, out)
    else:
        net = predictor_for(flags.weights, set(flags.seq) == {RENDERED}, flags.predict)
        embedder = choose_embedder(flags.embedder)
        states.begin()
        result = run_net(sequence, net, live, embedder, flags)
    if flags.offline:
        result = finish(sequence, result, linker, out)
    summary = write_summary_of(sequence, result, config, out, work_s=time.monotonic() - start)
    states.remove()
    return TrackedVideo(name, out, summary)


@lru_cache(maxsize=1)
def predictor_for(weights: str | None, rendered: bool, settings: PredictSettings) -> Predictor:
    """Load the named net, or the one that ships for these sequences; all of them share it."""
    return Predictor(load_net(weights or default_weights(rendered=rendered)), settings)


def run_net(
    sequence: Sequence,
    predictor: Predictor,
    linker: LinkerSettings,
    embedder: Embedder | None,
    flags: EvalFlags,
) -> Result:
    """Follow a sequence with the net, writing results (and the overlay) frame by frame."""
    tracks: list[Boxes] = []
    counts: list[float] = []
    footage, beginning = footage_of(sequence), Path(flags.out) / sequence.name
    with ExitStack() as stack:
        rows = stack.enter_context(ResultWriter(f"{beginning}.txt"))
        overlay = None
        if flags.video:
            overlay = stack.enter_context(OverlayWriter(Path(f"{beginning}.mp4"), footage))
        title, shown = sequence.name, flags.parallel.here
        bar = progress_bar(sequence.length, unit="frame", title=title, shown=shown)
        stack.enter_context(bar)
        for item in Follower(footage, predictor, linker, embedder):
            rows.write(item.tracks)
            tracks.append(item.tracks)
            if len(tracks) == JOIN_TABLES:
                tracks = [Boxes.concatenate(tracks)]
            counts.append(item.prediction.count)
            if overlay:
                overlay.write(item.prediction.image, item.tracks, item.prediction.density)
            bar.update()
    density = np.array(counts) if predictor.has_density else None
    return Result(Boxes.concatenate(tracks), density, predictor.backend)


def finish(sequence: Sequence, result: Result, linker: LinkerSettings, out: Path) -> Result:
    """Join the tracks of a whole sequence; its result file is replaced when they are there."""
    tracks = finish_offline(
        result.tracks,
        length=sequence.length,
        fps=sequence.require_fps(),
        settings=linker,
        offline=OfflineSettings(),
    )
    write_results(out / f"{sequence.name}.txt", tracks)
    return replace(result, tracks=tracks)


def link_public(sequence: Sequence, linker: LinkerSettings, out: Path) -> Result:
    """Link the detections that come with a sequence; its frames are not read."""
    boxes = link(
        sequence.detections(),
        length=sequence.length,
        fps=sequence.require_fps(),
        settings=linker,
    )
    write_results(out / f"{sequence.name}.txt", boxes)
    return Result(boxes, None, "public detections")


def write_summary_of(
    sequence: Sequence, result: Result, config: Mapping[str, Any], out: Path, *, work_s: float
) -> dict[str, Any]:
    """Write the counts, and last the summary, which says that the sequence is followed."""
    fps, totals = sequence.require_fps(), Totals(work_s=work_s)
    frames: list[tuple[int, float, Boxes, float | None]] = []
    density = result.density_count
    for number, boxes in result.tracks.by_frame(sequence.length):
        count = None if density is None else float(density[number - 1])
        frames.append((number, (number - 1) / fps, boxes, count))
        totals.add(*frames[-1][1:])
    write_counts(out / f"{sequence.name}{COUNTS_ENDING}", frames)
    summary: dict[str, Any] = {
        "complete": True,
        "source": str(sequence.folder),
        "width": sequence.width,
        "height": sequence.height,
        "fps": fps,
        **totals.summary(has_density=density is not None),
        "backend": result.backend,
        "config": dict(config),
    }
    write_summary(out / f"{sequence.name}{SUMMARY}", summary)
    return summary


def score_all(
    tasks: Mapping[str, tuple[EvalFlags, Sequence]], flags: EvalFlags
) -> list[ScoredSequence]:
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


def score_one(task: tuple[EvalFlags, Sequence]) -> ScoredSequence:
    """Score one sequence by its benchmark's protocol, from the files that following it left."""
    flags, sequence = task
    out, name = Path(flags.out), sequence.name
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


def draw_series(sequence: Sequence, run: TrackedVideo, *, video: bool) -> SequenceSeries:
    """What the report draws of one sequence."""
    truth = sequence.truth()
    return SequenceSeries(
        length=sequence.length,
        tracks=run.tracks(),
        truth_count=frame_counts(truth[considered(truth)], sequence.length),
        density_count=density_of(run),
        fps=sequence.fps,
        video=f"{sequence.name}.mp4" if video else None,
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(EvalFlags, arguments)
    print_scores([run.scores for run in evaluate_all(flags)])
    print(f"report: {Path(flags.out) / 'report.html'}")
