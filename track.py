"""Follow people through one video: decode → predict → link → write, frame by frame.

    python track.py street.mp4 --out runs/street

The pipeline is `follow`, which eval.py runs as well; nothing of it grows with the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from mot.annotations import ResultWriter
from mot.boxes import Boxes
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.frames import stream_frames
from mot.images import IMAGE_SUFFIXES, Image
from mot.overlay import OverlayWriter
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence, open_video
from mot.videofile import VIDEO_SUFFIXES
from nets.predict import FramePrediction, Predictor, PredictSettings, input_size, load_net
from nets.shipped import default_weights
from reid.embedder import Embedder, choose_embedder
from reid.linker import LinkerSettings
from reid.linking import link_stream, linker_settings
from reid.looker import Looker
from reid.sight import Sight


@dataclass(frozen=True)
class TrackFlags:
    """Count, box and follow the people in one video, folder of images or MOT sequence."""

    source: tyro.conf.Positional[str]
    """Video file, folder of images, sequence folder, or name of a sequence in the data root."""
    out: str = "runs/track"
    """Folder of the run: <source name>.txt (MOT result rows), with --video <source name>.mp4."""
    weights: str | None = None
    """Weights of a net (.safetensors); none = those that come with Footfall."""
    linker: str = "byte"
    """How detections become tracks: iou, sort, byte, oc, or a .yaml file of python -m reid.tune."""
    online: bool = False
    """Report every frame at once: no boxes from before a track's confirmation, gaps stay gaps."""
    embedder: str = "auto"
    """Who recognises people after a long gap: auto (weights that come with Footfall), none, or
    weights of python -m reid.train."""
    fps: float | None = None
    """Frames per second; overrides what the source says, if it says anything."""
    video: bool = False
    """Write an overlay video: boxes, identities, trails and density."""
    predict: PredictSettings = field(default_factory=PredictSettings)


@dataclass(frozen=True)
class Followed:
    """One frame of a followed video.

    Attributes:
        prediction: image as the net saw it, density and detections.
        tracks: boxes of confirmed tracks, in pixels of the original frame.
    """

    prediction: FramePrediction
    tracks: Boxes


def follow(
    sequence: Sequence,
    predictor: Predictor,
    linker: LinkerSettings,
    embedder: Embedder | None = None,
) -> Iterator[Followed]:
    """Yield every frame of a sequence with its people, in order, in bounded memory.

    Args:
        sequence: what to follow people through.
        predictor: the net.
        linker: how detections become tracks.
        embedder: recognises people by their looks; None = nobody does.

    Raises:
        InputError: an unknown frame rate; frames that cannot be decoded, once all frames before
            them have been given out.
    """
    size_hw = (sequence.height, sequence.width)
    stream = stream_frames(sequence, size_hw=input_size(size_hw, predictor.test_px))
    waiting: dict[int, FramePrediction] = {}
    failure: list[InputError] = []

    def frames() -> Iterator[tuple[int, Image]]:
        try:
            yield from stream
        except InputError as error:
            failure.append(error)  # raised when the frames on their way have come out

    def detections() -> Iterator[tuple[int, Boxes]]:
        for prediction in predictor.predict(frames(), size_hw):
            waiting[prediction.frame] = prediction
            yield prediction.frame, prediction.detections

    original_wh = (sequence.width, sequence.height)
    looker = Looker(embedder, linker, original_wh, device=predictor.settings.device)

    def sight(frame: int, boxes: Boxes) -> Sight:
        seen = waiting[frame]
        return looker(seen.image, boxes, count=seen.count if predictor.has_density else None)

    fps = sequence.require_fps()
    for frame, tracks in link_stream(detections(), fps=fps, settings=linker, sight=sight):
        yield Followed(waiting.pop(frame), tracks)
    if failure:
        raise failure[0]


def open_source(source: str, fps: float | None) -> Sequence:
    """Open a path, or find the sequence of that name in the data root."""
    path = Path(source)
    if path.exists() or path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return open_video(path, fps=fps)
    return find_sequence(source, data_root(), fps=fps)


def require_new(paths: Iterable[Path]) -> None:
    """Refuse to write over files that hold something; an empty one is left of a run that failed.

    Raises:
        InputError: names the first file that is in the way.
    """
    for path in paths:
        if path.exists() and (path.is_dir() or path.stat().st_size):
            raise InputError(path, "a new file", "one that is there", "use another --out")


def track(flags: TrackFlags) -> Path:
    """Follow one source and write its result file; returns the file.

    Raises:
        InputError: source, weights or settings that cannot be used, or a result that is there.
    """
    sequence = open_source(flags.source, flags.fps)
    sequence.require_fps()
    linker = linker_settings(flags.linker, online=flags.online)
    result = Path(flags.out) / f"{sequence.name}.txt"
    video = Path(flags.out) / f"{sequence.name}.mp4"
    require_new([result, video] if flags.video else [result])
    trained = load_net(flags.weights or default_weights(rendered=False))
    predictor = Predictor(trained, flags.predict)
    embedder = choose_embedder(flags.embedder)
    with ExitStack() as stack:
        rows = stack.enter_context(ResultWriter(result))
        overlay = stack.enter_context(OverlayWriter(video, sequence)) if flags.video else None
        bar = stack.enter_context(progress_bar(sequence.length, unit="frame", title=sequence.name))
        for item in follow(sequence, predictor, linker, embedder):
            rows.write(item.tracks)
            if overlay:
                overlay.write(item.prediction.image, item.tracks, item.prediction.density)
            people, density = len(item.tracks), f"{item.prediction.count:.1f}"
            bar.set_postfix(people=people, density=density, refresh=False)
            bar.update()
    return result


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    print(f"tracks: {track(parse_flags(TrackFlags, arguments))}")


if __name__ == "__main__":
    main()
