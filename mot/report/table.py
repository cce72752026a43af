"""Scores as a table on the terminal and as a JSON file; the protocol stands under both.

The columns are one dict, `COLUMNS`, which the HTML report shares.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mot.atomic import write_text
from mot.errors import InputError
from mot.scoring import COMBINED, SequenceScores, combine, protocol_line
from mot.terminal import terminal

FULL_WIDTH = 110  # characters that all columns need; a narrower terminal gets the core ones
PROTOCOL_KEY = "protocol"

# heading -> (field of SequenceScores, format, what it is)
COLUMNS: dict[str, tuple[str, str, str]] = {
    "HOTA": ("HOTA", ".1f", "higher order tracking accuracy, percent"),
    "MOTA": ("MOTA", ".1f", "multiple object tracking accuracy, percent"),
    "IDF1": ("IDF1", ".1f", "F1 of boxes with the right identity, percent"),
    "DetA": ("DetA", ".1f", "detection part of HOTA, percent"),
    "AssA": ("AssA", ".1f", "association part of HOTA, percent"),
    "MOTP": ("MOTP", ".1f", "mean IoU of matched boxes, percent, higher is better"),
    "Rcll": ("recall", ".1f", "recall of boxes, percent"),
    "Prcn": ("precision", ".1f", "precision of boxes, percent"),
    "FP": ("FP", "d", "false boxes"),
    "FN": ("FN", "d", "missed boxes"),
    "IDs": ("IDs", "d", "identity switches"),
    "Frag": ("Frag", "d", "fragmentations"),
    "MT": ("MT", "d", "people tracked for at least 80 % of their life"),
    "ML": ("ML", "d", "people tracked for less than 20 % of their life"),
    "count\nMAE": ("count_mae", ".2f", "mean error of the number of boxes per frame, people"),
    "count\nbias": ("count_bias", "+.2f", "boxes minus truth per frame, people"),
    "dens\nMAE": ("density_mae", ".2f", "mean error of the density map's sum per frame, people"),
    "loc\nF1": ("loc_f1", ".1f", "F1 of box centres inside truth boxes, percent"),
}
CORE = ("HOTA", "MOTA", "IDF1", "Rcll", "Prcn", "IDs", "count\nMAE", "loc\nF1")


def cells(scores: SequenceScores, headings: Iterable[str] = COLUMNS) -> list[str]:
    """The formatted values of one row under the given headings; a dash for what was not had."""
    chosen = [COLUMNS[heading] for heading in headings]
    values = [(getattr(scores, field), form) for field, form, _ in chosen]
    return ["–" if value is None else format(value, form) for value, form in values]


def scores_table(scores: Sequence[SequenceScores], headings: Iterable[str] = COLUMNS) -> Table:
    """One row per sequence and COMBINED last.

    Raises:
        InputError: no scores, or a sequence twice.
    """
    headings = tuple(headings)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    table.add_column("sequence", overflow="fold", min_width=8, vertical="bottom")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in scores:
        table.add_row(row.name, *cells(row, headings))
    table.add_section()
    table.add_row(COMBINED, *cells(combine(scores), headings), style="bold")
    return table


def print_scores(scores: Sequence[SequenceScores], *, console: Console | None = None) -> None:
    """Print the table and the protocol line on stdout, plain and 120 wide where it is no terminal.

    Raises:
        InputError: no scores, or a sequence twice.
    """
    console = console or terminal()
    console.print(scores_table(scores, COLUMNS if console.width >= FULL_WIDTH else CORE))
    console.print(protocol_line(scores), style="dim", soft_wrap=True)


def scores_as_dict(
    scores: Sequence[SequenceScores], extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Scores by sequence name, then COMBINED, protocol and the entries of `extra`.

    Raises:
        InputError: no scores, a sequence twice, or a sequence named like another entry.
    """
    rest: dict[str, Any] = {
        COMBINED: combine(scores).as_row(),
        PROTOCOL_KEY: protocol_line(scores),
    }
    taken = {s.name for s in scores} & {*rest, *(extra or {})}
    taken |= rest.keys() & (extra or {}).keys()
    if taken:
        raise InputError(
            "scores.json", "different names", ", ".join(sorted(taken)), "rename the sequence"
        )
    return {s.name: s.as_row() for s in scores} | rest | dict(extra or {})


def write_scores_json(
    path: Path, scores: Sequence[SequenceScores], extra: Mapping[str, Any] | None = None
) -> None:
    """Write `scores_as_dict` as JSON, atomically; numbers are rounded to 4 decimals.

    Raises:
        InputError: as `scores_as_dict`.
        OSError: the file cannot be written.
    """
    entries = _rounded(scores_as_dict(scores, extra))
    write_text(path, json.dumps(entries, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def _rounded(value: Any) -> Any:
    """The same nested value with floats cut to 4 decimals, so that files can be read and diffed."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(entry) for entry in value]
    return value
