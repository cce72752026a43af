"""A run's log.csv as a picture: losses, what they are to bring about, gradient and rate.

    python -m nets.curves RUN --out curves.png             # as the training itself draws it
    python -m nets.curves RUN RUN [RUN …] --out curves.png # runs in one picture

Training draws with `draw_curves` as it goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tyro

from mot.atomic import atomic_path, require_new
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from nets.run_log import LOG

NEEDED = ("step", "loss", "grad_norm", "lr")  # what every log has
SUFFIXES = (".png", ".jpg", ".pdf", ".svg")
# Colours that the colour-blind tell apart (M. Okabe and K. Ito, "Color universal design", 2008);
# runs beyond their number have other dashes.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000")
DASHES = ("-", "--", ":", "-.")
SMOOTH_SHARE = 0.04  # of a run's rows, whose running median is drawn boldly
RATIO = "mass_ratio_"
TITLES = {
    "loss": "loss, all parts",
    "mass_ratio": "mass ratio, mean over the clip (predicted / true)",
    "accuracy": "share of the batch that the classifier names right",
    "grad_norm": "gradient norm",
    "lr": "learning rate",
}
LINEAR = ("mass_ratio", "accuracy", "lr")  # all others over a logarithmic axis


@dataclass(frozen=True, kw_only=True)
class CurvesFlags:
    """Draw the curves of training runs."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs (with log.csv), or log files."""
    out: Path
    """Picture to write: .png, .jpg, .pdf or .svg."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise InputError("command line", "a run or several", "none", "name their folders")
        if self.out.suffix.lower() not in SUFFIXES:
            expected = f"a file ending in {', '.join(SUFFIXES)}"
            raise InputError("--out", expected, self.out, "rename it")


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the columns of a log.csv over the steps; an empty log draws nothing.

    Args:
        log: the file.
        picture: to write; its suffix decides the format.
    """
    if not log.is_file() or log.stat().st_size == 0:
        return
    table = pd.read_csv(log)
    if table.empty:
        return
    # Imported late: loader processes, which import the training, draw nothing.
    from matplotlib.figure import Figure

    from mot.log_axis import log_axis

    figure = Figure(figsize=(11, 7), layout="constrained")
    loss, quality, gradient, rate = figure.subplots(2, 2).flat
    parts = [c for c in table.columns if c == "loss" or c.endswith("_loss")]
    for name in (c for c in parts if table[c].notna().any()):
        series = table[["step", name]].dropna()
        loss.plot(series["step"], series[name], label=name, linewidth=2 if name == "loss" else 1)
    loss.set(title="losses")
    log_axis(loss, "y")
    loss.legend(fontsize="small")
    _draw_quality(quality, table)
    gradient.plot(table["step"], table["grad_norm"])
    gradient.set(title="gradient norm", xlabel="step")
    log_axis(gradient, "y")
    rate.plot(table["step"], table["lr"])
    rate.set(title="learning rate", xlabel="step")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_quality(axes: Any, table: pd.DataFrame) -> None:
    """A density net's mass ratios, or how often an embedder's classifier is right."""
    ratios = [c for c in table.columns if c.startswith(RATIO)]
    for name in ratios:
        axes.plot(table["step"], table[name], label=name.removeprefix(RATIO), linewidth=1)
    if ratios:
        axes.axhspan(0.9, 1.1, color="tab:green", alpha=0.15)
        axes.set(title="mass ratio per frame of the clip (predicted / true)", ylim=(0, 2))
        axes.legend(fontsize="small", ncols=5)
    elif "accuracy" in table:
        axes.plot(table["step"], table["accuracy"])
        axes.set(title="share of the batch that the classifier names right", ylim=(0, 1))


def read_log(run: Path) -> pd.DataFrame:
    """Rows of a run's log, ascending in `step`; the mean of its mass ratios as `mass_ratio`.

    Args:
        run: folder of the run, or its log file.

    Raises:
        InputError: no log, one without rows, or a file that is none.
    """
    path = run / LOG if run.is_dir() else run
    remedy = "name a folder that train.py or reid.train wrote"
    if not path.is_file():
        raise InputError(path, "the log of a training", "no such file", remedy)
    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(path, "the log of a training", error, remedy) from error
    missing = [name for name in NEEDED if name not in table]
    words = [name for name in NEEDED if name in table and table[name].dtype.kind not in "fi"]
    if missing or (words and len(table)):
        got = f"no {', '.join(missing)}" if missing else f"words as {words[0]}"
        raise InputError(path, f"columns of numbers: {', '.join(NEEDED)}", got, remedy)
    if table.empty:
        raise InputError(path, "rows of steps", "none yet", "wait for --log-every steps")
    ratios = [name for name in table if name.startswith(RATIO)]
    if ratios:
        table["mass_ratio"] = table[ratios].mean(axis=1)
    return table


