"""Keypoints as JSON: COCO's person keypoints, and PoseTrack's, which add tracks to the same lists.

COCO gives each keypoint as x, y, v with v = 0 not labelled, 1 hidden, 2 seen
(https://cocodataset.org/#format-data). PoseTrack (https://posetrack.net, its files of 2018) writes
v = 1 for every labelled point: whether it is hidden is not told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mot.atomic import atomic_path, require_new
from mot.boxes import NO_ID
from mot.errors import InputError
from mot.formats.annotated import Say
from mot.formats.entries import (
    Entry,
    is_number,
    load_json,
    table_of,
    value_of,
    whole_number,
)
from mot.keypoints import SEEN, Keypoints

NEEDS = "COCO's keypoints need images, annotations and categories"
POSETRACK_KEYS = ("vid_id", "is_labeled")  # of an image, which COCO's have not
PERSON = 1  # category


@dataclass(frozen=True)
class KeypointFile:
    """Keypoints of the images of one file.

    Attributes:
        keypoints: all people; frame f is image f (from 1).
        images: file name of each image as the file gives it, in the order of frames.
        tells_hidden: whether hidden points are told from seen ones.
    """

    keypoints: Keypoints
    images: tuple[str, ...]
    tells_hidden: bool


def read_keypoints(path: Path, say: Say = print) -> KeypointFile:
    """Read a COCO or PoseTrack file of one video, or of images that are none.

    Images that count frames (`frame_id`) are put in their order, others keep the file's. A person
    without a box gets the one around the labelled points; one without either is left out.

    Args:
        path: the file.
        say: takes a line about what is left out.

    Raises:
        InputError: no such JSON, an entry that lacks a key or has a wrong value (it names the
            entry), categories with different points, or images of several videos.
    """
    tables = load_json(path)
    if isinstance(tables, dict) and "annolist" in tables:
        got = "PoseTrack's layout of 2017 (annolist)"
        raise InputError(path, "COCO's or PoseTrack's layout of 2018", got, "take the newer files")
    images = table_of(path, tables, "images", NEEDS)
    frames = _frames_of(images)
    names, edges, people = _points_of(path, table_of(path, tables, "categories", NEEDS))
    posetrack = any(key in image for _, image in images for key in POSETRACK_KEYS)
    rows: list[_Row] = []
    left = Counter[str]()
    for place, entry in table_of(path, tables, "annotations", NEEDS):
        if value_of(place, entry, "category_id") not in people or "keypoints" not in entry:
            left["without keypoints"] += 1
            continue
        image = value_of(place, entry, "image_id")
        if image not in frames:
            raise InputError(place, "an image_id that is among the images", image, "correct it")
        row = _row(place, entry, frames[image], len(names))
        if row is None:
            left["without a box and a labelled point"] += 1
        else:
            rows.append(row)
    for reason, count in left.items():
        say(f"{path}: {count} annotations {reason} left out")
    tells = not posetrack or any((row.points[:, 2] == SEEN).any() for row in rows)
    files = {frames[value_of(p, i, "id")]: str(value_of(p, i, "file_name")) for p, i in images}
    keypoints = _table(rows, names, edges, tells_hidden=tells)
    return KeypointFile(keypoints, tuple(files[k] for k in sorted(files)), tells)


@dataclass(frozen=True)
class _Row:
    """One annotation; `points` is float64 (K, 3) of x, y, v."""

    frame: int
    id: int
    box: tuple[float, float, float, float]
    points: np.ndarray[Any, np.dtype[np.float64]]


def _table(
    rows: list[_Row],
    names: tuple[str, ...],
    edges: tuple[tuple[int, int], ...],
    *,
    tells_hidden: bool,
) -> Keypoints:
    if not rows:
        return Keypoints.empty(names, edges)
    points = np.stack([row.points for row in rows])
    visibility = points[:, :, 2] if tells_hidden else np.where(points[:, :, 2] > 0, SEEN, 0)
    return Keypoints(
        frame=np.array([row.frame for row in rows]),
        id=np.array([row.id for row in rows]),
        ltwh=np.array([row.box for row in rows], np.float32),
        xy=points[:, :, :2].astype(np.float32),
        visibility=visibility.astype(np.uint8),
        names=names,
        edges=edges,
    )


def _frames_of(images: list[tuple[str, Entry]]) -> dict[Any, int]:
    """Frame number from 1 of each image's id."""
    videos = {image.get("vid_id", image.get("video_id")) for _, image in images}
    if len(videos) > 1:
        place, got = images[0][0], f"{len(videos)} of them"
        raise InputError(place, "images of one video in a file", got, "split the file by videos")
    order = list(range(len(images)))
    if all("frame_id" in image for _, image in images):
        order.sort(key=lambda k: whole_number(*images[k], "frame_id"))
    frames: dict[Any, int] = {}
    for number, index in enumerate(order, 1):
        place, image = images[index]
        key = value_of(place, image, "id")
        if key in frames:
            raise InputError(place, "an id of its own", f"id {key} again", "renumber")
        value_of(place, image, "file_name")
        frames[key] = number
    return frames


