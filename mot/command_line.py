"""Flags from a dataclass: every field is a flag, the text beneath it its help.

tyro does the parsing; a wrong flag ends like any other bad input, in one line.
"""

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeVar, cast

import tyro

from mot.errors import EXIT_BAD_INPUT, InputError

Settings = TypeVar("Settings")


def parse_flags(
    kind: type[Settings],
    arguments: Sequence[str] | None = None,
    *,
    description: str | None = None,
    default: Settings | None = None,
) -> Settings:
    """Parse command-line arguments into a settings dataclass; sections become flag groups.

    Args:
        kind: the dataclass.
        arguments: what to parse; the process's own arguments when None.
        description: first lines of --help.
        default: settings that flags are laid over.

    Raises:
        InputError: an unknown flag, a value of the wrong type, or what the dataclass refuses.
    """
    complaint = io.StringIO()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with contextlib.redirect_stderr(complaint):
            parsed = tyro.cli(
                kind,
                args=given,
                description=description,
                default=default,
                config=(tyro.conf.OmitArgPrefixes,),
            )
            return cast(Settings, parsed)  # never None, whatever tyro's overloads say
    except SystemExit as stop:
        if stop.code != EXIT_BAD_INPUT:
            raise
        raise _refusal(stop, complaint.getvalue()) from None


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a call as flags would hold them: a path is its text."""
    return {key: str(v) if isinstance(v, PurePath) else v for key, v in settings.items()}


def _refusal(stop: BaseException, text: str) -> InputError:
    """The dataclass's own complaint where there is one, else tyro's box as one line."""
    link: BaseException | None = stop
    while link is not None:
        if isinstance(link, InputError):
            return link
        link = link.__cause__ or link.__context__
    # Where the terminal knows ASCII only, the box is drawn with | and -.
    message: list[str] = []
    for row in text.splitlines()[1:]:
        words = row.strip("│|╭╮╰╯ ")
        if words.strip("─-"):
            message.append(words)
        elif message:
            break
    return InputError("command line", "known flags and values", " ".join(message), "see --help")
