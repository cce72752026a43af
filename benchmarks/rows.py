"""What benchmarks of many runs share: one row a run, kept as soon as it is known."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
from rich.table import Table

from eval import ScoredSequence
from mot.atomic import write_text
from mot.errors import InputError
from mot.parallel import ParallelSettings, run_all
from mot.progress import progress_bar
from mot.terminal import terminal
from nets.recipe import TrainSettings
from nets.trial import OUTPUT, train_quietly

TABLE = "rows.csv"
DIGITS = 4
Task = TypeVar("Task")
Row = TypeVar("Row")


def rows_of(
    function: Callable[[Task], Row],
    tasks: Mapping[str, Task],
    row: Callable[..., Row],
    out: Path,
    workers: int,
) -> dict[str, Row]:
    """Rows of all tasks by name; what out/NAME.json holds already is not done again.

    Writes all of them into out/rows.csv.

    Args:
        function: of one task; a function of a module, that returns a dataclass.
        tasks: by name.
        row: the dataclass.
        out: folder of the rows.
        workers: processes that work at the same time.

    Raises:
        InputError: names what could not be done, when everything else is.
    """
    left = {name: task for name, task in tasks.items() if not _path(out, name).is_file()}
    failed: dict[str, str] = {}
    with progress_bar(len(tasks), unit="run", title=out.name, start=len(tasks) - len(left)) as bar:
        for outcome in run_all(function, left, ParallelSettings(workers)) if left else ():
            if outcome.answer is None:
                failed[outcome.name] = str(outcome.error)
            else:
                known: Any = outcome.answer
                write_text(_path(out, outcome.name), json.dumps(asdict(known), indent=1))
            bar.update()
    if failed:
        name, reason = next(iter(failed.items()))
        got = f"{len(failed)} of {len(left)} failed: {name} ({reason})"
        raise InputError(out, "all runs done", got, "mend the cause and start again")
    rows = dict(_rows(tasks, row, out))
    table = [{"run": name} | asdict(cast(Any, known)) for name, known in rows.items()]
    write_text(out / TABLE, pd.DataFrame(table).to_csv(index=False, float_format=f"%.{DIGITS}g"))
    return rows


def named(label: str, *told: object) -> str:
    """Name of a row: what it is called, and a hash of all that its figures depend on."""
    plain = re.sub(r"[^\w.]+", "-", label).strip("-")
    return f"{plain}-{hashlib.sha256(repr(told).encode()).hexdigest()[:8]}"


def train_whole(settings: TrainSettings, run: Path) -> None:
    """Train quietly into a folder.

    Raises:
        InputError: settings or data that cannot be used, or a loss that did not stay finite: a
            training of fewer steps is none of the table.
    """
    if not train_quietly(settings, run):
        raise InputError(run / OUTPUT, "a loss that stays finite", "nan", "lower the rate")


def mean_score(scored: Iterable[ScoredSequence], name: str) -> float:
    """Of a score over sequences; NaN where one lacks it."""
    values = [getattr(run.scores, name) for run in scored]
    return math.nan if None in values else float(np.mean(values))


def mean_and_range(rows: Iterable[object], name: str) -> str:
    """A measure's mean over rows with its lowest and highest, as a table's cell."""
    values = [float(getattr(row, name)) for row in rows]
    digits = 2 if name.endswith("mae") else 1
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})"
    return f"{np.mean(values):.{digits}f}{spread if len(values) > 1 else ''}"


def print_means(
    title: str, groups: Mapping[str, Sequence[object]], measures: Sequence[str]
) -> None:
    """Table of rows in groups: how many, and of each measure mean, lowest and highest.

    Args:
        title: above the table.
        groups: what they are called → rows that have the measures.
        measures: attributes of a row.
    """
    table = Table(title=title)
    table.add_column("")
    for heading in ("runs", *measures):
        table.add_column(heading.replace("_", " "), justify="right")
    for label, rows in groups.items():
        table.add_row(label, str(len(rows)), *(mean_and_range(rows, name) for name in measures))
    terminal(220).print(table)


def _rows(
    tasks: Mapping[str, Task], row: Callable[..., Row], out: Path
) -> Iterator[tuple[str, Row]]:
    for name in tasks:
        try:
            yield name, row(**json.loads(_path(out, name).read_text("utf-8")))
        except (TypeError, ValueError) as error:
            got, remedy = error, "delete it, or use another --out"
            raise InputError(_path(out, name), "a row of this benchmark", got, remedy) from error


def _path(out: Path, name: str) -> Path:
    return out / f"{name}.json"