def _points_of(
    path: Path, categories: list[tuple[str, Entry]]
) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...], set[Any]]:
    """Names and edges of the points, and the ids of the categories that have them."""
    found: dict[tuple[str, ...], tuple[tuple[int, int], ...]] = {}
    people = set()
    for place, category in categories:
        names = category.get("keypoints")
        if not names:
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(place, "names of the points as 'keypoints'", names, "correct it")
        found[tuple(names)] = _edges_of(place, category, len(names))
        people.add(value_of(place, category, "id"))
    if len(found) != 1:
        got = f"{len(found)} kinds" if found else "none"
        raise InputError(path, "a category with 'keypoints', and one kind of them", got, NEEDS)
    [(names_found, edges)] = found.items()
    return names_found, edges, people


def _edges_of(place: str, category: Entry, points: int) -> tuple[tuple[int, int], ...]:
    """The skeleton, which counts points from 1 in the file."""
    edges = []
    for edge in category.get("skeleton") or ():
        sound = isinstance(edge, list) and len(edge) == 2
        if not sound or not all(is_number(end) and 1 <= end <= points for end in edge):
            raise InputError(place, f"skeleton as pairs of 1 to {points}", edge, "correct it")
        edges.append((int(edge[0]) - 1, int(edge[1]) - 1))
    return tuple(edges)


def _row(place: str, entry: Entry, frame: int, points: int) -> _Row | None:
    """One annotation's row; None where nothing says where the person is."""
    values = entry["keypoints"]
    sound = isinstance(values, list) and len(values) == 3 * points
    if not sound or not all(map(is_number, values)):
        got = f"{len(values)} values" if isinstance(values, list) else repr(values)
        raise InputError(place, f"keypoints as {3 * points} numbers x, y, v", got, "correct it")
    table = np.array(values, np.float64).reshape(points, 3)
    known = table[:, 2] > 0
    if not np.isin(table[:, 2], (0, 1, 2)).all():
        got = table[~np.isin(table[:, 2], (0, 1, 2)), 2][0]
        raise InputError(place, "v of a keypoint as 0, 1 or 2", got, "correct it")
    identity = int(NO_ID)
    if entry.get("track_id") is not None:
        identity = whole_number(place, entry, "track_id")
    box = entry.get("bbox") or None
    if box is not None:
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            raise InputError(place, "bbox as [left, top, width, height]", box, "correct it")
    elif known.any():
        low, high = table[known, :2].min(axis=0), table[known, :2].max(axis=0)
        box = [*low, *(high - low)]
    else:
        return None
    left, top, width, height = map(float, box)
    return _Row(frame, identity, (left, top, width, height), table)


def write_keypoints(
    path: Path,
    keypoints: Keypoints,
    images: Mapping[int, str],
    size_wh: tuple[int, int],
) -> None:
    """Write one video's keypoints as COCO does, with `track_id` and `frame_id` beside its fields.

    Args:
        path: the file; it appears whole or not at all.
        keypoints: all people.
        images: file name of each frame by its 1-based number, those without people too.
        size_wh: width and height of the frames.

    Raises:
        InputError: the file is there, or a frame without a file name.
    """
    if path.suffix.lower() != ".json":
        raise InputError(path, "a file ending in .json", path.name, "name it so")
    require_new([path], "choose another")
    missing = sorted(set(keypoints.frame.tolist()) - set(images))
    if missing:
        raise InputError(path, "a file name for each frame", f"none of frame {missing[0]}", "add")
    width, height = size_wh
    tables = {
        "images": [
            {"id": frame, "frame_id": frame - 1, "file_name": name, "width": width,
             "height": height}
            for frame, name in sorted(images.items())
        ],
        "annotations": [_entry(keypoints, row) for row in range(len(keypoints))],
        "categories": [
            {"id": PERSON, "name": "person", "keypoints": list(keypoints.names),
             "skeleton": [[a + 1, b + 1] for a, b in keypoints.edges]}
        ],
    }  # fmt: skip
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(tables, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def _entry(keypoints: Keypoints, row: int) -> dict[str, Any]:
    """One annotation."""
    xy = np.round(keypoints.xy[row].astype(np.float64), 2)
    table = np.column_stack([xy, keypoints.visibility[row]])
    values = [int(v) if v == int(v) else round(v, 2) for v in table.ravel().tolist()]
    left, top, width, height = (round(float(v), 2) for v in keypoints.ltwh[row])
    identity = int(keypoints.id[row])
    return {
        "id": row + 1,
        "image_id": int(keypoints.frame[row]),
        "category_id": PERSON,
        "bbox": [left, top, width, height],
        "area": round(width * height, 2),
        "iscrowd": 0,
        **({"track_id": identity} if identity >= 0 else {}),
        "num_keypoints": int(keypoints.labelled[row].sum()),
        "keypoints": values,
    }
