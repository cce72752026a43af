"""One array per folder on disk, built once and memory-mapped ever after.

A block is a folder with `array.npy` and `manifest.json`. The manifest holds a key, i.e. everything
that the content depends on; a block whose key, size or shape does not fit is built again. Blocks
are built beside their place and renamed into it, so that what is read is always whole.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.errors import InputError
from mot.progress import progress_bar

Items = Callable[[], Iterable[npt.NDArray[Any]]]

ARRAY, MANIFEST, BUILDER = "array.npy", "manifest.json", "builder.txt"
# What mot.atomic calls its temporaries: .name.PID-8 hex digits, perhaps .old or a suffix.
TEMPORARY = re.compile(r"\..*\.(\d+)-[0-9a-f]{8}(\..*)?")
REPLACED_WITHIN_S = 2.0  # how long a rename by another process may leave the place empty


@dataclass(frozen=True)
class BlockSpec:
    """What a block is.

    Attributes:
        folder: where it lies.
        title: how the progress bar calls it.
        key: everything that the content depends on, as JSON values.
        shape: of the array; items run along the first axis.
        dtype: of the array.
    """

    folder: Path
    title: str
    key: Mapping[str, Any]
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @property
    def data_bytes(self) -> int:
        """Bytes of the array without its header."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def open_block(spec: BlockSpec, items: Items) -> np.memmap[Any, Any]:
    """Map a block read-only, building it first where it is missing, stale or damaged.

    Two processes may build the same block at once; both get a whole one. A progress bar stands on
    stderr while building (`mot.progress`), and a line says why a block is built again.

    Args:
        spec: what the block is.
        items: called to build it; yields shape[0] arrays of shape[1:].

    Raises:
        InputError: the folder cannot be written or the disk is full; items of a wrong number or
            shape; whatever `items` raises.
    """
    found = _open(spec)
    if isinstance(found, np.memmap):
        return found
    if found:
        print(f"cache: {spec.folder}: {found}; building it again", file=sys.stderr)
    with disk_errors(spec.folder):
        sweep(spec.folder.parent)
        _build(spec, items)
    give_up = time.monotonic() + REPLACED_WITHIN_S
    while not isinstance(found := _open(spec), np.memmap):
        # Another process that replaces the block leaves its place empty between two renames.
        if time.monotonic() > give_up:
            got = found or "no block"
            raise InputError(spec.folder, "the block just built", got, "let nothing else write it")
        time.sleep(0.05)
    return found


def source_key(paths: Iterable[Path]) -> dict[str, Any]:
    """Fingerprint of files: a digest over each one's path, size and time of change.

    Raises:
        InputError: a file is missing.
    """
    digest, count = hashlib.sha256(), 0
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            got = error.strerror or str(error)
            raise InputError(path, "a source file", got, "restore it or drop it") from error
        digest.update(f"{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        count += 1
    return {"files": count, "sha256": digest.hexdigest()}


def sweep(root: Path) -> int:
    """Delete temporaries in `root` whose process, on this machine, is gone; return how many.

    A killed build cannot clean up after itself. Temporaries of other machines that share the disk
    are theirs.
    """
    swept = 0
    for path in root.glob(".*") if os.name == "posix" else ():
        match = TEMPORARY.fullmatch(path.name)
        if match and not _alive(int(match[1])) and _builder(path) == socket.gethostname():
            shutil.rmtree(path, ignore_errors=True)
            swept += 1
    return swept


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _builder(folder: Path) -> str | None:
    try:
        return (folder / BUILDER).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _open(spec: BlockSpec) -> np.memmap[Any, Any] | str | None:
    """Return the array, or why it cannot be used, or None where there is none."""
    if not spec.folder.is_dir():
        return None
    try:
        manifest = json.loads((spec.folder / MANIFEST).read_text(encoding="utf-8"))
        size = (spec.folder / ARRAY).stat().st_size
    except (OSError, ValueError) as error:
        return f"no readable manifest and array ({error})"
    if not isinstance(manifest, dict) or manifest.get("key") != dict(spec.key):
        return "made from other files or settings"
    if size != manifest.get("bytes"):
        return f"damaged: {size} of {manifest.get('bytes')} bytes"
    try:
        array = np.load(spec.folder / ARRAY, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        return f"no readable array ({error})"
    if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
        return f"an array {array.dtype} {array.shape}"
    mapped: np.memmap[Any, Any] = array
    return mapped


def _build(spec: BlockSpec, items: Items) -> None:
    _require_space(spec)
    with atomic_path(spec.folder) as temporary:
        temporary.mkdir()
        # First of all, so that `sweep` knows whose process number the name holds.
        (temporary / BUILDER).write_text(socket.gethostname(), encoding="utf-8")
        _write_array(spec, temporary / ARRAY, items)
        manifest = {
            "key": dict(spec.key),
            "bytes": (temporary / ARRAY).stat().st_size,
            "shape": list(spec.shape),
            "dtype": np.dtype(spec.dtype).name,
            "title": spec.title,
        }
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _write_array(spec: BlockSpec, path: Path, items: Items) -> None:
    """Write item by item with plain writes: a full disk under a mapped file would kill us."""
    dtype = np.dtype(spec.dtype)
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": spec.shape,
    }
    count = 0
    with (
        path.open("wb") as file,
        progress_bar(spec.shape[0], unit="frame", title=spec.title) as bar,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for count, item in enumerate(items(), 1):
            if item.shape != spec.shape[1:] or item.dtype != dtype or count > spec.shape[0]:
                got = f"item {count}: {item.dtype} {item.shape}"
                raise InputError(spec.title, f"{dtype} {spec.shape}", got, "check the source")
            file.write(np.ascontiguousarray(item).data)
            bar.update()
        file.flush()
        os.fsync(file.fileno())
    if count != spec.shape[0]:
        expected = f"{spec.shape[0]} frames"
        raise InputError(spec.title, expected, f"{count}", "check the length of the source")


def _require_space(spec: BlockSpec) -> None:
    spec.folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(spec.folder.parent).free
    if free < spec.data_bytes:
        raise InputError(
            spec.folder.parent,
            f"{spec.data_bytes / 1e6:.0f} MB of free space",
            f"{free / 1e6:.0f} MB",
            "free some or put the cache on another disk",
        )


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses while `folder` is written into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            error.filename or folder,
            "a disk that can be written",
            error.strerror or str(error),
            "check rights and free space, or choose another place",
        ) from error
