"""Defects of seqinfo.ini and of the frames: what is said of them against what is there."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

from mot.checks.finding import ERROR, NOTE, WARNING, Findings
from mot.checks.rows import Facts
from mot.errors import InputError
from mot.images import image_size, is_cut_off
from mot.progress import progress_bar
from mot.seqinfo import SEQINFO, SeqInfo
from mot.sequence import IMAGE_FOLDER, find_video, list_images, number_images
from mot.videofile import probe_video


def check_frames(folder: Path, findings: Findings, *, jump: float, all_frames: bool) -> Facts:
    """Check seqinfo.ini and frames of a sequence folder.

    Args:
        folder: the sequence folder.
        findings: where they go.
        jump: passed on into the facts.
        all_frames: decode every frame, not only the first, the middle and the last.

    Returns:
        What is known of the sequence, for the rows to be checked against.
    """
    info = _open_info(folder, findings)
    length = _number(info, "seqLength", findings)
    width, height = (_number(info, key, findings) for key in ("imWidth", "imHeight"))
    fps = _rate(info, findings)
    suffix, images_at = _places(info, folder, findings)
    size = (width, height) if width and height else None
    names = list_images(images_at) if images_at.is_dir() else []
    video = find_video(folder)
    count: int | None = None
    measured: tuple[int, int] | None = None
    if names:
        count = _check_numbers(images_at, names, suffix, length, findings)
        measured = _check_images(images_at, names, size, findings, all_frames)
    elif video:
        count, measured = _check_video(video, length, size, findings)
    else:
        findings.add(images_at, 0, WARNING, "frames", "no images here, and no video.* beside it")
    return Facts(length or count, size or measured, fps, jump)


def _open_info(folder: Path, findings: Findings) -> SeqInfo | None:
    path = folder / SEQINFO
    if not path.is_file():
        what = "is missing: the frame rate is unknown, length and size are those of the images"
        findings.add(path, 0, WARNING, "seqinfo", what)
        return None
    try:
        info = SeqInfo(path)
    except InputError as error:
        findings.add_error(error, "seqinfo")
        return None
    name = info.text("name")
    if name and name != folder.resolve().name:
        what = f"name is {name}, the folder's is {folder.resolve().name}, which counts"
        findings.add(path, info.line("name"), NOTE, "seqinfo", what)
    return info


def _number(info: SeqInfo | None, key: str, findings: Findings) -> int | None:
    """A whole number of seqinfo.ini, None where it is missing or wrong."""
    if info is None:
        return None
    try:
        return int(info.number(key, whole=True))
    except InputError as error:
        _refuse(info, key, error, findings)
        return None


def _rate(info: SeqInfo | None, findings: Findings) -> float | None:
    if info is None:
        return None
    if not info.has("frameRate"):
        what = "no frameRate: whatever needs time will ask for --fps"
        findings.add(info.path, 0, WARNING, "seqinfo", what)
        return None
    try:
        return info.number("frameRate")
    except InputError as error:
        _refuse(info, "frameRate", error, findings)
        return None


def _places(info: SeqInfo | None, folder: Path, findings: Findings) -> tuple[str, Path]:
    """Suffix and folder of the images."""
    suffix, images_at = ".jpg", Path(IMAGE_FOLDER)
    if info is not None:
        try:
            suffix = info.suffix("imExt", suffix)
        except InputError as error:
            _refuse(info, "imExt", error, findings)
        try:
            images_at = info.inner_path("imDir", IMAGE_FOLDER)
        except InputError as error:
            _refuse(info, "imDir", error, findings)
    return suffix, folder / images_at


def _refuse(info: SeqInfo, key: str, error: InputError, findings: Findings) -> None:
    what = f"expected {error.expected}, got {error.got}"
    findings.add(info.path, info.line(key), ERROR, "seqinfo", what)


def _check_numbers(
    images_at: Path, names: list[str], suffix: str, length: int | None, findings: Findings
) -> int:
    """Check that there is one image for each frame; return how many frames there are."""
    if not any(name.endswith(suffix) for name in names):
        found = ", ".join(sorted({Path(name).suffix for name in names}))
        findings.add(images_at, 0, WARNING, "suffix", f"no {suffix} (imExt), but {found}")
    numbered = number_images(names, suffix)
    if not numbered:
        if length is not None and length != len(names):
            what = f"{len(names)} images, seqLength is {length}"
            findings.add(images_at, 0, ERROR, "length", what)
        return len(names)
    kept = set(numbered.values())
    twins = Counter(int(Path(n).stem) for n in names if Path(n).stem.isdecimal())
    for name in names:
        number = int(Path(name).stem) if Path(name).stem.isdecimal() else None
        if name not in kept and number is not None and twins[number] > 1:
            what = f"a second image of frame {number}, which is {numbered[number]}"
            findings.add(images_at / name, 0, WARNING, "twice", what)
        elif name not in kept:
            findings.add(images_at / name, 0, WARNING, "name", "its name is no frame number")
    first = 0 if 0 in numbered else 1
    end = first + (length if length is not None else max(numbered) + 1 - first)
    present = sorted(number for number in numbered if first <= number < end)
    for before, after in pairwise([first - 1, *present, end]):
        if after - before > 1:
            what = f"no image of {_frames(before + 1, after - 1)}"
            findings.add(images_at, 0, ERROR, "missing", what)
    beyond = [number for number in numbered if number >= end]
    if beyond:
        what = f"{_frames(min(beyond), max(beyond))}: more than the {length} of seqLength"
        findings.add(images_at, 0, ERROR, "length", what)
    return end - first


def _frames(first: int, last: int) -> str:
    return f"frame {first}" if first == last else f"frames {first} to {last}"


def _check_images(
    images_at: Path,
    names: list[str],
    size: tuple[int, int] | None,
    findings: Findings,
    all_frames: bool,
) -> tuple[int, int] | None:
    """Check that images are whole and of one size; return the size of the first that is.

    The ends of all files are looked at, which is fast; decoding is for some of them.
    """
    chosen = set(names if all_frames else (names[0], names[len(names) // 2], names[-1]))
    said = size is not None
    with progress_bar(len(names), unit="image", title=images_at.parent.name) as bar:
        for name in names:
            path = images_at / name
            bar.update()
            try:
                if is_cut_off(path):
                    findings.add(path, 0, ERROR, "cut-off", "the end of the image is missing")
                    continue
                if name not in chosen:
                    continue
                found = image_size(path)
            except (InputError, OSError) as error:
                what = error.got if isinstance(error, InputError) else str(error.strerror)
                findings.add(path, 0, ERROR, "undecodable", what)
                continue
            size = size or found
            if found != size:
                whose = "seqinfo.ini says" if said else "the first has"
                what = f"{found[0]}x{found[1]} pixels, {whose} {size[0]}x{size[1]}"
                findings.add(path, 0, ERROR, "size", what)
    return size


def _check_video(
    video: Path, length: int | None, size: tuple[int, int] | None, findings: Findings
) -> tuple[int | None, tuple[int, int] | None]:
    """Check a video against seqinfo.ini; return its length and size."""
    try:
        probe = probe_video(video)
    except InputError as error:
        findings.add_error(error, "undecodable")
        return None, None
    if length is not None and probe.length != length:
        severity = ERROR if probe.length < length else WARNING
        what = f"{probe.length} frames, seqLength is {length}"
        findings.add(video, 0, severity, "length", what)
    found = (probe.width, probe.height)
    if size is not None and found != size:
        what = f"{found[0]}x{found[1]} pixels, seqinfo.ini says {size[0]}x{size[1]}"
        findings.add(video, 0, ERROR, "size", what)
    return probe.length, found
