"""Entries of JSON files in COCO's manner: lists of objects, each with a place to name in errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mot.errors import InputError

Entry = Mapping[str, Any]


def load_json(path: Path) -> Any:
    """Read a JSON file; raises InputError with the line of what is wrong."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}", "JSON", error.msg, "export or copy the file again"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(path, "JSON as UTF-8", error.reason, "export it again") from error
    except OSError as error:
        raise InputError(path, "a JSON file", error.strerror, "check the path") from error


def table_of(path: Path, tables: Any, name: str, needs: str) -> list[tuple[str, Entry]]:
    """Entries of one list of a file, each with its place.

    Args:
        path: the file.
        tables: all that it holds.
        name: of the list.
        needs: what an error says of the format.

    Raises:
        InputError: no list of objects under that name.
    """
    entries = tables.get(name) if isinstance(tables, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        got = "none" if entries is None else type(entries).__name__
        raise InputError(path, f"a list of objects as '{name}'", got, needs)
    return [(f"{path}, {name}[{index}]", entry) for index, entry in enumerate(entries)]


def value_of(place: str, entry: Entry, *keys: str) -> Any:
    """The first of some keys that is there; raises InputError when none is."""
    for key in keys:
        if entry.get(key) is not None:
            value = entry[key]
            # Ids are looked up, which a list cannot be.
            if key.endswith("id") and not isinstance(value, str | int | float):
                raise InputError(place, f"a number as {key}", value, "correct it")
            return value
    raise InputError(place, f"the key '{' or '.join(keys)}'", "none", "add it")


def whole_number(place: str, entry: Entry, *keys: str) -> int:
    """The first of some keys that is there, as a whole number."""
    value = value_of(place, entry, *keys)
    if not is_number(value) or value != int(value):
        raise InputError(place, f"a whole number as {keys[0]}", repr(value), "correct it")
    return int(value)


def number_of(place: str, entry: Entry, key: str, default: Any) -> Any:
    """A number by its key; `default` where there is none."""
    value = entry.get(key)
    if value is None:
        return default
    if not is_number(value):
        raise InputError(place, f"a number as {key}", repr(value), "correct it")
    return float(value)


def is_number(value: object) -> bool:
    """Whether it is a number, and neither NaN nor infinite."""
    return isinstance(value, int | float) and math.isfinite(value)
