"""Sequences on disk: open a folder or a video, find one by its short name.

Everything that works on video starts here: a `Sequence` says how long, large and fast it is, and
where frames, ground truth and detections lie. Frames are decoded by `mot.frames`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mot.annotations import read_detections, read_truth
from mot.boxes import Boxes
from mot.errors import InputError
from mot.images import IMAGE_SUFFIXES, image_size
from mot.seqinfo import SEQINFO, SeqInfo
from mot.videofile import VIDEO_SUFFIXES, probe_video

DATA_VARIABLE = "FOOTFALL_DATA"
IMAGE_FOLDER = "img1"
DEEPEST = 8  # folders between a data root and a sequence
NAMES_SHOWN = 6

_DIGITS = re.compile(r"[0-9]{1,9}\.\w+")  # so many digits that the tuple of names stays small

HOW_TO_GET_DATA = (
    "name a folder that holds it with --data or $FOOTFALL_DATA, get MOT17 with "
    "python -m mot.download MOT17 (https://motchallenge.net/data/MOT17.zip), or run on rendered "
    "scenes with --seq synthetic"
)


@dataclass(frozen=True)
class Sequence:
    """Consecutive frames of one camera, and the annotations beside them.

    Attributes:
        name: name of the folder, or of the video file without its suffix.
        folder: where seqinfo.ini, gt/ and det/ lie.
        length: frames.
        width, height: pixels.
        fps: frames per second, None = unknown.
        frames_at: folder of images or video file; it may be missing where only text is needed.
        images: file names of frame 1, 2, … in `frames_at`, up to the last one that is there; empty
            for a video.
    """

    name: str
    folder: Path
    length: int
    width: int
    height: int
    fps: float | None
    frames_at: Path
    images: tuple[str, ...] = field(default=(), repr=False)

    @property
    def truth_at(self) -> Path:
        """Where the ground truth lies, or would lie."""
        return self.folder / "gt" / "gt.txt"

    @property
    def detections_at(self) -> Path:
        """Where public detections lie, or would lie."""
        return self.folder / "det" / "det.txt"

    @property
    def has_truth(self) -> bool:
        """Whether there is a ground truth."""
        return self.truth_at.is_file()

    @property
    def has_detections(self) -> bool:
        """Whether there are public detections."""
        return self.detections_at.is_file()

    @property
    def has_frames(self) -> bool:
        """Whether all frames seem to be there."""
        return self.frames_at.is_file() or len(self.images) >= self.length

    def truth(self) -> Boxes:
        """Read the ground truth; raises InputError when there is none or it is malformed."""
        if not self.has_truth:
            raise InputError(
                self.truth_at, "a ground truth", "no such file", "choose a sequence that has one"
            )
        return read_truth(self.truth_at, length=self.length)

    def detections(self) -> Boxes:
        """Read public detections; raises InputError when there are none or they are malformed."""
        if not self.has_detections:
            raise InputError(
                self.detections_at,
                "public detections",
                "no such file",
                "use the net's own (--detections net)",
            )
        return read_detections(self.detections_at, length=self.length)

    def require_fps(self) -> float:
        """Frames per second; raises InputError that names --fps when it is unknown."""
        if self.fps is None:
            raise InputError(
                self.name, "a known frame rate", "none (images carry none)", "give it with --fps"
            )
        return self.fps


def data_root() -> Path:
    """Where sequences are looked for by default: $FOOTFALL_DATA, else data/."""
    return Path(os.environ.get(DATA_VARIABLE) or "data")


def open_sequence(folder: str | os.PathLike[str], *, fps: float | None = None) -> Sequence:
    """Open a sequence folder: seqinfo.ini with img1/ or, in its place, video.*.

    A folder without seqinfo.ini is opened by its img1/; its frame rate is then unknown.

    Args:
        folder: the sequence folder.
        fps: frames per second; overrides what seqinfo.ini says.

    Raises:
        InputError: no such folder, nothing in it, or a seqinfo.ini that lacks keys, has letters
            for numbers or leads out of the folder.
    """
    folder = Path(folder)
    require_rate(fps)
    name = folder.resolve().name
    if not folder.is_dir():
        raise InputError(folder, "a sequence folder", "no such folder", "check the path")
    if not (folder / SEQINFO).is_file():
        if not (folder / IMAGE_FOLDER).is_dir():
            raise InputError(
                folder,
                f"a sequence folder ({SEQINFO} and {IMAGE_FOLDER}/ or a video)",
                "neither",
                "check the path",
            )
        return _from_images(name, folder, folder / IMAGE_FOLDER, fps)
    info = SeqInfo(folder / SEQINFO)
    length = int(info.number("seqLength", whole=True))
    images_at = folder / info.inner_path("imDir", IMAGE_FOLDER)
    suffix = info.suffix("imExt", ".jpg")
    frames_at, images = _locate_frames(folder, images_at, suffix, length)
    rate = fps if fps is not None or not info.has("frameRate") else info.number("frameRate")
    return Sequence(
        name=name,
        folder=folder,
        length=length,
        width=int(info.number("imWidth", whole=True)),
        height=int(info.number("imHeight", whole=True)),
        fps=rate,
        frames_at=frames_at,
        images=images,
    )


def open_video(path: str | os.PathLike[str], *, fps: float | None = None) -> Sequence:
    """Open a bare video file, a folder of images, one image, or a sequence folder.

    Args:
        path: file or folder.
        fps: frames per second; overrides the video's own.

    Raises:
        InputError: nothing there that can be read as video or images.
    """
    path = Path(path)
    require_rate(fps)
    if path.is_dir():
        if (path / SEQINFO).is_file() or (path / IMAGE_FOLDER).is_dir():
            return open_sequence(path, fps=fps)
        return _from_images(path.resolve().name, path, path, fps)
    if not path.exists():
        raise InputError(path, "a video or a folder of images", "no such file", "check the path")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        width, height = image_size(path)
        return Sequence(path.stem, path.parent, 1, width, height, fps, path.parent, (path.name,))
    probe = probe_video(path)
    return Sequence(
        name=path.stem,
        folder=path.parent,
        length=probe.length,
        width=probe.width,
        height=probe.height,
        fps=fps if fps is not None else probe.fps,
        frames_at=path,
    )


def open_images(paths: list[Path], *, fps: float | None = None) -> Sequence:
    """Take image files of one folder as the frames of a sequence, in natural order.

    Raises:
        InputError: no files, or files of several folders.
    """
    require_rate(fps)
    folders = sorted({path.parent for path in paths})
    if len(folders) != 1:
        got = f"{len(folders)}: {', '.join(map(str, folders[:NAMES_SHOWN]))}" if paths else "none"
        raise InputError("images", "files of one folder", got, "narrow the pattern")
    images = sorted((path.name for path in paths), key=_natural)
    width, height = image_size(folders[0] / images[0])
    name = folders[0].resolve().name
    count = len(images)
    return Sequence(name, folders[0], count, width, height, fps, folders[0], tuple(images))


def list_sequences(root: str | os.PathLike[str]) -> list[Path]:
    """Folders below `root` (or `root` itself) that hold a sequence, sorted by name.

    A folder is one when it holds seqinfo.ini or img1/. Links are followed, hidden folders are not
    entered, and no sequence is looked for inside another.
    """
    return sorted(_walk(Path(root), 0, set()), key=lambda folder: (folder.name, str(folder)))


def list_images(folder: Path) -> list[str]:
    """Names of the images in a folder, 2.jpg before 10.jpg; hidden files are none."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if Path(e.name).suffix.lower() in IMAGE_SUFFIXES]
    return sorted((n for n in names if not n.startswith(".")), key=_natural)


