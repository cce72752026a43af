"""What counts people best: tracks, density, or both together? `python -m benchmarks.counts RUN`.

Reads a run of eval.py and prints each sequence's mean absolute error and bias, in people a frame,
of the boxes of tracks, of the density's sum, of their mean, and of a sum of both whose two weights
are fitted (least squares, none below 0) on the run's sequences of other places, every sequence
weighing the same: no place has a say in how it is counted itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tyro
from rich.table import Table
from scipy.optimize import nnls

from benchmarks.unseen import PLACES
from mot.analysis.run_folder import load_scene, open_scored, read_scores
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.terminal import terminal
from mot.track_run import TrackedVideo

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CountFlags:
    """Compare ways to count."""

    run: tyro.conf.Positional[Path]
    """Folder of the run (eval.py --out)."""
    data: Path | None = None
    """Folder that holds the sequences at some depth; none = where the run has found them."""
    places: tuple[str, ...] = PLACES
    """Beginnings of sequence names: what begins alike is of one place."""


@dataclass(frozen=True)
class SceneCounts:
    """People in every frame of a sequence.

    Attributes:
        place: what the sequence belongs to.
        truth: (frames,).
        found: (frames, 2) by tracks and by density.
    """

    place: str
    truth: Counts
    found: Counts


def read_counts(flags: CountFlags) -> dict[str, SceneCounts]:
    """Counts of all sequences of a run by name.

    Raises:
        InputError: no scored run, or one without density.
    """
    counts = {}
    for name, scores in read_scores(flags.run).items():
        sequence = open_scored(flags.run, name, flags.data)
        scene = load_scene(flags.run, sequence, scores)
        density = TrackedVideo(name, flags.run, {}).counts()["density"].to_numpy(np.float64)
        if not np.isfinite(density).all():
            raise InputError(
                flags.run / name, "a density count", "none", "score a net that has one"
            )
        tracks = scene.tracks.per_frame(sequence.length)
        place = next((place for place in flags.places if name.startswith(place)), name)
        truth = scene.truth.per_frame(sequence.length).astype(np.float64)
        counts[name] = SceneCounts(place, truth, np.stack([tracks, density], axis=1))
    return counts


def fitted_weights(counts: Mapping[str, SceneCounts], place: str) -> Counts:
    """Weights of tracks and density (2,), from all other places; half each where there is none."""
    others = [scene for scene in counts.values() if scene.place != place]
    if not others:
        return np.array([0.5, 0.5])
    # A row per frame; a long sequence has no more to say than a short one.
    scale = np.concatenate([np.full(len(s.truth), len(s.truth) ** -0.5) for s in others])
    found = np.concatenate([scene.found for scene in others])
    truth = np.concatenate([scene.truth for scene in others])
    weights: Counts = nnls(found * scale[:, None], truth * scale)[0]
    return weights


def errors(counts: Mapping[str, SceneCounts]) -> dict[str, dict[str, Counts]]:
    """Way of counting → sequence → error of every frame, in people."""
    ways: defaultdict[str, dict[str, Counts]] = defaultdict(dict)
    for name, scene in counts.items():
        weights = {
            "tracks": np.array([1.0, 0.0]),
            "density": np.array([0.0, 1.0]),
            "mean": np.array([0.5, 0.5]),
            "fitted": fitted_weights(counts, scene.place),
        }
        for way, weight in weights.items():
            ways[way][name] = scene.found @ weight - scene.truth
    return ways


def print_errors(counts: Mapping[str, SceneCounts]) -> None:
    """Table of MAE and bias per sequence and way, and their means over sequences."""
    found = errors(counts)
    table = Table(title="count: MAE, bias (people a frame)")
    table.add_column("")
    for heading in ("true", *found):
        table.add_column(heading, justify="right")
    for name, scene in counts.items():
        cells = (f"{np.abs(e[name]).mean():.2f} {e[name].mean():+.2f}" for e in found.values())
        table.add_row(name, f"{scene.truth.mean():.1f}", *cells)
    means = (np.mean([np.abs(e).mean() for e in way.values()]) for way in found.values())
    table.add_row("mean MAE", "", *(f"{mean:.2f}" for mean in means), style="bold")
    terminal().print(table)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    print_errors(read_counts(parse_flags(CountFlags, arguments, description=__doc__)))


if __name__ == "__main__":
    main()
