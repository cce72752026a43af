"""Errors counted by what they have in common: every table of the analysis as numbers.

Adding a table is one function and one line in `BREAKDOWNS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mot.analysis import false_boxes, misses, switches
from mot.analysis.people import PAIR_IOU, Mask, PeopleFacts, Values, overlapping_pairs
from mot.analysis.scene import Rows, ScoredScene

HEIGHT_PX = (25.0, 50.0, 100.0, 200.0, 400.0)
HEIGHT_PERCENT = (5.0, 10.0, 20.0, 40.0)  # of the frame's height
VISIBILITY = (0.2, 0.4, 0.6, 0.8)
PAIR_VISIBILITY = (0.3, 0.5)
CROWDING = (0.3, 0.5, 0.7)  # IoU
GAP_S = (0.2, 0.5, 1.0, 2.0)
UNKNOWN = "unknown"

Count = tuple[int, int]  # how many, of how many


@dataclass(frozen=True)
class SceneErrors:
    """All errors of a scene, explained.

    Attributes:
        scene: whose.
        people: facts of every person in every frame.
        miss_causes: (FN,), keys of `misses.CAUSES`.
        false_causes: (FP,), keys of `false_boxes.CAUSES`.
        switches: facts of the switches.
        pairs: truth rows of two people who overlap (P, 2).
    """

    scene: ScoredScene
    people: PeopleFacts
    miss_causes: npt.NDArray[np.str_]
    false_causes: npt.NDArray[np.str_]
    switches: switches.SwitchFacts
    pairs: Rows

    @classmethod
    def of(cls, scene: ScoredScene) -> SceneErrors:
        """Explain the errors of a scene."""
        people = PeopleFacts.of(scene)
        return cls(
            scene,
            people,
            misses.miss_causes(scene, people),
            false_boxes.false_causes(scene),
            switches.SwitchFacts.of(scene, people),
            overlapping_pairs(scene),
        )


@dataclass(frozen=True)
class Breakdown:
    """One table.

    Attributes:
        title: what is counted, by what.
        counts: label of a row to how many of how many.
        counted: heading of the first number.
        of: heading of the second; "" = it is the same for all rows, the sum of the first.
        rate: heading of the first over the second, in percent.
        total: whether a row of all belongs below.
        notes: label to what it means.
    """

    title: str
    counts: Mapping[str, Count]
    counted: str
    of: str
    rate: str
    total: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def sum(self) -> Count:
        """How many of how many in all rows together."""
        how_many = sum(count for count, _ in self.counts.values())
        return how_many, sum(of for _, of in self.counts.values()) if self.of else how_many

    def __add__(self, other: Breakdown) -> Breakdown:
        """The same table of both together."""
        counts = dict(self.counts)
        for label, (count, of) in other.counts.items():
            before = counts.get(label, (0, 0))
            counts[label] = before[0] + count, before[1] + of
        return replace(self, counts=counts)


def binned(values: Values, edges: Sequence[float], *, form: str = "{:g}") -> npt.NDArray[np.str_]:
    """The label of each value's bin (N,); a value on an edge belongs to the upper bin."""
    return np.array(bin_labels(edges, form), np.str_)[np.digitize(values, edges)]


def bin_labels(edges: Sequence[float], form: str = "{:g}") -> list[str]:
    """Names of the bins between edges, one more than there are edges."""
    shown = [form.format(edge) for edge in edges]
    inner = [f"{low} to {high}" for low, high in zip(shown, shown[1:], strict=False)]
    return [f"below {shown[0]}", *inner, f"{shown[-1]} and more"]


def misses_by_sequence(errors: SceneErrors) -> Breakdown:
    """Misses in each sequence."""
    scene = errors.scene
    counts = {scene.name: (len(scene.errors.missed), len(scene.truth))}
    return Breakdown("Misses by sequence", counts, "misses", "true boxes", "missed %")


def false_by_sequence(errors: SceneErrors) -> Breakdown:
    """False boxes in each sequence."""
    scene = errors.scene
    counts = {scene.name: (len(scene.errors.false), len(scene.tracks))}
    return Breakdown("False boxes by sequence", counts, "false", "track boxes", "false %")


def switches_by_sequence(errors: SceneErrors) -> Breakdown:
    """Identity switches in each sequence."""
    scene = errors.scene
    counts = {scene.name: (len(scene.errors.switched), len(scene.errors.pairs))}
    title = "Identity switches by sequence"
    return Breakdown(title, counts, "switches", "found boxes", "switched %")


def misses_by_height(errors: SceneErrors) -> Breakdown:
    """Misses by the height of the box in pixels."""
    labels = binned(errors.people.height_px, HEIGHT_PX)
    return _misses("height in pixels", errors, labels, bin_labels(HEIGHT_PX))


