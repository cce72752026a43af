"""Does an exported net say what torch says? Its maps cell by cell, and the people it finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from mot.annotations import considered
from mot.errors import InputError
from mot.images import resize
from nets.calibrate import judge
from nets.notes import SIZE_GRID, NetNotes
from nets.predict import Predictor
from nets.runner import Batch, Maps
from nets.samples import Sample

# |Δ| / (1 + |torch|) that no cell may exceed. What is stored in fewer bits says something a little
# else; whether that matters, the people that are found tell.
LIMITS = {"fp32": 1e-3, "fp16": 0.02, "bf16": 0.5, "int8": 2.0}
EXACT = ("fp32", "fp16")
SURE = 0.5  # share from which on a detection counts as found
PERSON = 0.1  # probability of a centre from which on the box of a cell matters


@dataclass(frozen=True)
class Difference:
    """How far one map is from torch's.

    Attributes:
        name: of the map.
        worst, mean: |Δ| in the map's unit.
        relative: the worst |Δ| / (1 + |torch|).
    """

    name: str
    worst: float
    mean: float
    relative: float


@dataclass(frozen=True)
class Found:
    """What a net makes of the samples.

    Attributes:
        people: rows of truth that count, None without a truth.
        right, wrong: detections of a share of 0.5 and more that are people, and that are not;
            without a truth, `right` are all.
        count: people by density, the mean over frames; None without that head.
    """

    people: int | None
    right: int
    wrong: int
    count: float | None


def clips_of(predictor: Predictor, samples: list[Sample]) -> list[Batch]:
    """The samples as the net takes them, (1, T, 3, H, W) uint8 each."""
    return [predictor.batch(sample.frames) for sample in samples]


def differences(
    torch: Predictor, exported: Predictor, samples: list[Sample], notes: NetNotes
) -> list[Difference]:
    """Compare the maps of all samples, and of the first one at another size."""
    exact = notes.precision in EXACT
    found: dict[str, list[tuple[float, float, float]]] = {}
    for clip in [*clips_of(torch, samples), _smaller(torch, samples[0])]:
        expected, got = torch.runner(clip), exported.runner(clip)
        cells = None if exact else _person_cells(expected)
        for name, values in expected.items():
            delta = np.abs(got[name] - values)
            relative = delta / (1 + np.abs(values))
            if name == "box" and cells is not None and cells.any():
                where = np.broadcast_to(cells, delta.shape)
                delta, relative = delta[where], relative[where]
            row = (float(delta.max()), float(delta.mean()), float(relative.max()))
            found.setdefault(name, []).append(row)
    return [
        Difference(
            name, max(r[0] for r in rows), float(np.mean([r[1] for r in rows])),
            max(r[2] for r in rows),
        )
        for name, rows in found.items()
    ]  # fmt: skip


def _smaller(predictor: Predictor, sample: Sample) -> Batch:
    """The sample at half its size: the graph's height and width are open."""
    height, width = sample.frames[0][1].shape[:2]
    grid = 2 * SIZE_GRID
    half = max(height // grid, 1) * SIZE_GRID, max(width // grid, 1) * SIZE_GRID
    return predictor.batch([(number, resize(image, half)) for number, image in sample.frames])


def _person_cells(maps: Maps) -> npt.NDArray[np.bool_] | None:
    """Cells (1, T, 1, h, w) that say a person; elsewhere a box has no meaning."""
    return expit(maps["centre"]) >= PERSON if "centre" in maps else None


def require_near(found: list[Difference], limit: float, where: object) -> None:
    """Raise an InputError that names the first map that is further from torch's than it may be."""
    for map_ in found:
        # Comparisons with NaN are false, so this catches it too.
        if not map_.relative <= limit:
            got = f"{map_.relative:.3g} in {map_.name}"
            remedy = "use another --precision, other --calibrate frames, or raise --tolerance"
            raise InputError(where, f"|Δ| / (1 + |torch|) up to {limit:g}", got, remedy)


def people_found(predictor: Predictor, samples: list[Sample]) -> Found:
    """Count who is found in the samples."""
    right = wrong = people = 0
    counts: list[float] = []
    known = all(sample.truth is not None for sample in samples)
    for sample in samples:
        for prediction in predictor.predict(iter(sample.frames), sample.size_hw):
            counts.append(prediction.count)
            sure = prediction.detections[prediction.detections.score >= SURE]
            if not known or sample.truth is None:
                right += len(sure)
                continue
            truth = sample.truth.at(prediction.frame)
            _, hit = judge(sure, truth)
            right, wrong = right + int(hit.sum()), wrong + int((~hit).sum())
            people += int(considered(truth).sum())
    mean = float(np.mean(counts)) if predictor.has_density else None
    return Found(people if known else None, right, wrong, mean)
