"""What benchmarks of many runs share: one row a run, kept as soon as it is known."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from mot.atomic import write_text
from mot.errors import InputError
from mot.parallel import ParallelSettings, run_all
from mot.progress import progress_bar

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
    return dict(_rows(tasks, row, out))


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
