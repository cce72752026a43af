"""A run over one video as it stands on disk: what it has come to, and where it can go on.

`<name>.resume` is there before the first result and until all is complete, so that --resume knows
its own files from others; while a run goes on it is written anew every few seconds: all that is
known between two frames, and how long each file was then. It is a pickle, for the same machine and
the same version of Footfall; like any pickle, take up none that a stranger sent.
"""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mot.annotations import read_results
from mot.atomic import atomic_path, require_new
from mot.boxes import Boxes
from mot.errors import InputError

SAVE_S = 10.0  # so much work at most is done twice after a kill
STATE = ".resume"
SUMMARY = ".json"
IN_THE_WAY = "use another --out, or --resume"


@dataclass
class Totals:
    """What a run comes to, frame by frame.

    Attributes:
        frames: so far.
        people: identities.
        boxes: rows of tracks.
        most: people in one frame by tracks.
        density: sum over frames of the people by density.
        densest: people in one frame by density.
        seconds: from the first frame to the last.
        work_s: time that the run took.
    """

    frames: int = 0
    people: int = 0
    boxes: int = 0
    most: int = 0
    density: float = 0.0
    densest: float = 0.0
    seconds: float = 0.0
    work_s: float = 0.0

    def add(self, seconds: float, tracks: Boxes, density: float | None) -> None:
        """Count a frame."""
        self.frames += 1
        self.seconds = seconds
        self.people = max(self.people, int(tracks.id.max(initial=0)))
        self.boxes += len(tracks)
        self.most = max(self.most, len(tracks))
        self.density += density or 0.0
        self.densest = max(self.densest, density or 0.0)

    def summary(self, *, has_density: bool) -> dict[str, Any]:
        """Means and greatest values, for the summary file."""
        frames = max(self.frames, 1)
        row: dict[str, Any] = {
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "people": self.people,
            "mean_tracks": round(self.boxes / frames, 3),
            "max_tracks": self.most,
        }
        if has_density:
            row["mean_density"] = round(self.density / frames, 3)
            row["max_density"] = round(self.densest, 3)
        row["frames_per_second"] = round(self.frames / max(self.work_s, 1e-9), 2)
        return row


class StateFile:
    """Stores where a run stands, now and then.

    Args:
        out: folder of the run.
        name: of the video.
        config: settings that the results depend on, and what tells the video from others; a run
            goes on with the same only. What is "" is not known, and not compared.
        resume: go on with the run that is there.
    """

    def __init__(self, out: Path, name: str, config: Mapping[str, Any], *, resume: bool) -> None:
        self._out, self._name, self._resume = out, name, resume
        self._path = out / f"{name}{STATE}"
        self.config: dict[str, Any] = json.loads(json.dumps(config))
        self._saved = time.monotonic()

    def finished(self) -> dict[str, Any] | None:
        """Summary of the run that is to be gone on with, if it is complete.

        Raises:
            InputError: a summary that cannot be read, or of a run with other settings.
        """
        summary = read_summary(self._out, self._name) if self._resume else None
        if summary:
            self._require_same(summary | summary.get("config", {}))
        return summary

    def load(self, endings: Iterable[str]) -> dict[str, Any] | None:
        """What was stored last, None where nothing is; then no result may be there either.

        Args:
            endings: of the files that the run will write.

        Raises:
            InputError: not such a file, one of a run with other settings, or a result in the way.
        """
        if not (self._resume and self._path.is_file()):
            remedy = "use another --out" if self._resume else IN_THE_WAY
            require_new((self._out / f"{self._name}{end}" for end in endings), remedy)
            return None
        try:
            stored = pickle.loads(self._path.read_bytes())
            config, state = stored["config"], stored["state"]
        except Exception as error:  # a pickle can fail in any way
            remedy = "delete it and the files of its name, and the run starts anew"
            raise InputError(self._path, "the state of a run", error, remedy) from error
        self._require_same(config)
        return None if state is None else dict(state)

    def _require_same(self, before: Mapping[str, Any]) -> None:
        for key, value in self.config.items():
            if before.get(key) != value and value != "":
                got = f"{value!r}, but {before.get(key)!r} before"
                where, expected = f"--resume, {key}", "the same video and settings"
                raise InputError(where, expected, got, "use another --out")

    def begin(self) -> None:
        """From now on the files in the folder are this run's.

        Raises:
            OSError: the folder cannot be written.
        """
        if not (self._resume and self._path.is_file()):
            self._save(None)

    def save_now_and_then(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Store the state when it is time to."""
        if time.monotonic() - self._saved >= SAVE_S:
            self._save(state())
            self._saved = time.monotonic()

    def _save(self, state: Mapping[str, Any] | None) -> None:
        with atomic_path(self._path) as temporary:
            stored = {"config": self.config, "state": state}
            temporary.write_bytes(pickle.dumps(stored, protocol=pickle.HIGHEST_PROTOCOL))

    def remove(self) -> None:
        """The run is complete."""
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class TrackedVideo:
    """A video that was followed to its end.

    Attributes:
        name: its files begin with it.
        out: folder of the run.
        summary: what stands in the summary file.
    """

    name: str
    out: Path
    summary: dict[str, Any]

    def tracks(self) -> Boxes:
        """All rows of tracks, (N,) columns; see `mot.boxes.Boxes`."""
        return read_results(self.out / f"{self.name}.txt")

    def counts(self) -> pd.DataFrame:
        """One row per frame: frame, time (s), density (people), tracks (people)."""
        return pd.read_csv(self.out / f"{self.name}.counts.csv")

    def line(self) -> str:
        """One line for the terminal."""
        s = self.summary
        return (
            f"{self.out / self.name}.txt: {s['people']} people in {s['frames']} frames, "
            f"{s['frames_per_second']:.1f} frames/s ({s['backend']})"
        )


def read_summary(out: Path, name: str) -> dict[str, Any] | None:
    """The summary of a run that is complete; None where there is none."""
    path = out / f"{name}{SUMMARY}"
    if not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, "the summary of a run", error, "delete it") from error
    return summary if isinstance(summary, dict) and summary.get("complete") else None
