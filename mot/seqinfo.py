"""seqinfo.ini: what a sequence says of itself, read value by value and written.

`mot.sequence` opens folders by it. docs/formats.md has the keys.
"""

from __future__ import annotations

import configparser
from pathlib import Path

from mot.annotations import EXACT_INTEGERS
from mot.errors import InputError
from mot.images import IMAGE_SUFFIXES
from mot.plain_table import read_text

SEQINFO = "seqinfo.ini"


def seqinfo_text(
    name: str, length: int, width: int, height: int, fps: float | None, suffix: str = ".jpg"
) -> str:
    """Text of a seqinfo.ini in MOTChallenge's order of keys; no frameRate where it is unknown."""
    rate = "" if fps is None else f"frameRate={fps:.10g}\n"
    return (
        f"[Sequence]\nname={name}\nimDir=img1\n{rate}seqLength={length}\n"
        f"imWidth={width}\nimHeight={height}\nimExt={suffix}\n"
    )


class SeqInfo:
    """The [Sequence] section of a seqinfo.ini, value by value with its file named on error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        self._text = read_text(path)
        try:
            parser.read_string(self._text)
        except configparser.Error as error:
            raise InputError(
                path, "an ini file with [Sequence]", error.message, "see docs/formats.md"
            ) from error
        if not parser.has_section("Sequence"):
            raise InputError(
                path, "a section [Sequence]", parser.sections() or "none", "see docs/formats.md"
            )
        self._values = parser["Sequence"]

    def has(self, key: str) -> bool:
        """Whether the key is there with a value."""
        return bool(self.text(key))

    def text(self, key: str) -> str:
        """Return the value as it stands there; empty where there is none."""
        return self._values.get(key, "").strip()

    def line(self, key: str) -> int:
        """Return the 1-based line that begins with the key, 0 where there is none."""
        lines = enumerate(self._text.split("\n"), 1)
        known = (n for n, line in lines if line.split("=")[0].strip().lower() == key.lower())
        return next(known, 0)

    def number(self, key: str, *, whole: bool = False) -> float:
        """Return a number above 0."""
        text = self.text(key)
        kind = "a whole number" if whole else "a number"
        try:
            value = float(text) if text else float("nan")
        except ValueError:
            value = float("nan")
        if not 0 < value < EXACT_INTEGERS or (whole and value != int(value)):
            got = f"'{text}'" if text else "no such key"
            expected = f"{kind} above 0 and below {EXACT_INTEGERS} as {key}"
            raise InputError(self.path, expected, got, f"add or correct {key}=")
        return value

    def suffix(self, key: str, default: str) -> str:
        """Return the images' suffix."""
        text = self.text(key) or default
        if text.lower() not in IMAGE_SUFFIXES:
            raise InputError(
                self.path,
                f"one of {' '.join(sorted(IMAGE_SUFFIXES))} as {key}",
                f"'{text}'",
                f"correct {key}=",
            )
        return text

    def inner_path(self, key: str, default: str) -> Path:
        """Return a path that stays inside the sequence folder."""
        text = self.text(key) or default
        # A link that the user made on disk may lead anywhere; words in a file may not.
        path = Path(text.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in text or ":" in text:
            raise InputError(
                self.path,
                f"a folder inside the sequence as {key}",
                f"'{text}'",
                f"correct {key}=, usually {default}",
            )
        return path
