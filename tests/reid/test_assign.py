import itertools

import numpy as np
import numpy.testing as npt
import pytest

from reid import assign
from reid.assign import greedy, optimal


def problem(rng, rows, columns, share):
    row, column = np.nonzero(rng.random((rows, columns)) < share)
    return row, column, rng.uniform(0.01, 1, len(row))


def best_total(row, column, gain):
    """Oracle: every subset of pairs that uses no side twice."""
    best = 0.0
    for size in range(len(row) + 1):
        for subset in itertools.combinations(range(len(row)), size):
            rows, columns = row[list(subset)], column[list(subset)]
            if len(set(rows)) == len(set(columns)) == size:
                best = max(best, gain[list(subset)].sum())
    return best


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dense_cells", [0, 10_000])
def test_optimal_finds_the_largest_total(monkeypatch, seed, dense_cells):
    monkeypatch.setattr(assign, "_DENSE_CELLS", dense_cells)
    row, column, gain = problem(np.random.default_rng(seed), 4, 4, 0.6)
    chosen = optimal(row, column, gain)
    assert len(set(row[chosen])) == len(set(column[chosen])) == len(chosen)
    assert gain[chosen].sum() == pytest.approx(best_total(row, column, gain))


@pytest.mark.parametrize("seed", range(8))
def test_greedy_equals_taking_the_best_pair_again_and_again(seed):
    row, column, gain = problem(np.random.default_rng(seed), 12, 9, 0.4)
    left, expected = set(range(len(row))), []
    while left:
        best = max(left, key=lambda p: (gain[p], -p))
        expected.append(best)
        left = {p for p in left if row[p] != row[best] and column[p] != column[best]}
    npt.assert_array_equal(greedy(row, column, gain), sorted(expected))


@pytest.mark.parametrize("solve", [optimal, greedy])
def test_no_pairs_are_a_case(solve):
    nothing = np.empty(0, np.intp)
    assert len(solve(nothing, nothing, np.empty(0))) == 0


def test_optimal_gives_up_the_best_pair_for_a_better_whole():
    row, column, gain = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.7, 0.8])
    npt.assert_array_equal(optimal(row, column, gain), [1, 2])
    npt.assert_array_equal(greedy(row, column, gain), [0])
