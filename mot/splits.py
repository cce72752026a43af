"""Training and validation parts of sequences, by whole sequences or by halves.

Splits are checked, not trusted: `find_leaks` names what stands on both sides, because a score on
frames, people or places seen in training says little.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mot.annotations import considered
from mot.boxes import Boxes
from mot.errors import InputError
from mot.sequence import Sequence

DETECTORS = re.compile(r"-(DPM|FRCNN|SDP)$")
BENCHMARK = re.compile(r"^MOT(\d\d)(Det)?-(\d+)")
KITTI = re.compile(r"^KITTI-T?0*(\d+)$")
# The first word names a collection of different places here; elsewhere it names the camera.
COLLECTIONS = frozenset({"AVG", "ETH", "KITTI", "TUD", "synthetic"})
SAME_PLACE = {"Market": "PRW", "market": "PRW"}  # both filmed before one campus supermarket


@dataclass(frozen=True)
class Part:
    """Frames first..last (1-based, both included) of a sequence."""

    sequence: Sequence
    first: int
    last: int

    @classmethod
    def whole(cls, sequence: Sequence) -> Part:
        """All frames of a sequence."""
        return cls(sequence, 1, sequence.length)

    @property
    def name(self) -> str:
        """Name of the sequence, with its frames where it is not whole."""
        whole = self.first == 1 and self.last == self.sequence.length
        return self.sequence.name + ("" if whole else f" [{self.first}..{self.last}]")

    def truth(self) -> Boxes:
        """Ground truth of these frames, numbered as in the sequence."""
        boxes = self.sequence.truth()
        return boxes[(boxes.frame >= self.first) & (boxes.frame <= self.last)]


@dataclass(frozen=True)
class Split:
    """Parts to learn from and parts to be judged on."""

    train: tuple[Part, ...]
    val: tuple[Part, ...]


@dataclass(frozen=True)
class Leak:
    """Something that both sides of a split know.

    Attributes:
        kind: "frames", "identities", "sequence" (the same recording under another name) or
            "camera" (the same place, as far as names tell).
        train, val: names of the two parts.
        detail: what they share.
    """

    kind: str
    train: str
    val: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.train} and {self.val} share {self.detail}"


def split_by_sequence(
    sequences: Iterable[Sequence],
    *,
    val: Collection[str] | None = None,
    val_share: float = 0.25,
    seed: int = 0,
) -> Split:
    """Put whole sequences on one side or the other.

    Args:
        sequences: all sequences.
        val: names for the validation side; they are taken as they are, leaks included.
        val_share: without `val`, the least share of the cameras to validate on; what one camera
            took stays together. The choice depends on names and seed, not on the order.
        seed: another seed, another choice.

    Raises:
        InputError: an unknown name in `val`, a sequence twice, or a side that would be empty.
    """
    known = list(sequences)
    names = [sequence.name for sequence in known]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"sequence {name}", "each sequence once", "twice", "drop one")
    drawn = val is None
    val = _draw(names, val_share, seed) if val is None else val
    for name in sorted(set(val) - set(names)):
        raise InputError(
            f"sequence {name}", f"one of {', '.join(names) or 'none'}", name, "correct the name"
        )
    split = Split(
        tuple(Part.whole(sequence) for sequence in known if sequence.name not in val),
        tuple(Part.whole(sequence) for sequence in known if sequence.name in val),
    )
    if not split.train or not split.val:
        raise InputError(
            "split by sequence",
            "sequences of two cameras or more" if drawn else "a sequence on each side",
            f"{len(split.train)} to train on, {len(split.val)} to validate on",
            "add sequences, or split by half",
        )
    return split


def split_half(sequences: Iterable[Sequence], *, gap_s: float = 0.0) -> Split:
    """Learn from the first half of each sequence and validate on the second (as CenterTrack does).

    Args:
        sequences: sequences of two frames or more.
        gap_s: seconds left out between the halves, so that fewer people stand in both.

    Raises:
        InputError: a sequence too short for it, or a gap where the frame rate is unknown.
    """
    train, val = [], []
    for sequence in sequences:
        gap = math.ceil(gap_s * sequence.require_fps()) if gap_s else 0
        middle = sequence.length // 2
        if gap_s < 0 or middle < 1 or middle + gap >= sequence.length:
            raise InputError(
                sequence.name,
                "two halves with a frame each and a gap of 0 s or more",
                f"{sequence.length} frames and a gap of {gap_s} s",
                "leave the sequence whole or shorten the gap",
            )
        train.append(Part(sequence, 1, middle))
        val.append(Part(sequence, middle + 1 + gap, sequence.length))
    return Split(tuple(train), tuple(val))


def find_leaks(split: Split) -> list[Leak]:
    """Name everything that stands on both sides, the worst first.

    Identities are compared between parts of the same sequence only: elsewhere equal numbers are
    different people.
    """
    leaks = [
        leak
        for train, val in itertools.product(split.train, split.val)
        for leak in _compare(train, val)
    ]
    order = ("frames", "sequence", "identities", "camera")
    return sorted(leaks, key=lambda leak: order.index(leak.kind))


def leakage_report(split: Split) -> str:
    """Say in a few lines what the sides are and what they share."""
    sides = [
        f"{label}: {', '.join(part.name for part in parts)}"
        for label, parts in (("train", split.train), ("val", split.val))
    ]
    leaks = find_leaks(split)
    if not leaks:
        return "\n".join([*sides, "no leakage found (by names, frames and identities)"])
    return "\n".join([*sides, *(f"leakage, {leak}" for leak in leaks)])


def recording_of(name: str) -> str:
    """Name of what was filmed: MOT16-02, MOT17-02-SDP and MOT17-02-FRCNN are one recording."""
    name = DETECTORS.sub("", name)
    if match := BENCHMARK.match(name):
        year = "17" if match[1] == "16" else match[1]
        return f"MOT{year}-{int(match[3]):02d}"
    if match := KITTI.match(name):
        return f"KITTI-{int(match[1])}"
    return name


def camera_of(name: str) -> str:
    """Name of the place that was filmed, as far as names tell.

    Collections whose names are known to number different places keep them apart; for others the
    word before the first dash or underscore counts, so that PETS09-S2L1 and PETS09-S3-MF1 are one
    camera. Too cautious rather than too trusting.
    """
    recording = recording_of(name)
    if BENCHMARK.match(recording):
        return recording
    prefix = re.split(r"[-_]", recording, maxsplit=1)[0]
    prefix = SAME_PLACE.get(prefix, prefix)
    return recording if prefix in COLLECTIONS or not prefix else prefix


def _compare(train: Part, val: Part) -> list[Leak]:
    """What two parts share."""
    one, other = train.sequence, val.sequence
    if recording_of(one.name) != recording_of(other.name):
        camera = camera_of(one.name)
        if camera != camera_of(other.name):
            return []
        return [
            Leak("camera", train.name, val.name, f"the place or camera {camera} by their names")
        ]
    leaks = []
    shared = min(train.last, val.last) - max(train.first, val.first) + 1
    if one.name != other.name:
        leaks.append(
            Leak("sequence", train.name, val.name, f"the recording {recording_of(one.name)}")
        )
    if shared > 0:
        leaks.append(Leak("frames", train.name, val.name, f"{shared} frames"))
    if one.has_truth and other.has_truth:
        seen, judged = _people(train), _people(val)
        if both := seen & judged:
            detail = f"{len(both)} of {len(judged)} people"
            leaks.append(Leak("identities", train.name, val.name, detail))
    return leaks


def _people(part: Part) -> set[float]:
    """Ids of the people who count."""
    boxes = part.truth()
    return set(boxes.id[considered(boxes)].tolist())


def _draw(names: list[str], share: float, seed: int) -> set[str]:
    """Draw cameras by hash until they are at least that share; at least one stays for training."""
    if not 0 < share < 1:
        raise InputError("val_share", "a share between 0 and 1", share, "give for example 0.25")
    cameras = sorted(
        {camera_of(name) for name in names},
        key=lambda camera: hashlib.sha256(f"{seed}/{camera}".encode()).digest(),
    )
    drawn = cameras[: min(max(1, round(share * len(cameras))), max(len(cameras) - 1, 0))]
    return {name for name in names if camera_of(name) in drawn}
