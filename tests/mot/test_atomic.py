import os
import threading
from pathlib import Path

import pytest

from mot.atomic import atomic_path, write_text


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_file_appears_whole_with_its_folders(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "text ü")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "text ü"
    assert names(tmp_path / "a") == ["b.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(error), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_temporary_keeps_the_suffix_and_is_hidden(tmp_path):
    with atomic_path(tmp_path / "x.npy") as temporary:
        assert temporary.suffix == ".npy" and temporary.name.startswith(".")
        temporary.touch()


@pytest.mark.parametrize("there_before", [False, True])
def test_folder_replaces_folder(tmp_path, there_before):
    target = tmp_path / "blocks"
    if there_before:
        target.mkdir()
        (target / "old").touch()
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert names(target) == ["new"] and names(tmp_path) == ["blocks"]


def test_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "blocks") as temporary:
        temporary.mkdir()
        (temporary / "half").touch()
        raise RuntimeError
    assert names(tmp_path) == []


def test_two_builders_of_one_folder_both_succeed(tmp_path):
    target, both_built = tmp_path / "blocks", threading.Barrier(2)
    failures = []

    def build() -> None:
        try:
            with atomic_path(target) as temporary:
                temporary.mkdir()
                (temporary / "data").write_text("same")
                both_built.wait()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert names(target) == ["data"] and names(tmp_path) == ["blocks"]
