import os
import signal

import pytest

from mot.errors import InputError
from mot.parallel import ParallelSettings, run_all

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


def test_a_worker_that_is_killed_leaves_every_task_with_an_outcome():
    outcomes = collected(fatal, ParallelSettings(workers=2))
    assert set(outcomes) == set(TASKS)
    assert "killed" in outcomes["task0"].error


@pytest.mark.slow
def test_ray_runs_the_same_function():
    pytest.importorskip("ray")
    outcomes = collected(double, ParallelSettings(ray="local"))
    assert [outcomes[f"task{k}"].answer[0] for k in (0, 1, 3)] == [0, 2, 6]
    assert "another number" in outcomes["task2"].error


def test_workers_are_one_or_more():
    with pytest.raises(InputError, match="--workers"):
        ParallelSettings(workers=0)
