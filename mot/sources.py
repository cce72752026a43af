"""What a user names as something to follow: files, folders, patterns, cameras, addresses, names.

From the words on a command line to videos with names of their own, and from those to `Footage`.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mot.errors import InputError
from mot.footage import Footage, footage_of
from mot.images import IMAGE_SUFFIXES
from mot.live import is_live, live_name, open_live
from mot.seqinfo import SEQINFO
from mot.sequence import (
    IMAGE_FOLDER,
    data_root,
    find_sequence,
    open_images,
    open_video,
)
from mot.videofile import VIDEO_SUFFIXES


@dataclass(frozen=True)
class Source:
    """One thing to follow.

    Attributes:
        name: for the files of the run, different from all others of the same run.
        word: path, camera index or address; of a pattern of images, the pattern.
    """

    name: str
    word: str

    @property
    def content(self) -> str:
        """What tells it from another of the same name: size or number of files; "" = unknown."""
        if is_live(self.word):
            return ""
        if _is_pattern(self.word):
            return f"{len(_matches(self.word))} images"
        return content_of(Path(self.word))


def find_sources(words: Iterable[str]) -> list[Source]:
    """Resolve patterns and folders of videos; give every source a name of its own.

    Args:
        words: as a user gives them.

    Raises:
        InputError: a pattern or folder without videos or images, a source that is named twice, or
            two that no name tells apart.
    """
    found = [source for word in words for source in _expand(word)]
    _require_once("sources", [_place(word) for word in found], "name it once")
    names = _names(found)
    _require_once("names of the sources", names, "follow them one by one, each with its own --out")
    return [Source(name, word) for name, word in zip(names, found, strict=True)]


def _require_once(where: str, words: list[str], remedy: str) -> None:
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        raise InputError(where, "each of them once", f"{twice[0]} twice", remedy)


def _place(word: str) -> str:
    """The same for all ways to write one path."""
    return word if is_live(word) or _is_pattern(word) else str(Path(word).resolve())


def content_of(path: Path) -> str:
    """Size of a file, or how many files a folder of images holds; "" = there is nothing."""
    if path.is_file():
        return f"{path.stat().st_size} bytes"
    inner = path / IMAGE_FOLDER
    folder = inner if inner.is_dir() else path
    return f"{sum(1 for _ in folder.iterdir())} files" if folder.is_dir() else ""


def open_source(
    source: Source,
    *,
    fps: float | None = None,
    every: int = 1,
    max_frames: int = 0,
    reconnect_s: float = 30.0,
) -> Footage:
    """Open what a source stands for.

    Args:
        source: one of `find_sources`.
        fps: frames per second; None = as the source says.
        every: look at every so-many-th frame.
        max_frames: look at so many frames at most; 0 = all.
        reconnect_s: how long a live stream may stay away.

    Raises:
        InputError: nothing there that can be followed, or an unknown frame rate.
    """
    if is_live(source.word):
        return open_live(
            source.word, fps=fps, every=every, max_frames=max_frames, reconnect_s=reconnect_s
        )
    if _is_pattern(source.word):
        sequence = open_images(_matches(source.word), fps=fps)
    else:
        sequence = open_video(source.word, fps=fps)
    bare = fps is None and Path(source.word).suffix.lower() in VIDEO_SUFFIXES
    return footage_of(sequence, every=every, max_frames=max_frames, own_rate=bare)


def _expand(word: str) -> list[str]:
    """One word to the videos that it stands for."""
    path = Path(word)
    if is_live(word):
        return [word]
    if _is_pattern(word):
        matches = _matches(word)
        if not matches:
            raise InputError(word, "a pattern that fits something", "nothing", "correct it")
        images = [match.suffix.lower() in IMAGE_SUFFIXES for match in matches]
        if all(images):
            return [word]
        if any(images):
            got = "images and others"
            raise InputError(word, "a pattern of images, or of videos", got, "narrow it")
        return [str(match) for match in matches]
    if path.is_dir() and not any((path / inner).exists() for inner in (SEQINFO, IMAGE_FOLDER)):
        inside = sorted(path.iterdir())
        videos = [str(p) for p in inside if p.suffix.lower() in VIDEO_SUFFIXES]
        if videos and not any(p.suffix.lower() in IMAGE_SUFFIXES for p in inside):
            return videos
    if not path.exists() and path.suffix.lower() not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        return [str(find_sequence(word, data_root()).folder)]
    return [word]


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not Path(word).exists()


def _matches(pattern: str) -> list[Path]:
    return [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]


def _names(words: list[str]) -> list[str]:
    """Short names; where two would be the same, as much of their paths as tells them apart."""
    parts = [_parts(word) for word in words]
    names = [own[-1] for own in parts]
    depth = 1
    while len(set(names)) < len(names) and depth < 20:
        depth += 1
        names = [
            "-".join(own[-depth:]) if names.count(name) > 1 else name
            for own, name in zip(parts, names, strict=True)
        ]
    if len(set(names)) < len(names):  # a.mp4 beside a.avi
        names = [
            Path(word).name.replace(".", "-") if names.count(n) > 1 else n
            for word, n in zip(words, names, strict=True)
        ]
    return names


def _parts(word: str) -> list[str]:
    """What a name can be made of, from the path's beginning to its end."""
    if is_live(word):
        return [live_name(word)]
    path = Path(word).resolve()
    if _is_pattern(word):
        return [part for part in path.parent.parts if part != path.anchor]
    last = path.stem if path.suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES else path.name
    return [*(part for part in path.parent.parts if part != path.anchor), last]
