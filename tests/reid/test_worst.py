import cv2
import numpy as np
import pytest

from mot.errors import InputError
from reid.crops import CropSet
from reid.worst import (
    ASKED,
    BORDER_PX,
    RIGHT,
    SHOWN,
    TILE_HW,
    WRONG,
    draw_worst,
    worst_queries,
    write_worst,
)

A = np.array
CELL_HW = tuple(side + 2 * BORDER_PX + 4 for side in TILE_HW)  # with the mosaic's gap


class Plain:
    """A crop of one grey."""

    def __init__(self, grey):
        self.grey = grey

    def read(self, size_hw):
        return np.full((*size_hw, 3), self.grey, np.uint8)


def crops(identity, camera, greys):
    return CropSet(tuple(map(Plain, greys)), A(identity), A(camera))


def cell(picture, row, column):
    """Colour of the border, and of the crop's middle."""
    top, left = row * CELL_HW[0], column * CELL_HW[1]
    middle = picture[top + BORDER_PX + TILE_HW[0] // 2, left + BORDER_PX + TILE_HW[1] // 2]
    return tuple(picture[top + TILE_HW[0], left + 1].tolist()), int(middle[0])


def test_worst_first_and_only_those_with_a_score():
    precision = A([0.9, np.nan, 0.2, 0.5, 0.2])
    assert worst_queries(precision, 3).tolist() == [2, 4, 3]
    assert worst_queries(precision, 9).tolist() == [2, 4, 3, 0]
    assert worst_queries(A([np.nan]), 1).tolist() == []


def test_rows_are_queries_with_their_rankings_after_the_exclusions():
    query = crops([1, 2, 3], [1, 1, 1], [10, 20, 30])
    # Of person 2 there are two crops; the nearest is its own camera's and does not count.
    gallery = crops([2, 1, 2, -1], [1, 2, 2, 2], [120, 110, 125, 90])
    distance = A([[0.5, 0.1, 0.6, 0.0], [0.1, 0.2, 0.3, 0.0], [0.1, 0.2, 0.3, 0.0]])
    picture = draw_worst(query, gallery, distance, A([1.0, 0.5, np.nan]), count=5)
    assert picture.shape[:2] == (2 * CELL_HW[0] - 4, (1 + SHOWN) * CELL_HW[1] - 4)
    assert [cell(picture, 0, k) for k in range(3)] == [(ASKED, 20), (WRONG, 110), (RIGHT, 125)]
    # The other query: everything that is no junk counts.
    assert [cell(picture, 1, k) for k in range(4)] == [
        (ASKED, 10), (RIGHT, 110), (WRONG, 120), (WRONG, 125),
    ]  # fmt: skip
    empty = picture[: CELL_HW[0] - 4, 3 * CELL_HW[1] + 20 :]
    assert empty.max() < 30  # no more crops count for person 2


def test_no_query_with_an_answer_is_no_picture(tmp_path):
    nobody = crops([1], [1], [0])
    with pytest.raises(InputError):
        draw_worst(nobody, nobody, A([[0.0]]), A([np.nan]), count=3)
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0] = 255
    write_worst(tmp_path / "a" / "worst.png", picture)
    assert cv2.imread(str(tmp_path / "a" / "worst.png"))[0, 0].tolist() == [0, 0, 255]
