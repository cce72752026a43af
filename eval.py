"""Score a net or public detections on sequences with a truth: follow, write, score, report.

python eval.py --seq MOT17-02 --out runs/mot17-02
python eval.py --seq synthetic --out runs/synthetic           rendered scenes, nothing to get
python eval.py --seq MOT17-09 --detections public --out runs/public
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.annotations import ResultWriter, considered, write_results
from mot.boxes import Boxes
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.footage import footage_of
from mot.overlay import OverlayWriter
from mot.preprocessing import protocol_of
from mot.progress import progress_bar
from mot.report.html import SequenceSeries, write_report
from mot.report.table import print_scores, write_scores_json
from mot.scoring import SequenceScores, frame_counts, score_sequence
from mot.sequence import Sequence, data_root, find_sequence
from mot.synthetic import RENDERED, ensure_scenes
from mot.track_run import require_new
from nets.predict import Predictor, PredictSettings, load_net
from nets.shipped import default_weights
from reid.embedder import Embedder, choose_embedder
from reid.following import Follower
from reid.linker import LinkerSettings
from reid.linking import finish_offline, link, linker_settings, raw_settings
from reid.offline import OfflineSettings

DETECTIONS = ("net", "public")
JOIN_TABLES = 1000  # so many tables of one frame each weigh more than their rows


@dataclass(frozen=True)
class EvalFlags:
    """Follow people through sequences that have a truth, and score the tracks."""

    seq: tuple[str, ...] = ()
    """Sequences by name (the beginning is enough), or synthetic: rendered scenes kept for tests."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""
    out: str = "runs/eval"
    """Folder of the run: <sequence>.txt, scores.json, report.html."""
    weights: str | None = None
    """Weights of a net (.safetensors), or what python -m nets.export made of it (.onnx, .xml,
    .torchscript); none = those that come with Footfall."""
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


def predictor_for(flags: EvalFlags) -> Predictor:
    """Load the named net, or the one that ships for these sequences."""
    rendered = set(flags.seq) == {RENDERED}
    return Predictor(load_net(flags.weights or default_weights(rendered=rendered)), flags.predict)


def run_net(
    sequence: Sequence,
    predictor: Predictor,
    linker: LinkerSettings,
    embedder: Embedder | None,
    out: Path,
    *,
    video: bool,
) -> Result:
    """Follow a sequence with the net, writing results (and the overlay) frame by frame."""
    tracks: list[Boxes] = []
    counts: list[float] = []
    footage = footage_of(sequence)
    with ExitStack() as stack:
        rows = stack.enter_context(ResultWriter(out / f"{sequence.name}.txt"))
        overlay = None
        if video:
            overlay = stack.enter_context(OverlayWriter(out / f"{sequence.name}.mp4", footage))
        bar = stack.enter_context(progress_bar(sequence.length, unit="frame", title=sequence.name))
        for item in Follower(footage, predictor, linker, embedder):
            rows.write(item.tracks)
            tracks.append(item.tracks)
            if len(tracks) == JOIN_TABLES:
                tracks = [Boxes.concatenate(tracks)]
            counts.append(item.prediction.count)
            if overlay:
                overlay.write(item.prediction.image, item.tracks, item.prediction.density)
            bar.update()
    return Result(Boxes.concatenate(tracks), np.array(counts) if predictor.has_density else None)


def follow_all(
    sequences: list[Sequence], flags: EvalFlags, linker: LinkerSettings, out: Path
) -> list[Result]:
    """Follow all sequences; when it returns, the net's memory is free for the scoring."""
    live = raw_settings(linker) if flags.offline else linker
    if flags.detections == "public":
        results = [link_public(sequence, live, out) for sequence in sequences]
    else:
        predictor = predictor_for(flags)
        embedder = choose_embedder(flags.embedder)
        results = [run_net(s, predictor, live, embedder, out, video=flags.video) for s in sequences]
    if not flags.offline:
        return results
    return [
        finish(sequence, result, linker, out)
        for sequence, result in zip(sequences, results, strict=True)
    ]


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
    return Result(boxes, None)


def evaluate(flags: EvalFlags) -> list[SequenceScores]:
    """Run and score all sequences, print the table, write scores.json and report.html.

    Raises:
        InputError: sequences, weights or settings that cannot be used, or a run that is there.
    """
    out = Path(flags.out)
    if (out / "scores.json").exists():
        raise InputError(out, "a new run folder", "one with scores", "use another --out")
    linker = linker_settings(flags.linker, online=flags.online)
    sequences = find_sequences(flags)
    endings = (".txt", ".mp4") if flags.video else (".txt",)
    require_new(out / f"{sequence.name}{end}" for sequence in sequences for end in endings)
    results = follow_all(sequences, flags, linker, out)
    scores: list[SequenceScores] = []
    series: dict[str, SequenceSeries] = {}
    with progress_bar(len(sequences), unit="sequence", title="scoring") as bar:
        for sequence, result in zip(sequences, results, strict=True):
            scores.append(score(sequence, result))
            series[sequence.name] = draw_series(sequence, result, video=flags.video)
            bar.update()
    print_scores(scores)
    write_scores_json(out / "scores.json", scores, {"config": asdict(flags)})
    title = f"Footfall: {', '.join(flags.seq)}"
    write_report(
        out / "report.html", title=title, scores=scores, series=series, config=asdict(flags)
    )
    return scores


def score(sequence: Sequence, result: Result) -> SequenceScores:
    """Score one sequence by its benchmark's protocol."""
    return score_sequence(
        sequence.truth(),
        result.tracks,
        length=sequence.length,
        name=sequence.name,
        density_count=result.density_count,
        protocol=protocol_of(sequence.name),
    )


def draw_series(sequence: Sequence, result: Result, *, video: bool) -> SequenceSeries:
    """What the report draws of one sequence."""
    truth = sequence.truth()
    return SequenceSeries(
        length=sequence.length,
        tracks=result.tracks,
        truth_count=frame_counts(truth[considered(truth)], sequence.length),
        density_count=result.density_count,
        fps=sequence.fps,
        video=f"{sequence.name}.mp4" if video else None,
    )


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(EvalFlags, arguments)
    evaluate(flags)
    print(f"report: {Path(flags.out) / 'report.html'}")


if __name__ == "__main__":
    main()
