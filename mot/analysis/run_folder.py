"""The folder of a scored run, read again: its sequences, their tracks, truth and scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mot.analysis.scene import ScoredScene
from mot.errors import InputError
from mot.report.table import PROTOCOL_KEY
from mot.scoring import COMBINED
from mot.sequence import Sequence, data_root, find_sequence, open_sequence
from mot.track_run import TrackedVideo, read_summary

SCORES = "scores.json"
COUNTED = ("FN", "FP", "IDs")
REMEDY = "give the --out of eval.py"

Scores = dict[str, dict[str, Any]]


def read_scores(run: Path) -> Scores:
    """Scores of every sequence of a run, by name.

    Raises:
        InputError: no folder, or no scores in it that eval.py has written.
    """
    if not run.is_dir():
        raise InputError(run, "a run folder", "no such folder", REMEDY)
    path = run / SCORES
    if not path.is_file():
        raise InputError(path, "the scores of a run", "no such file", REMEDY)
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        rows = {name: row for name, row in entries.items() if name not in (COMBINED, PROTOCOL_KEY)}
        rows.pop("config", None)
        known = all(isinstance(row[key], int) for row in rows.values() for key in COUNTED)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        got = f"{type(error).__name__}: {error}"
        raise InputError(path, "the scores of a run", got, "score again with eval.py") from error
    if not rows or not known:
        raise InputError(path, f"{', '.join(COUNTED)} of sequences", "none", REMEDY)
    return rows


def open_scored(run: Path, name: str, data: Path | None) -> Sequence:
    """Open a sequence of a run.

    Args:
        run: the folder.
        name: of the sequence.
        data: folder that holds it at some depth; None = where the run has found it if it is still
            there, else $FOOTFALL_DATA or data/.

    Raises:
        InputError: it is not there, has no truth or no frame rate.
    """
    config = (read_summary(run, name) or {}).get("config", {})
    fps, source = config.get("fps"), Path(config.get("source", ""))
    if data is None and source.name == name and source.is_dir():
        sequence = open_sequence(source, fps=fps)
    else:
        sequence = find_sequence(name, data or data_root(), fps=fps)
    if sequence.name != name:
        remedy = "name the folder that holds it by --data"
        raise InputError(f"sequence {name}", "the sequence of the run", sequence.name, remedy)
    sequence.require_fps()
    return sequence


def load_scene(run: Path, sequence: Sequence, scores: dict[str, Any]) -> ScoredScene:
    """Match tracks and truth of a sequence again, which must come to the scores of the run.

    Raises:
        InputError: tracks or truth that cannot be read, or that are not those of the scores.
    """
    name, path = sequence.name, run / f"{sequence.name}.txt"
    if not path.is_file():
        remedy = f"restore it, or score again with eval.py --seq {name}"
        raise InputError(path, f"the tracks of {name}", "no such file", remedy)
    scene = ScoredScene.of(
        name,
        sequence.truth(),
        TrackedVideo(name, run, {}).tracks(),
        length=sequence.length,
        size_hw=(sequence.height, sequence.width),
        fps=sequence.require_fps(),
    )
    listed = (scene.errors.missed, scene.errors.false, scene.errors.switched)
    found = dict(zip(COUNTED, map(len, listed), strict=True))
    expected = {key: scores[key] for key in COUNTED}
    if found != expected:
        raise InputError(
            path, f"{_told(expected)}, as in {SCORES}", _told(found), "score again with eval.py"
        )
    return scene


def _told(counts: dict[str, int]) -> str:
    return " ".join(f"{key} {count}" for key, count in counts.items())
