"""Logarithmic axes of pictures with a few plain numbers that do not touch."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter


def log_axis(axes: Axes, which: str) -> None:
    """Make an axis logarithmic and number it 0.1, 0.2, 0.5, 1 … or sparser, by what it spans.

    Args:
        axes: with everything drawn, since the numbers depend on it.
        which: x or y.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    decades = np.log10(high / low)
    subs = (1,) if decades > 2 else (1, 3) if decades > 1 else (1, 2, 3, 4, 6, 8)
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
