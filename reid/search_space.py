"""Which settings of a linker can be searched, and between which bounds: one dial per setting.

The dials follow from the fields of `LinkerSettings` and what these accept, so that a new setting
is searched without a line here. `reid.tune` turns them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from mot.errors import InputError
from reid.assign import SOLVERS
from reid.settings import MOTIONS, OUTPUTS, LinkerSettings

LOW, HIGH, BIRTH = "low_score", "high_score", "birth_score"  # low ≤ high ≤ birth
CHOICES: dict[str, tuple[str, ...]] = {
    "motion": tuple(MOTIONS),
    "solver": tuple(SOLVERS),
    "output": OUTPUTS,
}
AHEAD = ("backfill", "fill_gap_s", "smooth_s")  # settings that look at later frames
# Settings that only matter where frames are seen: a search links boxes alone.
SIGHTED = ("camera", "count_slack", "reid_gap_s", "reid_cosine", "reid_reach", "look_every_s")
# How far around the start it is searched. Thirty trials over a factor of 10 and all overlaps came
# near a start that had been chosen well, but never to it.
FACTOR = 4.0  # seconds and noises, either way
FROM_ZERO = (0.01, 1.0)  # seconds and noises that start from 0
REACH = 0.3  # overlaps and other shares, either way; scores are a matter of the detector: all
DECIMALS = 4  # of scores and shares
DIGITS = 4  # that count, of seconds and noises


@dataclass(frozen=True)
class Dial:
    """One dimension of a search.

    Attributes:
        name: the setting's; with `_share`, where it is searched as a share of the room that the
            high score leaves it.
        setting: field of `LinkerSettings`.
        low, high: bounds; unused for a choice.
        log: whether steps are factors.
        choices: what a choice is between; empty for a number.
    """

    name: str
    setting: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[Any, ...] = ()


class SearchSpace:
    """The dials of some settings around a linker to start from; all others stay as they are.

    Scores are in order by construction: the low score is searched as a share of the high one, the
    birth score as a share of what lies above it.

    Args:
        start: the linker to start from.
        names: settings to search; none = all numbers.
        online: whether settings that look at later frames are out of bounds.

    Raises:
        InputError: a name that is unknown, given twice or cannot be searched.
    """

    def __init__(
        self, start: LinkerSettings, names: Sequence[str] = (), *, online: bool = False
    ) -> None:
        kinds: dict[str, Any] = get_type_hints(LinkerSettings)
        barred = SIGHTED + (AHEAD if online else ())
        numbers = [n for n, kind in kinds.items() if kind is float and n not in barred]
        searchable = [n for n, k in kinds.items() if k in (float, bool) or n in CHOICES]
        known = [n for n in searchable if n not in barred]
        for name in names:
            if name not in known:
                raise InputError(
                    "--parameters", f"some of {', '.join(known)}", name, "correct the name"
                )
            if list(names).count(name) > 1:
                raise InputError("--parameters", "each name once", name, "name it once")
        self.start = start
        self.searched = tuple(n for n in known if n in (names or numbers))
        self.dials = tuple(self._dial(name, kinds[name]) for name in self.searched)

    def start_values(self) -> dict[str, Any]:
        """What the dials show for the linker to start from, as far as they reach."""
        values = {dial.name: self._share_of(dial.setting) for dial in self.dials}
        return {
            dial.name: values[dial.name]
            if dial.choices
            else min(max(values[dial.name], dial.low), dial.high)
            for dial in self.dials
        }

    def settings(self, values: Mapping[str, Any]) -> LinkerSettings:
        """The linker that the dials' values stand for; numbers are rounded to what a file shows.

        Args:
            values: by the dials' names.
        """
        changes = {dial.setting: _rounded(dial, values[dial.name]) for dial in self.dials}
        high = changes.get(HIGH, self.start.high_score)
        if LOW in changes:
            changes[LOW] = min(round(high * values[f"{LOW}_share"], DECIMALS), high)
        if BIRTH in changes:
            birth = high + (1 - high) * values[f"{BIRTH}_share"]
            changes[BIRTH] = min(max(round(birth, DECIMALS), high), 1.0)
        return replace(self.start, **changes)

    def _dial(self, name: str, kind: Any) -> Dial:
        if kind is bool:
            return Dial(name, name, choices=(False, True))
        if name in CHOICES:
            return Dial(name, name, choices=CHOICES[name])
        if name in (LOW, BIRTH):
            return Dial(f"{name}_share", name)
        if name == HIGH:
            low = 0.0 if LOW in self.searched else self.start.low_score
            return Dial(name, name, low, 1.0 if BIRTH in self.searched else self.start.birth_score)
        value = getattr(self.start, name)
        if self._is_share(name):
            low, high = max(value - REACH, 0.0), min(value + REACH, 1.0)
            return Dial(name, name, round(low, DECIMALS), round(high, DECIMALS))
        low, high = (value / FACTOR, value * FACTOR) if value else FROM_ZERO
        return Dial(name, name, low, high, log=True)

    def _is_share(self, name: str) -> bool:
        """Whether the settings refuse this one beyond 1."""
        if name.endswith("_s"):
            return False
        beyond: dict[str, Any] = {name: 1.5}
        try:
            replace(self.start, **beyond)
        except InputError:
            return True
        return False

    def _share_of(self, name: str) -> Any:
        """The start's value as its dial shows it."""
        value, high = getattr(self.start, name), self.start.high_score
        if name == LOW:
            return value / high if high else 0.0
        if name == BIRTH:
            return (value - high) / (1 - high) if high < 1 else 0.0
        return value


def _rounded(dial: Dial, value: Any) -> Any:
    if dial.choices:
        return value
    shown = float(f"{value:.{DIGITS}g}") if dial.log else round(value, DECIMALS)
    return min(max(shown, dial.low), dial.high)