def number_images(names: list[str], suffix: str) -> dict[int, str]:
    """Images by the number that is their name; of 1.png and 1.jpg the one with `suffix` wins."""
    names = sorted(names, key=lambda name: name.endswith(suffix))
    return {int(Path(name).stem): name for name in names if _DIGITS.fullmatch(name)}


def find_video(folder: Path) -> Path | None:
    """The video of a sequence folder (video.mp4, video.*), None where there is none."""
    videos = sorted(p for p in folder.glob("video.*") if p.suffix.lower() in VIDEO_SUFFIXES)
    return videos[0] if videos else None


def find_sequence(name: str, root: str | os.PathLike[str], *, fps: float | None = None) -> Sequence:
    """Open the sequence of that name below `root`, at whatever depth.

    An exact folder name wins; otherwise `name` may be the beginning up to a dash, so that MOT17-02
    finds MOT17/train/MOT17-02-SDP. A path, from here or from `root`, is opened as it is.

    Raises:
        InputError: no such sequence (near names and ways to get data are listed), or several (all
            are listed).
    """
    root = Path(root)
    for path in (Path(name), root / name) if {"/", os.sep} & set(name) else ():
        if _is_sequence(path):
            return open_sequence(path, fps=fps)
    folders = list_sequences(root) if root.is_dir() else []
    matches = [folder for folder in folders if folder.name == name]
    matches = matches or [folder for folder in folders if folder.name.startswith(f"{name}-")]
    if len(matches) == 1:
        return open_sequence(matches[0], fps=fps)
    if matches:
        found = ", ".join(folder.relative_to(root).as_posix() for folder in matches)
        raise InputError(
            f"sequence {name}",
            f"one match below {root}",
            f"{len(matches)}: {found}",
            "give the whole name, or its path (./NAME for one right below)",
        )
    raise InputError(
        f"sequence {name}",
        f"a sequence folder of that name below {root}",
        _near(name, [folder.name for folder in folders], root),
        HOW_TO_GET_DATA,
    )


