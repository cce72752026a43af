"""Follow people through videos: decode → predict → link → write, frame by frame.

    python track.py street.mp4 --out runs/street
    python track.py 'videos/*.mp4' --workers 2 --out runs/videos

In a notebook: ``from track import track``, then ``track("street.mp4", out="runs/street")``.
"""

from __future__ import annotations

from mot.errors import run_script

if __name__ == "__main__":
    run_script("track")

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import tyro

from mot.batch import Batch, follow_each
from mot.command_line import parse_flags, plain_settings
from mot.counting import Counter, Line, Zone, parse_line, parse_zone, require_inside
from mot.density_files import DensityFiles, require_kind
from mot.errors import InputError, one_line_errors
from mot.footage import Footage
from mot.live import interrupt_ends
from mot.overlay import Overlay, OverlayWriter
from mot.parallel import ParallelSettings
from mot.progress import progress_bar
from mot.report.followed import REPORT, recorder_for, write_followed
from mot.report.preview import PreviewRecorder
from mot.sources import Source, find_sources, open_source
from mot.track_files import ENDINGS, TrackFiles
from mot.track_run import StateFile, Totals, TrackedVideo
from mot.window import Window
from nets.given import GivenBoxes, read_boxes
from nets.predict import Predictor, PredictSettings, load_net, open_predictor
from reid.detector import LookSettings
from reid.embedder import choose_embedder
from reid.following import Followed, Follower
from reid.linking import linker_settings, with_unit_scores

# Results do not depend on these; one source's not on the others.
PLACES = ("sources", "out", "resume", "video", "show", "density", "report", "parallel")


@dataclass(frozen=True)
class TrackFlags:
    """Count, box and follow the people in videos."""

    sources: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders of images or of videos, patterns in quotes ('videos/*.mp4'), the index
    of a camera, rtsp:// or http:// addresses, sequence folders or names of sequences."""
    out: str = "runs/track"
    """Folder of the run; files begin with the source's name: .txt (MOT rows), .csv and .parquet
    (frame, time, id, box, score), .counts.csv (density count, tracks), .json (summary)."""
    weights: str | None = None
    """Weights of a net (.safetensors), or what python -m nets.export made of it (.onnx, .xml,
    .torchscript), or one that comes with Footfall: footfall-m (what none means), footfall-s."""
    boxes: str | None = None
    """Link these detections (MOT text) in the place of a net's."""
    linker: str = "byte"
    """How detections become tracks: iou, sort, byte, oc, or a .yaml file of python -m reid.tune."""
    online: bool = False
    """Report every frame at once: no boxes from before a track's confirmation, gaps stay gaps."""
    embedder: str = "auto"
    """Who recognises people after a long gap: auto (weights that come with Footfall), none, or
    weights of python -m reid.train."""
    fps: float | None = None
    """Frames per second; overrides what the source says, if it says anything."""
    every: int = 1
    """Look at every so-many-th frame."""
    max_frames: int = 0
    """Look at so many frames at most; 0 = all."""
    zone: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Area to count people in, NAME=x,y,x,y,x,y… in pixels; may be given several times."""
    line: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Line to count people over, NAME=x,y,x,y in pixels; in = from its left to its right, looking
    from its first end to the second; may be given several times."""
    video: bool = False
    """Write an overlay video: boxes, identities, trails, density, zones and lines."""
    show: bool = False
    """Show the overlay in a window while it runs; q ends the run there, its files complete."""
    report: bool = True
    """Write a page to look at when a video is done: .html, with small pictures of its frames."""
    density: str | None = None
    """Write the density map of every frame: npy, or h5 (key density); its sum is the count."""
    resume: bool = False
    """Go on with the run in --out where it was stopped or killed; what is complete stays."""
    reconnect_s: float = 30.0
    """A live stream that has been away for so many seconds has ended."""
    parallel: ParallelSettings = field(default_factory=ParallelSettings)
    looks: LookSettings = field(default_factory=LookSettings)
    predict: PredictSettings = field(default_factory=PredictSettings)

    def __post_init__(self) -> None:
        if self.density is not None:
            require_kind(self.density)


def track(*sources: str | Path, **settings: Any) -> list[TrackedVideo]:
    """Follow people through videos; the command line as a function.

    Args:
        sources: videos, as `TrackFlags.sources`.
        settings: other fields of `TrackFlags`, e.g. ``out="runs/street", every=2``.

    Returns:
        One per video that is complete, in the order of the sources.

    Raises:
        InputError: sources, weights or settings that cannot be used, or a result that is there;
            of several videos, when all others are done.

    >>> [run] = track(video, out=folder, max_frames=20)
    >>> run.summary["frames"]
    20
    >>> run.tracks().ltwh.shape[1]  # left, top, width, height in pixels
    4
    >>> list(run.counts().columns)
    ['frame', 'time', 'density', 'tracks']
    """
    return track_all(TrackFlags(tuple(map(str, sources)), **plain_settings(settings)))


