import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mot.errors import InputError
from mot.parallel import ParallelSettings, run_all

ROOT = Path(__file__).resolve().parents[2]
TASKS = {f"task{k}": k for k in range(4)}


def double(number):
    """The work: some tasks are bad, some kill their worker."""
    if number == 2:
        raise InputError("task", "another number", number, "choose one")
    return 2 * number, os.environ.get("OMP_NUM_THREADS"), os.getpid()


def fatal(number):
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def collected(function, settings):
    return {outcome.name: outcome for outcome in run_all(function, TASKS, settings)}


def test_one_worker_is_this_process_and_a_bad_task_ends_alone():
    outcomes = collected(double, ParallelSettings())
    assert [outcomes[f"task{k}"].answer[0] for k in (0, 1, 3)] == [0, 2, 6]
    assert outcomes["task2"].answer is None and "another number" in outcomes["task2"].error
    assert outcomes["task0"].answer[2] == os.getpid()


def test_two_workers_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    outcomes = collected(double, ParallelSettings(workers=2))
    answers = [outcomes[f"task{k}"].answer for k in (0, 1, 3)]
    assert [answer[0] for answer in answers] == [0, 2, 6]
    assert all(int(answer[1]) >= 1 and answer[2] != os.getpid() for answer in answers)
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_worker_that_is_killed_takes_its_own_task_only():
    outcomes = collected(fatal, ParallelSettings(workers=2))
    assert "killed" in outcomes["task0"].error
    assert [outcomes[f"task{k}"].answer for k in (1, 2, 3)] == [1, 2, 3]


def hold(number):
    """Lock a file for as long as this process lives, or for a minute; the first task is short."""
    if number == 0:
        return
    with open(f"{number}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        print(number, file=file, flush=True)
        time.sleep(60)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(tmp_path, how):
    script = (
        "import tests.mot.test_parallel as test\n"
        "from mot.errors import one_line_errors\n"
        "from mot.parallel import ParallelSettings, run_all\n"
        "if __name__ == '__main__':\n"
        "    run = lambda: list(run_all(test.hold, test.TASKS, ParallelSettings(workers=2)))\n"
        "    one_line_errors(run)()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    locks = [tmp_path / "1.lock", tmp_path / "2.lock"]
    give_up = time.monotonic() + 120
    while not all(lock.is_file() and lock.stat().st_size for lock in locks):
        assert time.monotonic() < give_up and process.poll() is None
        time.sleep(0.02)
    if how == signal.SIGINT:  # as a terminal sends it: to all of them
        os.killpg(process.pid, how)
        assert process.wait(30) == 130
        said = process.stderr.read()
        assert said.count("\n") == 1 and "interrupted" in said
    else:
        process.kill()
    start = time.monotonic()
    for lock in locks:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # waits for its holder's end
    assert time.monotonic() - start < 20
    process.communicate()


@pytest.mark.slow
def test_ray_runs_the_same_function():
    pytest.importorskip("ray")
    outcomes = collected(double, ParallelSettings(ray="local"))
    assert [outcomes[f"task{k}"].answer[0] for k in (0, 1, 3)] == [0, 2, 6]
    assert "another number" in outcomes["task2"].error


def test_workers_are_one_or_more():
    with pytest.raises(InputError, match="--workers"):
        ParallelSettings(workers=0)
