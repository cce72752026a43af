"""A run over one video as it stands on disk: what it has come to, and where it can go on.

While a run goes on, `<name>.resume` is written anew every few seconds: all that is known between
two frames, and how long each file was then. It is a pickle, for the same machine and the same
version of Footfall; like any pickle, take up none that a stranger sent.
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
from mot.atomic import atomic_path
from mot.boxes import Boxes
from mot.errors import InputError

SAVE_S = 10.0  # so much work at most is done twice after a kill
STATE = ".resume"
SUMMARY = ".json"


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


def require_new(paths: Iterable[Path], remedy: str = "use another --out") -> None:
    """Refuse to write over files that hold something; an empty one is left of a run that failed.

    Raises:
        InputError: names the first file that is in the way.
    """
    for path in paths:
        if path.exists() and (path.is_dir() or path.stat().st_size):
            raise InputError(path, "a new file", "one that is there", remedy)


class StateFile:
    """Stores where a run stands, now and then.

    Args:
        out: folder of the run.
        name: of the video.
        config: settings that the results depend on; a run goes on with the same only.
    """

    def __init__(self, out: Path, name: str, config: Mapping[str, Any]) -> None:
        self._path = out / f"{name}{STATE}"
        self._config = dict(config)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """What was stored last; None where nothing is.

        Raises:
            InputError: not such a file, or one of a run with other settings.
        """
        if not self._path.is_file():
            return None
        try:
            stored = pickle.loads(self._path.read_bytes())
            config, state = stored["config"], stored["state"]
        except Exception as error:  # a pickle can fail in any way
            remedy = "delete it, and the run starts anew"
            raise InputError(self._path, "the state of a run", error, remedy) from error
        for key, value in self._config.items():
            if config.get(key) != value:
                got = f"{value!r}, but {config.get(key)!r} before"
                raise InputError(f"--resume, {key}", "the same settings", got, "use another --out")
        return dict(state)

    def save_now_and_then(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Store the state when it is time to."""
        if time.monotonic() - self._saved < SAVE_S:
            return
        with atomic_path(self._path) as temporary:
            stored = {"config": self._config, "state": state()}
            temporary.write_bytes(pickle.dumps(stored, protocol=pickle.HIGHEST_PROTOCOL))
        self._saved = time.monotonic()

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