def misses_by_share(errors: SceneErrors) -> Breakdown:
    """Misses by the height of the box in percent of the frame's."""
    labels = binned(100 * errors.people.height_share, HEIGHT_PERCENT)
    return _misses("height in percent of the frame's", errors, labels, bin_labels(HEIGHT_PERCENT))


def misses_by_visibility(errors: SceneErrors) -> Breakdown:
    """Misses by the visible share of the person."""
    visibility = errors.people.visibility
    labels = np.where(visibility < 0, UNKNOWN, binned(visibility, VISIBILITY))
    return _misses("visible share", errors, labels, [*bin_labels(VISIBILITY), UNKNOWN])


def misses_by_border(errors: SceneErrors) -> Breakdown:
    """Misses of people whom the frame's edge cuts, and of others."""
    touching, inside = "touches it", "inside"
    labels = np.where(errors.people.border, touching, inside)
    return _misses("the frame's edge", errors, labels, [touching, inside])


def misses_by_crowding(errors: SceneErrors) -> Breakdown:
    """Misses by the largest IoU with another person."""
    labels = binned(errors.people.crowding, CROWDING)
    return _misses("largest IoU with another person", errors, labels, bin_labels(CROWDING))


def overlap_recall(errors: SceneErrors) -> Breakdown:
    """Pairs of people who overlap, of whom both are found, by what shows of the one who is less."""
    people, pairs = errors.people, errors.pairs
    both: Mask = np.all(people.found[pairs], axis=1)
    less = people.visibility[pairs].min(axis=1, initial=1.0)
    labels = np.where(less < 0, UNKNOWN, binned(less, PAIR_VISIBILITY))
    counts = _tally(both, labels, [*bin_labels(PAIR_VISIBILITY), UNKNOWN])
    overlap = f"overlap by IoU {PAIR_IOU[0]} to {PAIR_IOU[1]}"
    title = f"Overlap recall: two people {overlap}, both found, by the less visible share"
    return Breakdown(title, counts, "both found", "pairs", "recall %")


def misses_by_cause(errors: SceneErrors) -> Breakdown:
    """Misses by `misses.CAUSES`."""
    return _by_cause("Misses by cause", errors.miss_causes, misses.CAUSES)


def false_by_cause(errors: SceneErrors) -> Breakdown:
    """False boxes by `false_boxes.CAUSES`."""
    return _by_cause("False boxes by what they are", errors.false_causes, false_boxes.CAUSES)


def switches_by_cause(errors: SceneErrors) -> Breakdown:
    """Identity switches by `switches.CAUSES`."""
    return _by_cause("Identity switches by cause", errors.switches.cause, switches.CAUSES)


def switches_by_gap(errors: SceneErrors) -> Breakdown:
    """Identity switches by the time without a track before."""
    frames, at_once = errors.switches.gap_frames, "none"
    labels = np.where(frames == 0, at_once, binned(frames / errors.scene.fps, GAP_S))
    names = {at_once: "", **dict.fromkeys(bin_labels(GAP_S), "")}
    return _by_cause("Identity switches by seconds without a track before", labels, names)


def _misses(
    by: str, errors: SceneErrors, labels: npt.NDArray[np.str_], order: list[str]
) -> Breakdown:
    """Misses of all people, who are labelled (N,)."""
    counts = _tally(~errors.people.found, labels, order)
    return Breakdown(f"Misses by {by}", counts, "misses", "true boxes", "missed %")


def _tally(marked: Mask, labels: npt.NDArray[np.str_], order: list[str]) -> dict[str, Count]:
    """How many of each label are marked, of how many (N,)."""
    return {
        label: (int((marked & (labels == label)).sum()), int((labels == label).sum()))
        for label in order
    }


def _by_cause(title: str, causes: npt.NDArray[np.str_], notes: Mapping[str, str]) -> Breakdown:
    """Errors of one kind, each of which has a cause."""
    counts = {cause: (int((causes == cause).sum()), len(causes)) for cause in notes}
    told = {cause: note for cause, note in notes.items() if note}
    return Breakdown(title, counts, "errors", "", "share %", notes=told)


BREAKDOWNS: tuple[Callable[[SceneErrors], Breakdown], ...] = (
    misses_by_sequence,
    false_by_sequence,
    switches_by_sequence,
    misses_by_cause,
    misses_by_height,
    misses_by_share,
    misses_by_visibility,
    misses_by_border,
    misses_by_crowding,
    overlap_recall,
    false_by_cause,
    switches_by_cause,
    switches_by_gap,
)


def break_down(scenes: Sequence[SceneErrors]) -> list[Breakdown]:
    """Every table, of all scenes together."""
    tables = []
    for count in BREAKDOWNS:
        first, *rest = (count(errors) for errors in scenes)
        for table in rest:
            first = first + table
        tables.append(first)
    return tables
