"""The tables of the analysis on the terminal and as Markdown, of one run or of two side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from mot.analysis.breakdown import Breakdown, Count

ALL = "all"


def print_tables(
    console: Console, tables: Sequence[Breakdown], before: Sequence[Breakdown] | None = None
) -> None:
    """Print all tables.

    Args:
        console: where to.
        tables: of the run.
        before: those of an earlier run, in the same order; None = there is none.
    """
    for number, table in enumerate(tables):
        headings, rows = text_of(table, before[number] if before else None)
        shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for place, heading in enumerate(headings):
            words = place == 0 or heading == "meaning"
            shown.add_column(heading, justify="left" if words else "right", no_wrap=place == 0)
        for row in rows:
            shown.add_row(*row, style="bold" if row[0] == ALL else None)
        console.print(table.title, style="bold")
        console.print(shown)
        console.print()


def markdown_of(tables: Sequence[Breakdown], before: Sequence[Breakdown] | None = None) -> str:
    """All tables as Markdown, each under a heading of the third level."""
    parts = []
    for number, table in enumerate(tables):
        headings, rows = text_of(table, before[number] if before else None)
        lines = [f"### {table.title}", "", _line(headings)]
        lines.append(_line(["---" if h in ("", "meaning") else "---:" for h in headings]))
        parts.append("\n".join([*lines, *map(_line, rows)]))
    return "\n\n".join(parts) + "\n"


def text_of(table: Breakdown, before: Breakdown | None) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table; with a run before, its numbers stand before ours."""
    runs = [table] if before is None else [before, table]
    counts = [{**run.counts, **({ALL: run.sum} if table.total else {})} for run in runs]
    changed = any(counts[0][label][1] != of for label, (_, of) in counts[-1].items())
    headings = [""]
    if table.of:
        headings += _twice(table.of) if changed else [table.of]
    for heading in (table.counted, table.rate):
        headings += [heading] if before is None else _twice(heading)
    headings += ["change"] if before is not None else []
    headings += ["meaning"] if table.notes else []
    rows = []
    for label in counts[-1]:
        numbers = [entries[label] for entries in counts]
        wholes = [str(of) for _, of in (numbers if changed else numbers[-1:])]
        meaning = [table.notes.get(label, "")] if table.notes else []
        rows.append([label, *(wholes if table.of else []), *_numbers(numbers), *meaning])
    return headings, rows


def _twice(heading: str) -> list[str]:
    return [f"{heading}\nbefore", f"{heading}\nafter"]


def _numbers(counts: Sequence[Count]) -> list[str]:
    """How many and how large a share, each of one run or of two, and then the change."""
    cells = [str(count) for count, _ in counts] + [_percent(count) for count in counts]
    change = counts[-1][0] - counts[0][0]
    return [*cells, *([f"{change:+d}" if change else "0"] if len(counts) > 1 else [])]


def _percent(count: Count) -> str:
    """A dash where there is nothing to take a share of."""
    return f"{100 * count[0] / count[1]:.1f}" if count[1] else "–"


def _line(cells: Sequence[str]) -> str:
    shown = (cell.replace("\n", " ").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(shown)} |"
