"""All settings of a training run: flags, YAML recipes, and the config.yaml beside a run.

One recipe file is one published number. A flag given beside `--config FILE` wins over the file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from mot.atomic import write_text
from mot.errors import InputError
from nets.augment import AugmentSettings
from nets.losses import LossSettings
from nets.settings import NetSettings
from nets.training import ScheduleSettings


@dataclass(frozen=True)
class DataSettings:
    """Which frames to learn from."""

    data: str | None = None
    """Folder that holds sequence folders at some depth; none = rendered scenes."""
    train_seqs: tuple[str, ...] = ()
    """Sequences to train on; none named = all with a truth that are not in --val-seqs."""
    val_seqs: tuple[str, ...] = ()
    """Sequences to validate on while training."""
    stills: tuple[str, ...] = ()
    """Folders of photos with a boxes.csv, below --data or anywhere."""
    still_share: float = 0.3
    """Share of the clips that come from photos, where there are any."""
    scenes: int = 12
    """Rendered scenes to train on where there is no --data."""
    cache: str = "data/cache"
    """Folder of the frame blocks."""
    cache_px: int = 1280 * 720
    """Largest number of pixels per cached frame; larger frames are shrunk."""


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides a training run."""

    data: DataSettings = field(default_factory=DataSettings)
    net: NetSettings = field(default_factory=NetSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    weights: str = "none"
    """Weights to start from: imagenet, none, or a .safetensors file (image weights or a net)."""
    inflate: str = "repeat"
    """How a first convolution spreads over T stacked frames: repeat (and divide by T) or centre."""


def save_recipe(settings: TrainSettings, path: Path) -> str:
    """Write settings as YAML (atomically) and return the text."""
    text: str = yaml.safe_dump(_plain(asdict(settings)), sort_keys=False)
    write_text(path, text)
    return text


def load_recipe(path: Path) -> TrainSettings:
    """Read a YAML recipe; what it does not name keeps its default.

    Raises:
        InputError: no such file, not YAML, unknown or ill-typed settings.
    """
    if not path.is_file():
        raise InputError(path, "a recipe (YAML)", "no such file", "look in recipes/")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(path, "YAML", error, "mend the file") from error
    return _build(TrainSettings, values, str(path))


def _plain(value: Any) -> Any:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _build(kind: Any, values: Any, where: str) -> Any:
    """Make a dataclass from a mapping, sections included; lists become tuples."""
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
            arguments[name] = _build(hints[name], value, place)
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InputError(where, "values of the right type", error, "mend the file") from error
