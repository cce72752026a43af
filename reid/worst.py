"""A picture of the worst queries: each with the crops that an embedder took for the same person."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mot.atomic import atomic_path
from mot.draw import mosaic
from mot.images import Image
from reid.crops import CropSet
from reid.retrieval import best_matches

SHOWN = 8  # crops beside each query
TILE_HW = (192, 96)
BORDER_PX = 5
RIGHT, WRONG, ASKED = (40, 190, 70), (225, 50, 50), (235, 235, 235)  # RGB


def worst_queries(precision: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    """Rows of the lowest average precisions (Q,), worst first; those that are NaN do not count."""
    order = np.argsort(precision, kind="stable")  # NaN comes last
    return order[: min(count, int(np.isfinite(precision).sum()))]


def draw_worst(
    query: CropSet,
    gallery: CropSet,
    distance: npt.NDArray[np.floating],
    precision: npt.NDArray[np.floating],
    *,
    count: int,
) -> Image:
    """One row per query: itself, then the first crops of its ranking, right ones bordered green.

    Args:
        query: Q crops.
        gallery: G crops.
        distance: (Q, G), smaller = more alike.
        precision: (Q,) average precision; NaN = no right crop in the gallery.
        count: number of rows.

    Raises:
        InputError: a crop that cannot be read, or no query to show.
    """
    rows = worst_queries(precision, count)
    asked = query[rows]
    labels = asked.identity, gallery.identity, asked.camera, gallery.camera
    found = best_matches(distance[rows], *labels, count=SHOWN)
    tiles, titles = [], []
    for place, row in enumerate(rows.tolist()):
        tiles.append(_tile(asked, place, ASKED))
        titles.append(f"{_who(asked, place)} AP {100 * precision[row]:.0f}")
        for match in found[place].tolist():
            if match < 0:
                tiles.append(np.zeros((1, 1, 3), np.uint8))
                titles.append("")
                continue
            right = gallery.identity[match] == asked.identity[place]
            tiles.append(_tile(gallery, match, RIGHT if right else WRONG))
            titles.append(_who(gallery, match))
    return mosaic(tiles, titles=titles, columns=1 + SHOWN)


def write_worst(path: Path, picture: Image) -> None:
    """Write the picture as PNG, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())


def _tile(crops: CropSet, row: int, colour: tuple[int, int, int]) -> Image:
    """A crop with a border."""
    image = crops.images[row].read(TILE_HW)
    sides = (BORDER_PX,) * 4
    return np.asarray(
        cv2.copyMakeBorder(image, *sides, cv2.BORDER_CONSTANT, value=colour), np.uint8
    )


def _who(crops: CropSet, row: int) -> str:
    return f"{crops.identity[row]} c{crops.camera[row]}"
