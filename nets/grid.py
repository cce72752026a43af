"""The grid of a sweep: which settings differ between its trainings, and what all have in common.

A grid is settings shared by all, axes of values, named variants (bundles of settings that change
together) and seeds; its cells are all combinations. Settings are called as the flags of train.py
(`lr`, `labelrate`) or by section and name (`schedule.lr`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

import yaml

from mot.errors import InputError
from mot.plain_table import read_text
from mot.yaml_settings import build_settings
from nets.recipe import TrainSettings, recipe_text

SEED, VARIANT = "seed", "variant"
# What a sweep trains where nothing else is said: the one-map net of 2019, a quarter as wide, on
# crops of rendered scenes, in half a minute of one core. One thread and fp32: the same anywhere.
TINY: dict[str, Any] = {
    "data": {"scenes": 4},
    "net": {"width": 0.25, "neck_channels": 32, "heads": ["density"]},
    "augment": {"crop": [96, 160]},
    "schedule": {"max_steps": 300, "batch": 4, "workers": 0, "device": "cpu", "amp": "off"},
}

# The training of 2019, as far as its log tells: sums in label units behind a ReLU, no normalisation
# in the net, and none of the helps that a training starts with today.
OF_2019: dict[str, Any] = {
    "loss.raw_loss": True,
    "net.norm": "none",
    "net.neck_norm": "none",
    "schedule.optimiser": "adam",
    "schedule.clip_grad": 0.0,
    "schedule.warmup_steps": 0,
    "schedule.ema": 0.0,
}


@dataclass(frozen=True)
class Cell:
    """One training of a sweep.

    Attributes:
        names: column → value as text: variant, axes and seed, in the order of the table.
        settings: of the whole training.
    """

    names: dict[str, str]
    settings: TrainSettings

    @property
    def key(self) -> str:
        """Short name that other settings do not have, wherever frames are cached."""
        data = replace(self.settings.data, cache="")
        text = f"{self.names}\n{recipe_text(replace(self.settings, data=data))}"
        return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Grid:
    """What is varied, and over what.

    Attributes:
        shared: dotted name → value, for all cells; over those of `TINY`.
        axes: dotted name → values.
        variants: name → dotted name → value; none = one cell per combination of the axes.
        seeds: of weights and clips.
    """

    shared: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        for name, values in self.axes.items():
            _require_once(f"axis {name}", [value_text(value) for value in values])
        _require_once("--seeds", [str(seed) for seed in self.seeds])
        for variant, settings in self.variants.items():
            if twice := next((name for name in settings if name in self.axes), None):
                expected, got = "settings that no axis varies", twice
                raise InputError(f"variant {variant}", expected, got, "leave one of them out")
        named = *self.axes, *self.shared, *(n for v in self.variants.values() for n in v)
        if "schedule.seed" in named:
            expected, got = "seeds beside the axes and variants", "a setting"
            raise InputError("schedule.seed", expected, got, "use --seeds")

    def cells(self) -> Iterator[Cell]:
        """All combinations, seeds innermost.

        Raises:
            InputError: a combination that train.py would refuse as well.
        """
        for name, settings in (self.variants or {"": {}}).items():
            for values in product(*self.axes.values()):
                axes = dict(zip(self.axes, values, strict=True))
                texts = {short(axis): value_text(value) for axis, value in axes.items()}
                names = ({VARIANT: name} if self.variants else {}) | texts
                for seed in self.seeds:
                    chosen = self.shared | settings | axes | {"schedule.seed": seed}
                    where = ", ".join(f"{k} {v}" for k, v in names.items()) or "the sweep"
                    yield Cell(names | {SEED: str(seed)}, settings_of(chosen, where))


def _require_once(where: str, values: Many[str]) -> None:
    if not values or len(set(values)) < len(values):
        raise InputError(where, "values, each once", " ".join(values) or "none", "mend the list")


def settings_of(chosen: Mapping[str, Any], where: str) -> TrainSettings:
    """Settings of a training: those named over `TINY`'s, others as in train.py.

    Args:
        chosen: dotted name → value.
        where: for messages.

    Raises:
        InputError: an ill-typed or unusable value.
    """
    values: dict[str, Any] = {name: dict(section) for name, section in TINY.items()}
    for name, value in chosen.items():
        section, _, inner = name.rpartition(".")
        target = values.setdefault(section, {}) if section else values
        target[inner] = _as_listed(name, value)
    return cast(TrainSettings, build_settings(TrainSettings, values, where))


def _leaves() -> dict[str, Any]:
    """Dotted name of every setting of a training → its type."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(TrainSettings).items():
        if is_dataclass(hint):
            inner = get_type_hints(hint)
            found |= {f"{name}.{f.name}": inner[f.name] for f in fields(hint)}
        else:
            found[name] = hint
    return found


