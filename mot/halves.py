"""Halves of sequences as sequences of their own: `python -m mot.halves DATA OUT --seqs MOT17-02`.

OUT/NAME-first is to learn from, OUT/NAME-second to be scored on, the split that CenterTrack and
many after it report for MOT17 (arXiv:2004.01177). What the two share is said.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

from mot.annotations import detection_rows, truth_rows
from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.seqinfo import SEQINFO, seqinfo_text
from mot.sequence import find_sequence
from mot.splits import Part, leakage_report, split_half


@dataclass(frozen=True)
class HalvesFlags:
    """Write the two halves of sequences as sequence folders."""

    data: tyro.conf.Positional[Path]
    """Folder that holds the sequences, folders of images, at some depth."""
    out: tyro.conf.Positional[Path]
    """Folder to write into."""
    seqs: tuple[str, ...]
    """Sequences by name."""
    gap_s: float = 0.0
    """Seconds left out between the halves, so that fewer people stand in both."""


def write_halves(flags: HalvesFlags) -> str:
    """Write OUT/NAME-first and OUT/NAME-second; returns what the two sides share.

    Raises:
        InputError: sequences that cannot be split, are videos, or are in OUT already.
    """
    sequences = [find_sequence(name, flags.data) for name in flags.seqs]
    for sequence in sequences:
        if not sequence.images or not sequence.has_frames:
            remedy = "unpack the video into images"
            raise InputError(sequence.frames_at, "a folder of all its images", "none", remedy)
    split = split_half(sequences, gap_s=flags.gap_s)
    sides = (("first", split.train), ("second", split.val))
    plans = [(flags.out / f"{p.sequence.name}-{half}", p) for half, parts in sides for p in parts]
    for folder, _ in plans:
        if folder.exists():
            raise InputError(folder, "a new folder", "it is there", "choose another OUT")
    for folder, part in plans:
        _write_part(folder, part)
    return leakage_report(split)


def _write_part(folder: Path, part: Part) -> None:
    """Write frames first..last of a sequence as a sequence that begins with frame 1."""
    sequence, length = part.sequence, part.last - part.first + 1
    suffix = Path(sequence.images[0]).suffix
    size = (sequence.width, sequence.height, sequence.fps)
    with atomic_path(folder) as staging:
        (staging / "img1").mkdir(parents=True)
        for number, name in enumerate(sequence.images[part.first - 1 : part.last], 1):
            target = staging / "img1" / f"{number:06d}{suffix}"
            _link_or_copy((sequence.frames_at / name).resolve(), target)
        (staging / SEQINFO).write_text(seqinfo_text(folder.name, length, *size, suffix), "utf-8")
        if sequence.has_truth:
            (staging / "gt").mkdir()
            rows = truth_rows(_cut(sequence.truth(), part))
            (staging / "gt" / "gt.txt").write_text(rows, "ascii")
        if sequence.has_detections:
            (staging / "det").mkdir()
            rows = detection_rows(_cut(sequence.detections(), part))
            (staging / "det" / "det.txt").write_text(rows, "ascii")


def _cut(boxes: Boxes, part: Part) -> Boxes:
    """Rows of a part's frames, numbered from 1."""
    rows = boxes[(boxes.frame >= part.first) & (boxes.frame <= part.last)]
    return rows.with_columns(frame=rows.frame - (part.first - 1))


def _link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file costs no room; across file systems it has to be a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    print(write_halves(parse_flags(HalvesFlags, arguments, description=__doc__)))


if __name__ == "__main__":
    main()
