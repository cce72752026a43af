"""The same function for many tasks: here, in several processes, or on a Ray cluster.

What is done is told by what comes back, so the caller keeps its own list of it; nothing is passed
between the tasks.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mot.errors import InputError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

THREADS = "OMP_NUM_THREADS"  # what torch, OpenVINO and OpenBLAS go by in a new process


@dataclass(frozen=True)
class Outcome(Generic[Answer]):
    """What became of one task: its answer, or the one line that says why there is none."""

    name: str
    answer: Answer | None = None
    error: str | None = None


@dataclass(frozen=True)
class ParallelSettings:
    """Where many tasks run."""

    workers: int = 1
    """Processes that work at the same time; they share the processor's cores."""
    ray: str | None = None
    """Run on a Ray cluster in the place of processes: its address, or local to start one here
    (pip install ray)."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError("--workers", "1 or more", self.workers, "change this setting")


def run_all(
    function: Callable[[Task], Answer],
    tasks: Mapping[str, Task],
    settings: ParallelSettings,
) -> Iterator[Outcome[Answer]]:
    """Run a function over tasks and yield what becomes of each, in the order in which they end.

    An InputError or OSError ends its own task only. A worker that is killed ends the tasks that
    were running; with processes those that were waiting as well.

    Args:
        function: of one task; a function of a module, whose tasks and answers can be pickled.
        tasks: by name.
        settings: where to run.

    Raises:
        InputError: --ray without Ray, or no such cluster.
    """
    if settings.ray is not None:
        yield from _on_ray(function, tasks, settings.ray)
    elif settings.workers == 1 or len(tasks) == 1:
        for name, task in tasks.items():
            yield _attempt(function, name, task)
    else:
        yield from _in_processes(function, tasks, min(settings.workers, len(tasks)))


def _attempt(function: Callable[[Task], Answer], name: str, task: Task) -> Outcome[Answer]:
    try:
        return Outcome(name, function(task))
    except (InputError, OSError) as error:
        return Outcome(name, error=str(error))


def _in_processes(
    function: Callable[[Task], Answer], tasks: Mapping[str, Task], workers: int
) -> Iterator[Outcome[Answer]]:
    # Forked processes would inherit the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with (
        _environment(THREADS, str(max(1, (cores or 1) // workers))),
        ProcessPoolExecutor(workers, mp_context=context) as pool,
    ):
        waiting = {
            pool.submit(_attempt, function, name, task): name for name, task in tasks.items()
        }
        try:
            for future in as_completed(waiting):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield Outcome(waiting[future], error="a worker was killed")
        except BaseException:  # Ctrl-C, or nobody wants the rest
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_ray(
    function: Callable[[Task], Answer], tasks: Mapping[str, Task], address: str
) -> Iterator[Outcome[Answer]]:
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray", "Ray", "it is not installed", "pip install ray") from error
    here = address == "local"
    # Workers on this machine find the modules where this process does; elsewhere, installed ones.
    paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}} if here else None
    try:
        ray.init(
            address=None if here else address,
            runtime_env=paths,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError("--ray", "a cluster's address, or local", error, "start it") from error
    try:
        remote: Any = ray.remote(_attempt)
        waiting = {remote.remote(function, name, task): name for name, task in tasks.items()}
        while waiting:
            [done], _ = ray.wait(list(waiting), num_returns=1)
            name = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[0]
                yield Outcome(name, error=f"a worker was lost: {reason}")
    finally:
        ray.shutdown()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for the processes that start meanwhile, unless the user has."""
    before = os.environ.get(name)
    os.environ.setdefault(name, value)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
