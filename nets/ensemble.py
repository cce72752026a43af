"""Which nets err together, and which of them are worth averaging: `python -m nets.ensemble`.

    python -m nets.ensemble a.safetensors b.safetensors --seqs S … --test-seqs S … --out RUN

All nets map the same frames. An average errs by wᵀ G w, where w are its weights and G the products
of the nets' errors; so one pass over the frames is enough to compare any of them:

- greedy selection (R. Caruana et al., ICML 2004) adds, again and again, the net that helps most,
  and may add one twice; it is what `--beside` then averages;
- stacking (D. Wolpert, 1992) takes the best weights of 0 or more, which need not sum to 1.

Both choose on `--seqs`; `--test-seqs` say what it was worth. The truth is the density as `--label
gaussian` has it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tyro
from matplotlib.figure import Figure
from rich import box
from rich.table import Table
from scipy.optimize import nnls

from mot.atomic import atomic_path, write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.frames import window_streams
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence
from mot.terminal import terminal
from nets.clips import density_target
from nets.people import people_of
from nets.predict import Predictor, PredictSettings, load_net, require_same_maps
from nets.sources import known_to_both

Array = npt.NDArray[np.float64]
CELL_INCHES = 0.55  # of the picture, per net
TINY = 1e-9  # of the products' scale, so that two nets that are one can be solved for


@dataclass(frozen=True, kw_only=True)
class EnsembleFlags:
    """Say which nets err together, and choose those to average."""

    weights: tyro.conf.Positional[tuple[str, ...]]
    """Weights of two nets or more, all of one shape."""
    seqs: tuple[str, ...]
    """Sequences to choose on: none that a net was trained on."""
    test_seqs: tuple[str, ...]
    """Other sequences, to tell what the choice is worth."""
    out: Path
    """Folder for ensemble.json and correlation.png."""
    data: str | None = None
    """Folder that holds sequence folders at some depth; none = $FOOTFALL_DATA, else data/."""
    windows: int = 40
    """Windows of T frames per sequence, evenly spread over it."""
    most: int = 8
    """Nets in the greedy choice at most, counted as often as they are taken."""
    predict: PredictSettings = field(default_factory=PredictSettings)

    def __post_init__(self) -> None:
        if len(self.weights) < 2:
            got = f"{len(self.weights)}"
            raise InputError("command line", "weights of two nets or more", got, "name more")
        for name in ("seqs", "test_seqs"):
            require_setting(self, name, bool(getattr(self, name)), "a sequence or more")
        if self.predict.beside:
            got = " ".join(self.predict.beside)
            raise InputError("--beside", "nothing", got, "name these nets among the others")
        require_setting(self, "windows", self.windows >= 1, "1 or more")
        require_setting(self, "most", self.most >= 1, "1 or more")


@dataclass(frozen=True)
class Products:
    """Products of K density maps and their truth, summed over cells and frames.

    Each sequence is divided by the spread of its truth, Σ (mean − true)² with the mean of each
    frame, so that sequences weigh alike; means over sequences.

    Attributes:
        maps: Σ map_i map_j (K, K).
        truth: Σ map_i true (K,).
        own: Σ true².
    """

    maps: Array
    truth: Array
    own: float

    @property
    def errors(self) -> Array:
        """Σ (map_i − true) (map_j − true), (K, K)."""
        return self.maps - self.truth[:, None] - self.truth[None] + self.own

    def skill(self, weights: Array) -> float:
        """1 − squared error over spread of the maps' weighted sum, weights (K,).

        0 is worth as much as the best constant of each frame, 1 is without error.
        """
        error = weights @ self.maps @ weights - 2 * weights @ self.truth + self.own
        return float(1 - error)

    @property
    def correlation(self) -> Array:
        """Of the nets' errors, (K, K): cosines; a net without error correlates with none."""
        squares = np.diag(self.errors)
        size = np.sqrt(np.where(squares > TINY * self.own, squares, 0))
        both = np.outer(size, size)
        cosines = np.divide(self.errors, both, out=np.eye(len(size)), where=both > 0)
        return np.asarray(cosines)