def track_all(flags: TrackFlags) -> list[TrackedVideo]:
    """Follow all sources: one here, several in a batch."""
    for loaded in (_predictor, choose_embedder):
        loaded.cache_clear()  # an earlier call's, whose file may have changed since
    sources = find_sources(flags.sources)
    if not sources:
        raise InputError("sources", "a video to follow", "none", "name one")
    several = len(sources) > 1
    if several and (flags.boxes or flags.show):
        flag = "--boxes" if flags.boxes else "--show"
        raise InputError(flag, "one source", f"{len(sources)}", "leave it out, or name one source")
    if several:
        check_settings(flags)
    else:  # which is followed here, whatever is said of workers
        flags = replace(flags, parallel=ParallelSettings())
    tasks = {source.name: (flags, source) for source in sources}
    words = {source.name: source.word for source in sources}
    batch = partial(Batch, Path(flags.out), words, resume=flags.resume)
    return follow_each(track_one, tasks, batch, flags.parallel)


def check_settings(flags: TrackFlags) -> None:
    """What is wrong for all sources is said once, before the first of them is followed."""
    marks_of(flags)
    linker_settings(flags.linker, online=flags.online)
    load_net(flags.weights)
    choose_embedder(flags.embedder)


def marks_of(flags: TrackFlags) -> tuple[list[Zone], list[Line]]:
    """Zones and lines."""
    zones = [parse_zone(text, k) for k, text in enumerate(flags.zone, 1)]
    return zones, [parse_line(text, k) for k, text in enumerate(flags.line, 1)]


def track_one(task: tuple[TrackFlags, Source]) -> TrackedVideo:
    """Follow one source; returns what it came to.

    Raises:
        InputError: a source, weights or settings that cannot be used, or a result that is there.
    """
    flags, source = task
    config = {k: v for k, v in asdict(flags).items() if k not in PLACES}
    config |= {"source": source.word, "content": source.content}
    states = StateFile(Path(flags.out), source.name, config, resume=flags.resume)
    if done := states.finished():
        return TrackedVideo(source.name, Path(flags.out), done)
    footage = replace(
        open_source(
            source,
            fps=flags.fps,
            every=flags.every,
            max_frames=flags.max_frames,
            reconnect_s=flags.reconnect_s,
        ),
        name=source.name,
    )
    return Run(flags, source, footage, states).follow()


