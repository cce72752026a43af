"""Rows of a benchmark's runs are kept, and done once."""

from dataclasses import dataclass

import pytest

from benchmarks.rows import rows_of
from mot.errors import InputError


@dataclass(frozen=True)
class Row:
    number: int
    half: float


def halved(task):
    number, log = task
    with log.open("a") as file:
        file.write(f"{number}\n")
    if number % 2:
        raise InputError("task", "an even number", number, "halve it elsewhere")
    return Row(number, number / 2)


def test_what_is_known_is_not_done_again_and_what_fails_is_named(tmp_path):
    log = tmp_path / "log"
    tasks = {f"run-{number}": (number, log) for number in (2, 3, 4)}
    with pytest.raises(InputError, match=r"1 of 3 failed: run-3 \(task: expected an even number"):
        rows_of(halved, tasks, Row, tmp_path / "out", 1)
    tasks["run-3"] = (6, log)
    rows = rows_of(halved, tasks, Row, tmp_path / "out", 1)
    assert list(rows.values()) == [Row(2, 1.0), Row(6, 3.0), Row(4, 2.0)]
    assert log.read_text().split() == ["2", "3", "4", "6"]