LEAVES = _leaves()


def full_name(name: str, where: str) -> str:
    """Dotted name of a setting that is called by it, or as its flag is.

    Raises:
        InputError: no such setting.
    """
    wanted = name.strip().replace("-", "_")
    for leaf in LEAVES:
        if wanted in (leaf, short(leaf)):
            return leaf
    raise InputError(where, "a setting of train.py", name, "see python train.py --help")


def short(name: str) -> str:
    """The flag's name of a dotted name."""
    return name.rpartition(".")[2]


def _as_listed(name: str, value: Any) -> Any:
    """A single value as a list, where the setting holds several."""
    hint = LEAVES[name]
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    several = any(get_origin(kind) is tuple for kind in kinds)
    return [value] if several and value is not None and not isinstance(value, list) else value


def value_text(value: Any) -> str:
    """A value as it stands in a table: parts of a list joined by +."""
    if isinstance(value, list | tuple):
        return "+".join(map(value_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    try:
        return f"{float(value):g}"  # 1e-3 in YAML and 0.001 on the command line are one value
    except (TypeError, ValueError):
        return str(value)


def read_grid(path: Path) -> Grid:
    """Read a grid from YAML: `settings` as in a recipe, `axes`, `variants` and `seeds`.

    Raises:
        InputError: no such file, not YAML, or unknown settings.
    """
    if not path.is_file():
        raise InputError(path, "a sweep (YAML)", "no such file", "look in recipes/")
    try:
        values = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise InputError(path, "YAML", error, "mend the file") from error
    parts = ("settings", "axes", "variants", "seeds")
    if not isinstance(values, dict) or not set(values) <= set(parts):
        got = ", ".join(map(str, values)) if isinstance(values, dict) else values
        raise InputError(path, f"some of {', '.join(parts)}", got, "rename or remove the others")
    axes = _mapping(values.get("axes"), f"{path}: axes")
    for name, axis in axes.items():
        if not isinstance(axis, list):
            raise InputError(f"{path}: axes: {name}", "a list of values", axis, "write [a, b]")
    variants = _mapping(values.get("variants"), f"{path}: variants")
    seeds = values.get("seeds", [1])
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise InputError(f"{path}: seeds", "a list of whole numbers", seeds, "write [1, 2, 3]")
    return Grid(
        _named(values.get("settings"), f"{path}: settings"),
        {full_name(n, f"{path}: axes"): tuple(axis) for n, axis in axes.items()},
        {str(n): _named(v, f"{path}: variants: {n}") for n, v in variants.items()},
        tuple(seeds),
    )


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(where, "settings as `name: value` lines", values, "mend the file")
    return values


def _named(values: Any, where: str) -> dict[str, Any]:
    """Settings by dotted name, from a mapping with sections or with dotted or short names."""
    sections = {name.partition(".")[0] for name in LEAVES if "." in name}
    named: dict[str, Any] = {}
    for name, value in _mapping(values, where).items():
        if name in sections and isinstance(value, dict):
            named |= {full_name(f"{name}.{k}", f"{where}: {name}"): v for k, v in value.items()}
        else:
            named[full_name(str(name), where)] = value
    return named


def parse_values(words: Iterable[str], flag: str) -> dict[str, tuple[Any, ...]]:
    """Read words such as `lr=1e-3,1e-2` or `loss=mse+count,l1`: dotted name → values.

    Raises:
        InputError: a word without `=`, an unknown setting, or one that is named twice.
    """
    found: dict[str, tuple[Any, ...]] = {}
    for word in words:
        name, equals, texts = word.partition("=")
        if not equals or not texts:
            raise InputError(flag, "NAME=VALUE or NAME=VALUE,VALUE", word, "write it so")
        full = full_name(name, flag)
        if full in found:
            raise InputError(flag, "each setting once", name, "name it once")
        found[full] = tuple(map(_parsed, texts.split(",")))
    return found


def _parsed(text: str) -> Any:
    """A word as YAML reads it; parts joined by + are a list, unless it is a number (1e+3)."""
    try:
        float(text)
    except ValueError:
        if "+" in text:
            return [_parsed(part) for part in text.split("+")]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
