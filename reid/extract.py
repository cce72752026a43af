"""Crops of people cut from sequences with a truth: `python -m reid.extract --seqs A B --out crops`.

Writes the folders of Market-1501 (bounding_box_train, query, bounding_box_test), which torchreid
and fast-reid read as well, and, where asked for, one HDF5 file. People of the test are nobody's of
the training. A sequence stands for two cameras, the earlier and the later half of each person's
time in it, with a pause between them, so that a query is never answered by a frame beside its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rich.table import Table

from mot.annotations import considered
from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.command_line import parse_flags
from mot.draw import mosaic
from mot.errors import InputError, one_line_errors, require_setting
from mot.frames import stream_frames
from mot.images import Image, read_image
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence
from mot.splits import recording_of
from mot.terminal import terminal
from reid.crop_store import write_store
from reid.crops import GALLERY, QUERY, TRAIN, crop_name, cut

JPEG_QUALITY = 95
SHEET_PEOPLE, SHEET_CROPS = 12, 8  # rows and columns of the contact sheet
SHEET = "crops.png"


@dataclass(frozen=True)
class ExtractFlags:
    """Cut people out of sequences with a truth, for training and scoring of embedders."""

    seqs: tuple[str, ...]
    """Sequences to cut from."""
    out: str
    """Folder to make: bounding_box_train, query, bounding_box_test and crops.png."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""
    h5: str | None = None
    """HDF5 file to write as well, a new one: images, identity, camera, frame, split."""
    size: tuple[int, int] = (128, 64)
    """Height and width of the crops in pixels."""
    every_s: float = 0.2
    """Seconds between a person's crops."""
    min_visibility: float = 0.7
    """Least visible share; where the truth knows none, it is estimated from nearer boxes."""
    min_height: float = 60.0
    """Least height of a box in pixels."""
    min_crops: int = 4
    """People with fewer crops are left out."""
    test_share: float = 0.25
    """Share of the people kept for the test."""
    test_seqs: tuple[str, ...] = ()
    """More sequences to cut from, whose people are all kept for the test."""
    pause_s: float = 1.0
    """Seconds between the earlier and the later half of a person of the test."""
    seed: int = 1
    """Decides who is kept for the test."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seqs", tuple(self.seqs))
        object.__setattr__(self, "test_seqs", tuple(self.test_seqs))
        object.__setattr__(self, "size", tuple(self.size))
        require = partial(require_setting, self)
        apart = self.h5 is None or Path(self.out).resolve() not in Path(self.h5).resolve().parents
        require("h5", apart, "a file outside of --out, which appears as a whole")
        require("seqs", bool(self.seqs), "at least one sequence")
        require("size", len(self.size) == 2 and min(self.size) >= 16, "at least 16 16")
        for name in ("every_s", "pause_s"):
            require(name, getattr(self, name) >= 0, "0 or more seconds")
        require("min_visibility", 0 <= self.min_visibility <= 1, "a share in 0..1")
        require("min_height", self.min_height >= 1, "at least 1 pixel")
        require("min_crops", self.min_crops >= 2, "at least 2: one to look for, one to find")
        require("test_share", 0 <= self.test_share < 1, "a share in [0, 1)")


@dataclass(frozen=True)
class Plan:
    """Which boxes of a sequence become crops.

    Attributes:
        boxes: truth rows, ordered by frame.
        person: (N,) number of each row's person over all sequences, from 1.
        camera: (N,) from 1.
        split: (N,) name of the folder that the crop goes to.
    """

    boxes: Boxes
    person: npt.NDArray[np.int64]
    camera: npt.NDArray[np.int64]
    split: npt.NDArray[np.str_]


def choose_rows(truth: Boxes, size_hw: tuple[int, int], fps: float, flags: ExtractFlags) -> Boxes:
    """Rows worth cutting: people who count, visible and large enough, mostly inside the frame.

    Args:
        truth: all rows of a sequence.
        size_hw: height and width of its frames.
        fps: frames per second.
        flags: limits.
    """
    height, width = size_hw
    ltrb = truth.ltrb
    inside = np.minimum(ltrb[:, 2:], (width, height)) - np.maximum(ltrb[:, :2], 0)
    share = inside.clip(min=0).prod(axis=1) / np.maximum(truth.w * truth.h, 1e-6)
    seen = visible_share(truth) >= flags.min_visibility
    step = max(1, round(flags.every_s * fps))
    wanted = (
        considered(truth)
        & seen
        & (truth.h >= flags.min_height)
        & (share >= flags.min_visibility)
        & ((truth.frame - 1) % step == 0)
    )
    rows = truth[wanted].sorted_by_frame()
    ids, count = np.unique(rows.id, return_counts=True)
    return rows[np.isin(rows.id, ids[count >= flags.min_crops])]


def visible_share(truth: Boxes) -> npt.NDArray[np.float64]:
    """Visible share of each box (N,): the truth's own, or estimated where it knows none.

    The estimate takes away the largest part that one nearer person covers; nearer is who stands
    lower in the picture.
    """
    share = truth.visibility.astype(np.float64)
    for frame in np.unique(truth.frame[share < 0]):
        rows = np.flatnonzero(truth.frame == frame)
        left, top, right, bottom = truth.ltrb[rows].astype(np.float64).T
        across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
        down = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
        covered = across.clip(min=0) * down.clip(min=0) * np.less.outer(bottom, bottom)
        estimate = 1 - covered.max(axis=1) / np.maximum((right - left) * (bottom - top), 1e-6)
        share[rows] = np.where(share[rows] < 0, estimate, share[rows])
    return share


def plan_crops(chosen: list[Boxes], rates: list[float], flags: ExtractFlags) -> list[Plan]:
    """Number people and cameras over all sequences and put each crop on its side.

    Those of `test_seqs` come last in `chosen`. Of a person of the test, the first crop of each
    camera is a query.
    """
    people = [np.unique(rows.id) for rows in chosen]
    total = sum(map(len, people))
    drawn = sum(map(len, people[: len(flags.seqs)]))
    shuffled = np.random.default_rng(flags.seed).permutation(drawn) + 1
    kept = shuffled[: round(flags.test_share * drawn)]
    test = np.concatenate([kept, np.arange(drawn, total) + 1])
    plans, before = [], 0
    for index, (rows, ids, fps) in enumerate(zip(chosen, people, rates, strict=True)):
        place = np.searchsorted(ids, rows.id)
        middle = np.array([np.median(rows.frame[place == k]) for k in range(len(ids))])
        late_s = (rows.frame - middle[place]) / fps
        tested = np.isin(before + 1 + place, test)
        keep = ~tested | (abs(late_s) >= flags.pause_s / 2)
        rows, late_s, person = rows[keep], late_s[keep], (before + 1 + place)[keep]
        before += len(ids)
        camera = 2 * index + 1 + (late_s > 0)
        split = np.full(len(rows), TRAIN, dtype="U32")
        split[np.isin(person, test)] = GALLERY
        _, first = np.unique(np.stack([person, camera], axis=1), axis=0, return_index=True)
        query = np.zeros(len(rows), bool)
        query[first] = True
        split[query & (split == GALLERY)] = QUERY
        plans.append(Plan(rows, person.astype(np.int64), camera.astype(np.int64), split))
    return plans


def cut_sequence(
    sequence: Sequence, plan: Plan, size_hw: tuple[int, int]
) -> Iterator[tuple[int, Image]]:
    """Yield (row of the plan, crop) for every row, decoding only as far as the last one."""
    if not len(plan.boxes):
        return
    frames = plan.boxes.frame
    last = int(frames[-1])
    with progress_bar(last, unit="frame", title=sequence.name) as bar:
        for number, image in stream_frames(sequence, last=last):
            for row in range(*np.searchsorted(frames, [number, number + 1]).tolist()):
                yield row, cut(image, plan.boxes.ltwh[row], size_hw)
            bar.update()


def require_each_once(sequences: list[Sequence]) -> None:
    """Refuse a recording that is named twice, if by two names: people would be on both sides.

    Raises:
        InputError: gives both names.
    """
    known: dict[str, str] = {}
    for sequence in sequences:
        recording = recording_of(sequence.name)
        if recording in known:
            expected, got = "each recording once", f"{known[recording]} and {sequence.name}"
            raise InputError("--seqs and --test-seqs", expected, got, "leave one of them out")
        known[recording] = sequence.name


def extract(flags: ExtractFlags) -> list[Plan]:
    """Cut all crops and write them; folder and HDF5 file appear whole.

    Raises:
        InputError: sequences that cannot be used, nobody to cut, or a folder or file that is there.
    """
    out = Path(flags.out)
    if out.exists():
        raise InputError(out, "a new folder", "one that is there", "use another --out")
    root = Path(flags.data) if flags.data else data_root()
    sequences = [find_sequence(name, root) for name in flags.seqs + flags.test_seqs]
    require_each_once(sequences)
    rates = [sequence.require_fps() for sequence in sequences]
    chosen = [
        choose_rows(s.truth(), (s.height, s.width), fps, flags)
        for s, fps in zip(sequences, rates, strict=True)
    ]
    plans = plan_crops(chosen, rates, flags)
    if not any(len(plan.boxes) for plan in plans):
        expected = "people who are visible, large and long enough there"
        remedy = "lower --min-height, --min-visibility or --pause-s"
        raise InputError("--seqs", expected, "nobody", remedy)
    store = write_store(Path(flags.h5), _columns(plans), flags.size) if flags.h5 else nullcontext()
    with atomic_path(out) as folder, store as put:
        for name in (TRAIN, QUERY, GALLERY):
            (folder / name).mkdir(parents=True)
        place = 0
        for sequence, plan in zip(sequences, plans, strict=True):
            for row, crop in cut_sequence(sequence, plan, flags.size):
                _write(folder, plan, row, crop)
                if put:
                    put(place, crop)
                place += 1
        cv2.imwrite(str(folder / SHEET), contact_sheet(folder, plans)[:, :, ::-1])
    return plans


def _name(plan: Plan, row: int) -> str:
    person, camera = int(plan.person[row]), int(plan.camera[row])
    return f"{crop_name(person, camera, int(plan.boxes.frame[row]))}.jpg"


def _write(folder: Path, plan: Plan, row: int, crop: Image) -> None:
    path = folder / str(plan.split[row]) / _name(plan, row)
    if not cv2.imwrite(str(path), crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise OSError(f"{path} could not be written")


def _columns(plans: list[Plan]) -> dict[str, npt.NDArray[np.int64] | list[str]]:
    """What an HDF5 file says of the crops, in the order of their cutting."""
    return {
        "identity": np.concatenate([plan.person for plan in plans]),
        "camera": np.concatenate([plan.camera for plan in plans]),
        "frame": np.concatenate([plan.boxes.frame for plan in plans]).astype(np.int64),
        "split": [str(name) for plan in plans for name in plan.split],
    }


def contact_sheet(folder: Path, plans: list[Plan]) -> Image:
    """A row of crops for each of some people, spread over all of them."""
    known = [(plan, person) for plan in plans for person in np.unique(plan.person)]
    places = np.linspace(0, len(known) - 1, min(SHEET_PEOPLE, len(known))).round().astype(int)
    tiles = []
    for plan, person in (known[k] for k in places):
        rows = np.flatnonzero(plan.person == person)
        shown = rows[np.linspace(0, len(rows) - 1, SHEET_CROPS).round().astype(int)]
        paths = [folder / str(plan.split[row]) / _name(plan, row) for row in shown]
        tiles += [read_image(path) for path in paths]
    return mosaic(tiles, columns=SHEET_CROPS)


def print_summary(plans: list[Plan], names: tuple[str, ...]) -> None:
    """Print crops and people per sequence and side."""
    table = Table()
    table.add_column("sequence")
    for heading in ("people", "train crops", "query", "gallery"):
        table.add_column(heading, justify="right")
    for name, plan in zip(names, plans, strict=True):
        counts = [int((plan.split == side).sum()) for side in (TRAIN, QUERY, GALLERY)]
        table.add_row(name, str(len(np.unique(plan.person))), *map(str, counts))
    terminal().print(table)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(ExtractFlags, arguments)
    print_summary(extract(flags), flags.seqs + flags.test_seqs)
    print(f"crops: {flags.out}   contact sheet: {Path(flags.out) / SHEET}")


if __name__ == "__main__":
    main()
