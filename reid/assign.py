"""Choosing partners: which of the plausible pairs become matches, each side used at most once.

Solvers take pairs as sparse columns with a positive gain and return the positions of those chosen;
the linker's `solver` setting picks one from `SOLVERS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Solver = Callable[[Index, Index, Array], Index]

# Up to this many cells a dense matrix is solved faster than a sparse one.
_DENSE_CELLS = 10_000


def optimal(row: Index, column: Index, gain: Array) -> Index:
    """Choose the matching of largest total gain.

    Pairs that compete with no other are taken at once; the rest is solved by scipy, densely where
    it is small, else by the sparse Jonker–Volgenant algorithm.

    Args:
        row: (P,) indices of the first side; no pair occurs twice.
        column: (P,) indices of the second side.
        gain: (P,) > 0, what a match is worth against leaving both alone.

    Returns:
        Ascending positions of the chosen pairs.
    """
    rivals = (np.bincount(row)[row] > 1) | (np.bincount(column)[column] > 1)
    rest = rivals.nonzero()[0]
    if not len(rest):
        return np.arange(len(row))
    rest_row, rows = _renumbered(row[rest])
    rest_column, columns = _renumbered(column[rest])
    solve = _solve_dense if rows * columns <= _DENSE_CELLS else _solve_sparse
    chosen = ~rivals
    chosen[rest[solve(rest_row, rest_column, gain[rest], (rows, columns))]] = True
    return chosen.nonzero()[0]


def _renumbered(index: Index) -> tuple[Index, int]:
    """Indices without gaps, in the same order, and how many there are."""
    number = (np.bincount(index) > 0).cumsum()
    return number[index] - 1, int(number[-1])


def _solve_dense(row: Index, column: Index, gain: Array, shape: tuple[int, int]) -> Index:
    """Choose by a dense matrix in which implausible pairs gain nothing."""
    matrix = np.zeros(shape)
    matrix[row, column] = gain
    partner = np.zeros(shape[0], np.intp) - 1
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    partner[rows] = columns
    chosen: Index = (partner[row] == column).nonzero()[0]
    return chosen


def _solve_sparse(row: Index, column: Index, gain: Array, shape: tuple[int, int]) -> Index:
    """Choose by a sparse matrix in which each row may also take a blank column of its own."""
    rows, columns = shape
    # The solver wants a full matching and weights other than 0: a blank costs the most.
    blank = gain.max() + 1.0
    matrix = csr_array(
        (
            np.concatenate([blank - gain, np.full(rows, blank)]),
            (
                np.concatenate([row, np.arange(rows)]),
                np.concatenate([column, columns + np.arange(rows)]),
            ),
        ),
        shape=(rows, columns + rows),
    )
    _, partner = min_weight_full_bipartite_matching(matrix)
    chosen: Index = (partner[row] == column).nonzero()[0]
    return chosen


def greedy(row: Index, column: Index, gain: Array) -> Index:
    """Take the pair of largest gain, drop those that share a side with it, and so on.

    All pairs that are the best of both their sides are taken in one pass: that is what one by one
    would give. Ties go to the pair that comes first. Arguments and result as in `optimal`.
    """
    left = np.argsort(-gain, kind="stable")
    chosen: list[Index] = []
    while len(left):
        first_of_row = np.zeros(len(left), bool)
        first_of_column = np.zeros(len(left), bool)
        first_of_row[np.unique(row[left], return_index=True)[1]] = True
        first_of_column[np.unique(column[left], return_index=True)[1]] = True
        best = left[first_of_row & first_of_column]
        chosen.append(best)
        free = ~(np.isin(row[left], row[best]) | np.isin(column[left], column[best]))
        left = left[free]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.intp)


SOLVERS: dict[str, Solver] = {"optimal": optimal, "greedy": greedy}
