"""What following a video leaves behind, written as it goes: rows, counts, events, a summary.

Every file holds whole lines at any moment. Their sizes are what a run that is taken up again goes
on from. docs/formats.md shows the columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet

from mot.annotations import ResultWriter
from mot.atomic import atomic_path, write_text
from mot.boxes import Boxes
from mot.counting import Counter
from mot.growing import GrowingFile

ROWS = "frame,time,id,x,y,w,h,score"
COUNTS = "frame,time,density,tracks"
OCCUPANCY = "frame,time,zone,people,entered,left"
CROSSINGS = "frame,time,line,direction,id,in,out"
COUNTS_ENDING = ".counts.csv"
ENDINGS = (".txt", ".csv", COUNTS_ENDING, ".zones.csv", ".lines.csv", ".parquet", ".json")


class TrackFiles:
    """The text files of one followed video; a context manager.

    Args:
        out: folder of the run.
        name: of the video; files begin with it.
        counter: zones and lines to count at.
        sizes: as `sizes()` gave them, to go on from; none = start anew.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(
        self, out: Path, name: str, counter: Counter, sizes: Mapping[str, int] | None = None
    ) -> None:
        self.out, self.name, self.counter = out, name, counter
        sizes = sizes or {}
        with ExitStack() as stack:
            txt = self.path(".txt")
            self._mot = stack.enter_context(ResultWriter(txt, keep=sizes.get(".txt", 0)))
            self._tables: dict[str, GrowingFile] = {}
            headings = {".csv": ROWS, COUNTS_ENDING: COUNTS}
            headings |= {".zones.csv": OCCUPANCY} if counter.zones else {}
            headings |= {".lines.csv": CROSSINGS} if counter.lines else {}
            for ending, heading in headings.items():
                table = GrowingFile(self.path(ending), keep=sizes.get(ending, 0))
                self._tables[ending] = stack.enter_context(table)
                if not table.size:
                    table.write(f"{heading}\n".encode())
            self._open = stack.pop_all()

    def path(self, ending: str) -> Path:
        """The file with this ending."""
        return self.out / f"{self.name}{ending}"

    def write(self, frame: int, seconds: float, tracks: Boxes, density: float | None) -> None:
        """Add a frame.

        Args:
            frame: 1-based number.
            seconds: since the first frame.
            tracks: its boxes.
            density: number of people by density; None = there is none.

        Raises:
            OSError: the disk is full; every file ends with a whole frame, of the last two at most.
        """
        self._mot.write(tracks)
        when = _when(frame, seconds)
        columns = (tracks.id, tracks.x, tracks.y, tracks.w, tracks.h, tracks.score)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        self._write(
            ".csv",
            [f"{when},%d,%.2f,%.2f,%.2f,%.2f,%.4f" % row for row in rows],  # noqa: UP031
        )
        self._write(COUNTS_ENDING, [_count_row(frame, seconds, tracks, density)])
        zones, crossings = self.counter.update(frame, tracks)
        if zones:
            self._write(
                ".zones.csv", [f"{when},{z.zone},{z.people},{z.entered},{z.left}" for z in zones]
            )
        for c in crossings:
            way = "in" if c.inward else "out"
            row = f"{when},{c.line},{way},{c.id},{c.people_in},{c.people_out}"
            self._write(".lines.csv", [row])

    def _write(self, ending: str, rows: list[str]) -> None:
        self._tables[ending].write("".join(f"{row}\n" for row in rows).encode())

    def sizes(self) -> dict[str, int]:
        """Bytes of each file, by ending."""
        return {".txt": self._mot.size} | {e: table.size for e, table in self._tables.items()}

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the rows as Parquet as well, and the summary as JSON; both appear whole."""
        with atomic_path(self.path(".parquet")) as temporary:
            _to_parquet(self.path(".csv"), temporary)
        write_summary(self.path(".json"), summary)

    def close(self) -> None:
        """Close all files."""
        self._open.close()

    def __enter__(self) -> TrackFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_counts(path: Path, frames: Iterable[tuple[int, float, Boxes, float | None]]) -> None:
    """Write the counts of a whole video at once; the file appears whole.

    Args:
        path: the .counts.csv.
        frames: of each frame what `TrackFiles.write` takes.
    """
    rows = [COUNTS, *(_count_row(n, s, tracks, density) for n, s, tracks, density in frames)]
    write_text(path, "".join(f"{row}\n" for row in rows))


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON; that it is there says that the run is complete."""
    write_text(path, json.dumps(dict(summary), indent=2, ensure_ascii=False) + "\n")


def _when(frame: int, seconds: float) -> str:
    return f"{frame},{seconds:.3f}"


def _count_row(frame: int, seconds: float, tracks: Boxes, density: float | None) -> str:
    people = "" if density is None else f"{density:.3f}"
    return f"{_when(frame, seconds)},{people},{len(tracks)}"


def open_table(path: Path, heading: str) -> Any:
    """Open a table of frames to be read in blocks: a pyarrow reader, which is a context manager.

    Args:
        path: a CSV file of a run.
        heading: its columns, as `ROWS` or `COUNTS`.
    """
    types = {name: pyarrow.float64() for name in heading.split(",")}
    types |= {name: pyarrow.int64() for name in ("frame", "id") if name in types}
    options = pyarrow.csv.ConvertOptions(column_types=types)
    return pyarrow.csv.open_csv(path, convert_options=options)


def _to_parquet(source: Path, target: Path) -> None:
    """Copy the CSV of rows into a Parquet file, a block at a time."""
    with (
        open_table(source, ROWS) as blocks,
        pyarrow.parquet.ParquetWriter(target, blocks.schema) as writer,
    ):
        for block in blocks:
            writer.write_batch(block)
