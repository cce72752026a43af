"""Progress on stderr: rate and time to go for who watches a terminal, silence in a log file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

if TYPE_CHECKING:
    _Plain = tqdm[NoReturn]
else:
    _Plain = tqdm


class _Bar(_Plain):
    """A bar of one process."""


# By default tqdm makes a semaphore for all processes, which a killed worker would leave behind.
_Bar.set_lock(threading.RLock())


def progress_bar(
    total: int | None,
    *,
    unit: str,
    title: str | None = None,
    start: int = 0,
    shown: bool = True,
    scaled: bool = False,
) -> tqdm[NoReturn]:
    """Make a bar; use it as a context manager and call its `update` after each unit.

    Args:
        total: units of the whole work; None = nobody knows.
        unit: what is counted, in the singular.
        title: what stands before the bar.
        start: units done earlier.
        shown: False for none; without a terminal on stderr there is none either.
        scaled: large numbers with k, M and G, as bytes are counted.
    """
    return _Bar(
        total=total,
        initial=start,
        unit=unit,
        desc=title,
        disable=None if shown else True,
        dynamic_ncols=True,
        smoothing=0.1,
        unit_scale=scaled,
    )
