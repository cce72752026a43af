"""The log of a run: log.csv for everybody, TensorBoard events for those who watch it grow."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from mot.atomic import write_text

LOG = "log.csv"
DOCTOR = "doctor"


class Log:
    """Rows of numbers by step, each with what the doctor had to say.

    Args:
        run: folder of the run; log.csv and tensorboard/ are made in it.
        step: where the run continues: later rows, and a row cut short by a crash, are dropped.
            0 = a new log.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / LOG
        kept = _rows_until(self.path, step) if step else []
        self.columns = kept[0] if kept else []
        write_text(self.path, "".join(map(_line, kept)))
        self.file = self.path.open("a", encoding="utf-8", newline="")
        # Imported late: it takes a second, which a command that only reads weights need not pay.
        from torch.utils.tensorboard import SummaryWriter

        self.board = SummaryWriter(  # type: ignore[no-untyped-call]
            run / "tensorboard", purge_step=step + 1 if step else None
        )

    def write(self, row: dict[str, float], sentences: Iterable[str] = ()) -> None:
        """Append one row with its `step`; the first row names the columns, NaN is an empty cell.

        Raises:
            OSError: the disk is full.
        """
        if not self.columns:
            self.columns = [*row, DOCTOR]
            self.file.write(_line(self.columns))
        values = [row.get(name, math.nan) for name in self.columns[:-1]]
        cells = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
        self.file.write(_line([*cells, "; ".join(sentences)]))
        self.file.flush()
        for name, value in row.items():
            if math.isfinite(value):
                self.board.add_scalar(name, value, int(row["step"]))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Close both files."""
        self.file.close()
        self.board.close()  # type: ignore[no-untyped-call]


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _rows_until(path: Path, step: int) -> list[list[str]]:
    """Header and whole rows of a log up to a step."""
    if not path.is_file():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    rows = [row for row in csv.reader(io.StringIO(whole)) if row]
    return rows[:1] + [r for r in rows[1:] if len(r) == len(rows[0]) and float(r[0]) <= step]
