"""A generator that runs in a thread of its own, a bounded number of items ahead of its reader."""

from __future__ import annotations

import atexit
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
POLL_S = 0.1  # how often a waiting thread looks whether its reader is gone


class _Failure:
    """An exception on its way from the thread to the reader."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End:
    """The generator is done."""


def run_ahead(
    start: Callable[[], Iterator[Item]], ahead: int, *, name: str, drop: bool = False
) -> Iterator[Item]:
    """Run a generator in a thread, at most `ahead` items before its reader.

    The thread ends when the generator does, when the reader stops early (close, break or drop it),
    and when the generator fails; the failure is raised here.

    Args:
        start: makes the generator; called in the thread, which closes it as well.
        ahead: items that wait at most.
        name: of the thread.
        drop: a full queue loses its oldest item instead of keeping the generator waiting.
    """
    waiting: queue.Queue[Item | _Failure | _End] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()

    def put(item: Item | _Failure | _End) -> bool:
        while not stopped.is_set():
            if drop and waiting.full():
                with contextlib.suppress(queue.Empty):
                    waiting.get_nowait()
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=POLL_S)
                return True
        return False

    def work() -> None:
        source = start()
        try:
            for item in source:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:  # whatever it is, it belongs to the reader
            put(_Failure(error))
        finally:
            source.close()  # type: ignore[attr-defined]

    thread = threading.Thread(target=work, name=name, daemon=True)

    def stop() -> None:
        stopped.set()
        # An empty place lets a thread that is about to put find out at once.
        with contextlib.suppress(queue.Empty):
            waiting.get_nowait()
        thread.join()

    # A thread still inside a decoder when the interpreter is taken down aborts the process.
    atexit.register(stop)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        atexit.unregister(stop)
        stop()
