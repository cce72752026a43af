"""The same function for many tasks: here, in several processes, or on a Ray cluster.

What is done is told by what comes back, so the caller keeps its own list of it; nothing is passed
between the tasks.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
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

    @property
    def here(self) -> bool:
        """Whether this process does the work itself, one task behind the other."""
        return self.workers == 1 and self.ray is None


def run_all(
    function: Callable[[Task], Answer],
    tasks: Mapping[str, Task],
    settings: ParallelSettings,
) -> Iterator[Outcome[Answer]]:
    """Run a function over tasks and yield what becomes of each, in the order in which they end.

    An InputError or OSError ends its own task only, and so does a worker that is killed: the others
    go on. Nothing is tried twice. Workers end with this process, however it ends.

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
    """Every worker is a pool of its own, so that one that is killed takes its own task only."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting, others = iter(tasks.items()), multiprocessing.active_children()
    running: dict[Future[Outcome[Answer]], tuple[str, ProcessPoolExecutor]] = {}

    def start_next(pool: ProcessPoolExecutor) -> None:
        if (item := next(waiting, None)) is None:
            pool.shutdown(wait=False)
            return
        with _ignored_interrupts(), _environment(THREADS, str(max(1, (cores or 1) // workers))):
            name, task = item
            running[pool.submit(_attempt, function, name, task)] = name, pool

    def outcome_of(future: Future[Outcome[Answer]]) -> Outcome[Answer]:
        name, pool = running.pop(future)
        try:
            outcome = future.result()
        except BrokenProcessPool:
            outcome, pool = Outcome(name, error="its worker was killed"), _new_pool()
        start_next(pool)
        return outcome

    try:
        for _ in range(workers):
            start_next(_new_pool())
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield outcome_of(future)
    finally:  # after Ctrl-C, or when nobody wants the rest, some are still at work
        if running:
            for process in set(multiprocessing.active_children()) - set(others):
                process.terminate()
            while running:  # let go of them, for their semaphores outlive whoever holds them
                running.popitem()[1][1].shutdown()
            gc.collect()


def _new_pool() -> ProcessPoolExecutor:
    # Forked processes would inherit the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A worker whose parent was killed ends at once, lest it writes where a new run writes."""

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := multiprocessing.parent_process():
        threading.Thread(target=watch, args=(parent,), name="end-with-parent", daemon=True).start()


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Processes that start meanwhile leave Ctrl-C, which a terminal sends to all, to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
        # What was half done is for --resume: a second try would meet the files of the first.
        remote: Any = ray.remote(max_retries=0)(_attempt)
        waiting = {remote.remote(function, name, task): name for name, task in tasks.items()}
        while waiting:
            [done], _ = ray.wait(list(waiting), num_returns=1)
            name = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.WorkerCrashedError:
                yield Outcome(name, error="its worker was killed")
            except ray.exceptions.RayError as error:  # its last line says what happened there
                yield Outcome(name, error=f"its worker failed: {str(error).split(chr(10))[-1]}")
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
