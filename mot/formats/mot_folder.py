"""MOTChallenge sequence folders as a format to convert from and to: seqinfo.ini and gt/gt.txt."""

from __future__ import annotations

from collections.abc import Sequence as Several
from pathlib import Path

from mot.annotations import WORLD_COORDINATES, considered, detection_rows, truth_rows
from mot.atomic import atomic_path, require_new, write_text
from mot.errors import InputError
from mot.formats.annotated import Annotated, Hints, Say
from mot.seqinfo import SEQINFO, seqinfo_text
from mot.sequence import Sequence, list_sequences, open_sequence


def recognise(source: Path) -> bool:
    """Whether there are sequence folders."""
    return source.is_dir() and bool(list_sequences(source))


def read(source: Path, hints: Hints, say: Say) -> list[Annotated]:
    """Read all sequences below a folder that have a ground truth, or detections if so hinted.

    Raises:
        InputError: none has; a folder or file that cannot be used.
    """
    wanted = "detections" if hints.detections else "ground truth"
    opened = [open_sequence(folder, fps=hints.fps) for folder in list_sequences(source)]
    known = [s for s in opened if (s.has_detections if hints.detections else s.has_truth)]
    if not known:
        raise InputError(source, f"sequences with {wanted}", "none", "check the path")
    for sequence in opened:
        if sequence not in known:
            say(f"{sequence.folder}: no {wanted}, left out")
    return [_read_one(sequence, hints, say) for sequence in known]


def _read_one(sequence: Sequence, hints: Hints, say: Say) -> Annotated:
    path = sequence.detections_at if hints.detections else sequence.truth_at
    boxes = sequence.detections() if hints.detections else sequence.truth()
    with open(path, encoding="utf-8-sig") as file:
        row = next((line for line in file if line.strip()), "")
    fields = row.split("," if "," in row else None)
    if len(fields) >= WORLD_COORDINATES and {float(f) for f in fields[7:]} != {-1}:
        say(f"{path}: world coordinates (columns 8 to 10) are left behind")
    return Annotated(
        sequence.name, sequence.length, sequence.width, sequence.height, sequence.fps, boxes,
        sequence.images,
    )  # fmt: skip


def write(target: Path, sequences: Several[Annotated], say: Say) -> None:
    """Write each sequence to target/NAME; boxes without ids are detections, else a truth.

    Where target/NAME is a sequence folder already, its annotations are added to it.

    Raises:
        InputError: there are annotations already; a seqinfo.ini that says otherwise; people who
            count without an id among others that have one.
    """
    plans = [(target / s.name / _file_of(s), s) for s in sequences]
    for path, sequence in plans:
        require_new([path], "choose another")
        _require_ids(sequence)
        if (target / sequence.name / SEQINFO).is_file():
            _require_same(open_sequence(target / sequence.name), sequence)
    for path, sequence in plans:
        folder = target / sequence.name
        is_truth = path.parent.name == "gt"
        rows = truth_rows(sequence.boxes) if is_truth else detection_rows(sequence.boxes)
        between = (sequence.boxes.score != 0) & (sequence.boxes.score != 1)
        if is_truth and between.any():
            say(f"{path}: a truth has flags of 0 and 1: {int(between.sum())} scores become 1")
        if (folder / SEQINFO).is_file():
            write_text(path, rows)
        else:
            _require_no_files(folder)
            with atomic_path(folder) as staging:
                (staging / path.parent.name).mkdir(parents=True)
                (staging / path.relative_to(folder)).write_text(rows, encoding="ascii")
                (staging / SEQINFO).write_text(_seqinfo(sequence), encoding="utf-8")


def _file_of(sequence: Annotated) -> Path:
    named = not len(sequence.boxes) or bool((sequence.boxes.id >= 0).any())
    return Path("gt", "gt.txt") if named else Path("det", "det.txt")


def _require_ids(sequence: Annotated) -> None:
    boxes = sequence.boxes
    nameless = considered(boxes) & (boxes.id < 0)
    if nameless.any() and (boxes.id >= 0).any():
        raise InputError(
            f"{sequence.name}, frame {boxes.frame[nameless][0]:g}",
            "an id for everybody who counts, as others have one",
            f"{int(nameless.sum())} without",
            "number them, or drop all with --no-ids",
        )


def _require_same(there: Sequence, sequence: Annotated) -> None:
    """Refuse to add annotations to a folder of another video."""
    size = (there.width, there.height)
    if size != (sequence.width, sequence.height) or there.length < sequence.length:
        raise InputError(
            there.folder,
            f"{sequence.length} frames of {sequence.width}x{sequence.height}, as annotated",
            f"{there.length} of {there.width}x{there.height}",
            "choose another target",
        )


def _require_no_files(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    require_new([folder], "choose another")


def _seqinfo(sequence: Annotated) -> str:
    suffix = Path(sequence.image(1)).suffix
    rest = (sequence.length, sequence.width, sequence.height, sequence.fps, suffix)
    return seqinfo_text(sequence.name, *rest)