def greedy(products: Products, most: int) -> list[int]:
    """Indices of the nets to average, in the order in which they were taken.

    Begins with the best, and ends before the first that would not help.
    """
    errors = products.errors
    chosen: list[int] = []
    best = np.inf
    while len(chosen) < most:
        counts = np.bincount(chosen, minlength=len(errors)).astype(float)
        trials = (counts[None] + np.eye(len(errors))) / (len(chosen) + 1)
        error = np.einsum("ni,ij,nj->n", trials, errors, trials)
        if error.min() >= best:
            break
        best = float(error.min())
        chosen.append(int(error.argmin()))
    return chosen


def stacked(products: Products) -> Array:
    """Weights of 0 or more, (K,), whose sum of maps errs least."""
    scale = np.trace(products.maps)
    if scale == 0:
        return np.zeros(len(products.maps))  # all black: no weights say anything
    ridge = TINY * scale * np.eye(len(products.maps))
    root = np.linalg.cholesky(products.maps + ridge)
    weights, _ = nnls(root.T, np.linalg.solve(root, products.truth))
    return np.asarray(weights)


def products_of(sequences: list[Sequence], nets: list[Predictor], windows: int) -> Products:
    """Run all nets over windows of the sequences."""
    parts = [_of_sequence(sequence, nets, windows) for sequence in sequences]
    size = len(nets)
    mean = np.mean(parts, axis=0)
    return Products(mean[:size, :size], mean[:size, size], float(mean[size, size]))


def _of_sequence(sequence: Sequence, nets: list[Predictor], windows: int) -> Array:
    """Products of the maps and, last, the truth (K + 1, K + 1), over the spread of the truth."""
    truth, size_hw = sequence.truth(), (sequence.height, sequence.width)
    first = nets[0]
    seen_hw = first.input_size(size_hw)
    rows = truth.scaled(seen_hw[1] / size_hw[1], seen_hw[0] / size_hw[0])
    total, spread = np.zeros((len(nets) + 1,) * 2), 0.0
    streams = window_streams(sequence, first.frames, windows, seen_hw)
    with progress_bar(len(streams), unit="window", title=sequence.name) as bar:
        for stream in streams:
            frames = list(stream())
            for found in zip(*(net.predict(frames, size_hw) for net in nets), strict=True):
                people = people_of(rows.at(found[0].frame))
                target, valid = density_target(people, seen_hw, first.stride)
                maps = [one.density for one in found]
                for number, each in enumerate(maps):
                    if not np.isfinite(each).all():
                        where = f"density of net {number + 1} on {sequence.name}"
                        raise InputError(where, "finite numbers", "NaN", "leave that net out")
                cells = np.stack([*maps, target])[:, valid > 0].astype(np.float64)
                total += cells @ cells.T
                spread += float(np.square(cells[-1] - cells[-1].mean()).sum())
            bar.update()
    if spread == 0:
        raise InputError(f"sequence {sequence.name}", "people", "none", "leave it out")
    return np.asarray(total / spread)


def open_nets(weights: tuple[str, ...], settings: PredictSettings) -> list[Predictor]:
    """The nets, all of one shape and seeing frames at the first one's size.

    Raises:
        InputError: weights that cannot be used, or of another shape, or without a density.
    """
    trained = [load_net(path) for path in weights]
    for path, net in zip(weights, trained, strict=True):
        if "density" not in net.notes.settings.heads:
            got = " ".join(net.notes.settings.heads)
            raise InputError(path, "a net with a density head", got, "leave it out")
        require_same_maps(path, trained[0], net)
    return [Predictor(net, settings) for net in trained]


