"""Text tables of numbers to arrays, with the line of whatever is wrong.

`mot.annotations` reads its files through this; commas or blanks, CRLF, a byte order mark and blank
lines are read as people have them.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mot.errors import InputError

SHOWN_CHARACTERS = 80
NUMBER_CHARACTERS = b"0123456789+-.eE, \t\n"


@dataclass(frozen=True)
class TableScan:
    """What can be read of a table that may be damaged.

    Attributes:
        values: float64 (rows, columns) of the rows that are numbers and as long as most; NaN and
            infinity may be among them.
        lines: int64 (rows,) 1-based line of each of those rows.
        faults: line and what is wrong with it, for every row that is left out.
        remarks: what is unusual about the text as a whole, and harmless.
    """

    values: npt.NDArray[np.float64]
    lines: npt.NDArray[np.int64]
    faults: list[tuple[int, str]]
    remarks: list[str]


@dataclass(frozen=True)
class PlainTable:
    """Numbers of a file, and the way back from a row to its line.

    Attributes:
        path: the file.
        values: float64 (rows, columns).
        text: the whole file, newlines as LF.
    """

    path: Path
    values: npt.NDArray[np.float64]
    text: str

    def require(self, good: npt.ArrayLike, expected: str, remedy: str) -> None:
        """Raise an InputError that names file and line of the first row that is not good (N,)."""
        if np.all(good):
            return
        lines = self.text.split("\n")
        number = _filled_lines(lines)[int(np.argmin(np.asarray(good)))]
        raise _bad_line(self.path, number, expected, lines[number - 1], remedy)


def read_text(path: Path) -> str:
    """Read a UTF-8 text file; newlines become LF and a byte order mark is dropped.

    Raises:
        InputError: the file is missing, a folder, or no text.
    """
    raw = _read_bytes(path)
    try:
        return _plain_newlines(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}:{line}", "UTF-8 text", "other bytes", "save the file as plain text"
        ) from error


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            path, "a text file", error.strerror or error, "check the path and its rights"
        ) from error


def _plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(path: Path, *, fewest: int) -> PlainTable:
    """Read a table whose rows all have the same number of columns.

    Args:
        path: comma- or blank-separated text; the first row says which.
        fewest: columns that must be there at least.

    Returns:
        The table; a file without rows gives (0, fewest) values.

    Raises:
        InputError: unreadable file, short or uneven row, or something that is no number.
    """
    text = read_text(path)
    first_row = re.search(r"\S.*", text)
    if first_row is None:
        return PlainTable(path, np.empty((0, fewest)), text)
    delimiter = "," if "," in first_row[0] else None
    try:
        values = _parse_fast(text, delimiter)
    except (ValueError, OverflowError):
        # Slow, but it knows which line; where it finds no fault its own numbers are good.
        values = _parse_slowly(path, text.split("\n"), delimiter, fewest)
    if values.shape[1] < fewest:
        number = text.count("\n", 0, first_row.start()) + 1
        raise _bad_line(
            path, number, f"at least {fewest} columns", first_row[0], "see docs/formats.md"
        )
    return PlainTable(path, values, text)


def scan_table(path: Path) -> TableScan:
    """Read what can be read of a table, and list the lines that cannot.

    Raises:
        InputError: the file itself cannot be read.
    """
    raw = _read_bytes(path)
    remarks = ["begins with a byte order mark"] if raw.startswith(codecs.BOM_UTF8) else []
    remarks += ["has line ends of Windows (CRLF)"] if b"\r" in raw else []
    # What is no UTF-8 is no number either, and named with its line.
    text = _plain_newlines(raw.decode("utf-8-sig", errors="replace"))
    lines = text.split("\n")
    filled = _filled_lines(lines)
    if not filled:
        return TableScan(np.empty((0, 0)), np.empty(0, np.int64), [], remarks)
    delimiter = "," if "," in text else None
    try:
        return TableScan(_parse_fast(text, delimiter), np.array(filled), [], remarks)
    except (ValueError, OverflowError):
        return _scan_damaged(lines, filled, delimiter, remarks)


def _scan_damaged(
    lines: list[str], filled: list[int], delimiter: str | None, remarks: list[str]
) -> TableScan:
    """Take the rows that look like most at once, and the others line by line."""
    widths = [_width(lines[number - 1], delimiter) for number in filled]
    usual = Counter(widths).most_common(1)[0][0]
    alike = [
        number
        for number, width in zip(filled, widths, strict=True)
        if width == usual and not lines[number - 1].encode().translate(None, NUMBER_CHARACTERS)
    ]
    try:
        table = _parse_fast("\n".join(lines[number - 1] for number in alike), delimiter)
    except (ValueError, OverflowError):
        alike, table = [], np.empty((0, usual))
    rows, faults, places = [], [], list(alike)
    for number in sorted(set(filled) - set(alike)):
        line = lines[number - 1]
        try:
            numbers = [_number(field) for field in line.split(delimiter)]
        except ValueError:
            faults.append((number, f"no numbers: {shown(line)}"))
            continue
        if len(numbers) != usual:
            faults.append((number, f"{len(numbers)} columns, most rows have {usual}"))
            continue
        rows.append(numbers)
        places.append(number)
    table = np.concatenate([table, np.array(rows, dtype=np.float64).reshape(-1, usual)])
    order = np.argsort(places, kind="stable")
    return TableScan(table[order], np.array(places, np.int64)[order], faults, remarks)


def _width(line: str, delimiter: str | None) -> int:
    return line.count(delimiter) + 1 if delimiter else len(line.split())


def _parse_fast(text: str, delimiter: str | None) -> npt.NDArray[np.float64]:
    """Parse with pandas' C reader, five times as fast as numpy's; raises ValueError on any fault.

    Left to itself it would take True for 1; an empty field, and so a short row, must be a fault,
    hence no NaN filter.
    """
    if text.encode().translate(None, NUMBER_CHARACTERS):
        raise ValueError("not only numbers")
    table = pd.read_csv(
        io.StringIO(text),
        sep=delimiter or r"\s+",
        header=None,
        dtype=np.float64,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skipinitialspace=True,
        low_memory=False,
    )
    return np.ascontiguousarray(table.to_numpy())


def _parse_slowly(
    path: Path, lines: list[str], delimiter: str | None, fewest: int
) -> npt.NDArray[np.float64]:
    """Parse line by line in order to name the first that is wrong."""
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = line.split(delimiter)
        wanted = len(rows[0]) if rows else max(len(fields), fewest)
        if len(fields) != wanted:
            raise _bad_line(
                path, number, f"{wanted} columns", f"{len(fields)}: {line}", "complete the row"
            )
        try:
            rows.append([_number(field) for field in fields])
        except ValueError as error:
            raise _bad_line(
                path, number, "numbers only", line, "correct the row (a header is not read)"
            ) from error
    return np.array(rows, dtype=np.float64)


def _number(field: str) -> float:
    if "_" in field or not field.isascii():  # float() is broader-minded than any file format
        raise ValueError(field)
    return float(field)


def _filled_lines(lines: list[str]) -> list[int]:
    """1-based numbers of the lines that hold a row."""
    return [number for number, line in enumerate(lines, 1) if line.strip()]


def shown(text: str) -> str:
    """The beginning of a text in quotes, with what cannot be printed escaped."""
    return "'" + text.strip()[:SHOWN_CHARACTERS].encode("unicode_escape").decode("ascii") + "'"


def _bad_line(path: Path, number: int, expected: str, got: str, remedy: str) -> InputError:
    """Name a line, and show it."""
    return InputError(f"{path}:{number}", expected, shown(got), remedy)