class Run:
    """One source on its way through the pipeline into its files."""

    def __init__(
        self, flags: TrackFlags, source: Source, footage: Footage, states: StateFile
    ) -> None:
        self.flags, self.source, self.footage, self.states = flags, source, footage, states
        self.out = Path(flags.out)
        zones, lines = marks_of(flags)
        require_inside([*zones, *lines], footage.width, footage.height)
        self.counter, self.totals = Counter(zones, lines, footage.fps), Totals()
        self.linker = linker_settings(flags.linker, online=flags.online)
        self.sizes: dict[str, int] | None = None
        self.recorded: dict[str, Any] | None = None
        state = self._stored()
        self.detector = detector_for(flags, footage.length)
        embedder = choose_embedder(flags.embedder)
        given = footage, self.detector, self.linker, embedder
        self.follower = Follower(*given, looks=flags.looks, state=state)

    def _stored(self) -> dict[str, Any] | None:
        """What a run that was stopped left to go on from; without --resume nothing may be there."""
        if self.flags.resume and self.footage.live:
            raise InputError("--resume", "a recorded source", self.source.word, "leave it out")
        flags = self.flags
        state = self.states.load([*ENDINGS, *[".mp4"] * flags.video, *[REPORT] * flags.report])
        if state is None:
            return None
        self.counter, self.totals, self.sizes = state["counter"], state["totals"], state["sizes"]
        self.recorded = state.get("preview")
        follower: dict[str, Any] = state["follower"]
        return follower

    def follow(self) -> TrackedVideo:
        """Follow everybody to the end, writing as it goes."""
        flags, footage, before_s = self.flags, self.footage, self.totals.work_s
        counter = self.counter
        with ExitStack() as stack:
            window = stack.enter_context(Window(footage.name)) if flags.show else None
            self.states.begin()
            files = TrackFiles(self.out, footage.name, counter, self.sizes)
            stack.enter_context(files)
            overlay = stack.enter_context(self._overlay_writer()) if flags.video else None
            picture = Overlay(footage, counter.zones, counter.lines) if window else None
            folder = self.out / f"{footage.name}-density"
            maps = DensityFiles(folder, flags.density) if flags.density else None
            preview = stack.enter_context(self._recorder()) if flags.report else None
            bar = progress_bar(
                footage.count,
                unit="frame",
                title=footage.name,
                start=self.totals.frames,
                shown=flags.parallel.here,
            )
            stack.enter_context(bar)
            stack.enter_context(interrupt_ends(footage))
            start = time.monotonic()
            for item in self.follower:
                files.write(item.frame, item.seconds, item.tracks, item.density_count)
                self.totals.add(item.seconds, item.tracks, item.density_count)
                if maps:
                    maps.write(item.frame, item.prediction.density)
                image, tracks, density = _picture_of(item)
                if overlay:
                    overlay.write(item.frame, image, tracks, density)
                if preview:
                    preview.add(item.frame, image, density, tracks)
                if window and picture and not window.show(picture.draw(image, tracks, density)):
                    self.follower.end()
                    window = None  # what is still on its way is written, but not waited for
                self.totals.work_s = before_s + time.monotonic() - start
                self.states.save_now_and_then(lambda: self._state(files, preview))
                bar.set_postfix(people=len(item.tracks), refresh=False)
                bar.update()
            summary = self._summary()
            if preview and self.totals.frames:
                self._report(preview, summary, overlay)
            files.finish(summary)
        self.states.remove()
        return TrackedVideo(footage.name, self.out, summary)

    def _overlay_writer(self) -> OverlayWriter:
        """A video cannot be appended to: a run that goes on writes another."""
        done = self.totals.frames
        part = f".from-{1 + done * self.footage.step:06d}" if done else ""
        path = self.out / f"{self.footage.name}{part}.mp4"
        return OverlayWriter(path, self.footage, self.counter.zones, self.counter.lines)

    def _recorder(self) -> PreviewRecorder:
        return recorder_for(self.footage, self.out, self.recorded, self.totals.frames)

    def _report(
        self, preview: PreviewRecorder, summary: dict[str, Any], overlay: OverlayWriter | None
    ) -> None:
        title, shown = f"{self.footage.name}: pictures", self.flags.parallel.here
        pictures = preview.finish(title=title, shown=shown)
        video = overlay.path.name if overlay else None
        write_followed(self.out, self.footage, pictures, self.counter, summary, video=video)

    def _state(self, files: TrackFiles, preview: PreviewRecorder | None) -> dict[str, Any]:
        return {
            "preview": preview.state() if preview else None,
            "follower": self.follower.state(),
            "counter": self.counter,
            "totals": self.totals,
            "sizes": files.sizes(),
        }

    def _summary(self) -> dict[str, Any]:
        footage, detector = self.footage, self.detector
        return {
            "complete": True,
            "source": self.source.word,
            "content": self.source.content,
            "width": footage.width,
            "height": footage.height,
            "fps": footage.fps,
            "times": footage.times,
            **self.totals.summary(has_density=detector.has_density),
            **({"counted": self.counter.totals()} if self.counter.totals() else {}),
            "backend": detector.backend,
            "config": asdict(self.flags),
        }


def _picture_of(item: Followed) -> tuple[Any, Any, Any]:
    """What is drawn of a frame."""
    density = item.prediction.density if item.density_count is not None else None
    return item.prediction.image, item.tracks, density


def detector_for(flags: TrackFlags, length: int | None) -> Predictor | GivenBoxes:
    """The net, or in its place the boxes of --boxes, for a video of so many frames."""
    if flags.boxes is None:
        return _predictor(flags.weights, flags.predict)
    if flags.weights or flags.density:
        flag = "--weights" if flags.weights else "--density"
        raise InputError(flag, "a net", "--boxes, which take its place", "leave one of them out")
    boxes = with_unit_scores(read_boxes(Path(flags.boxes), length=length))
    return GivenBoxes(boxes, device=flags.predict.device)


@lru_cache(maxsize=1)
def _predictor(weights: str | None, settings: PredictSettings) -> Predictor:
    """Load a net; the videos of a batch share it."""
    return open_predictor(weights, settings)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(TrackFlags, arguments)
    for run in track_all(flags):
        print(run.line())
        if flags.report:
            print(f"report: {run.out / run.name}{REPORT}")
