"""CVAT for video 1.1: an XML file of tracks, whose boxes stand at keyframes.

docs.cvat.ai, "XML annotation format". Between keyframes a box is interpolated linearly; `outside`
ends it until the next keyframe; without `outside` it stays to the end of the task, as in CVAT.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from mot.annotations import EXACT_INTEGERS
from mot.atomic import atomic_path, require_new
from mot.boxes import Boxes
from mot.errors import InputError
from mot.formats.annotated import (
    Annotated,
    Hints,
    Row,
    Say,
    class_name,
    folder_name,
    to_boxes,
)

SUFFIX = ".xml"
VERSION = "1.1"
OTHER_SHAPES = ("polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton")
CORNERS = ("xtl", "ytl", "xbr", "ybr")
Element = ElementTree.Element
# Of a box, beside CVAT's own occluded: name, how it is entered, default.
ATTRIBUTES = (
    ("visibility", "text", "unknown"),
    ("ignored", "checkbox", "false"),
    ("score", "text", ""),
)
_ATTRIBUTE = (
    "          <attribute><name>{}</name><mutable>True</mutable><input_type>{}</input_type>"
    "<default_value>{}</default_value><values></values></attribute>\n"
)


def recognise(source: Path) -> bool:
    """Whether it is an XML file, or a folder of such files."""
    return source.suffix.lower() == SUFFIX or (source.is_dir() and any(source.glob(f"*{SUFFIX}")))


def read(source: Path, hints: Hints, say: Say) -> list[Annotated]:
    """Read a task's XML file, or all those of a folder.

    Raises:
        InputError: no XML, the export of images or of a project, or a box that lacks something or
            has a wrong value. It names track and frame.
    """
    paths = sorted(source.glob(f"*{SUFFIX}")) if source.is_dir() else [source]
    if not paths:
        raise InputError(source, f"{SUFFIX} files", "none", "check the path")
    return [_read_one(path, hints, say) for path in paths]


class _Task(NamedTuple):
    """What a file says of its task: frames are those of the video, from 0."""

    name: str
    first: int
    last: int
    step: int
    size: tuple[int, int]


def _read_one(path: Path, hints: Hints, say: Say) -> Annotated:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path}:{error.position[0]}", "XML", error, "export it again") from error
    task = _task(root, path, hints)
    rows: list[Row] = []
    places: list[str] = []
    held, tracks = 0, root.findall("track")
    for track in tracks:
        where = f"{path}, track {track.get('id')}"
        category = hints.class_of(track.get("label", ""), where)
        keyframes = sorted(_keyframes(track, where, say), key=lambda key: key.frame)
        held += bool(keyframes) and not keyframes[-1].outside and keyframes[-1].frame < task.last
        if category is None:
            continue
        identity = _integer(track, "id", f"{path}, track")
        for row, place in _expand(keyframes, where, identity, category, task):
            rows.append(row)
            places.append(place)
    if held:
        without = f"{held} of {len(tracks)} tracks do not end with outside=1"
        say(f"{path}: {without}: they go on to the last frame, as in CVAT")
    length = task.last + 1
    name = folder_name(task.name or path.stem, path, say)
    return Annotated(name, length, *task.size, hints.fps, to_boxes(rows, places, length))


def _task(root: Element, path: Path, hints: Hints) -> _Task:
    """Read the head of a file."""
    if root.tag != "annotations" or root.find("image") is not None:
        got = "images" if root.find("image") is not None else f"<{root.tag}>"
        raise InputError(path, "an export as CVAT for video 1.1", got, "export the task as that")
    meta = root.find("meta/task")
    meta = root.find("meta/job") if meta is None else meta
    if meta is None:
        raise InputError(
            path, "<meta> of a task or a job", "none", "export a task, not a whole project"
        )
    numbers = {"start_frame": 0, "size": 0, "stop_frame": -1}
    for key in numbers:
        text = (meta.findtext(key) or "").strip()
        if text:
            numbers[key] = _whole(text, f"{path}, {key}")
    step = 1
    kept = (meta.findtext("frame_filter") or "").replace(" ", "")
    if kept:
        step = _whole(kept.removeprefix("step="), f"{path}, frame_filter")
    first = numbers["start_frame"]
    last = numbers["stop_frame"]
    last = first + (numbers["size"] - 1) * step if last < 0 else last
    if not 0 <= first <= last < EXACT_INTEGERS or step < 1:
        raise InputError(path, "a task of at least one frame", numbers, "export it again")
    size = root.find(".//original_size")
    if size is None and hints.size is None:
        raise InputError(path, "<original_size> of the frames", "none", "give it with --size")
    if size is None:
        measured = hints.size or (0, 0)
    else:
        measured = (
            _whole(size.findtext("width") or "", f"{path}, width"),
            _whole(size.findtext("height") or "", f"{path}, height"),
        )
    return _Task((meta.findtext("name") or "").strip(), first, last, step, measured)


class _Keyframe(NamedTuple):
    """One <box>: frame from 0, corners in pixels."""

    frame: int
    corners: tuple[float, ...]
    outside: bool
    score: float
    visibility: float


def _keyframes(track: Element, where: str, say: Say) -> Iterator[_Keyframe]:
    others = sum(len(track.findall(shape)) for shape in OTHER_SHAPES)
    if others:
        say(f"{where}: shapes that are no boxes are left behind: {others}")
    for box in track.findall("box"):
        frame = _integer(box, "frame", where)
        place = f"{where}, frame {frame}"
        corners = tuple(_float(box.get(name), f"{place}, {name}") for name in CORNERS)
        if _float(box.get("rotation", "0"), f"{place}, rotation") % 360:
            raise InputError(place, "an upright box", f"rotation {box.get('rotation')}", "turn it")
        values = {a.get("name", ""): (a.text or "").strip() for a in box.findall("attribute")}
        # A box without the attribute: as CVAT's own export to MOT has it.
        visible = values.get("visibility") or ("0" if _flag(box, "occluded") else "1")
        ignored = values.get("ignored", "").lower() in ("true", "1")
        score = values.get("score") or ("0" if ignored else "1")
        yield _Keyframe(
            frame,
            corners,
            _flag(box, "outside"),
            _float(score, f"{place}, score"),
            -1.0 if visible == "unknown" else _float(visible, f"{place}, visibility"),
        )


def _expand(
    keyframes: Sequence[_Keyframe], where: str, identity: int, category: int, task: _Task
) -> Iterator[tuple[Row, str]]:
    """Rows of a track, with their places, in the frames that the task shows."""
    ends = [key.frame for key in keyframes[1:]] + [task.last + 1]
    for index, (key, end) in enumerate(zip(keyframes, ends, strict=True)):
        if key.outside:
            continue
        place = f"{where}, frame {key.frame}"
        if not task.first <= key.frame <= task.last:
            shown = f"frames {task.first} to {task.last}, as the task has"
            raise InputError(place, shown, key.frame, "correct it")
        if end == key.frame:
            raise InputError(place, "one box a frame", "two", "remove one")
        start = np.array(key.corners)
        goal = np.array(keyframes[index + 1].corners) if index + 1 < len(keyframes) else start
        for frame in range(key.frame, min(end, task.last + 1)):
            if (frame - task.first) % task.step:
                continue
            left, top, right, bottom = start + (goal - start) * (frame - key.frame) / (
                end - key.frame
            )
            box = (left, top, right - left, bottom - top)
            yield Row(frame + 1, identity, *box, key.score, category, key.visibility), place


def _flag(element: Element, name: str) -> bool:
    return element.get(name, "0") in ("1", "true", "True")


def _integer(element: Element, name: str, where: str) -> int:
    return _whole(element.get(name, ""), f"{where}, {name}")


def _whole(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(where, "a whole number", f"'{text}'", "correct it") from error


def _float(text: str | None, where: str) -> float:
    try:
        return float(text or "")
    except ValueError as error:
        raise InputError(where, "a number", f"'{text or ''}'", "correct it") from error


def write(target: Path, sequences: Sequence[Annotated], say: Say) -> None:
    """Write target.xml of one sequence, or target/NAME.xml of several.

    Raises:
        InputError: a file is there already, or several sequences for one.
    """
    single = target.suffix.lower() == SUFFIX
    if single and len(sequences) != 1:
        raise InputError(
            target,
            "a folder for several sequences",
            "one file",
            "leave out .xml",
        )
    files = [(target if single else target / f"{s.name}{SUFFIX}", s) for s in sequences]
    for path, _ in files:
        require_new([path], "choose another")
    for path, sequence in files:
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(_lines(_with_ids(sequence, path, say)))
    if any(sequence.fps is not None for sequence in sequences):
        say(f"{target}: CVAT knows no frame rate; give --fps when you read it back")


def _with_ids(sequence: Annotated, path: Path, say: Say) -> Annotated:
    """Give boxes without an id a track of one frame each, as CVAT does on export."""
    boxes = sequence.boxes
    nameless = boxes.id < 0
    if not nameless.any():
        return sequence
    count = int(nameless.sum())
    say(f"{path}: {count} of {len(boxes)} boxes have no id and become tracks of one frame each")
    identity = boxes.id.copy()
    identity[nameless] = max(0, boxes.id.max()) + 1 + np.arange(count)
    parts = vars(sequence) | {"boxes": boxes.with_columns(id=identity)}
    return Annotated(**parts)


def _lines(sequence: Annotated) -> Iterator[str]:
    """Text of the file."""
    boxes = sequence.boxes
    labels = sorted(set(boxes.cls.tolist()))
    yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n'
    yield f"  <version>{VERSION}</version>\n  <meta>\n    <task>\n"
    last = sequence.length - 1
    head: Mapping[str, object] = {
        "name": escape(sequence.name), "size": sequence.length, "mode": "interpolation",
        "start_frame": 0, "stop_frame": last,
    }  # fmt: skip
    yield from (f"      <{key}>{value}</{key}>\n" for key, value in head.items())
    yield "      <labels>\n"
    for label in labels:
        yield f"        <label><name>{escape(class_name(label))}</name><attributes>\n"
        yield from map(_ATTRIBUTE.format, *zip(*ATTRIBUTES, strict=True))
        yield "        </attributes></label>\n"
    yield "      </labels>\n      <original_size>\n"
    yield f"        <width>{sequence.width}</width>\n        <height>{sequence.height}</height>\n"
    yield "      </original_size>\n    </task>\n  </meta>\n"
    people = sorted({*zip(boxes.id.tolist(), boxes.cls.tolist(), strict=True)})
    order = np.lexsort((boxes.frame, boxes.cls, boxes.id))
    edges = np.flatnonzero((np.diff(boxes.id[order]) != 0) | (np.diff(boxes.cls[order]) != 0)) + 1
    for (identity, category), rows in zip(people, np.split(order, edges), strict=False):
        label = quoteattr(class_name(category))
        yield f'  <track id="{int(identity)}" label={label} source="manual">\n'
        yield from _boxes(boxes[rows], sequence.length)
        yield "  </track>\n"
    yield "</annotations>\n"


def _boxes(track: Boxes, length: int) -> Iterator[str]:
    """Keyframes of one track, with an outside one wherever it is gone."""
    frames = [*track.frame.astype(int).tolist(), length + 1]
    corners = track.ltrb.tolist()
    rest = zip(track.score.tolist(), track.visibility.tolist(), strict=True)
    for index, (score, visibility) in enumerate(rest):
        frame, following = frames[index], frames[index + 1]
        yield _box(frame, corners[index], False, score, visibility)
        if following > frame + 1:
            yield _box(frame + 1, corners[index], True, score, visibility)


def _box(
    frame: int, corners: Sequence[float], outside: bool, score: float, visibility: float
) -> str:
    places = " ".join(f'{n}="{v:.3f}"' for n, v in zip(CORNERS, corners, strict=True))
    occluded = int(0 <= visibility < 0.5)
    seen = f"{visibility:.6g}" if visibility >= 0 else "unknown"
    attributes = f'<attribute name="visibility">{seen}</attribute>'
    attributes += f'<attribute name="ignored">{str(score == 0).lower()}</attribute>'
    if score not in (0, 1):
        attributes += f'<attribute name="score">{score:.6g}</attribute>'
    return (
        f'    <box frame="{frame - 1}" keyframe="1" outside="{int(outside)}" '
        f'occluded="{occluded}" {places} z_order="0">{attributes}</box>\n'
    )
