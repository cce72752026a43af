"""Zip archives from elsewhere to folders: nothing leaves the folder, and it appears whole.

All entries are looked at before the first is written.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from mot.atomic import atomic_path
from mot.errors import InputError
from mot.progress import progress_bar

BLOCK_BYTES = 1 << 20
SPARE_BYTES = 64 << 20  # left free on the disk
ENCRYPTED = 0x1  # bit of the flags of an entry
CORRUPT = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def unpack(archive: Path, folder: Path, *, replace: bool = False) -> None:
    """Unpack a zip archive into a new folder, which appears whole or not at all.

    Where all entries lie in one folder named as the target, that folder becomes the target.

    Args:
        archive: zip file.
        folder: target.
        replace: an existing target gives way, once the new one is whole.

    Raises:
        InputError: the target exists; the archive is no zip file, cut off or damaged; an entry is
            encrypted, a link, or would leave the target; more than the disk holds.
    """
    if folder.exists() and not replace:
        raise InputError(
            folder, "a folder that is not there yet", "one that is", "remove it, or give --replace"
        )
    try:
        with zipfile.ZipFile(archive) as zipped:
            plan = _plan(zipped, archive, folder.name)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _require_space(archive, sum(entry.file_size for entry, _ in plan), folder.parent)
            with atomic_path(folder) as staging:
                _write_all(zipped, plan, archive, staging)
    except zipfile.BadZipFile as error:
        raise InputError(
            archive, "a whole zip archive", error, "remove it and download it again"
        ) from error


def _plan(
    zipped: zipfile.ZipFile, archive: Path, name: str
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Entries and where each goes, relative to the target; one bad entry condemns the archive."""
    plan = [(entry, _inner_path(entry, archive)) for entry in zipped.infolist()]
    if not any(not entry.is_dir() for entry, _ in plan):
        raise InputError(archive, "an archive with files", "none", "download it again")
    inside = {path.parts[0] for _, path in plan if path.parts} == {name}
    if inside and all(entry.is_dir() for entry, path in plan if len(path.parts) == 1):
        plan = [(entry, PurePosixPath(*path.parts[1:])) for entry, path in plan]
    seen: set[PurePosixPath] = set()
    for entry, path in plan:
        if not entry.is_dir() and path in seen:
            raise _refusal(archive, entry, "each file once", "it twice")
        seen.add(path)
    return plan


def _inner_path(entry: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Path of an entry; raises InputError where it would lead out, or is no plain file."""
    # The name as it stands in the archive; \ separates folders in those packed on Windows.
    name = entry.orig_filename.replace("\\", "/")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise _refusal(archive, entry, "paths within the archive's folder", "one that leads out")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        got = "a link" if kind == stat.S_IFLNK else "something else"
        raise _refusal(archive, entry, "plain files and folders", got)
    if entry.flag_bits & ENCRYPTED:
        raise _refusal(archive, entry, "files that are not encrypted", "one that is")
    return path


def _refusal(archive: Path, entry: zipfile.ZipInfo, expected: str, got: str) -> InputError:
    name = entry.orig_filename.encode("unicode_escape").decode("ascii")
    return InputError(f"{archive}, entry {name}", expected, got, "do not trust this archive")


def _require_space(archive: Path, needed: int, at: Path) -> None:
    """Refuse an archive that says it holds more than the disk has left."""
    free = shutil.disk_usage(at).free
    if needed + SPARE_BYTES > free:
        raise InputError(
            archive,
            f"an archive that fits into the {free:,} bytes free at {at}",
            f"{needed:,} bytes unpacked",
            "free some space, or choose another --out",
        )


def _write_all(
    zipped: zipfile.ZipFile,
    plan: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    archive: Path,
    staging: Path,
) -> None:
    """Write the entries; their sizes and checksums are those that the archive declares."""
    total = sum(entry.file_size for entry, _ in plan)
    staging.mkdir()
    with progress_bar(total, unit="B", title=f"unpacking {archive.name}", scaled=True) as bar:
        for entry, inner in plan:
            target = staging / inner
            try:
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with zipped.open(entry) as source, open(target, "xb") as file:
                    while block := source.read(BLOCK_BYTES):
                        file.write(block)
                        bar.update(len(block))
            except (FileExistsError, NotADirectoryError) as error:
                raise _refusal(archive, entry, "files or folders", "one name for both") from error
            except CORRUPT as error:
                raise InputError(
                    f"{archive}, entry {entry.filename}",
                    "a file that unpacks",
                    error,
                    "download the archive again",
                ) from error