def _near(name: str, known: list[str], root: Path) -> str:
    """Say what is there instead of an unknown name."""
    if not root.is_dir():
        return "no such data folder"
    if not known:
        return "a folder without sequences"
    lower = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), lower, n=NAMES_SHOWN, cutoff=0.5)
    if near:
        return "none; near: " + ", ".join(lower[candidate] for candidate in near)
    more = ", …" if len(known) > NAMES_SHOWN else ""
    return f"none; there are {len(known)}: " + ", ".join(known[:NAMES_SHOWN]) + more


def _is_sequence(folder: Path) -> bool:
    return (folder / SEQINFO).is_file() or (folder / IMAGE_FOLDER).is_dir()


def _walk(folder: Path, depth: int, seen: set[Path]) -> Iterator[Path]:
    """Yield sequence folders; `seen` holds resolved folders, because links may form loops."""
    if _is_sequence(folder):
        yield folder
        return
    real = folder.resolve()
    if depth > DEEPEST or real in seen:
        return
    seen.add(real)
    try:
        with os.scandir(folder) as entries:
            inner = sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())
    except PermissionError:
        return
    for name in inner:
        yield from _walk(folder / name, depth + 1, seen)


def _from_images(name: str, folder: Path, images_at: Path, fps: float | None) -> Sequence:
    """Take a bare folder of images in natural order; the first one tells the size."""
    images = list_images(images_at)
    if not images:
        raise InputError(
            images_at,
            f"images ({' '.join(sorted(IMAGE_SUFFIXES))})",
            "none",
            "check the path",
        )
    width, height = image_size(images_at / images[0])
    return Sequence(name, folder, len(images), width, height, fps, images_at, tuple(images))


def _locate_frames(
    folder: Path, images_at: Path, suffix: str, length: int
) -> tuple[Path, tuple[str, ...]]:
    """Find the frames of a folder with seqinfo.ini: images, else a video, else where they'd be."""
    present = list_images(images_at) if images_at.is_dir() else []
    video = find_video(folder)
    if not present and video:
        return video, ()
    numbered = number_images(present, suffix)
    if not numbered:
        return images_at, tuple(present[:length])
    # Other data sets write 5 or 8 digits, or count from 0; a number that is missing stays named.
    first = 0 if 0 in numbered else 1
    last = min(first + length - 1, max(numbered))
    wanted = range(first, last + 1)
    return images_at, tuple(numbered.get(n, f"{n:06d}{suffix}") for n in wanted)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], name


def require_rate(fps: float | None) -> None:
    """Refuse a frame rate that is none; None = not given.

    Raises:
        InputError: not above 0, or not finite.
    """
    if fps is not None and not 0 < fps < float("inf"):
        raise InputError("--fps", "frames per second above 0", fps, "give the camera's rate")
