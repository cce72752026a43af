import pytest

from mot.growing import GrowingFile


class FullDisk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, piece):
        if not self.room:
            raise OSError(28, "No space left on device")
        part = bytes(piece[: self.room])
        self.room -= len(part)
        return self.file.write(part)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_every_piece_is_there_as_soon_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "rows.txt"
    with GrowingFile(path) as file:
        assert path.read_bytes() == b""
        file.write(b"one\n")
        file.write(b"two\n")
        assert path.read_bytes() == b"one\ntwo\n" and file.size == 8


def test_what_was_there_before_a_full_disk_is_kept_whole(tmp_path):
    path = tmp_path / "rows.txt"
    with GrowingFile(path) as file:
        file._file = FullDisk(file._file, 6)
        file.write(b"one\n")
        with pytest.raises(OSError, match="No space"):
            file.write(b"two\n")
        assert path.read_bytes() == b"one\n" and file.size == 4


def test_a_file_goes_on_from_where_an_earlier_run_was_sure(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"one\ntwo\nthr")
    with GrowingFile(path, keep=4) as file:
        file.write(b"2\n")
    assert path.read_bytes() == b"one\n2\n"
    with GrowingFile(path) as file:
        assert file.size == 0 == path.stat().st_size
