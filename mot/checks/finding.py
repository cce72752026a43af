"""Findings: what is wrong where, how bad it is, and a collector that keeps long lists short."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mot.errors import InputError

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""From what Footfall refuses, over what is likely wrong, to what is merely unusual."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or unusual.

    Attributes:
        path: the file.
        line: 1-based, 0 = the file as a whole.
        severity: error, warning or note.
        kind: short name, the same for all findings of a kind.
        what: the matter in words.
    """

    path: Path
    line: int
    severity: str
    kind: str
    what: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.severity}: {self.what} [{self.kind}]"


class Findings:
    """Collects findings.

    Args:
        most: of one kind in one file that are kept word for word; 0 = all. The others are counted.
    """

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._seen: Counter[tuple[Path, str, str]] = Counter()

    def add(self, path: Path, line: int, severity: str, kind: str, what: str) -> None:
        """Add one finding; line 0 = the whole file."""
        self._count(path, severity, kind, 1)
        if not self.most or self._seen[path, severity, kind] <= self.most:
            self.kept.append(Finding(path, line, severity, kind, what))

    def add_error(self, error: InputError, kind: str) -> None:
        """Add what a reader has refused, at the place that it names."""
        found = re.fullmatch(r"(.*?):(\d+)", error.where)
        path, line = (Path(found[1]), int(found[2])) if found else (Path(error.where), 0)
        self.add(path, line, ERROR, kind, f"expected {error.expected}, got {error.got}")

    def add_rows(
        self,
        path: Path,
        lines: npt.NDArray[np.int64],
        bad: npt.ArrayLike,
        severity: str,
        kind: str,
        describe: Callable[[int], str],
    ) -> None:
        """Add a finding for each bad row of a table.

        Args:
            path: the file.
            lines: (N,) line of each row.
            bad: (N,) mask.
            severity: of all of them.
            kind: of all of them.
            describe: what is wrong with the row of an index into `bad`.
        """
        rows = np.flatnonzero(bad)
        room = max(0, self.most - self._seen[path, severity, kind]) if self.most else len(rows)
        for row in rows[:room].tolist():
            finding = Finding(path, int(lines[row]), severity, kind, describe(row))
            self.kept.append(finding)
        self._count(path, severity, kind, len(rows))

    def _count(self, path: Path, severity: str, kind: str, count: int) -> None:
        self.counts[severity] += count
        self._seen[path, severity, kind] += count

    def untold(self) -> list[tuple[Path, str, str, int]]:
        """File, severity, kind and number of the findings that were not kept word for word."""
        if not self.most:
            return []
        over = ((*key, count - self.most) for key, count in self._seen.items())
        return [entry for entry in over if entry[3] > 0]
