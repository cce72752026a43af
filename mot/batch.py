"""Many videos in one folder of results: a list of what is done, and one table of what came of it.

`manifest.json` and `summary.csv` are written anew, whole, whenever a video is done, so that a batch
that was killed goes on with what is left. track.py and eval.py follow through this.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from mot.atomic import write_text
from mot.errors import InputError
from mot.parallel import ParallelSettings, run_all
from mot.progress import progress_bar
from mot.track_run import IN_THE_WAY, TrackedVideo, read_summary

MANIFEST, TABLE = "manifest.json", "summary.csv"
COLUMNS = (
    "name",
    "source",
    "frames",
    "seconds",
    "people",
    "mean_tracks",
    "max_tracks",
    "mean_density",
    "max_density",
    "frames_per_second",
)

Task = TypeVar("Task")


def follow_each(
    function: Callable[[Task], TrackedVideo],
    tasks: Mapping[str, Task],
    batch: Callable[[], Batch],
    settings: ParallelSettings,
) -> list[TrackedVideo]:
    """Follow one video right here, or several as a batch; returns what became of each.

    Args:
        function: follows one; a function of a module.
        tasks: name -> what it takes.
        batch: makes the batch of several.
        settings: where several are followed.

    Raises:
        InputError: as the function of one video; of several, what failed, when all else is done.
    """
    if len(tasks) == 1:
        return [function(task) for task in tasks.values()]
    return batch().run(function, tasks, settings)


def require_free_names(names: Iterable[str], files: Iterable[str], unit: str) -> None:
    """Refuse videos whose own files would be those of the whole run.

    Raises:
        InputError: names the first such.
    """
    taken = {Path(file).stem for file in files}
    name = next((name for name in names if name in taken), None)
    if name is not None:
        got, remedy = f"{name}, as a file of the run is called", f"rename the {unit}"
        raise InputError(f"name of a {unit}", "one that no other file has", got, remedy)


class Batch:
    """Several videos that are followed into one folder.

    Args:
        out: folder of the run.
        sources: name -> what the user called it.
        resume: go on with the batch that is there; what it lists beside these stays listed.
        unit: what they are called, in the singular.

    Raises:
        InputError: a batch is there and is not to be gone on with, or holds other videos; a video
            bears the name of one of its files.
    """

    def __init__(
        self, out: Path, sources: Mapping[str, str], *, resume: bool, unit: str = "video"
    ) -> None:
        self._out, self._unit = out, unit
        self._entries = {
            name: {"source": word, "status": "waiting"} for name, word in sources.items()
        }
        require_free_names(sources, (MANIFEST, TABLE), unit)
        path = out / MANIFEST
        if path.exists() and not resume:
            raise InputError(path, "a new folder", "a batch", IN_THE_WAY)
        if path.exists():
            self._entries = self._listed(path) | self._entries

    def _listed(self, path: Path) -> dict[str, dict[str, str]]:
        """What was listed before, which must be the same videos where it bears the same names."""
        try:
            before: dict[str, dict[str, str]] = json.loads(path.read_text("utf-8"))
            sources = {name: (entry["source"], entry["status"]) for name, entry in before.items()}
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise InputError(path, "the list of a batch", error, "delete it") from error
        for name, entry in self._entries.items():
            word, _ = sources.get(name, (entry["source"], ""))
            if word != entry["source"]:
                got = f"{entry['source']} where {word} was"
                expected = f"the same {self._unit} as {name}"
                raise InputError(path, expected, got, "use another --out")
        return before

    def run(
        self,
        function: Callable[[Task], TrackedVideo],
        tasks: Mapping[str, Task],
        settings: ParallelSettings,
    ) -> list[TrackedVideo]:
        """Follow all videos; returns those that are done, in the order of the tasks.

        Raises:
            InputError: names what failed, when everything else is done.
        """
        done: dict[str, TrackedVideo] = {}
        self._write()
        title, shown = f"{self._unit}s", not settings.here
        with progress_bar(len(tasks), unit=self._unit, title=title, shown=shown) as bar:
            for outcome in run_all(function, tasks, settings):
                entry = self._entries[outcome.name]
                if outcome.answer is not None:
                    done[outcome.name] = outcome.answer
                    entry["status"] = "done"
                else:
                    entry |= {"status": "failed", "error": str(outcome.error)}
                self._write()
                bar.update()
        failed = [name for name in tasks if self._entries[name]["status"] == "failed"]
        if failed:
            reason = self._entries[failed[0]]["error"]
            raise InputError(
                self._out / MANIFEST,
                f"all {self._unit}s done",
                f"{len(failed)} of {len(tasks)} failed: {', '.join(failed)} ({reason})",
                "mend the cause and go on with --resume",
            )
        return [done[name] for name in tasks]

    def _write(self) -> None:
        text = json.dumps(self._entries, indent=2, ensure_ascii=False)
        write_text(self._out / MANIFEST, text + "\n")
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for name, entry in self._entries.items():
            row: dict[str, Any] | None = read_summary(self._out, name)
            if row and entry["status"] == "done":
                writer.writerow({"name": name, **row})
        write_text(self._out / TABLE, table.getvalue())
