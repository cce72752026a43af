"""Rows of a benchmark's runs are kept, and done once."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.rows import mean_and_range, mean_score, named, rows_of
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
    table = (tmp_path / "out" / "rows.csv").read_text().splitlines()
    assert table == ["run,number,half", "run-2,2,1", "run-3,6,3", "run-4,4,2"]


def test_a_row_is_named_after_all_that_decides_it():
    assert named("apart, twice", 1, "x").startswith("apart-twice-")
    assert len({named("a", 1), named("a", 2), named("b", 1)}) == 3
    assert named("a", 1) == named("a", 1)


@pytest.mark.parametrize(
    ("name", "values", "cell"),
    [
        ("half", [1.0, 2.0], "1.5 (1.0 to 2.0)"),
        ("half", [3.0], "3.0"),
        ("count_mae", [0.5], "0.50"),
    ],
)
def test_a_cell_has_mean_and_range(name, values, cell):
    assert mean_and_range([SimpleNamespace(**{name: value}) for value in values], name) == cell


def test_a_score_that_one_sequence_lacks_has_no_mean():
    runs = [SimpleNamespace(scores=SimpleNamespace(density_mae=d, HOTA=4.0)) for d in (1.0, None)]
    assert np.isnan(mean_score(runs, "density_mae"))
    assert mean_score(runs, "HOTA") == 4
