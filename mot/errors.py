"""The one exception for bad input, and how a command ends on it.

Every room raises `InputError` with four parts; a script wrapped in `one_line_errors` prints them
as one line and exits 2.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

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


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command's main function so that bad input prints one line on stderr and exits 2.

    What the operating system refuses (full disk, read-only folder, missing file) counts as bad
    input too: its message names the file. Ctrl-C exits 130; the command itself has saved what it
    had by then.
    """

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(EXIT_BAD_INPUT)
        except BrokenPipeError:
            # The reader of our output has left (`… | head`): nothing more to say, and nobody to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(EXIT_BROKEN_PIPE)
        except OSError as error:
            place = error.filename or "file system"
            reason = error.strerror or str(error)
            line = InputError(
                place,
                "a place that can be read or written",
                reason,
                "check path, rights and free space",
            )
            print(f"error: {line}", file=sys.stderr)
            sys.exit(EXIT_BAD_INPUT)
        except KeyboardInterrupt:
            print("interrupted: what was written so far is kept", file=sys.stderr)
            # Worker threads may hold locks here; leaving without their clean-up cannot hang.
            sys.stdout.flush()
            os._exit(EXIT_INTERRUPTED)

    return guarded
