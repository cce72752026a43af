"""Settings of a linker in a YAML file: `python -m reid.tune` leaves them, commands read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mot.atomic import write_text
from mot.yaml_settings import read_yaml, yaml_text
from reid.settings import LinkerSettings


def load_settings(path: str | Path) -> LinkerSettings:
    """Read a linker's settings; what the file does not name keeps its default.

    Raises:
        InputError: no such file, not YAML, unknown settings, or values that cannot be.
    """
    return read_yaml(LinkerSettings, Path(path))


def write_settings(path: Path, settings: LinkerSettings, notes: Sequence[str] = ()) -> None:
    """Write all settings, which `load_settings` reads back, atomically.

    Args:
        path: the YAML file.
        settings: the settings.
        notes: lines of comment at the top, such as where the settings come from.
    """
    comment = "".join(f"# {' '.join(note.split())}\n" for note in notes)
    write_text(path, comment + yaml_text(settings))
