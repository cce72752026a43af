"""Blocks on disk: built whole, by one or two; stale and damaged ones are built again."""

import errno
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest

from labelmaps.store import ARRAY, BUILDER, MANIFEST, BlockSpec, open_block, source_key, sweep
from mot.errors import InputError

ITEMS = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)


def spec_of(folder, **key):
    return BlockSpec(
        folder / "cache" / "block", "a block", {"format": 1} | key, (5, 2, 3), np.uint8
    )


class Counted:
    """Items that count how often they were asked for."""

    def __init__(self, array=ITEMS):
        self.calls, self.array = 0, array

    def __call__(self):
        self.calls += 1
        return iter(self.array)


def leftovers(folder):
    return sorted(p.name for p in (folder / "cache").iterdir() if p.name != "block")


def test_built_once_and_mapped_read_only(tmp_path, capfd):
    items = Counted()
    for _ in range(2):
        block = open_block(spec_of(tmp_path), items)
        np.testing.assert_array_equal(block, ITEMS)
        assert isinstance(block, np.memmap) and not block.flags.writeable
    assert items.calls == 1
    assert leftovers(tmp_path) == []
    assert capfd.readouterr().err == ""  # no terminal, no progress bar


def truncate(block):
    path = block / ARRAY
    path.write_bytes(path.read_bytes()[:-1])


def rewrite_manifest(text):
    return lambda block: (block / MANIFEST).write_text(text)


def keep_only(name):
    return lambda block: [p.unlink() for p in block.iterdir() if p.name != name]


def other_shape(block):
    np.save(block / ARRAY, ITEMS.reshape(5, 3, 2))
    manifest = json.loads((block / MANIFEST).read_text())
    manifest["bytes"] = (block / ARRAY).stat().st_size
    (block / MANIFEST).write_text(json.dumps(manifest))


def scramble_header(block):
    path = block / ARRAY
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        rewrite_manifest("{"),
        rewrite_manifest("[]"),
        rewrite_manifest("{}"),
        rewrite_manifest("\x00"),
        keep_only(ARRAY),
        keep_only(MANIFEST),
        keep_only("nothing"),
        other_shape,
        scramble_header,
    ],
)
def test_a_damaged_block_is_built_again_and_said(tmp_path, damage, capfd):
    items = Counted()
    open_block(spec_of(tmp_path), items)
    damage(tmp_path / "cache" / "block")
    np.testing.assert_array_equal(open_block(spec_of(tmp_path), items), ITEMS)
    assert items.calls == 2
    assert "building it again" in capfd.readouterr().err
    assert leftovers(tmp_path) == []


def test_a_stale_block_is_replaced_under_a_reader(tmp_path):
    old = open_block(spec_of(tmp_path, size=1), Counted())
    new = open_block(spec_of(tmp_path, size=2), Counted(ITEMS + 1))
    np.testing.assert_array_equal(old, ITEMS)
    np.testing.assert_array_equal(new, ITEMS + 1)


def test_a_failing_build_leaves_nothing(tmp_path):
    def broken():
        yield from ITEMS[:3]
        raise InputError("frame 4", "an image", "none", "copy it again")

    with pytest.raises(InputError, match="frame 4"):
        open_block(spec_of(tmp_path), broken)
    assert list((tmp_path / "cache").iterdir()) == []


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from labelmaps.store import BlockSpec, open_block

def items():
    yield np.zeros((2, 3), np.uint8)
    os.kill(os.getpid(), signal.SIGKILL)

open_block(BlockSpec(Path(sys.argv[1]), "killed", {"format": 1}, (5, 2, 3), np.uint8), items)
"""


def test_a_killed_build_is_not_read_and_is_swept_away(tmp_path):
    spec = spec_of(tmp_path)
    run = subprocess.run([sys.executable, "-c", KILLED, str(spec.folder)], capture_output=True)
    assert run.returncode == -9
    assert not spec.folder.exists() and len(leftovers(tmp_path)) == 1
    np.testing.assert_array_equal(open_block(spec, Counted()), ITEMS)
    assert leftovers(tmp_path) == []


def test_sweep_leaves_the_living_the_foreign_and_the_unrelated(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = socket.gethostname()
    for name, builder in {
        f".a.{os.getpid()}-00000000": here,
        f".b.{dead.pid}-00000000": "another machine",
        f".c.{dead.pid}-00000000": None,
        f".d.{dead.pid}-00000000": here,
        f".e.{dead.pid}-00000000.old": here,
        ".git": here,
    }.items():
        (tmp_path / name).mkdir()
        if builder:
            (tmp_path / name / BUILDER).write_text(builder)
    assert sweep(tmp_path) == 2
    assert sorted(p.name[:2] for p in tmp_path.iterdir()) == [".a", ".b", ".c", ".g"]


def build_beside(folder, barrier, results):
    def items():
        barrier.wait(timeout=30)  # both are building now
        return iter(ITEMS)

    results.put(int(open_block(spec_of(folder), items).sum()))


def test_two_processes_may_build_at_once(tmp_path):
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    barrier, results = context.Barrier(2), context.Queue()
    both = [
        context.Process(target=build_beside, args=(tmp_path, barrier, results)) for _ in range(2)
    ]
    for process in both:
        process.start()
    sums = [results.get(timeout=30) for _ in both]
    for process in both:
        process.join()
    assert sums == [int(ITEMS.sum())] * 2
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("count", [4, 6])
def test_items_of_another_number_are_named(tmp_path, count):
    items = Counted(np.zeros((count, 2, 3), np.uint8))
    with pytest.raises(InputError, match="a block"):
        open_block(spec_of(tmp_path), items)


def test_items_of_another_shape_are_named(tmp_path):
    with pytest.raises(InputError, match="float64"):
        open_block(spec_of(tmp_path), Counted(np.zeros((5, 2, 3))))


def test_a_disk_that_fills_up_is_named(tmp_path):
    def items():
        yield ITEMS[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        open_block(spec_of(tmp_path), items)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_is_too_full_is_named_before_the_work(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=3)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    items = Counted()
    with pytest.raises(InputError, match="free space"):
        open_block(spec_of(tmp_path), items)
    assert items.calls == 0


def test_a_root_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(InputError, match="cache"):
        open_block(spec_of(tmp_path), Counted())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_root_is_named(tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    with pytest.raises(InputError, match="cache"):
        open_block(spec_of(tmp_path), Counted())


def test_source_key_sees_size_time_and_name(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"123")
    os.utime(path, ns=(1, 1))
    key = source_key([path])
    assert key == source_key([path]) and key["files"] == 1
    os.utime(path, ns=(1, 2))
    touched = source_key([path])
    path.write_bytes(b"1234")
    os.utime(path, ns=(1, 2))
    grown = source_key([path])
    assert len({k["sha256"] for k in (key, touched, grown, source_key([]))}) == 4
    with pytest.raises(InputError, match="gone.jpg"):
        source_key([tmp_path / "gone.jpg"])
