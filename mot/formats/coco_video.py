"""COCO for video: one JSON file of videos, images, annotations and categories.

The layout of mmtracking's CocoVID, which trackers' own converters share but for two habits: frames
count from 0 there and from 1 elsewhere, and an identity is `instance_id` there and `track_id`
elsewhere. Both are read; `track_id` and `instance_id` are written, and frames from 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mot.annotations import CLASSES, EXACT_INTEGERS
from mot.atomic import atomic_path, require_new
from mot.boxes import NO_ID, PEDESTRIAN, Boxes
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
from mot.formats.entries import (
    Entry,
    is_number,
    load_json,
    number_of,
    table_of,
    value_of,
    whole_number,
)

CROWD = next(number for number, name in CLASSES.items() if name == "crowd")
TABLES = ("videos", "images", "annotations", "categories")
NEEDS = "COCO for video needs " + ", ".join(TABLES)


def recognise(source: Path) -> bool:
    """Whether it is a JSON file."""
    return source.suffix.lower() == ".json"


def read(source: Path, hints: Hints, say: Say) -> list[Annotated]:
    """Read a file; its images may stand in any order.

    Raises:
        InputError: no such JSON, or an entry that lacks a key, has a wrong value or refers to
            nothing. It names the entry.
    """
    return _Reader(source, hints, say).sequences()


class _Reader:
    """One file on its way to sequences; `place` names an entry in errors."""

    def __init__(self, path: Path, hints: Hints, say: Say) -> None:
        self.path, self.hints, self.say = path, hints, say
        tables = load_json(path)
        self.videos, self.images, self.annotations, self.categories = (
            table_of(path, tables, name, NEEDS) for name in TABLES
        )

    def _by_id(self, table: list[tuple[str, Entry]]) -> dict[Any, tuple[str, Entry]]:
        """Entries by their id, which must be there and single."""
        found: dict[Any, tuple[str, Entry]] = {}
        for place, entry in table:
            key = value_of(place, entry, "id")
            if key in found:
                raise InputError(place, "an id of its own", f"id {key} again", "renumber")
            found[key] = (place, entry)
        return found

    def sequences(self) -> list[Annotated]:
        """Everything in the file, a sequence for each video."""
        videos = self._by_id(self.videos)
        shown = self._images_of(videos)
        rows = self._rows_of(shown)
        made = []
        for key, (place, video) in videos.items():
            images = shown[key]
            if not images:
                self.say(f"{place}: no images, left out")
                continue
            length = max(images)
            width, height = self._size(place, video, images)
            name = folder_name(Path(str(video.get("name", key))).as_posix(), place, self.say)
            fps = self.hints.fps or number_of(place, video, "fps", None)
            files = tuple(
                Path(str(images[n][1]["file_name"])).name if n in images else f"{n:06d}.jpg"
                for n in range(1, length + 1)
            )
            boxes = to_boxes([r for r, _ in rows[key]], [p for _, p in rows[key]], length)
            made.append(Annotated(name, length, width, height, fps, boxes, files))
        return made

    def _images_of(
        self, videos: Mapping[Any, tuple[str, Entry]]
    ) -> dict[Any, dict[int, tuple[str, Entry]]]:
        """Images of each video by frame number from 1."""
        numbers = {
            place: whole_number(place, image, "frame_id", "frame_index")
            for place, image in self.images
        }
        # One habit holds for a whole file; a video that lacks its first frame is no exception.
        start = 0 if 0 in numbers.values() else 1
        shown: dict[Any, dict[int, tuple[str, Entry]]] = {key: {} for key in videos}
        for place, image in self.images:
            value_of(place, image, "file_name")
            key = value_of(place, image, "video_id")
            if key not in shown:
                raise InputError(place, "a video_id that is among the videos", key, "correct it")
            number = numbers[place] - start + 1
            if not 1 <= number < EXACT_INTEGERS:
                raise InputError(
                    place, "a frame_id from 0 or 1 on", numbers[place], "count the frames"
                )
            if number in shown[key]:
                raise InputError(
                    place, "a frame_id of its own", f"{numbers[place]} again", "renumber"
                )
            shown[key][number] = (place, image)
        return shown

    def _size(
        self, place: str, video: Entry, images: Mapping[int, tuple[str, Entry]]
    ) -> tuple[int, int]:
        """Width and height that all images of a video share."""
        known: dict[str, Any] = dict(zip(("width", "height"), self.hints.size or (), strict=False))
        known |= {key: video[key] for key in ("width", "height") if key in video}
        first: tuple[int, int] | None = None
        for at, image in images.values():
            full = {**known, **image}
            size = (whole_number(at, full, "width"), whole_number(at, full, "height"))
            first = first or size
            if size != first or min(size) < 1:
                raise InputError(
                    at, f"{first[0]}x{first[1]} pixels like the video's others",
                    f"{size[0]}x{size[1]}", "give images of one size a video of their own",
                )  # fmt: skip
        if first is None:
            raise InputError(place, "a video with images", "none", "remove it")
        return first

    def _rows_of(
        self, shown: Mapping[Any, Mapping[int, tuple[str, Entry]]]
    ) -> dict[Any, list[tuple[Row, str]]]:
        """Boxes of each video with their places."""
        where = {
            value_of(place, image, "id"): (key, number)
            for key, images in shown.items()
            for number, (place, image) in images.items()
        }
        categories = self._by_id(self.categories)
        classes: dict[Any, int | None] = {}  # as they are met: most files name more than they hold
        rows: dict[Any, list[tuple[Row, str]]] = {key: [] for key in shown}
        outlines = 0
        for place, entry in self.annotations:
            image = value_of(place, entry, "image_id")
            if image not in where:
                raise InputError(place, "an image_id that is among the images", image, "correct it")
            category = value_of(place, entry, "category_id")
            if category not in categories:
                raise InputError(
                    place, "a category_id that is among the categories", category, "correct it"
                )
            if category not in classes:
                at, named = categories[category]
                classes[category] = self.hints.class_of(str(value_of(at, named, "name")), at)
            outlines += bool(entry.get("segmentation"))
            kind = classes[category]
            if kind is not None:
                key, number = where[image]
                rows[key].append((_row(place, entry, number, kind), place))
        if outlines:
            self.say(f"{self.path}: outlines (segmentation) of {outlines} annotations left behind")
        return rows


def _row(place: str, entry: Entry, frame: int, kind: int) -> Row:
    box = value_of(place, entry, "bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(place, "bbox as [left, top, width, height]", box, "correct it")
    identity = NO_ID
    if "track_id" in entry or "instance_id" in entry:
        identity = whole_number(place, entry, "track_id", "instance_id")
    crowd = bool(entry.get("iscrowd"))
    flag = 0.0 if entry.get("ignore") or crowd else 1.0
    score = number_of(place, entry, "score", flag)
    visibility = number_of(place, entry, "visibility", -1.0)
    # COCO's crowd of persons is what MOT20 calls a crowd.
    kind = CROWD if crowd and kind == PEDESTRIAN else kind
    left, top, width, height = box
    return Row(frame, identity, left, top, width, height, score, kind, visibility)


def write(target: Path, sequences: Sequence[Annotated], say: Say) -> None:
    """Write one file of all sequences; nothing of them is left behind.

    Raises:
        InputError: the file is there already.
    """
    if target.suffix.lower() != ".json":
        raise InputError(target, "a file ending in .json", target.name, "name it so")
    require_new([target], "choose another")
    tables = _tables(sequences)
    with atomic_path(target) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(tables, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def _tables(sequences: Sequence[Annotated]) -> dict[str, list[dict[str, Any]]]:
    """The file's four lists; ids count from 1 through the file, but track_id is a video's own."""
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    used = {int(c) for s in sequences for c in set(s.boxes.cls.tolist())} | set(CLASSES)
    tables["categories"] = [{"id": c, "name": class_name(c)} for c in sorted(used)]
    instances: dict[tuple[int, int], int] = {}
    for video, sequence in enumerate(sequences, 1):
        size = {"width": sequence.width, "height": sequence.height}
        rate = {} if sequence.fps is None else {"fps": sequence.fps}
        tables["videos"].append({"id": video, "name": sequence.name, **size, **rate})
        for frame, boxes in sequence.boxes.by_frame(sequence.length):
            image = len(tables["images"]) + 1
            name = f"{sequence.name}/img1/{sequence.image(frame)}"
            entry = {"id": image, "video_id": video, "frame_id": frame - 1, "file_name": name}
            tables["images"].append({**entry, **size})
            for row in _annotations(boxes):
                if "track_id" in row:
                    person = (video, row["track_id"])
                    row["instance_id"] = instances.setdefault(person, len(instances))
                number = len(tables["annotations"]) + 1
                tables["annotations"].append({"id": number, "image_id": image, **row})
    return tables


def _annotations(boxes: Boxes) -> list[dict[str, Any]]:
    """Boxes of one frame as annotations without ids of their own."""
    rows = []
    columns = (boxes.id, boxes.score, boxes.cls, boxes.visibility)
    for box, *rest in zip(boxes.ltwh.tolist(), *(c.tolist() for c in columns), strict=True):
        identity, score, category, visibility = rest
        left, top, width, height = (round(value, 3) for value in box)
        row: dict[str, Any] = {"category_id": int(category), "bbox": [left, top, width, height]}
        row |= {"area": round(width * height, 3), "iscrowd": int(category == CROWD)}
        row |= {"track_id": int(identity)} if identity >= 0 else {}
        row |= {"ignore": 1} if score == 0 else {}
        row |= {"score": round(score, 6)} if score not in (0, 1) or category == CROWD else {}
        row |= {"visibility": round(visibility, 6)} if visibility >= 0 else {}
        rows.append(row)
    return rows
