"""A sequence with a truth on its way into its files: rows as it goes, then counts and a summary."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.annotations import ResultWriter, write_results
from mot.boxes import Boxes
from mot.footage import footage_of
from mot.overlay import OverlayWriter
from mot.progress import progress_bar
from mot.report.preview import Budget, Preview
from mot.report.scored import recorder_for
from mot.sequence import Sequence
from mot.track_files import COUNTS_ENDING, write_counts, write_summary
from mot.track_run import SUMMARY, Totals
from reid.detector import Detector, LookSettings
from reid.embedder import Embedder
from reid.following import Follower
from reid.linking import finish_offline, link, raw_settings
from reid.offline import OfflineSettings
from reid.settings import LinkerSettings

JOIN_TABLES = 1000  # so many tables of one frame each weigh more than their rows


@dataclass(frozen=True)
class FollowedSequence:
    """What following a sequence has come to.

    Attributes:
        sequence: that was followed.
        tracks: of all frames.
        density_count: (length,) people per frame; None without density.
        preview: for the report; None = it was not recorded, or the frames were not read.
    """

    sequence: Sequence
    tracks: Boxes
    density_count: npt.NDArray[np.float64] | None = None
    preview: Preview | None = None


def follow_sequence(
    sequence: Sequence,
    detector: Detector,
    linker: LinkerSettings,
    embedder: Embedder | None,
    out: Path,
    *,
    looks: LookSettings = LookSettings(),  # noqa: B008 - frozen
    video: bool = False,
    budget: Budget | None = None,
    shown: bool = True,
) -> FollowedSequence:
    """Follow a sequence, writing its rows (and the overlay) frame by frame.

    Args:
        sequence: to follow.
        detector: finds people in its frames.
        linker: how detections become tracks.
        embedder: recognises people by their looks; None = nobody does.
        out: folder of the run.
        looks: how often the detector looks.
        video: write the overlay.
        budget: of the preview; None = record none.
        shown: whether there is a progress bar.

    Raises:
        InputError: a frame that cannot be read; the rows before it are written.
        OSError: the disk is full; the rows end with a whole frame.
    """
    tracks: list[Boxes] = []
    counts: list[float] = []
    footage, name, has_density = footage_of(sequence), sequence.name, detector.has_density
    with ExitStack() as stack:
        rows = stack.enter_context(ResultWriter(out / f"{name}.txt"))
        overlay = None
        if video:
            overlay = stack.enter_context(OverlayWriter(out / f"{name}.mp4", footage))
        preview = stack.enter_context(recorder_for(sequence, out, budget)) if budget else None
        bar = progress_bar(sequence.length, unit="frame", title=name, shown=shown)
        stack.enter_context(bar)
        for item in Follower(footage, detector, linker, embedder, looks=looks):
            image, density = item.prediction.image, item.prediction.density
            rows.write(item.tracks)
            tracks.append(item.tracks)
            if len(tracks) == JOIN_TABLES:
                tracks = [Boxes.concatenate(tracks)]
            counts.append(item.prediction.count)
            if overlay:
                overlay.write(item.frame, image, item.tracks, density)
            if preview:
                preview.add(item.frame, image, density if has_density else None, item.tracks)
            bar.update()
        recorded = preview.finish(title=f"{name}: pictures", shown=shown) if preview else None
    people = np.array(counts) if has_density else None
    return FollowedSequence(sequence, Boxes.concatenate(tracks), people, recorded)


def link_public(sequence: Sequence, linker: LinkerSettings, out: Path) -> FollowedSequence:
    """Link the detections that come with a sequence; its frames are not read."""
    fps = sequence.require_fps()
    boxes = link(sequence.detections(), length=sequence.length, fps=fps, settings=linker)
    write_results(out / f"{sequence.name}.txt", boxes)
    return FollowedSequence(sequence, boxes)


def first_pass(linker: LinkerSettings, *, offline: bool) -> LinkerSettings:
    """What tracks are linked with; those that `join_offline` gets are without a finish."""
    return raw_settings(linker) if offline else linker


def join_offline(followed: FollowedSequence, linker: LinkerSettings, out: Path) -> FollowedSequence:
    """Join the tracks of a whole sequence; its result file is replaced when they are there."""
    sequence = followed.sequence
    tracks = finish_offline(
        followed.tracks,
        length=sequence.length,
        fps=sequence.require_fps(),
        settings=linker,
        offline=OfflineSettings(),
    )
    write_results(out / f"{sequence.name}.txt", tracks)
    return replace(followed, tracks=tracks)


def finish_files(
    followed: FollowedSequence,
    out: Path,
    *,
    config: Mapping[str, Any],
    backend: str,
    work_s: float,
) -> dict[str, Any]:
    """Write the counts and last the summary, which says that the sequence is followed.

    Args:
        followed: the sequence.
        out: folder of the run.
        config: settings that the results depend on.
        backend: what found the people.
        work_s: how long it took.

    Returns:
        The summary.
    """
    sequence, density, totals = followed.sequence, followed.density_count, Totals(work_s=work_s)
    frames: list[tuple[int, float, Boxes, float | None]] = []
    fps = sequence.require_fps()
    for number, boxes in followed.tracks.by_frame(sequence.length):
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
        "backend": backend,
        "config": dict(config),
    }
    write_summary(out / f"{sequence.name}{SUMMARY}", summary)
    return summary
