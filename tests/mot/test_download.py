import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from mot import download
from mot.errors import one_line_errors
from tests.conftest import MakeScene, complaint
from tests.mot.file_server import Behaviour, serve


@pytest.fixture
def archive(make_scene: MakeScene, tmp_path: Path) -> bytes:
    """A small data set as MOTChallenge packs them: one folder of its name with train/."""
    make_scene("pack/MOT17/train/MOT17-02-SDP")
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for file in sorted((tmp_path / "pack").rglob("*")):
            zipped.write(file, file.relative_to(tmp_path / "pack"))
    return path.read_bytes()


def run(*arguments: object) -> None:
    one_line_errors(download.main)([str(argument) for argument in arguments])


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    return complaint(capsys)


def test_a_set_comes_unpacked_with_its_checksum_noted(archive, tmp_path, capsys):
    out = tmp_path / "data"
    with serve(Behaviour(archive)) as url:
        run("MOT17", "--out", out, "--url", url)
    digest = hashlib.sha256(archive).hexdigest()
    said = capsys.readouterr().out
    assert f"sha256 {digest}" in said and "no published checksum" in said
    assert f"{out / 'MOT17'}: 1 sequence\n" in said
    assert (out / "MOT17" / "train" / "MOT17-02-SDP" / "img1" / "000012.jpg").is_file()
    note = json.loads((out / "MOT17.zip.json").read_text())
    assert note == {
        "url": url, "sha256": digest, "size": len(archive), "etag": '"one"', "modified": ""
    }  # fmt: skip
    assert sorted(p.name for p in out.iterdir()) == ["MOT17", "MOT17.zip", "MOT17.zip.json"]


def test_what_is_there_is_neither_overwritten_nor_downloaded_again(archive, tmp_path, capsys):
    out = tmp_path / "data"
    told = Behaviour(archive)
    with serve(told) as url:
        run("MOT17", "--out", out, "--url", url)
        assert "--replace" in fails(capsys, "MOT17", "--out", out, "--url", url)
        run("MOT17", "--out", out, "--url", url, "--replace")
    assert "checksum agrees" in capsys.readouterr().out and len(told.seen) == 1


def test_a_wrong_checksum_leaves_no_folder_and_keeps_the_bytes(archive, tmp_path, capsys):
    out, wrong = tmp_path / "data", "0" * 64
    told = Behaviour(archive)
    with serve(told) as url:
        said = fails(capsys, "MOT17", "--out", out, "--url", url, "--sha256", wrong)
        assert wrong in said and hashlib.sha256(archive).hexdigest() in said
        assert not (out / "MOT17").exists() and not (out / "MOT17.zip").exists()
        right = hashlib.sha256(archive).hexdigest().upper()
        run("MOT17", "--out", out, "--url", url, "--sha256", right)
    assert told.seen == [None, f"bytes={len(archive)}-"]  # asked, but not sent again


def test_an_archive_that_differs_from_the_earlier_one_is_named(archive, tmp_path, capsys):
    out = tmp_path / "data"
    out.mkdir()
    (out / "MOT17.zip.json").write_text(json.dumps({"sha256": "1" * 64}))
    with serve(Behaviour(archive)) as url:
        assert "MOT17.zip.json" in fails(capsys, "MOT17", "--out", out, "--url", url)
    assert not (out / "MOT17").exists()


def test_a_zip_that_is_here_is_unpacked_without_a_network(archive, tmp_path, capsys):
    run("mine", "--out", tmp_path / "data", "--from-zip", tmp_path / "packed.zip")
    assert (tmp_path / "data" / "mine" / "MOT17" / "train").is_dir()
    missing = fails(capsys, "other", "--out", tmp_path, "--from-zip", tmp_path / "no.zip")
    assert "no.zip" in missing and "--from-zip" in missing


def test_a_page_in_place_of_the_zip_is_named(tmp_path, capsys):
    with serve(Behaviour(b"<html>moved</html>")) as url:
        said = fails(capsys, "MOT20", "--out", tmp_path / "data", "--url", url)
    assert "a whole zip archive" in said


@pytest.mark.parametrize(
    "arguments",
    [["MOT99"], ["../MOT17", "--url", "http://x/"], ["MOT17", "--sha256", "abc"], [],
     ["MOT17", "--url", "http://x/", "--from-zip", "x.zip"], ["MOT17", "--tries", "0"]],
)  # fmt: skip
def test_bad_flags_end_in_one_line(arguments, tmp_path, capsys):
    fails(capsys, *arguments, "--out", tmp_path / "data")
    assert not (tmp_path / "data").exists()
