"""A run's log.csv as a picture: losses, what they are to bring about, gradient and rate."""

from pathlib import Path
from typing import Any

import pandas as pd

from mot.atomic import atomic_path


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the columns of a log.csv over the steps into a PNG; an empty log draws nothing."""
    if not log.is_file() or log.stat().st_size == 0:
        return
    table = pd.read_csv(log)
    if table.empty:
        return
    # Imported late: loader processes, which import the training, draw nothing.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    loss, quality, gradient, rate = figure.subplots(2, 2).flat
    parts = [c for c in table.columns if c == "loss" or c.endswith("_loss")]
    for name in parts:
        series = table[["step", name]].dropna()
        loss.plot(series["step"], series[name], label=name, linewidth=2 if name == "loss" else 1)
    loss.set(title="losses", yscale="log")
    loss.legend(fontsize="small")
    _draw_quality(quality, table)
    gradient.plot(table["step"], table["grad_norm"])
    gradient.set(title="gradient norm", yscale="log", xlabel="step")
    rate.plot(table["step"], table["lr"])
    rate.set(title="learning rate", xlabel="step")
    with atomic_path(picture) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_quality(axes: Any, table: pd.DataFrame) -> None:
    """A density net's mass ratios, or how often an embedder's classifier is right."""
    ratios = [c for c in table.columns if c.startswith("mass_ratio_")]
    for name in ratios:
        axes.plot(table["step"], table[name], label=name.removeprefix("mass_ratio_"), linewidth=1)
    if ratios:
        axes.axhspan(0.9, 1.1, color="tab:green", alpha=0.15)
        axes.set(title="mass ratio per frame of the clip (predicted / true)", ylim=(0, 2))
        axes.legend(fontsize="small", ncols=5)
    elif "accuracy" in table:
        axes.plot(table["step"], table["accuracy"])
        axes.set(title="share of the batch that the classifier names right", ylim=(0, 1))