def run_ensemble(flags: EnsembleFlags) -> dict[str, Any]:
    """Compare, choose, write ensemble.json and correlation.png; returns what the first holds.

    Raises:
        InputError: weights or sequences that cannot be used.
    """
    nets = open_nets(flags.weights, flags.predict)
    root = Path(flags.data) if flags.data else data_root()
    chosen_on, tested_on = (
        [find_sequence(name, root) for name in names] for names in (flags.seqs, flags.test_seqs)
    )
    leak = next(iter(known_to_both(chosen_on, tested_on)), None)
    if leak:
        expected = f"recordings that are not in --seqs ({leak[0]})"
        raise InputError("--test-seqs", expected, leak[1], "name each recording once")
    flags.out.mkdir(parents=True, exist_ok=True)
    known, test = (products_of(seqs, nets, flags.windows) for seqs in (chosen_on, tested_on))
    taken = greedy(known, flags.most)
    size = len(nets)
    best = int(np.argmin(np.diag(known.errors)))
    ways = {
        "best alone": np.eye(size)[best],
        "mean of all": np.full(size, 1 / size),
        "greedy": np.bincount(taken, minlength=size) / len(taken),
        "stacked": stacked(known),
    }
    report: dict[str, Any] = {
        "weights": list(flags.weights),
        "skill": [[known.skill(w), test.skill(w)] for w in np.eye(size)],
        "greedy": [flags.weights[k] for k in taken],
        "test_px": nets[0].test_px,
        "ways": {
            name: {"weights": w.tolist(), "skill": [known.skill(w), test.skill(w)]}
            for name, w in ways.items()
        },
        "correlation": test.correlation.tolist(),
    }
    write_text(flags.out / "ensemble.json", json.dumps(report, indent=1))
    draw_correlation(flags.out / "correlation.png", test.correlation, short_names(flags.weights))
    print_report(known, test, ways, short_names(flags.weights))
    return report


def short_names(weights: tuple[str, ...]) -> list[str]:
    """Names of the nets: of their files, or of so many folders above as tell them apart."""
    paths = [Path(name).resolve().with_suffix("") for name in weights]
    most = max(len(path.parts) for path in paths)
    for depth in range(1, most):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return [name.removesuffix("/weights") for name in names]


def print_report(known: Products, test: Products, ways: dict[str, Array], names: list[str]) -> None:
    """Skill of each net and of the ways to join them, where they were chosen and elsewhere."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("net", "skill, chosen on", "skill, test"):
        table.add_column(heading, justify="left" if heading == "net" else "right")
    for name, weights in zip(names, np.eye(len(names)), strict=True):
        table.add_row(name, f"{known.skill(weights):.3f}", f"{test.skill(weights):.3f}")
    table.add_section()
    for way, weights in ways.items():
        parts = ", ".join(
            f"{weight:.2f} {name}" for name, weight in zip(names, weights, strict=True) if weight
        )
        label = way if way == "mean of all" else f"{way}: {parts}"
        table.add_row(label, f"{known.skill(weights):.3f}", f"{test.skill(weights):.3f}")
    terminal().print(table)


def draw_correlation(path: Path, correlation: Array, names: list[str]) -> None:
    """Write the picture of which nets err together; it appears whole or not at all."""
    side = 2.6 + CELL_INCHES * len(names)
    figure = Figure((side, side), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.imshow(correlation, vmin=0, vmax=1, cmap="viridis")
    places = range(len(names))
    axes.set_xticks(places, names, rotation=90, fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    for row in places:
        for column in places:
            value = correlation[row, column]
            colour = "black" if value > 0.6 else "white"
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8
            )
    axes.set_title("correlation of the errors of density maps", fontsize=9, loc="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


@one_line_errors
def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    flags = parse_flags(EnsembleFlags, arguments)
    report = run_ensemble(flags)
    first, *others = report["greedy"]
    beside = f" --beside {' '.join(others)}" if others else ""
    size = f" --test-px {report['test_px']}"
    print(f"To average as chosen: --weights {first}{beside}{size}", file=sys.stdout)


if __name__ == "__main__":
    main()
