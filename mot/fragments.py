"""A fragmented mp4 on its way to disk: whole fragments only, so that a kill leaves none cut."""

from __future__ import annotations

from pathlib import Path

from mot.growing import GrowingFile

HEADER_BYTES = 8  # of a box: its size (4, big-endian) and its type (4); ISO/IEC 14496-12, 4.2
LARGE_BYTES = 16  # with a size of 1, the true one (8) follows
HEAD = b"moof"  # of a fragment; its frames come in the next box


class FragmentFile:
    """What a muxer writes to; it collects bytes and passes them on fragment by fragment.

    Args:
        path: target; what was there is replaced.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        """Take the next bytes.

        Raises:
            OSError: the disk is full; the file ends with the last whole fragment.
        """
        self._held += data
        if whole := _whole(self._held):
            self._file.write(bytes(self._held[:whole]))
            del self._held[:whole]
        return len(data)

    def close(self) -> None:
        """Close the file; an unfinished fragment is dropped."""
        self._file.close()


def _whole(data: bytearray) -> int:
    """Bytes of the boxes that are there to their end; a fragment's head waits for its frames."""
    at = whole = 0
    while at + HEADER_BYTES <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + HEADER_BYTES]
        if size == 1 and at + LARGE_BYTES > len(data):
            break
        if size == 1:
            size = int.from_bytes(data[at + HEADER_BYTES : at + LARGE_BYTES], "big")
        if size < HEADER_BYTES or at + size > len(
            data
        ):  # such as 0, open-ended, which libavformat does not write here
            break
        at += size
        whole = whole if kind == HEAD else at
    return whole