def draw_runs(logs: Mapping[str, pd.DataFrame], picture: Path) -> None:
    """Draw several runs in one picture: a panel a column, a colour a run.

    Faint is what the log says, bold its running median. A column that a run does not have is left
    out of its panel.

    Args:
        logs: name of the run to its rows, as `read_log` gives them.
        picture: target; its suffix decides the format.
    """
    from matplotlib.figure import Figure

    from mot.log_axis import log_axis

    columns = _shared_columns(logs)
    rows = -(-len(columns) // 2)
    height = 2.3 * rows + 0.5 + 0.2 * -(-len(logs) // 3)
    figure = Figure(figsize=(9, height), layout="constrained")
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True)
    for axes in grid.flat[len(columns) :]:
        axes.set_axis_off()
    for axes, column in zip(grid.flat, columns, strict=False):
        for number, table in enumerate(logs.values()):
            if column in table:
                _draw_run(axes, table, column, number)
        if column == "mass_ratio":
            axes.axhspan(0.9, 1.1, color="0.9", zorder=0)
            axes.set_ylim(0, 2)
        axes.set_title(TITLES.get(column, column.replace("_", " ")), fontsize=9, loc="left")
        if column not in LINEAR:
            log_axis(axes, "y")
        axes.tick_params(labelsize=8, labelbottom=True)
        axes.grid(color="0.92", lw=0.6)
    for axes in grid[-1]:
        axes.set_xlabel("step", fontsize=8)
    handles = [_handle(name, number) for number, name in enumerate(logs)]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8, frameon=False)
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def _shared_columns(logs: Mapping[str, pd.DataFrame]) -> list[str]:
    """What is drawn: columns of any run that hold numbers, the loss first."""
    found: dict[str, None] = {}
    for table in logs.values():
        parts = [c for c in table if c == "loss" or c.endswith("_loss")]
        wanted = ["loss", *parts, "mass_ratio", "accuracy", "grad_norm", "lr"]
        found |= {c: None for c in wanted if c in table and table[c].notna().any()}
    order = list(TITLES)
    inner = [name for name in found if name not in order]
    return ["loss", *inner, *(name for name in order[1:] if name in found)]


def _draw_run(axes: Any, table: pd.DataFrame, column: str, number: int) -> None:
    """One run in one panel."""
    series = table[["step", column]].dropna()
    style = {"color": COLOURS[number % len(COLOURS)]}
    width = max(1, round(SMOOTH_SHARE * len(series)))
    smooth = series[column].rolling(width, center=True, min_periods=1).median()
    if width > 1:
        axes.plot(series["step"], series[column], lw=0.7, alpha=0.3, **style)
    axes.plot(series["step"], smooth, lw=1.5, ls=_dash(number), **style)


def _dash(number: int) -> str:
    return DASHES[number // len(COLOURS) % len(DASHES)]


def _handle(name: str, number: int) -> Any:
    """What the legend shows of a run."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=COLOURS[number % len(COLOURS)], ls=_dash(number), label=name)


def _names(runs: tuple[Path, ...]) -> list[str]:
    """Names of the runs' folders; the whole path where two have the same.

    Raises:
        InputError: a run is named twice.
    """
    folders = [run if run.is_dir() else run.parent for run in map(Path.resolve, runs)]
    for run, folder in zip(runs, folders, strict=True):
        if folders.count(folder) > 1:
            raise InputError("runs", "each of them once", run, "name it once")
    names = [folder.name for folder in folders]
    return [
        str(run) if names.count(name) > 1 else name for run, name in zip(runs, names, strict=True)
    ]


def show(flags: CurvesFlags) -> Path:
    """Make the picture that the flags ask for and return its path.

    Raises:
        InputError: a run without a log, one named twice, or a picture that is there.
    """
    require_new([flags.out])
    logs = dict(zip(_names(flags.runs), map(read_log, flags.runs), strict=True))
    if len(flags.runs) == 1:
        [run] = flags.runs
        draw_curves(run / LOG if run.is_dir() else run, flags.out)
    else:
        draw_runs(logs, flags.out)
    print(flags.out)
    return flags.out


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(CurvesFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
