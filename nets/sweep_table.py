"""The table of a sweep, in Markdown and as pictures.

    python -m nets.sweep_table runs/sweep-2019/sweep.csv
    python -m nets.sweep_table runs/sweep-2019/sweep.csv --pictures runs/sweep-2019/pictures

`table.png` is the table with a stripe a seed, coloured by verdict; `in-time.png` shows how the mass
ratio of each frame of the clip went over the steps, and `density.png` a held-out frame, its density
and the net's, both for one training of each verdict. `by-frame.png`, of sweeps of few
combinations, is the mass ratio along the clip at the end.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro

from mot.atomic import atomic_path
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from nets.curves import RATIO, read_log
from nets.grid import SEED, VARIANT
from nets.run_log import LOG
from nets.sweep import KEY, RUNS
from nets.trial import SAMPLE, Finding
from nets.verdict import BAND, VERDICTS

MEASURES = tuple(f.name for f in fields(Finding))
# After M. Okabe and K. Ito, "Color universal design", 2008: the colour-blind tell them apart.
COLOURS = dict(zip(VERDICTS, ("#009e73", "#56b4e9", "#e69f00", "#000000", "#d55e00"), strict=True))
TILE_IN = (1.1, 0.42)  # width and height of a tile
MOST_RATIO = 2.0  # of predicted over true people that is drawn
MOST_LINES = 10  # combinations of settings that one plot can tell apart
GRID_COLUMNS = 6  # a table with more values across than this would not fit a page


@dataclass(frozen=True, kw_only=True)
class TableFlags:
    """Print the table of a sweep and draw it."""

    table: tyro.conf.Positional[Path]
    """sweep.csv of a sweep."""
    across: str | None = None
    """Setting whose values stand side by side; none named = the last one of several, if it has at
    most 6; else each combination has a row."""
    pictures: Path | None = None
    """Folder for table.png, in-time.png, density.png and by-frame.png, drawn anew; none = none."""


def read_sweep(path: Path) -> pd.DataFrame:
    """Rows of a sweep; settings are text, measures numbers.

    Raises:
        InputError: no such file, another table, or one without rows.
    """
    remedy = "name a sweep.csv that nets.sweep wrote"
    if not path.is_file():
        raise InputError(path, "the table of a sweep", "no such file", remedy)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        numbers = {n: pd.to_numeric(table[n]) for n in MEASURES if n != "verdict"}
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, KeyError) as error:
        raise InputError(path, "the table of a sweep", error, remedy) from error
    missing = [name for name in (KEY, SEED, "verdict") if name not in table]
    unknown = set() if missing else set(table["verdict"]) - set(VERDICTS)
    if missing or unknown:
        got = f"no column {', '.join(missing)}" if missing else f"verdicts {sorted(unknown)}"
        raise InputError(path, "the table of a sweep", got, remedy)
    if table.empty:
        raise InputError(path, "rows of trainings", "none yet", "wait for the first")
    return table.assign(**numbers)


def axes_of(table: pd.DataFrame) -> list[str]:
    """Columns that say what was varied, seeds apart."""
    return [name for name in table if name not in (KEY, SEED, *MEASURES)]


def list_table(table: pd.DataFrame) -> str:
    """Markdown with a row per combination: verdicts over its seeds, and means of what was measured.

    F1 has its lowest and highest seed behind it.
    """
    axes = axes_of(table)
    heads = [*axes, "verdict", "mass ratio", "dead frames", "F1", "skill", "s"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for names, rows in _groups(table, axes):
        f1 = rows["f1"]
        spread = f" ({f1.min():.2f} to {f1.max():.2f})" if len(rows) > 1 else ""
        measured = [
            _tally(rows["verdict"]),
            f"{rows['mass_ratio'].mean():.3g}",
            f"{rows['dead'].mean():.2g}",
            f"{f1.mean():.2f}{spread}",
            f"{rows['skill'].mean():.2f}",
            f"{rows['seconds'].mean():.0f}",
        ]
        lines.append(_line([*names, *measured]))
    return "\n".join(lines)


def grid_table(table: pd.DataFrame, across: str) -> str:
    """Markdown with the values of one setting side by side: verdicts and mean F1 in each cell."""
    down = [name for name in axes_of(table) if name != across]
    values = list(dict.fromkeys(table[across]))
    heads = [*down, *(f"{across} {value}" for value in values)]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for names, rows in _groups(table, down):
        cells = [_cell(rows[rows[across] == value]) for value in values]
        lines.append(_line([*names, *cells]))
    return "\n".join(lines)


def _groups(table: pd.DataFrame, by: list[str]) -> list[tuple[list[str], pd.DataFrame]]:
    """Rows by the values of some columns, in the order in which they first appear."""
    if not by:
        return [([], table)]
    found = table.groupby(by, sort=False)
    return [(list(names), rows) for names, rows in found]


def _tally(verdicts: pd.Series[str]) -> str:
    """What the seeds came to, the most frequent first: `converges 2, falls 1`."""
    counts = verdicts.value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _cell(rows: pd.DataFrame) -> str:
    return f"{_tally(rows['verdict'])}, {rows['f1'].mean():.2f}" if len(rows) else "–"


def _line(cells: Many[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def draw_table(table: pd.DataFrame, across: str | None, picture: Path) -> None:
    """Draw the table: a tile per combination, a stripe per seed in the colour of its verdict.

    The number is the mean F1 over the seeds.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    down = [name for name in axes_of(table) if name != across]
    values = list(dict.fromkeys(table[across])) if across else [""]
    groups = _groups(table, down)
    size = TILE_IN[0] * len(values) + 3, TILE_IN[1] * len(groups) + 1.4
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for row, (_, rows) in enumerate(groups):
        for column, value in enumerate(values):
            seeds = rows[rows[across] == value] if across else rows
            for number, verdict in enumerate(seeds["verdict"]):
                left, width = column + number / len(seeds), 1 / len(seeds)
                tile = Rectangle((left, row), width, 1, fc=COLOURS[verdict], ec="w", lw=0.5)
                axes.add_patch(tile)
            if len(seeds):
                words = f"{seeds['f1'].mean():.2f}"
                axes.text(column + 0.5, row + 0.5, words, color="w", ha="center", va="center")
    axes.set(xlim=(0, len(values)), ylim=(len(groups), 0), xlabel=across or "")
    axes.set_xticks(np.arange(len(values)) + 0.5, values)
    labels = [", ".join(f"{k} {v}" if k != VARIANT else v for k, v in zip(down, names, strict=True))
              for names, _ in groups]  # fmt: skip
    axes.set_yticks(np.arange(len(groups)) + 0.5, labels)
    axes.tick_params(length=0)
    handles = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def examples(table: pd.DataFrame, runs: Path) -> list[tuple[str, Path]]:
    """One training of each verdict whose folder is there: (what it is, folder).

    The plainest: of those that converge the one that finds most, of others the one with most dead
    frames.
    """
    chosen: list[tuple[str, Path]] = []
    for verdict in VERDICTS:
        by = "f1" if verdict == VERDICTS[0] else "dead"
        alike = table[table["verdict"] == verdict]
        for _, row in alike.sort_values(by, ascending=False, kind="stable").iterrows():
            folder = runs / row[KEY]
            if (folder / SAMPLE).is_file():
                names = ", ".join(f"{name} {row[name]}" for name in axes_of(table))
                chosen.append((f"{verdict}: {names}".rstrip(": "), folder))
                break
    return chosen


