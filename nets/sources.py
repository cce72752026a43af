"""From data settings to training sources: sequences found, cached, and weighed."""

from __future__ import annotations

from collections.abc import Sequence as Many
from pathlib import Path

import numpy as np

from labelmaps.cache import cached_frames
from mot.errors import InputError
from mot.sequence import Sequence, data_root, find_sequence, list_sequences, open_sequence
from mot.splits import Part, Split, find_leaks
from mot.stills import open_stills
from mot.synthetic import RENDERED, SceneSettings, ensure_scenes
from nets.clips import SequenceSource, Source, StillSource
from nets.cutouts import Cutouts, open_cutouts
from nets.recipe import DataSettings, TrainSettings

CACHE_GRID = 4  # cached sizes are multiples of this many pixels
# More that looks like people from afar than usual; frames of one street teach much the same.
EMPTY_STREET = SceneSettings(people=0, clutter=30, frames=24)


def training_sources(settings: DataSettings) -> tuple[list[Source], list[float]]:
    """Open everything to train on; returns the sources and how often each is to be drawn.

    Without --data, names are looked for in the default data folder; without names either, scenes
    are rendered.

    Sequences share their part of the clips by their people (`share_power`), photos by number;
    streets without people have a part of the whole.

    Raises:
        InputError: a name is unknown, a sequence has no truth, or a validation sequence would be
            trained on.
    """
    sequences = _training_sequences(settings)
    stills = [open_stills(_folder(name, settings)) for name in settings.stills]
    cached = [cached_source(sequence, settings) for sequence in sequences]
    sources: list[Source] = [*cached]
    photos: list[Source] = [StillSource(folder) for folder in stills]
    still_share = settings.still_share if photos and sources else float(bool(photos))
    weights = np.array([max(1, source.boxes) ** settings.share_power for source in cached])
    shares = list((1 - still_share) * weights / weights.sum()) if cached else []
    total = sum(photo.length for photo in photos)
    shares += [still_share * photo.length / total for photo in photos]
    if settings.empty_scenes:
        empty = rendered_sources(settings, settings.empty_scenes, "train", EMPTY_STREET)
        shares = [(1 - settings.empty_share) * share for share in shares]
        shares += [settings.empty_share / len(empty)] * len(empty)
        return [*sources, *photos, *empty], shares
    return sources + photos, shares


def validation_sources(settings: DataSettings) -> list[Source]:
    """Open the sequences to validate on."""
    return [
        cached_source(find_sequence(name, _root(settings)), settings) for name in settings.val_seqs
    ]


def rendered_sources(
    settings: DataSettings,
    count: int,
    split: str,
    scene: SceneSettings = SceneSettings(),  # noqa: B008 - frozen
) -> list[Source]:
    """Open rendered scenes of a split (train, val or test), rendering those that are missing."""
    folder = Path(settings.cache).parent
    scenes = ensure_scenes(folder, count, split=split, settings=scene)
    return [cached_source(scene, settings) for scene in scenes]


def training_cutouts(settings: TrainSettings) -> Cutouts | None:
    """Open the people to paste into training clips; None where none are to be pasted.

    Raises:
        InputError: a folder without usable masks.
    """
    if settings.augment.paste_share == 0:
        return None
    return open_cutouts([_folder(name, settings.data) for name in settings.data.cutouts])


def _root(settings: DataSettings) -> Path:
    return data_root() if settings.data is None else Path(settings.data)


def _training_sequences(settings: DataSettings) -> list[Sequence]:
    named = settings.train_seqs + settings.val_seqs + settings.stills
    if settings.data is None and not named:
        folder = Path(settings.cache).parent
        return ensure_scenes(folder, settings.scenes, split="train", settings=SceneSettings())
    root = _root(settings)
    held_out = [find_sequence(name, root) for name in settings.val_seqs]
    if settings.train_seqs:
        chosen = [find_sequence(name, root) for name in settings.train_seqs]
        leak = next(iter(known_to_both(chosen, held_out)), None)
        if leak:
            expected = f"recordings that are not in --train-seqs ({leak[0]})"
            raise InputError("--val-seqs", expected, leak[1], "name each recording once")
        return chosen
    if settings.stills:
        return []
    # Rendered scenes lie there too, those kept for tests among them; they can be named.
    folders = [f for f in list_sequences(root) if not f.name.startswith(f"{RENDERED}-")]
    found = [s for s in map(open_sequence, folders) if s.has_truth]
    if not found:
        remedy = "name another folder with --data, or leave it out for rendered scenes"
        raise InputError("--data", "sequences with a gt/gt.txt", f"none below {root}", remedy)
    taken = {train for train, _ in known_to_both(found, held_out)}
    return [sequence for sequence in found if sequence.name not in taken]


def known_to_both(training: Many[Sequence], held_out: Many[Sequence]) -> list[tuple[str, str]]:
    """Pairs of names that are one recording: MOT17-02-SDP and MOT17-02-DPM show the same frames.

    Another recording of the same place may be trained on; results then are not of an unseen place.
    """
    sides = [tuple(Part.whole(sequence) for sequence in side) for side in (training, held_out)]
    leaks = find_leaks(Split(sides[0], sides[1]))
    return [(leak.train, leak.val) for leak in leaks if leak.kind != "camera"]


def _folder(name: str, settings: DataSettings) -> Path:
    """A folder of photos, below the data or anywhere."""
    inside = _root(settings) / name
    return inside if inside.is_dir() else Path(name)


def cached_source(sequence: Sequence, settings: DataSettings) -> SequenceSource:
    """A sequence with its truth, its frames decoded once."""
    truth = sequence.truth()
    size = cache_size((sequence.height, sequence.width), settings.cache_px)
    block = cached_frames(sequence, Path(settings.cache), size_hw=size)
    return SequenceSource(sequence.name, block, truth, settings.least_visibility)


def cache_size(size_hw: Many[int], most_px: int) -> tuple[int, int]:
    """Frame size in the cache: as it is, or shrunk to at most `most_px` pixels."""
    height, width = size_hw
    factor = min(1.0, (most_px / (height * width)) ** 0.5)
    if factor == 1.0:
        return height, width
    rows, columns = (max(1, round(n * factor / CACHE_GRID)) for n in (height, width))
    return rows * CACHE_GRID, columns * CACHE_GRID
