"""Settings as YAML: a dataclass written whole, and read back with the place of whatever is wrong.

What training (`nets.recipe`) and linking (`reid.recipe`) keep their settings in.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml

from mot.errors import InputError
from mot.plain_table import read_text

Settings = TypeVar("Settings")


def yaml_text(settings: Any) -> str:
    """A settings dataclass as YAML, sections included, which `read_yaml` reads back."""
    text: str = yaml.safe_dump(_plain(asdict(settings)), sort_keys=False)
    return text


def read_yaml(kind: type[Settings], path: Path) -> Settings:
    """Read a settings dataclass from YAML; what the file does not name keeps its default.

    Raises:
        InputError: no such file, not YAML, unknown or ill-typed settings, or such as the dataclass
            refuses; it names file and setting.
    """
    try:
        values = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise InputError(path, "YAML", error, "mend the file") from error
    return cast(Settings, build_settings(kind, values, str(path)))


def _plain(value: Any) -> Any:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def build_settings(kind: Any, values: Any, where: str) -> Any:
    """Make a dataclass from plain values as YAML has them, sections included.

    Args:
        kind: the dataclass.
        values: mapping of names to numbers, texts, lists (which become tuples) and mappings.
        where: file or place, for messages.

    Raises:
        InputError: unknown or ill-typed settings, or such as the dataclass refuses.
    """
    if not isinstance(values, dict):
        raise InputError(where, "settings as `name: value` lines", values, "mend the file")
    known = [f.name for f in fields(kind)]
    hints = get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(where, f"one of {', '.join(known)}", name, "rename or remove it")
        place = f"{where}: {name}"
        if is_dataclass(hints[name]):
            arguments[name] = build_settings(hints[name], value, place)
        else:
            arguments[name] = _value(value, hints[name], place)
    try:
        return kind(**arguments)
    except InputError as error:
        here = f"{where}: {error.where}"
        raise InputError(here, error.expected, error.got, error.remedy) from error


def _value(value: Any, hint: Any, place: str) -> Any:
    """Check a YAML value against a field's type.

    Two traps of YAML 1.1 are understood: `on` and `off` are booleans there, and 1e-3 is text.
    """
    if get_origin(hint) is UnionType:
        return None if value is None else _value(value, get_args(hint)[0], place)
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if isinstance(value, list) and (kinds[-1] is ... or len(kinds) == len(value)):
            return tuple(_value(item, kinds[0], place) for item in value)
    elif hint is str and isinstance(value, bool):
        return "on" if value else "off"
    elif hint is str and isinstance(value, str | int):
        return str(value)
    elif hint is float and isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)
    elif type(value) is hint:
        return value
    raise InputError(place, _described(hint), repr(value), "mend the file")


def _described(hint: Any) -> str:
    """A field's type in words."""
    if get_origin(hint) is not tuple:
        return {int: "a whole number", float: "a number", bool: "true or false"}.get(hint, "text")
    kinds = get_args(hint)
    count = "" if kinds[-1] is ... else f"{len(kinds)} "
    return f"a list [a, b] of {count}{'names' if kinds[0] is str else 'numbers'}"
