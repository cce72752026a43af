"""What the people of a data set are like: how many, how large, how fast, how long, how hidden.

    python -m mot.statistics --data DIR --out stats.png
    python -m mot.statistics --data DIR --seqs MOT17-02-SDP MOT17-09-SDP --out stats.png

A table on the terminal, a picture, and every number beside it as stats.csv and stats.json.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from mot.annotations import considered
from mot.atomic import require_new, write_text
from mot.command_line import parse_flags
from mot.errors import InputError, one_line_errors
from mot.measures import QUANTITIES, SPEED_S, Measured, People
from mot.progress import progress_bar
from mot.sequence import Sequence, data_root, find_sequence, list_sequences, open_sequence
from mot.sources import find_sources
from mot.statistics_picture import draw_statistics
from mot.terminal import terminal

SUFFIXES = (".png", ".jpg", ".pdf", ".svg")
ALL = "ALL"


@dataclass(frozen=True, kw_only=True)
class StatisticsFlags:
    """Measure the people in ground truths."""

    out: Path
    """Picture to write: .png, .jpg, .pdf or .svg; .csv and .json appear beside it."""
    data: Path = field(default_factory=data_root)
    """Folder that holds sequence folders at some depth."""
    seqs: tuple[str, ...] = ()
    """Names of sequences, or paths of their folders. Default: all below --data that have a
    truth."""
    fps: float | None = None
    """Frames per second of those sequences that do not say it."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            expected = f"a file ending in {', '.join(SUFFIXES)}"
            raise InputError("--out", expected, self.out, "rename it")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise InputError("--fps", "frames per second above 0", self.fps, "correct it")


def find_truths(flags: StatisticsFlags) -> tuple[list[Sequence], list[str]]:
    """The sequences that are to be measured, named apart, and the names of those without a truth.

    Raises:
        InputError: an unknown name, a named sequence without a truth, one named twice, or nothing
            with a truth.
    """
    if flags.seqs:
        return _named_apart([find_sequence(name, flags.data) for name in flags.seqs]), []
    if not flags.data.is_dir():
        raise InputError(flags.data, "a folder of sequences", "no such folder", "name it by --data")
    found = _named_apart([open_sequence(folder) for folder in list_sequences(flags.data)])
    with_truth = [sequence for sequence in found if sequence.has_truth]
    if not with_truth:
        got = f"{len(found)} without" if found else "no sequences"
        raise InputError(flags.data, "sequences with gt/gt.txt", got, "name another --data")
    return with_truth, [sequence.name for sequence in found if not sequence.has_truth]


def _named_apart(sequences: list[Sequence]) -> list[Sequence]:
    """Let names differ: equal ones get as much of their paths as tells them apart."""
    sources = find_sources(str(sequence.folder.resolve()) for sequence in sequences)
    pairs = zip(sequences, sources, strict=True)
    return [replace(sequence, name=source.name) for sequence, source in pairs]


def measure(sequence: Sequence) -> Measured:
    """Measure the people of a sequence who count (`mot.annotations.considered`).

    Raises:
        InputError: no ground truth, or a malformed one.
    """
    truth = sequence.truth()
    size = sequence.height, sequence.width
    people = truth[considered(truth)]
    return Measured.of(People(sequence.name, people, sequence.length, size, sequence.fps))


def statistics_table(rows: list[Measured]) -> Table:
    """One line a sequence: medians, with the range from 5 to 95 percent of people per frame."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column("sequence", overflow="fold", min_width=8, vertical="bottom")
    headings = ["frames", "s", "people", "boxes"]
    headings += ["per\nframe", "height\npx", "width/\nheight", "visible\nshare", "speed\nheights/s"]
    headings += ["track\ns", "gaps", "gap\ns", "IoU>0.5\n%"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        seconds = "–" if row.seconds is None else f"{row.seconds:.0f}"
        cells = [str(row.frames), seconds, str(row.people), str(row.boxes)]
        cells += [_median(row, key) for key in list(QUANTITIES)[:6]]
        known = "frame rate" not in row.lacks
        cells += [str(len(row.values["gap_s"])) if known else "–", _median(row, "gap_s")]
        crowded = row.values["overlap"] > 0.5
        cells.append(f"{100 * crowded.mean():.1f}" if len(crowded) else "–")
        table.add_row(row.name, *cells, style="bold" if row.name == ALL else None)
    return table


def _median(row: Measured, key: str) -> str:
    """Median of a quantity; a dash where it is not known."""
    values = row.values[key]
    return f"{np.median(values):.{QUANTITIES[key].figures}f}" if len(values) else "–"


def write_numbers(picture: Path, rows: list[Measured]) -> list[Path]:
    """Write .csv (a row per sequence) and .json (the same, and what truths lack) beside a picture.

    Raises:
        OSError: the files cannot be written.
    """
    summaries = {row.name: row.summary() for row in rows}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["sequence", *next(iter(summaries.values()))])
    for name, summary in summaries.items():
        cells = ["" if value is None else f"{value:.6g}" for value in summary.values()]
        writer.writerow([name, *cells])
    labels = {key: quantity.label for key, quantity in QUANTITIES.items()}
    content = {
        "sequences": summaries,
        "lacks": {row.name: list(row.lacks) for row in rows if row.lacks},
        "labels": labels,
        "speed_over_s": SPEED_S,
    }
    written = [picture.with_suffix(".csv"), picture.with_suffix(".json")]
    write_text(written[0], table.getvalue())
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(written[1], text + "\n")
    return written


def show(flags: StatisticsFlags) -> list[Measured]:
    """Measure, print, draw and write; returns a row per sequence, of several one of all behind.

    Raises:
        InputError: as `find_truths` and `measure`, or a file that is in the way.
    """
    require_new(flags.out.with_suffix(end) for end in (flags.out.suffix, ".csv", ".json"))
    sequences, without = find_truths(flags)
    rows = []
    with progress_bar(len(sequences), unit="sequence") as bar:
        for sequence in sequences:
            fps = sequence.fps if sequence.fps is not None else flags.fps
            rows.append(measure(replace(sequence, fps=fps)))
            bar.update()
    table_rows = [*rows, Measured.together(ALL, rows)] if len(rows) > 1 else rows
    console = terminal()
    console.print(statistics_table(table_rows))
    console.print("medians; gaps: how many", style="dim")
    for row in rows:
        for lack in row.lacks:
            remedy = "; --fps gives it" if lack == "frame rate" else ""
            print(f"{row.name}: its truth has no {lack}, so what needs it is left out{remedy}")
    if without:
        print(f"without a truth, left out: {', '.join(without)}")
    draw_statistics(flags.out, table_rows)
    for path in (flags.out, *write_numbers(flags.out, table_rows)):
        print(path)
    return table_rows


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    show(parse_flags(StatisticsFlags, arguments, description=__doc__))


if __name__ == "__main__":
    one_line_errors(main)()
