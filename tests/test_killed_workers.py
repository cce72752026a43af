"""A worker of a batch is killed: the others go on, the batch says so, and --resume completes it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import eval as evaluation
import track as tracking
from mot.errors import EXIT_BAD_INPUT

ROOT = Path(evaluation.__file__).parent
NAMES = ("one", "stuck", "two")
MARKS = {"--workers": b"spawn_main", "--ray": b"ray::_attempt"}  # in the command line of a worker
MAINS = {"track.py": tracking.main, "eval.py": evaluation.main}
PATIENCE_S = 300

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="needs /proc"),
]


def descendants(pid):
    """Processes that a process has started, and theirs; pid -> command line."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, young = {}, [pid]
    while young:
        parent = young.pop()
        for child in [child for child, ppid in parents.items() if ppid == parent]:
            found[child] = Path(f"/proc/{child}/cmdline").read_bytes()
            young.append(child)
    return found


def command_of(script, data, weights, out):
    fast = ["--backend", "torch", "--amp", "off", "--embedder", "none"]
    if script == "eval.py":
        which = ["--seq", *NAMES, "--data", str(data)]
    else:
        which = [str(data / name) for name in NAMES]
    return [*which, *fast, "--weights", str(weights), "--out", str(out)]


def statuses(out):
    manifest = out / "manifest.json"
    entries = json.loads(manifest.read_text()) if manifest.is_file() else {}
    return {name: entry["status"] for name, entry in entries.items()}


@pytest.mark.parametrize(
    ("script", "how"),
    [(script, how) for script in MAINS for how in (("--workers", "2"), ("--ray", "local"))],
)
def test_a_worker_is_killed(make_scene, tiny_weights, tmp_path, capsys, script, how):
    if "--ray" in how:
        pytest.importorskip("ray")
    for name in NAMES:
        make_scene(f"data/{name}")
    main = MAINS[script]
    main(command_of(script, tmp_path / "data", tiny_weights, tmp_path / "whole"))

    # A pipe that nobody writes to in the place of an image: its reader waits for ever.
    image = tmp_path / "data" / "stuck" / "img1" / "000004.jpg"
    shutil.move(image, tmp_path / "image.jpg")
    os.mkfifo(image)
    out = tmp_path / "killed"
    arguments = command_of(script, tmp_path / "data", tiny_weights, out)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script), *arguments, *how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + PATIENCE_S
    while list(statuses(out).values()).count("done") < 2 or not (out / "stuck.txt").is_file():
        if time.monotonic() > give_up:
            process.kill()
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.2)  # the other worker has nothing left to do, and ends
    for pid, line in descendants(process.pid).items():
        if MARKS[how[0]] in line:
            os.kill(pid, signal.SIGKILL)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == EXIT_BAD_INPUT, said
    assert said.count("\n") == 1 and "1 of 3 failed: stuck (its worker was killed" in said
    assert statuses(out) == {"one": "done", "stuck": "failed", "two": "done"}

    image.unlink()
    shutil.move(tmp_path / "image.jpg", image)
    done = (out / "one.txt").stat().st_mtime_ns
    main([*arguments, "--resume"])
    assert set(statuses(out).values()) == {"done"}
    assert (out / "one.txt").stat().st_mtime_ns == done
    for path in (tmp_path / "whole").iterdir():
        if path.name.endswith((".txt", ".counts.csv")):
            assert (out / path.name).read_bytes() == path.read_bytes(), path.name
    if script == "eval.py":
        scores = [json.loads((o / "scores.json").read_text()) for o in (tmp_path / "whole", out)]
        assert all(run.pop("config") for run in scores) and scores[0] == scores[1]
