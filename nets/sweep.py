"""Many short trainings over a grid of settings, one CSV row each: `python -m nets.sweep`.

    python -m nets.sweep --axes lr=3e-4,3e-3 loss=mse,l1 --seeds 1 2 3 --out runs/sweep
    python -m nets.sweep --config recipes/sweep-2019.yaml --workers 2 --out runs/sweep-2019

Without other settings each training is the five-frame net of 2019 at a quarter of its width on
rendered scenes, half a minute of one core. A sweep that was stopped goes on with what is left when
it is started again; `python -m nets.sweep_table CSV` makes a table and pictures of it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import yaml

from mot.atomic import write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.parallel import ParallelSettings, run_all
from mot.progress import progress_bar
from nets.grid import OF_2019, Cell, Grid, parse_values, read_grid, value_text
from nets.held_out import held_out_clips
from nets.menu import build_net
from nets.sources import training_sources
from nets.trial import Finding, Trial, run_trial

try:
    import fcntl
except ImportError:  # Windows has none: there nobody watches
    fcntl = None  # type: ignore[assignment]

TABLE, PLAN, RUNS, LOCK = "sweep.csv", "sweep.yaml", "runs", ".lock"
KEY = "run"  # column with the name of the run's folder
DIGITS = 4
CACHE = "data.cache"  # where frames are kept decides nothing


@dataclass(frozen=True)
class SweepFlags:
    """Train over a grid of settings, one CSV row per training."""

    config: str | None = None
    """Sweep (YAML): settings, axes, variants, seeds; flags beside it win, but for
    what a variant names."""
    axes: tuple[str, ...] = ()
    """Settings of train.py and their values: lr=1e-3,1e-2 loss=mse,l1+count backbone=vgg16."""
    set: tuple[str, ...] = ()
    """Settings that all trainings share: max_steps=1000 crop=192+320."""
    seeds: tuple[int, ...] = ()
    """Seeds of each combination; none named = those of the sweep, or 1."""
    raw_loss: bool = False
    """The training of 2019: sums in label units behind a ReLU, no normalisation in the net, Adam
    without warm-up, clipping or running mean; --axes and --set win, axes of --config do not."""
    at_most: int = 0
    """Start no more than so many trainings; 0 = all that are left."""
    keep_weights: bool = False
    """Keep the weights of every training in its folder."""
    parallel: ParallelSettings = field(default_factory=ParallelSettings)
    out: Path = Path("runs/sweep")
    """Folder of the sweep: sweep.csv, sweep.yaml, and a folder per training in runs/."""

    def __post_init__(self) -> None:
        require_setting(self, "at_most", self.at_most >= 0, "0 or more trainings")
        require_setting(self, "seeds", min(self.seeds, default=0) >= 0, "numbers of 0 or more")


def grid_of(flags: SweepFlags) -> Grid:
    """The grid that the flags describe.

    Raises:
        InputError: a sweep file or flags that cannot be used.
    """
    grid = read_grid(Path(flags.config)) if flags.config else Grid()
    shared = dict(OF_2019) if flags.raw_loss else {}
    shared |= {name: values[0] for name, values in _single(flags.set).items()}
    axes = {n: v for n, v in grid.axes.items() if n not in shared}
    return Grid(
        grid.shared | shared,
        axes | parse_values(flags.axes, "--axes"),
        grid.variants,
        flags.seeds or grid.seeds,
    )


def _single(words: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    parsed = parse_values(words, "--set")
    for name, values in parsed.items():
        if len(values) > 1:
            raise InputError("--set", "one value", f"{name}={values}", "use --axes, or a+b")
    return parsed


def check_cells(cells: Iterable[Cell]) -> None:
    """Refuse what cannot be trained before anything is; make scenes and caches once."""
    seen: list[object] = []
    for settings in (cell.settings for cell in cells):
        if settings.net not in seen:
            seen.append(settings.net)
            with torch.device("meta"):  # shapes only
                build_net(settings.net)
        if settings.data not in seen:
            seen.append(settings.data)
            training_sources(settings.data)


class Sweep:
    """A folder of trainings and the table of what they came to.

    Args:
        out: the folder.
        grid: what to train.

    Raises:
        InputError: the folder holds a sweep over other settings.
    """

    def __init__(self, out: Path, grid: Grid) -> None:
        self.out, self.grid = out, grid
        self.cells = {cell.key: cell for cell in grid.cells()}
        first = next(iter(self.cells.values()))
        self.columns = [KEY, *first.names, *(f.name for f in fields(Finding))]
        self.rows = self._rows_there()
        self._require_same_plan()

    @property
    def left(self) -> dict[str, Cell]:
        """Cells without a row, by key."""
        done = {row[KEY] for row in self.rows}
        return {key: cell for key, cell in self.cells.items() if key not in done}

    def run(self, parallel: ParallelSettings, *, at_most: int = 0, keep: bool = False) -> None:
        """Train what is left and write each row as soon as it is known.

        Raises:
            InputError: names what could not be trained, when everything else is done.
        """
        left = dict(list(self.left.items())[: at_most or None])
        write_text(self.out / PLAN, yaml.safe_dump(self._plan(), sort_keys=False))
        tasks = {
            key: Trial(cell.settings, (self.out / RUNS / key).resolve(), keep)
            for key, cell in left.items()
        }
        failed: dict[str, str] = {}
        done = len(self.cells) - len(self.left)
        with progress_bar(done + len(left), unit="run", title="sweep", start=done) as bar:
            for outcome in run_all(run_trial, tasks, parallel) if tasks else ():
                if outcome.answer is None:
                    failed[outcome.name] = str(outcome.error)
                else:
                    self._add(left[outcome.name], outcome.answer)
                bar.update()
        if failed:
            name, reason = next(iter(failed.items()))
            got = f"{len(failed)} of {len(left)} failed: {left[name].names} ({reason})"
            remedy = "mend the cause and start the sweep again"
            raise InputError(self.out / TABLE, "all trainings done", got, remedy)

    def _add(self, cell: Cell, finding: Finding) -> None:
        found = {name: _cell_text(value) for name, value in asdict(finding).items()}
        self.rows.append({KEY: cell.key} | cell.names | found)
        table = io.StringIO()
        writer = csv.DictWriter(table, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.out / TABLE, table.getvalue())

    def _rows_there(self) -> list[dict[str, str]]:
        path = self.out / TABLE
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
        if columns != self.columns:
            self._refuse(path, f"columns {', '.join(self.columns)}", ", ".join(columns))
        return rows

    def _plan(self) -> dict[str, Any]:
        """What must not change in a folder, as plain values."""
        shared = {name: v for name, v in self.grid.shared.items() if name != CACHE}
        plain = {name: value_text(value) for name, value in shared.items()}
        variants = {
            name: {key: value_text(value) for key, value in settings.items()}
            for name, settings in self.grid.variants.items()
        }
        return {"settings": plain, "axes": list(self.grid.axes), "variants": variants}

    def _require_same_plan(self) -> None:
        path = self.out / PLAN
        if not path.is_file():
            return
        try:
            before = yaml.safe_load(path.read_text("utf-8"))
            variants, now = before["variants"], self._plan()
            same = all(before[name] == now[name] for name in ("settings", "axes"))
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise InputError(path, "the plan of a sweep", error, "use another --out") from error
        if not same:
            self._refuse(path, str(now), str(before))
        for name, settings in now["variants"].items():
            if variants.get(name, settings) != settings:
                self._refuse(path, f"{name}: {settings}", str(variants[name]))

    def _refuse(self, path: Path, expected: str, got: str) -> None:
        raise InputError(path, expected, got, "other settings are another sweep: use another --out")


def _cell_text(value: object) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)


def run_sweep(flags: SweepFlags) -> Path:
    """Run the sweep that the flags describe, or what is left of it; returns its table.

    Raises:
        InputError: settings that cannot be used, another sweep in the folder, or failed trainings.
    """
    grid = grid_of(flags)
    new = Sweep(flags.out, grid)  # refuses what it can before the folder is there
    check_cells(new.left.values())
    for settings in {c.settings.data: c.settings for c in new.left.values()}.values():
        held_out_clips(settings)
    with _alone_in(flags.out):
        sweep = Sweep(flags.out, grid)
        sweep.run(flags.parallel, at_most=flags.at_most, keep=flags.keep_weights)
    return flags.out / TABLE


@contextlib.contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Keep a second sweep out of a folder, whose rows it would overwrite; a killed one keeps none.

    Raises:
        InputError: another sweep is at work there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                got, remedy = "another sweep at work", "wait for it, or use another --out"
                raise InputError(out, "a folder of its own", got, remedy) from error
        yield


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    given = sys.argv[1:] if arguments is None else arguments
    print(run_sweep(parse_flags(SweepFlags, given, description=__doc__)))


if __name__ == "__main__":
    one_line_errors(main)()
