"""A few windows of frames, real or rendered: what an exported net is checked and quantised on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from mot.boxes import Boxes
from mot.errors import InputError
from mot.frames import stream_frames
from mot.images import Image, resize
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence, open_video
from mot.synthetic import RENDERED, SceneSettings, render_frames
from nets.notes import NetNotes
from nets.predict import input_size

SCENE = SceneSettings(width=960, height=544, min_height=60, max_height=190)
APART = 7  # rendered frames from one window's beginning to the next: people have moved on


@dataclass(frozen=True)
class Sample:
    """One window of T frames.

    Attributes:
        frames: (1-based number, RGB frame at the size that the net sees) of each.
        size_hw: of the original frames, in whose pixels the truth is.
        truth: rows of these frames; None where there is no truth.
    """

    frames: list[tuple[int, Image]]
    size_hw: tuple[int, int]
    truth: Boxes | None


def draw_samples(
    words: tuple[str, ...], notes: NetNotes, count: int, data: str | None
) -> list[Sample]:
    """Windows of T frames, `count` of each source.

    Args:
        words: videos, folders of images, sequence folders, names of sequences below `data`, or
            synthetic for a rendered scene.
        notes: of the net, for T and the size that it sees.
        count: windows of each, evenly spread over it; of a short one fewer.
        data: folder of sequences; None = $FOOTFALL_DATA, else data/.

    Raises:
        InputError: a source that cannot be read, or an unknown name.
    """
    root = Path(data) if data else data_root()
    drawn: list[Sample] = []
    for word in words:
        rendered = word == RENDERED
        windows = (
            _rendered(notes, count) if rendered else _of_sequence(_open(word, root), notes, count)
        )
        with progress_bar(count, unit="window", title=word) as bar:
            for sample in windows:
                drawn.append(sample)
                bar.update()
    if not drawn:
        raise InputError("--frames", "a source of frames", "none", "name one, or synthetic")
    return drawn


def _open(word: str, root: Path) -> Sequence:
    return open_video(word) if Path(word).exists() else find_sequence(word, root)


def _of_sequence(sequence: Sequence, notes: NetNotes, count: int) -> Iterator[Sample]:
    size_hw = sequence.height, sequence.width
    seen_hw = input_size(size_hw, notes.test_px)
    length = min(notes.settings.frames, sequence.length)
    truth = sequence.truth() if sequence.has_truth else None
    starts = np.linspace(1, sequence.length - length + 1, count).round().astype(int)
    for start in np.unique(starts).tolist():
        last = start + length - 1
        frames = list(stream_frames(sequence, size_hw=seen_hw, first=start, last=last))
        rows = truth[(truth.frame >= start) & (truth.frame <= last)] if truth is not None else None
        yield Sample(frames, size_hw, rows)


def _rendered(notes: NetNotes, count: int) -> Iterator[Sample]:
    """A scene of its own seed, with people about as large as those of real footage."""
    size_hw = SCENE.height, SCENE.width
    seen_hw = input_size(size_hw, notes.test_px)
    length = notes.settings.frames
    step = max(APART, length)
    stream = enumerate(render_frames(replace(SCENE, frames=count * step)), start=1)
    for _ in range(count):
        shown = list(islice(stream, step))[:length]
        images = [(number, resize(image, seen_hw)) for number, (image, _) in shown]
        yield Sample(images, size_hw, Boxes.concatenate([boxes for _, (_, boxes) in shown]))
