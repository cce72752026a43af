"""Convert annotations: `python -m mot.convert data/MOT17 mot17.json --to coco`.

Between MOTChallenge folders, COCO for video, CVAT for video and YOLO text. What the target has no
place for is said in a line on stderr. docs/data.md shows what each format holds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated as With
from typing import NamedTuple

import numpy as np
import tyro

from mot.annotations import CLASSES
from mot.boxes import NO_ID
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.formats import coco_video, cvat_video, mot_folder, yolo_text
from mot.formats.annotated import Annotated, Hints, Say


class Format(NamedTuple):
    """How a format is told from others, read and written."""

    recognise: Callable[[Path], bool]
    read: Callable[[Path, Hints, Say], list[Annotated]]
    write: Callable[[Path, Sequence[Annotated], Say], None]


FORMATS = {
    "mot": Format(mot_folder.recognise, mot_folder.read, mot_folder.write),
    "coco": Format(coco_video.recognise, coco_video.read, coco_video.write),
    "cvat": Format(cvat_video.recognise, cvat_video.read, cvat_video.write),
    "yolo": Format(yolo_text.recognise, yolo_text.read, yolo_text.write),
}
"""The first that recognises a source is taken to be its format."""

SIXTH = ("id", "score")


@dataclass(frozen=True)
class ConvertFlags:
    """Convert annotations of people in video between formats."""

    source: tyro.conf.Positional[Path]
    """Folder of sequences (MOT, YOLO), .json (COCO for video), .xml or a folder of them (CVAT)."""
    target: tyro.conf.Positional[Path]
    """Where to write; must not be there yet. mot, yolo: a folder; coco: a .json file; cvat: an .xml
    file, or a folder for several."""
    to: str
    """Format to write: mot, coco, cvat or yolo."""
    from_: With[str | None, tyro.conf.arg(name="from")] = None
    """Format to read; by default the source tells."""
    detections: bool = False
    """Convert det/det.txt of MOT folders in the place of the truth."""
    ids: bool = True
    """Keep identities; --no-ids makes detections of tracks."""
    clip: bool = False
    """Cut boxes at the frame's edges, and leave out those outside."""
    fps: float | None = None
    """Frames per second, where the source does not know."""
    size: tuple[int, int] | None = None
    """Width and height of the frames in pixels, where the source does not know."""
    classes: tuple[str, ...] = ()
    """What further names of categories mean: NAME=CLASS, with MOTChallenge's name or number of the
    class; NAME= leaves them out."""
    sixth: str = "id"
    """What a sixth column of YOLO text is: id or score."""

    def __post_init__(self) -> None:
        one = f"one of {', '.join(FORMATS)}"
        require_setting(self, "to", self.to in FORMATS, one)
        if self.from_ is not None and self.from_ not in FORMATS:
            raise InputError("--from", one, self.from_, "change this setting")
        require_setting(self, "sixth", self.sixth in SIXTH, f"one of {', '.join(SIXTH)}")
        rate = self.fps is None or 0 < self.fps < float("inf")
        require_setting(self, "fps", rate, "frames per second above 0")
        sized = self.size is None or min(self.size) >= 1
        require_setting(self, "size", sized, "width and height from 1 pixel on")


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    flags = parse_flags(ConvertFlags, arguments, description=__doc__)
    sequences = convert(flags, lambda line: print(line, file=sys.stderr))
    for sequence in sequences:
        boxes = sequence.boxes
        people = len(np.unique(boxes.id[boxes.id >= 0]))
        print(f"{sequence.name}: {sequence.length} frames, {len(boxes)} boxes, {people} identities")


def convert(flags: ConvertFlags, say: Say) -> list[Annotated]:
    """Read the source, write the target and return what was written.

    Raises:
        InputError: a source that cannot be used, or a target that is taken. Nothing is written.
    """
    if not flags.source.exists():
        raise InputError(flags.source, "annotations", "no such file or folder", "check the path")
    hints = Hints(flags.fps, flags.size, _class_hints(flags.classes), flags.detections, flags.sixth)
    sequences = FORMATS[flags.from_ or _recognise(flags.source)].read(flags.source, hints, say)
    names = [sequence.name for sequence in sequences]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(
            flags.source, "sequences with names of their own", f"{min(twice)} twice", "rename one"
        )
    if flags.clip:
        sequences = [_clipped(sequence, say) for sequence in sequences]
    if not flags.ids:
        sequences = [replace(s, boxes=s.boxes.with_columns(id=NO_ID)) for s in sequences]
    FORMATS[flags.to].write(flags.target, sequences, say)
    return sequences


def _recognise(source: Path) -> str:
    for name, known in FORMATS.items():
        if known.recognise(source):
            return name
    raise InputError(
        source,
        "sequence folders, .json (COCO for video), .xml (CVAT for video) or YOLO text files",
        "none of them",
        "check the path, or say what it is with --from",
    )


def _class_hints(settings: Sequence[str]) -> dict[str, int | None]:
    """Read NAME=CLASS and NAME=."""
    numbers = {name: number for number, name in CLASSES.items()}
    hints: dict[str, int | None] = {}
    for setting in settings:
        name, sign, meaning = setting.rpartition("=")
        known = not meaning or meaning in numbers or re.fullmatch(r"[1-9]\d{0,6}", meaning)
        if not (sign and name and known):
            raise InputError(
                "--classes", f"NAME=CLASS out of {', '.join(numbers)}", setting, "correct it"
            )
        hints[name] = (numbers.get(meaning) or int(meaning)) if meaning else None
    return hints


def _clipped(sequence: Annotated, say: Say) -> Annotated:
    """Cut boxes at the edges of the frame."""
    boxes = sequence.boxes
    edges = np.clip(boxes.ltrb, 0, (sequence.width, sequence.height) * 2)
    size = edges[:, 2:] - edges[:, :2]
    inside = np.asarray((size > 0).all(axis=1))
    if not inside.all():
        count = f"{int((~inside).sum())} of {len(boxes)} boxes"
        say(f"{sequence.name}: {count} are outside and left out")
    cut = boxes.with_columns(x=edges[:, 0], y=edges[:, 1], w=size[:, 0], h=size[:, 1])
    return replace(sequence, boxes=cut[inside])


if __name__ == "__main__":
    one_line_errors(main)()
