import random
import stat
import zipfile
from pathlib import Path

import pytest

from mot.errors import InputError
from mot.unpack import unpack

FILES = {"SET/train/a/gt/gt.txt": b"1,1,1,1,1,1\n", "SET/train/a/img1/000001.jpg": b"\xff\xd8" * 99}


def pack(path: Path, files: dict[str, bytes] = FILES, **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def complaint(archive: Path, folder: Path) -> str:
    """The error of unpacking, after which nothing may have been left behind."""
    with pytest.raises(InputError) as caught:
        unpack(archive, folder)
    left = {p for p in folder.parent.rglob("*") if p != archive}
    assert not left, left
    return str(caught.value)


def test_the_folder_that_is_named_as_the_target_becomes_it(tmp_path):
    unpack(pack(tmp_path / "set.zip", {"SET/": b"", **FILES}), tmp_path / "SET")
    assert contents(tmp_path / "SET") == {k.removeprefix("SET/"): v for k, v in FILES.items()}


def test_another_layout_is_kept_as_it_is(tmp_path):
    unpack(pack(tmp_path / "set.zip", {**FILES, "readme.txt": b"hi"}), tmp_path / "SET")
    assert contents(tmp_path / "SET") == {**FILES, "readme.txt": b"hi"}


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "SET/../../evil.txt", "/evil.txt", "C:/evil.txt", "C:evil.txt", "..\\evil.txt",
     "\\evil.txt", "\\\\host\\share\\evil.txt"],
)  # fmt: skip
def test_a_path_that_leads_out_is_named(tmp_path, name):
    archive = pack(tmp_path / "set.zip", {**FILES, name: b"evil"})
    said = complaint(archive, tmp_path / "SET")
    assert "one that leads out" in said and name.encode("unicode_escape").decode() in said


def test_a_link_is_named(tmp_path):
    archive = pack(tmp_path / "set.zip")
    with zipfile.ZipFile(archive, "a") as zipped:
        link = zipfile.ZipInfo("SET/train/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc")
        zipped.writestr("SET/train/link/passwd", "evil")
    assert "entry SET/train/link: expected plain files and folders, got a link" in complaint(
        archive, tmp_path / "SET"
    )


def test_more_than_the_disk_holds_is_refused_before_it_is_written(tmp_path):
    archive = pack(tmp_path / "set.zip", {"SET/zeros": bytes(1000)}, compression=8)
    raw = archive.read_bytes()
    huge = (1 << 32) - 2  # the size that the central directory declares; without Zip64 the largest
    lies = raw.replace((1000).to_bytes(4, "little"), huge.to_bytes(4, "little"))
    archive.write_bytes(lies)
    usage = pytest.MonkeyPatch()
    with usage.context() as patched:
        patched.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1 << 31})())
        said = complaint(archive, tmp_path / "SET")
    assert f"{huge:,} bytes unpacked" in said and f"{1 << 31:,} bytes free" in said


@pytest.mark.parametrize("bytes_kept", [0, 10, 500])
def test_a_cut_off_archive_is_named(tmp_path, bytes_kept):
    archive = pack(tmp_path / "set.zip", {"SET/a": random.Random(1).randbytes(900)})
    archive.write_bytes(archive.read_bytes()[:bytes_kept])
    assert "expected a whole zip archive" in complaint(archive, tmp_path / "SET")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_entry_is_named(tmp_path, compression):
    noise = {"SET/a": b"good", "SET/b": random.Random(1).randbytes(900)}
    archive = pack(tmp_path / "set.zip", noise, compression=compression)
    raw = bytearray(archive.read_bytes())
    middle = raw.index(b"SET/b") + 400
    raw[middle : middle + 20] = bytes(20)
    archive.write_bytes(raw)
    assert "entry SET/b: expected a file that unpacks" in complaint(archive, tmp_path / "SET")


def test_an_encrypted_entry_is_named(tmp_path):
    archive = pack(tmp_path / "set.zip")
    raw = archive.read_bytes().replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
    )
    archive.write_bytes(raw)
    assert "not encrypted" in complaint(archive, tmp_path / "SET")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["SET/a", "SET/a/b"])
def test_one_name_for_two_things_is_named(tmp_path, second):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("SET/a", b"1")
        zipped.writestr(second, b"2")
    assert f"entry {second}" in complaint(archive, tmp_path / "SET")


def test_an_archive_without_files(tmp_path):
    assert "an archive with files" in complaint(pack(tmp_path / "e.zip", {}), tmp_path / "SET")


def test_an_existing_folder_stays_unless_told(tmp_path):
    archive, folder = pack(tmp_path / "set.zip"), tmp_path / "SET"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="--replace"):
        unpack(archive, folder)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(archive.read_bytes()[:100])
    with pytest.raises(InputError):
        unpack(damaged, folder, replace=True)
    assert contents(folder) == {"mine.txt": b"mine"}
    unpack(archive, folder, replace=True)
    assert "mine.txt" not in contents(folder) and "train/a/gt/gt.txt" in contents(folder)
