"""YOLO text as ultralytics writes and reads it: a file a frame, a row a box, shares of the frame.

`class centre-x centre-y width height [score] [id]`; the id comes last (`save_txt` of a tracking
run), the score before it (`save_conf`). Classes count from 0; data.yaml or classes.txt names them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from mot.annotations import CLASSES
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
from mot.images import image_size
from mot.plain_table import read_text, shown
from mot.sequence import list_images

LABELS, IMAGES = "labels", "images"
NAME_FILES = NAMES_YAML, NAMES_TEXT = "data.yaml", "classes.txt"
LARGEST_SHARE = 10.0  # of the frame's side; beyond that it must be pixels
DECIMALS = 8  # 0.0001 pixels of 8K
_NUMBERED = re.compile(r"(.*?)[_-]?(\d{1,9})")


def recognise(source: Path) -> bool:
    """Whether there are text files of boxes."""
    return source.is_dir() and bool(_label_files(source))


def read(source: Path, hints: Hints, say: Say) -> list[Annotated]:
    """Read all label files below a folder; those that differ in their number only are a sequence.

    Size and number of frames are those of images/ beside labels/, where it is there; else the size
    must be given.

    Raises:
        InputError: no label files, no size, or a row that cannot be used. It names file and line.
    """
    found = _label_files(source)
    if not found:
        raise InputError(source, "label files NAME_1.txt or 000001.txt", "none", "check the path")
    return [_read_one(source, *each, hints, say) for each in sorted(found.items())]


def _label_files(source: Path) -> dict[tuple[Path, str], dict[int, Path]]:
    """Label files of each sequence (folder, name before the number) by number."""
    found: dict[tuple[Path, str], dict[int, Path]] = defaultdict(dict)
    for path in sorted(source.rglob("*.txt")):
        numbered = _NUMBERED.fullmatch(path.stem)
        if numbered and path.name != NAMES_TEXT:
            number = int(numbered[2])
            group = found[path.parent, numbered[1]]
            if number in group:
                raise InputError(path, "one file a frame", f"also {group[number]}", "remove one")
            group[number] = path
    return found


def _read_one(
    source: Path, key: tuple[Path, str], files: dict[int, Path], hints: Hints, say: Say
) -> Annotated:
    folder, prefix = key
    own = folder.resolve().name
    own = folder.resolve().parent.name if own == LABELS else own
    name = folder_name(prefix or own, folder, say)
    images = _images_beside(folder, prefix)
    size = hints.size or (image_size(images[0]) if images else None)
    if size is None:
        raise InputError(
            folder, f"{IMAGES}/ beside {LABELS}/, to know the frames' size", "none",
            "give it with --size WIDTH HEIGHT",
        )  # fmt: skip
    start = 0 if 0 in files else 1
    length = max(max(files) - start + 1, len(images))
    class_of = _class_lookup(source, folder, hints)
    rows: list[Row] = []
    places: list[str] = []
    for number, path in files.items():
        for line, text in enumerate(read_text(path).split("\n"), 1):
            if not text.strip():
                continue
            place = f"{path}:{line}"
            row = _row(text, place, number - start + 1, size, class_of, hints)
            if row is not None:
                rows.append(row)
                places.append(place)
    boxes = to_boxes(rows, places, length)
    return Annotated(name, length, *size, hints.fps, boxes, tuple(p.name for p in images))


def _images_beside(folder: Path, prefix: str) -> list[Path]:
    """Images of the sequence where ultralytics looks for them: images/ in the place of labels/."""
    parts = list(folder.parts)
    places = [index for index, part in enumerate(parts) if part == LABELS]
    if not places:
        return []
    parts[places[-1]] = IMAGES
    beside = Path(*parts)
    names = list_images(beside) if beside.is_dir() else []
    numbered = ((name, _NUMBERED.fullmatch(Path(name).stem)) for name in names)
    return [beside / name for name, found in numbered if found and found[1] == prefix]


def _class_lookup(source: Path, folder: Path, hints: Hints) -> Callable[[int, str], int | None]:
    """Function from a class number and its place to MOTChallenge's class, None = leave it out.

    Names are looked up as they are met, for most files name more than they hold. Without names
    only 0 is known, a pedestrian.
    """
    top = source.parent if source.name == LABELS else source
    names: dict[int, str] = {}
    for place in (folder, *folder.parents):
        found = [path for name in NAME_FILES if (path := place / name).is_file()]
        if found or place == top:
            names = _names(found[0]) if found else {}
            break
    known = names or {0: class_name(PEDESTRIAN)}

    def look_up(number: int, where: str) -> int | None:
        if str(number) in hints.classes:
            return hints.classes[str(number)]
        if number not in known:
            raise InputError(
                where, f"a class out of {', '.join(map(str, known))}", number,
                f"name the classes in {' or '.join(NAME_FILES)}, or say --classes {number}=car",
            )  # fmt: skip
        return hints.class_of(known[number], where)

    return look_up


def _names(path: Path) -> dict[int, str]:
    text = read_text(path)
    if path.name == NAMES_TEXT:
        return dict(enumerate(text.rstrip().split("\n")))
    try:
        loaded = yaml.safe_load(text)
        names = loaded["names"]
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            path, "names: of the classes, as ultralytics has them", "something else", "correct it"
        ) from error


def _row(
    text: str, place: str, frame: int, size: tuple[int, int],
    class_of: Callable[[int, str], int | None], hints: Hints,
) -> Row | None:  # fmt: skip
    """One box; None where its class is left out."""
    try:
        number, centre_x, centre_y, width, height, *rest = map(float, text.split())
    except ValueError as error:
        raise InputError(
            place, "class, centre x, centre y, width, height", shown(text), "correct the row"
        ) from error
    if len(rest) > 2:
        raise InputError(
            place, "5 to 7 columns: boxes", f"{len(rest) + 5} columns", "outlines are not read"
        )
    if number % 1 != 0:  # so is NaN's
        raise InputError(place, "a whole number as class", f"{number:g}", "correct the row")
    if max(map(abs, (centre_x, centre_y, width, height))) > LARGEST_SHARE:
        raise InputError(place, "shares of the frame, about 0..1", shown(text), "divide pixels")
    category = class_of(int(number), place)
    if category is None:
        return None
    score, identity = 1.0, NO_ID
    if len(rest) == 2:
        score, identity = rest
    elif rest and hints.sixth == "id":
        identity = rest[0]
    elif rest:
        score = rest[0]
    if identity % 1 != 0:
        raise InputError(
            place, "a whole number as id (the last column)", f"{identity:g}",
            "give --sixth score if the sixth column is one",
        )  # fmt: skip
    w, h = width * size[0], height * size[1]
    x, y = centre_x * size[0] - w / 2, centre_y * size[1] - h / 2
    return Row(frame, identity, x, y, w, h, score, category, -1.0)


def write(target: Path, sequences: Sequence[Annotated], say: Say) -> None:
    """Write target/labels/NAME/000001.txt … and target/data.yaml, with empty files for nobody.

    Raises:
        InputError: the target is there already.
    """
    require_new([target], "choose another")
    boxes = Boxes.concatenate([sequence.boxes for sequence in sequences])
    has_scores = bool(((boxes.score != 0) & (boxes.score != 1)).any())
    extra = sorted({int(c) for c in boxes.cls.tolist()} - set(CLASSES))
    index_of = {category: index for index, category in enumerate((*CLASSES, *extra))}
    with atomic_path(target) as staging:
        for sequence in sequences:
            folder = staging / LABELS / sequence.name
            folder.mkdir(parents=True)
            for frame, present in sequence.boxes.by_frame(sequence.length):
                path = folder / f"{Path(sequence.image(frame)).stem}.txt"
                path.write_text(_text(present, sequence, index_of, has_scores), encoding="ascii")
        names = {index: class_name(category) for category, index in index_of.items()}
        head = {"path": ".", "train": IMAGES, "val": IMAGES, "names": names}
        text = yaml.safe_dump(head, sort_keys=False)
        (staging / NAMES_YAML).write_text(text, encoding="utf-8")
    _say_what_is_lost(target, sequences, boxes, has_scores, say)


def _text(boxes: Boxes, sequence: Annotated, index_of: dict[int, int], has_scores: bool) -> str:
    lines = []
    columns = (boxes.id, boxes.score, boxes.cls)
    for box, *rest in zip(boxes.ltwh.tolist(), *(c.tolist() for c in columns), strict=True):
        (left, top, width, height), (identity, score, category) = box, rest
        shares = (
            (left + width / 2) / sequence.width, (top + height / 2) / sequence.height,
            width / sequence.width, height / sequence.height,
        )  # fmt: skip
        fields = [str(index_of[int(category)]), *(f"{share:.{DECIMALS}f}" for share in shares)]
        fields += [f"{score:.6g}"] if has_scores else []
        fields += [f"{identity:.0f}"] if identity >= 0 else []
        lines.append(" ".join(fields) + "\n")
    return "".join(lines)


def _say_what_is_lost(
    target: Path, sequences: Sequence[Annotated], boxes: Boxes, has_scores: bool, say: Say
) -> None:
    """Say in one line what the format has no place for, and in another what its trainers refuse."""
    lost = ["image size (give --size, or images/, to read it back)"]
    lost += ["frame rate (--fps)"] if any(s.fps is not None for s in sequences) else []
    seen = int((boxes.visibility >= 0).sum())
    lost += [f"visibility of {seen} boxes"] if seen else []
    idle = 0 if has_scores else int((boxes.score == 0).sum())
    lost += [f"that {idle} boxes do not count"] if idle else []
    say(f"{target}: left behind: {', '.join(lost)}")
    beyond = 0
    for sequence in sequences:
        edges = sequence.boxes.ltrb / ((sequence.width, sequence.height) * 2)
        beyond += int(((edges < 0) | (edges > 1)).any(axis=1).sum())
    if beyond:
        count = f"{beyond} of {len(boxes)} boxes"
        say(f"{target}: {count} leave the frame; ultralytics trains on none such (--clip)")
    if (boxes.id >= 0).any():
        say(f"{target}: rows end with an id; ultralytics trains on five columns (--no-ids)")
