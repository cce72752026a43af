"""The report's part of a sequence that has a truth: pictures, boxes, errors, counts."""

from __future__ import annotations

from collections.abc import Sequence as Many
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.annotations import considered
from mot.boxes import Boxes
from mot.frames import stream_frames
from mot.preprocessing import prepare, protocol_of
from mot.report.gallery import hang
from mot.report.html import SequenceSeries
from mot.report.mistakes import KINDS, choose_mistakes
from mot.report.preview import Budget, Preview, PreviewRecorder
from mot.report.runs import runs_of
from mot.report.scene import Scene, without_pictures
from mot.sequence import Sequence

MOST_EXAMPLES = 240  # of a page
MOST_OF_A_KIND = 12  # in one sequence


def budgets(sequences: Many[Sequence]) -> dict[str, Budget]:
    """What the preview of each sequence on a page may come to, by name."""
    total = sum(sequence.length for sequence in sequences)
    return {s.name: Budget().share(s.length, total) for s in sequences}


def recorder_for(
    sequence: Sequence, out: Path, budget: Budget, *, every: int = 1
) -> PreviewRecorder:
    """Record the preview of a sequence while every so-many-th of its frames goes by."""
    path = out / f".{sequence.name}.preview"
    size_hw = sequence.height, sequence.width
    return PreviewRecorder(path, size_hw, count=-(-sequence.length // every), budget=budget)


def scored_series(
    sequence: Sequence,
    tracks: Boxes,
    *,
    density_count: npt.NDArray[np.float64] | None,
    preview: Preview | None,
    out: Path,
    budget: Budget,
    sequences: int,
    video: str | None,
) -> SequenceSeries:
    """All that the report shows of a sequence.

    Args:
        sequence: with a truth.
        tracks: as they are scored.
        density_count: people per frame by density, (length,), if there is density.
        preview: recorded on the way; None = made here, where the frames are there.
        out: folder of the run, for a temporary file.
        budget: of the preview.
        sequences: on the page, which share its room for examples.
        video: overlay video, as a path relative to the report.

    Raises:
        InputError: a frame that cannot be read.
    """
    length, pictures, missing = sequence.length, sequence.has_frames, ""
    if preview is None and pictures:
        preview = _read_again(sequence, tracks, out, budget)
    if preview is None:
        preview, missing = without_pictures(length, "the frames are not there.")
    truth = sequence.truth()
    prepared = prepare(
        truth, tracks, length=length, name=sequence.name, protocol=protocol_of(sequence.name)
    )
    most = min(MOST_OF_A_KIND, max(1, MOST_EXAMPLES // (len(KINDS) * sequences)))
    mistakes = choose_mistakes(prepared, fps=sequence.require_fps(), most=most)
    counts = {"truth": truth[considered(truth)].per_frame(length)}
    counts["tracks"] = tracks.per_frame(length)
    size_hw = sequence.height, sequence.width
    return SequenceSeries(
        length=length,
        counts=counts if density_count is None else counts | {"density": density_count},
        runs=runs_of([tracks]),
        fps=sequence.fps,
        video=video,
        scene=Scene(size_hw, preview, tracks, prepared.truth, missing=missing),
        gallery=hang(sequence, mistakes, pictures=pictures),
    )


def _read_again(sequence: Sequence, tracks: Boxes, out: Path, budget: Budget) -> Preview:
    """The preview of a sequence that was followed without its frames."""
    every = -(-sequence.length // budget.frames)
    with recorder_for(sequence, out, budget, every=every) as recorder:
        for number, image in stream_frames(sequence, size_hw=recorder.size_hw, step=every):
            recorder.add(number, image, tracks=tracks.at(number))
        return recorder.finish(title=f"{sequence.name}: pictures")
