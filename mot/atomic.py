"""Files that appear whole or not at all, and over no other: a temporary name, then renamed."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mot.errors import InputError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it onto `target` when the block succeeds.

    The block makes a file or a folder at the path. On any exception, Ctrl-C included, the
    temporary is removed and `target` is as it was. The suffix is kept, because some writers choose
    their format by it. A folder replaces a missing or an existing target; when another process has
    put its own folder there in the meantime, that one stays.

    Raises:
        OSError: the folder of `target` cannot be made or written.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(
        f".{target.stem}.{os.getpid()}-{secrets.token_hex(4)}{target.suffix}"
    )
    try:
        yield temporary
        if temporary.is_dir():
            _replace_folder(temporary, target)
        else:
            os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _replace_folder(temporary: Path, target: Path) -> None:
    """Rename a folder onto another; rename(2) refuses a non-empty target, so that steps aside."""
    aside = temporary.with_name(temporary.name + ".old")
    with contextlib.suppress(FileNotFoundError):
        os.rename(target, aside)
    try:
        # A target that is there again belongs to a process that finished between the two renames;
        # its folder is as good.
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            os.rename(temporary, target)
    except OSError:
        if not target.exists():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write a whole text file atomically (UTF-8)."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def require_new(paths: Iterable[Path], remedy: str = "use another --out") -> None:
    """Refuse to write over files that hold something; an empty one is left of a run that failed.

    Raises:
        InputError: names the first file that is in the way.
    """
    for path in paths:
        if path.exists() and (path.is_dir() or path.stat().st_size):
            raise InputError(path, "a new file or folder", "one that is there", remedy)
