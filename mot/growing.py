"""Files that grow while a run goes on and hold whole pieces at any moment.

A killed run keeps what was written, so they are not written under another name first.
"""

from __future__ import annotations

from pathlib import Path


class GrowingFile:
    """Appends pieces of bytes, each as a whole; use it as a context manager.

    Args:
        path: target.
        keep: bytes of an earlier run to go on from, what is behind them is cut off; 0 = start anew.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, *, keep: int = 0) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = "r+b" if keep else "wb"
        self._file = open(path, mode, buffering=0)  # noqa: SIM115 - closed by __exit__
        self._file.truncate(keep)
        self._file.seek(keep)
        self.size = keep

    def write(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            OSError: the disk is full; the file then ends with the last whole piece.
        """
        try:
            rest = memoryview(piece)
            while len(rest):
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self.size)
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.size += len(piece)

    def close(self) -> None:
        """Close the file; further writing is an error."""
        self._file.close()

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
