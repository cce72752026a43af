"""What a tuning leaves behind: the best settings, the table of trials, two pictures, a comparison.

All of it is drawn from the study, so that an interrupted tuning has it as well.
"""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from mot.atomic import atomic_path, write_text
from mot.report.table import cells
from mot.scoring import COMBINED, SequenceScores, combine, protocol_line
from mot.terminal import terminal
from reid.search_space import SearchSpace
from reid.settings import LinkerSettings
from reid.study import finished_trials

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

BEST, TRIALS, HISTORY, IMPORTANCES = "best.yaml", "trials.csv", "history.png", "importances.png"
HEADINGS = ("HOTA", "MOTA", "IDF1", "DetA", "AssA", "Rcll", "Prcn", "IDs")


@dataclass(frozen=True)
class Best:
    """The best settings of a study.

    Attributes:
        settings: of the linker.
        value: its score over all sequences.
        trial: 1-based number; 0 = the linker to start from, where no trial was better.
    """

    settings: LinkerSettings
    value: float
    trial: int


def best_of(study: Study, space: SearchSpace, start_value: float) -> Best:
    """The first of the best complete trials, or the start (which scored `start_value`)."""
    best = Best(space.start, start_value, 0)
    for number, trial in enumerate(finished_trials(study), start=1):
        if _is_complete(trial) and trial.value is not None and trial.value > best.value:
            best = Best(space.settings(trial.params), trial.value, number)
    return best


def write_trials(
    folder: Path, study: Study, space: SearchSpace, marks: list[float], metric: str
) -> None:
    """Write trials.csv: what every trial reached, on how many sequences, with which settings.

    Args:
        folder: of the study.
        study: its finished trials are listed.
        space: the settings that were searched.
        marks: score of the linker to start from, of the first sequence, the first two, …
        metric: name of the score.
    """
    rows = []
    for number, trial in enumerate(finished_trials(study), start=1):
        seconds = trial.duration.total_seconds() if trial.duration else float("nan")
        rows.append(
            {
                "trial": number,
                "state": "complete" if _is_complete(trial) else "dropped",
                metric: round(_reached(trial, marks), 4),
                "sequences": len(trial.intermediate_values),
                "seconds": round(seconds, 2),
                **asdict(space.settings(trial.params)),
            }
        )
    text = io.StringIO()
    if rows:
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    write_text(folder / TRIALS, text.getvalue())


def draw_pictures(folder: Path, study: Study, marks: list[float], metric: str) -> None:
    """Draw how the score rose over the trials, and which settings it depends on.

    Arguments are those of `write_trials`.
    """
    from matplotlib.figure import Figure

    history = Figure(figsize=(9, 5), layout="constrained")
    _draw_history(history.subplots(), finished_trials(study), marks, metric)
    importances = Figure(figsize=(9, 5), layout="constrained")
    _draw_importances(importances.subplots(), study, metric)
    for figure, name in ((history, HISTORY), (importances, IMPORTANCES)):
        with atomic_path(folder / name) as temporary:
            figure.savefig(temporary, dpi=110)


def _draw_history(axes: Any, trials: list[FrozenTrial], marks: list[float], metric: str) -> None:
    start_value = marks[-1]
    complete = np.array([_is_complete(trial) for trial in trials], bool)
    reached = np.array([_reached(trial, marks) for trial in trials])
    number = np.arange(1, len(trials) + 1)
    best = np.maximum.accumulate(np.where(complete, reached, start_value).clip(start_value))
    axes.axhline(start_value, color="tab:gray", linestyle=":", label="the linker to start from")
    axes.plot(number[complete], reached[complete], "o", markersize=4, label="complete")
    axes.plot(number, best, drawstyle="steps-post", label="best so far")
    # A dropped trial's score is of fewer sequences: only its place is shown.
    dropped = number[~complete]
    low = reached[complete].min(initial=start_value)
    axes.plot(dropped, np.full(len(dropped), low), "|", color="tab:red", label="dropped early")
    axes.set(title="score over the trials", xlabel="trial", ylabel=f"{metric}, all sequences")
    axes.legend(fontsize="small")


def _draw_importances(axes: Any, study: Study, metric: str) -> None:
    """PED-ANOVA (arXiv:2304.10255): how differently the good trials have a setting."""
    from optuna.importance import get_param_importances

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few trials: the title says how many
        shares = get_param_importances(study)
    names = list(shares)[::-1]
    axes.barh(names, [shares[name] for name in names])
    complete = sum(map(_is_complete, finished_trials(study)))
    title = f"what {metric} depends on, by {complete} complete trials (PED-ANOVA)"
    axes.set(title=title, xlabel="share of importance")


def _reached(trial: FrozenTrial, marks: list[float]) -> float:
    """Score of a trial over the sequences that it was tried on; it notes what it gained."""
    step = max(trial.intermediate_values)
    return trial.intermediate_values[step] + marks[step]


def _is_complete(trial: FrozenTrial) -> bool:
    return trial.state.name == "COMPLETE"


def print_comparison(
    start: LinkerSettings,
    best: Best,
    start_scores: list[SequenceScores],
    best_scores: list[SequenceScores],
) -> None:
    """Print both linkers' scores, sequence by sequence and together, and where they differ."""
    console = terminal()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("sequence", "settings"):
        table.add_column(heading)
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    rows = [*zip(start_scores, best_scores, strict=True)]
    for before, after in [*rows, (combine(start_scores), combine(best_scores))]:
        style = "bold" if before.name == COMBINED else ""
        table.add_row(before.name, "start", *cells(before, HEADINGS), style=style)
        table.add_row("", "best", *cells(after, HEADINGS), style=style)
    console.print(table)
    console.print(protocol_line(best_scores), style="dim", soft_wrap=True)
    old, new = asdict(start), asdict(best.settings)
    changed = [f"{name} {old[name]} → {new[name]}" for name in new if new[name] != old[name]]
    console.print(f"changed: {', '.join(changed) or 'nothing'}", soft_wrap=True)
    console.print(
        "best: a training score, on the data that was tuned on; only other sequences tell more",
        soft_wrap=True,
    )
