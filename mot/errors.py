"""The one exception for bad input, and how a command ends on it.

Every room raises `InputError` with four parts; a script wrapped in `one_line_errors` prints them
as one line and exits 2.
"""

import contextlib
import functools
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

EXIT_BAD_INPUT = 2
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells expect


class InputError(ValueError):
    """Input that cannot be used: where it is, what was expected, what was found, what mends it.

    Args:
        where: file (with line), flag or name, as the user would look for it.
        expected: what would have been right.
        got: what is there instead.
        remedy: what the user can do, as an imperative.
    """

    def __init__(self, where: object, expected: str, got: object, remedy: str) -> None:
        super().__init__(where, expected, got, remedy)
        self.where = str(where)
        self.expected = expected
        self.got = str(got)
        self.remedy = remedy

    def __str__(self) -> str:
        line = f"{self.where}: expected {self.expected}, got {self.got}; {self.remedy}"
        return " ".join(line.split())


def require_setting(settings: object, field: str, holds: bool, expected: str) -> None:
    """Check one field of a settings dataclass, whose flag on the command line has its name.

    Raises:
        InputError: `holds` is false (NaN compares false, so state what must hold).
    """
    if not holds:
        flag = f"--{field.replace('_', '-')}"
        raise InputError(flag, expected, getattr(settings, field), "change this setting")


def run_script(module: str) -> NoReturn:
    """Run a script by the name of its module and leave; at the script's top, before its imports.

    So Ctrl-C ends well while they load, and workers find its functions, which in the module
    `__main__` they could not.
    """
    one_line_errors(lambda: importlib.import_module(module).main())()
    sys.exit(0)


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command's main function so that bad input prints one line on stderr and exits 2.

    What the operating system refuses (full disk, read-only folder, missing file) counts as bad
    input too: its message names the file. Ctrl-C exits 130; the command itself has saved what it
    had by then.
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        with _noted_interrupts() as interrupts:
            try:
                return command(*args, **kwargs)
            except (Exception, KeyboardInterrupt) as error:
                # Compiled code may turn the interrupt into an error of its own.
                if interrupts or isinstance(error, KeyboardInterrupt):
                    _leave_interrupted()
                _leave_with_line(error)
                raise

    return guarded


@contextlib.contextmanager
def _noted_interrupts() -> Iterator[list[int]]:
    """Ctrl-C raises KeyboardInterrupt, as always, and is noted in the list."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.default_int_handler(number, frame)

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield noted
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave_interrupted() -> NoReturn:
    print("interrupted: what was written so far is kept", file=sys.stderr)
    # Worker threads may hold locks here; leaving without their clean-up cannot hang.
    sys.stdout.flush()
    os._exit(EXIT_INTERRUPTED)


def _leave_with_line(error: BaseException) -> None:
    """Say in one line what is wrong with the input; return where the program is what is wrong."""
    if isinstance(error, BrokenPipeError):
        # The reader of our output has left (`… | head`): nothing more to say, and nobody to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    if isinstance(error, OSError):
        error = InputError(
            error.filename or "file system",
            "a place that can be read or written",
            error.strerror or str(error),
            "check path, rights and free space",
        )
    if isinstance(error, InputError):
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
