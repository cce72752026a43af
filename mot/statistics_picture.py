"""The picture of a data set's people: every quantity by sequence, and where people are."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mot.atomic import atomic_path
from mot.log_axis import log_axis
from mot.measures import QUANTITIES, Measured, Quantity, Values

WIDTH_INCHES = 7.6
ROW_INCHES = (0.13, 0.22)  # height of a sequence in a panel: of many, of few
MANY = 16  # sequences from which on lines are narrow
NAME_CHARACTERS = 26  # longer names are folded
COLUMNS = 4  # panels side by side
HEAT_COLUMNS = 4
MOST_HEAT_MAPS = 24
LEAST_DECADES = 0.7  # between which a logarithmic axis is worth it
DPI = 140
INK, ALL_INK = "#0072b2", "#333333"  # one colour says nothing here, so nobody has to tell colours


def draw_statistics(path: Path, rows: list[Measured]) -> None:
    """Write the picture; it appears whole or not at all.

    Args:
        path: target; its suffix decides the format.
        rows: one per sequence, and what has no heat map (all of them together) at the end.
    """
    maps = [row for row in rows if row.heat is not None][:MOST_HEAT_MAPS]
    left_out = sum(row.heat is not None for row in rows) - len(maps)
    panel_rows = -(-len(QUANTITIES) // COLUMNS)
    each = ROW_INCHES[0] if len(rows) > MANY else ROW_INCHES[1]
    each *= 1.3 if any("\n" in _folded(row.name) for row in rows) else 1
    panel = each * len(rows) + 0.75
    heat_rows = _heat_inches(maps)
    heat = sum(heat_rows) + 0.4
    height = panel_rows * panel + heat + 0.3
    figure = Figure((WIDTH_INCHES, height), dpi=DPI, layout="constrained")
    parts = figure.add_gridspec(2, 1, height_ratios=(panel_rows * panel, heat))
    upper, lower = figure.add_subfigure(parts[0]), figure.add_subfigure(parts[1])
    grid = upper.subplots(panel_rows, COLUMNS, sharey=True, squeeze=False)
    size = 6.5 if len(rows) > MANY else 7.5
    for axes, key in zip(grid.flat, QUANTITIES, strict=False):
        _draw_quantity(axes, key, rows, size)
    upper.suptitle(
        "line: 5 to 95 percent, bar: middle half, dot: median", fontsize=8, x=0.01, ha="left"
    )
    cells = lower.subplots(len(heat_rows), HEAT_COLUMNS, squeeze=False, height_ratios=heat_rows)
    for axes in cells.flat:
        axes.set_axis_off()
    for axes, row in zip(cells.flat, maps, strict=False):
        _draw_heat(axes, row)
    more = f"; {left_out} sequences more are not shown" if left_out else ""
    lower.suptitle(
        f"where centres are, each sequence from none (dark) to its most{more}",
        fontsize=8,
        x=0.01,
        ha="left",
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _heat_inches(maps: list[Measured]) -> list[float]:
    """Height of each row of heat maps with its titles: that of its highest map, within reason."""
    shapes = [row.heat.shape for row in maps if row.heat is not None]
    aspects = [min(rows / columns, 1.4) for rows, columns in shapes]
    rows = [aspects[k : k + HEAT_COLUMNS] for k in range(0, len(aspects), HEAT_COLUMNS)]
    return [WIDTH_INCHES / HEAT_COLUMNS * max(row) + 0.22 for row in rows]


def _draw_quantity(axes: Axes, key: str, rows: list[Measured], size: float) -> None:
    """One panel: a line, a bar and a dot for every sequence."""
    quantity = QUANTITIES[key]
    quantiles = np.array([row.quantiles(key) for row in rows])
    for place, (row, (low, lower, middle, upper, high)) in enumerate(
        zip(rows, quantiles, strict=True)
    ):
        ink = INK if row.heat is not None else ALL_INK
        if np.isnan(middle):
            word = "none" if _is_known(row, quantity.needs) else "unknown"
            axes.text(
                0.5, place, word, transform=axes.get_yaxis_transform(), size=size - 1,
                ha="center", va="center", color="0.45",
            )  # fmt: skip
            continue
        axes.plot((low, high), (place, place), color=ink, lw=1, solid_capstyle="butt")
        axes.plot((lower, upper), (place, place), color=ink, lw=5, solid_capstyle="butt")
        axes.plot(middle, place, "o", ms=3.4, mfc="white", mec="black", mew=0.7)
    _scale(axes, quantiles, quantity)
    axes.set_title(quantity.label, fontsize=8, loc="left")
    axes.set_yticks(range(len(rows)), [_folded(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(labelsize=size)
    axes.grid(axis="x", color="0.88", lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _scale(axes: Axes, quantiles: Values, quantity: Quantity) -> None:
    """Few ticks that do not touch; logarithmic where values are spread that widely."""
    known = quantiles[np.isfinite(quantiles)]
    if not len(known):
        axes.set_xticks([])
        return
    least = known.min()
    decades = np.log10(known.max() / least) if least > 0 else 0.0
    if not quantity.wide or decades < LEAST_DECADES:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=quantity.whole))
        return
    log_axis(axes, "x")


def _folded(name: str) -> str:
    """A name in one line or more."""
    return textwrap.fill(name, NAME_CHARACTERS)


def _is_known(row: Measured, needs: str) -> bool:
    return not needs or needs not in row.lacks


def _draw_heat(axes: Axes, row: Measured) -> None:
    """Where centres are; the root shows where few are."""
    if row.heat is None:
        return
    axes.imshow(np.sqrt(row.heat), cmap="inferno", vmin=0)
    axes.set_anchor("N")
    axes.set_title(_folded(row.name), fontsize=7, loc="left", pad=2)
