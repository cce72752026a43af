"""Look for defects in a data folder: `python -m mot.check data`.

Lists everything that it finds in one or many sequences as `file:line: severity: what [kind]`, and
goes on after each. Exit code 1 when there are errors or warnings, 0 when there are none, 2 when it
could not look.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from mot.checks.finding import ERROR, SEVERITIES, WARNING, Findings
from mot.checks.frames import check_frames
from mot.checks.rows import check_detections, check_truth
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors, require_setting
from mot.sequence import list_sequences

EXIT_DEFECTS = 1
DEFECTS = (ERROR, WARNING)


@dataclass(frozen=True)
class CheckFlags:
    """List the defects of a data folder."""

    data: tyro.conf.Positional[Path]
    """Folder that holds sequence folders at some depth, or a sequence folder."""
    all_frames: bool = False
    """Decode every frame; by default the first, the middle and the last of a sequence, and of the
    others the ends of their files."""
    jump: float = 10.0
    """Box heights that a person may move in a second, the camera's motion included."""
    most: int = 20
    """Findings of one kind in one file that are listed; the others are counted. 0 = all."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        require_setting(self, "jump", self.jump > 0, "box heights above 0")
        require_setting(self, "most", self.most >= 0, "0 or more")


@dataclass(frozen=True)
class Checked:
    """What a check has come to: findings, sequences and rows looked at."""

    findings: Findings
    sequences: int
    rows: int

    @property
    def defects(self) -> int:
        """Errors and warnings."""
        return sum(self.findings.counts[severity] for severity in DEFECTS)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    flags = parse_flags(CheckFlags, arguments, description=__doc__)
    checked = check(flags)
    print(_as_json(checked) if flags.json else _as_lines(checked))
    if checked.defects:
        sys.exit(EXIT_DEFECTS)


def check(flags: CheckFlags) -> Checked:
    """Look at everything below a folder.

    Raises:
        InputError: no such folder, or nothing like a sequence in it.
    """
    if not flags.data.is_dir():
        raise InputError(flags.data, "a data folder", "no such folder", "check the path")
    findings = Findings(flags.most)
    folders = sorted(list_sequences(flags.data))
    strays = list(_strays(flags.data, set(folders)))
    if not folders and not strays:
        raise InputError(
            flags.data,
            "sequence folders at some depth (with seqinfo.ini or img1/)",
            "none",
            "check the path; python -m mot.download gets some",
        )
    for folder in strays:
        what = "annotations without seqinfo.ini and img1/: not found as a sequence"
        findings.add(folder, 0, ERROR, "stray", what)
    rows = sum(_check_sequence(folder, flags, findings) for folder in folders)
    return Checked(findings, len(folders), rows)


def _check_sequence(folder: Path, flags: CheckFlags, findings: Findings) -> int:
    """Check a sequence folder and return the number of rows in its files."""
    truth, detections = folder / "gt" / "gt.txt", folder / "det" / "det.txt"
    rows = 0
    try:
        facts = check_frames(folder, findings, jump=flags.jump, all_frames=flags.all_frames)
        if truth.is_file():
            rows += check_truth(truth, facts, findings)
        elif truth.parent.is_dir():
            findings.add(truth, 0, WARNING, "missing", "the folder gt/ has no gt.txt")
        if detections.is_file():
            rows += check_detections(detections, facts, findings)
    except OSError as error:
        place = Path(error.filename or folder)
        findings.add(place, 0, ERROR, "unreadable", error.strerror or str(error))
    return rows


def _strays(root: Path, known: set[Path]) -> Iterator[Path]:
    """Folders with gt/gt.txt or det/det.txt that are no sequence folders."""
    for place, inner, files in os.walk(root):
        folder = Path(place)
        if folder in known:
            inner.clear()
            continue
        inner[:] = [name for name in inner if not name.startswith(".")]
        if folder.name in ("gt", "det") and f"{folder.name}.txt" in files:
            yield folder.parent


def _as_lines(checked: Checked) -> str:
    findings = checked.findings
    kept = sorted(findings.kept, key=lambda f: (str(f.path), f.line))
    lines = [str(finding) for finding in kept]
    lines += [
        f"{path}: {severity}: {count:,} more of this kind (--most 0 lists all) [{kind}]"
        for path, severity, kind, count in findings.untold()
    ]
    counts = ", ".join(_counted(findings.counts[severity], severity) for severity in SEVERITIES)
    looked_at = f"{_counted(checked.sequences, 'sequence')}, {_counted(checked.rows, 'row')}"
    return "\n".join([*lines, f"{looked_at}: {counts}"])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _as_json(checked: Checked) -> str:
    findings = checked.findings
    return json.dumps(
        {
            "sequences": checked.sequences,
            "rows": checked.rows,
            "counts": {severity: findings.counts[severity] for severity in SEVERITIES},
            "findings": [vars(f) | {"path": str(f.path)} for f in findings.kept],
            "untold": [
                {"path": str(path), "severity": severity, "kind": kind, "count": count}
                for path, severity, kind, count in findings.untold()
            ],
        },
        indent=1,
    )


if __name__ == "__main__":
    one_line_errors(main)()
