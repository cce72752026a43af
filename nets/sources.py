"""From data settings to training sources: sequences found, cached, and weighed."""

from __future__ import annotations

from collections.abc import Sequence as Many
from pathlib import Path

from labelmaps.cache import cached_frames
from mot.errors import InputError
from mot.sequence import Sequence, find_sequence, list_sequences, open_sequence
from mot.stills import Stills, open_stills
from mot.synthetic import SceneSettings, ensure_scenes
from nets.clips import SequenceSource, Source, StillSource
from nets.recipe import DataSettings

CACHE_GRID = 4  # cached sizes are multiples of this many pixels


def training_sources(settings: DataSettings) -> tuple[list[Source], list[float]]:
    """Open everything to train on; returns the sources and how often each is to be drawn.

    Sequences share their part of the clips equally, photos share theirs by their number.

    Raises:
        InputError: a name is unknown, a sequence has no truth, or a validation sequence would be
            trained on.
    """
    sequences = _training_sequences(settings)
    stills = [_find_stills(name, settings) for name in settings.stills]
    sources: list[Source] = [_cached(sequence, settings) for sequence in sequences]
    photos: list[Source] = [StillSource(folder) for folder in stills]
    still_share = settings.still_share if photos and sources else float(bool(photos))
    shares = [(1 - still_share) / len(sources)] * len(sources) if sources else []
    total = sum(photo.length for photo in photos)
    shares += [still_share * photo.length / total for photo in photos]
    return sources + photos, shares


def validation_sources(settings: DataSettings) -> list[Source]:
    """Open the sequences to validate on."""
    root = settings.data
    return [_cached(find_sequence(name, Path(root or "")), settings) for name in settings.val_seqs]


def _training_sequences(settings: DataSettings) -> list[Sequence]:
    if settings.data is None:
        if settings.train_seqs or settings.val_seqs or settings.stills:
            names = ", ".join(settings.train_seqs + settings.val_seqs + settings.stills)
            raise InputError("--data", f"the folder that holds {names}", "none", "add --data DIR")
        folder = Path(settings.cache).parent
        return ensure_scenes(folder, settings.scenes, split="train", settings=SceneSettings())
    root = Path(settings.data)
    held_out = {find_sequence(name, root).folder for name in settings.val_seqs}
    if settings.train_seqs:
        chosen = [find_sequence(name, root) for name in settings.train_seqs]
    elif settings.stills:
        chosen = []
    else:
        found = [s for s in map(open_sequence, list_sequences(root)) if s.has_truth]
        chosen = [s for s in found if s.folder not in held_out]
    both = [s.name for s in chosen if s.folder in held_out]
    if both:
        expected = "sequences that are not in --train-seqs"
        raise InputError("--val-seqs", expected, ", ".join(both), "name each sequence once")
    return chosen


def _find_stills(name: str, settings: DataSettings) -> Stills:
    inside = Path(settings.data or "") / name
    return open_stills(inside if inside.is_dir() else Path(name))


def _cached(sequence: Sequence, settings: DataSettings) -> SequenceSource:
    truth = sequence.truth()
    size = cache_size((sequence.height, sequence.width), settings.cache_px)
    block = cached_frames(sequence, Path(settings.cache), size_hw=size)
    return SequenceSource(sequence.name, block, truth)


def cache_size(size_hw: Many[int], most_px: int) -> tuple[int, int]:
    """Frame size in the cache: as it is, or shrunk to at most `most_px` pixels."""
    height, width = size_hw
    factor = min(1.0, (most_px / (height * width)) ** 0.5)
    if factor == 1.0:
        return height, width
    return tuple(max(1, round(n * factor / CACHE_GRID)) * CACHE_GRID for n in (height, width))  # type: ignore[return-value]