def draw_in_time(chosen: Many[tuple[str, Path]], picture: Path) -> None:
    """Draw the mass ratio of every frame of the clip over the steps, a panel a training.

    Ratios above `MOST_RATIO` lie on the upper edge.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.6 + 1.7 * len(chosen)), layout="constrained")
    panels = figure.subplots(len(chosen), squeeze=False, sharex=True)[:, 0]
    for axes, (title, folder) in zip(panels, chosen, strict=True):
        log = read_log(folder)
        for name in [name for name in log if name.startswith(RATIO)]:
            ratio = log[name].clip(upper=MOST_RATIO)
            axes.plot(log["step"], ratio, label=f"frame {name.removeprefix(RATIO)}", lw=1.2)
        axes.axhspan(*BAND, color="0.9", zorder=0)
        axes.set(ylim=(-0.04, MOST_RATIO + 0.04), ylabel="mass ratio")
        axes.set_title(title, fontsize=9, loc="left")
    panels[0].legend(fontsize="small", ncols=5)
    panels[-1].set_xlabel("step")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_by_frame(table: pd.DataFrame, runs: Path, picture: Path) -> None:
    """Draw the mass ratio at the end over the frames of the clip, a line per combination.

    The line is the mean over the seeds whose logs are there, the band their range. Without any
    there is no picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    for names, rows in _groups(table, axes_of(table)):
        logs = [read_log(runs / key) for key in rows[KEY] if (runs / key / LOG).is_file()]
        ends = [log[[n for n in log if n.startswith(RATIO)]].iloc[-1].to_numpy() for log in logs]
        if ends and len(ends[0]):
            frames, ratios = np.arange(1, len(ends[0]) + 1), np.stack(ends)
            [line] = axes.plot(frames, ratios.mean(axis=0), label=", ".join(names))
            low, high = ratios.min(axis=0), ratios.max(axis=0)
            axes.fill_between(frames, low, high, color=line.get_color(), alpha=0.15, lw=0)
    if not axes.lines:
        return
    axes.axhline(1, color="0.7", lw=0.8, zorder=0)
    axes.set(xlabel="frame of the clip", ylabel="mass ratio at the end")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_densities(chosen: Many[tuple[str, Path]], picture: Path) -> None:
    """Draw a held-out frame, its density and the predicted one, a row a training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.9 * len(chosen)), layout="constrained")
    grid = figure.subplots(len(chosen), 3, squeeze=False)
    for panels, (title, folder) in zip(grid, chosen, strict=True):
        with np.load(folder / SAMPLE) as sample:
            truth, predicted = (sample[n].astype(np.float32) for n in ("truth", "predicted"))
            panels[0].imshow(sample["image"])
        top = max(float(truth.max()), 1e-6)
        for axes, density, name in zip(
            panels[1:], (truth, predicted), ("true", "predicted"), strict=True
        ):
            axes.imshow(density, cmap="magma", vmin=0, vmax=top)
            axes.set_title(f"{name}: {density.sum():.1f} people", fontsize=8)
        panels[0].set_title(title, fontsize=8, loc="left")
        for axes in panels:
            axes.set_axis_off()
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def show(flags: TableFlags) -> str:
    """Draw the pictures that the flags ask for and return the table in Markdown.

    Raises:
        InputError: no sweep, or a setting that it does not vary.
    """
    table = read_sweep(flags.table)
    axes = axes_of(table)
    across = flags.across
    if across is not None and across not in axes:
        raise InputError("--across", f"one of {', '.join(axes)}", across, "choose one of them")
    if across is None and len(axes) > 1 and table[axes[-1]].nunique() <= GRID_COLUMNS:
        across = axes[-1]
    if flags.pictures:
        draw_table(table, across, flags.pictures / "table.png")
        chosen = examples(table, flags.table.parent / RUNS)
        if chosen:
            draw_in_time(chosen, flags.pictures / "in-time.png")
            draw_densities(chosen, flags.pictures / "density.png")
        if len(_groups(table, axes)) <= MOST_LINES:
            draw_by_frame(table, flags.table.parent / RUNS, flags.pictures / "by-frame.png")
    return grid_table(table, across) if across else list_table(table)


def main(arguments: Any = None) -> None:
    """Run the command."""
    print(show(parse_flags(TableFlags, arguments, description=__doc__)))


if __name__ == "__main__":
    one_line_errors(main)()
