"""Skeletons drawn over images: a line per edge, a dot per point, left and right in two colours."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from mot.draw import SUBPIXEL_BITS
from mot.images import Image
from mot.keypoints import HIDDEN, UNLABELLED, Keypoints

# Blue and vermilion, which the colour-blind tell apart (M. Okabe and K. Ito, "Color universal
# design", 2008), and yellow for what has no side.
LEFT, RIGHT, MIDDLE = (86, 180, 233), (213, 94, 0), (240, 228, 66)
OUTLINE = (20, 20, 20)


def draw_skeletons(image: Image, people: Keypoints, *, thickness: int = 1) -> Image:
    """Draw all people of a table; points that are not labelled are left out, with their lines.

    Seen points are dots, hidden ones rings.

    Args:
        image: uint8 (H, W, 3) RGB; it is left as it is.
        people: rows to draw, whatever their frame, in pixels of the image.
        thickness: of the lines in pixels.
    """
    canvas = np.array(image, np.uint8, order="C", copy=True)
    colours = [_colour(name) for name in people.names]
    fixed = _fixed(people.xy)
    for points, visibility in zip(fixed, people.visibility.tolist(), strict=True):
        for first, second in people.edges:
            if UNLABELLED not in (visibility[first], visibility[second]):
                ends = points[first], points[second]
                colour = colours[first] if colours[first] == colours[second] else MIDDLE
                cv2.line(canvas, *ends, OUTLINE, thickness + 2, cv2.LINE_AA, SUBPIXEL_BITS)
                cv2.line(canvas, *ends, colour, thickness, cv2.LINE_AA, SUBPIXEL_BITS)
        for point, seen, colour in zip(points, visibility, colours, strict=True):
            if seen != UNLABELLED:
                radius, fill = (thickness + 1) << SUBPIXEL_BITS, 1 if seen == HIDDEN else -1
                cv2.circle(canvas, point, radius, colour, fill, cv2.LINE_AA, SUBPIXEL_BITS)
    return canvas


def _fixed(xy: npt.NDArray[np.float32]) -> list[list[tuple[int, int]]]:
    """Points (N, K, 2) in OpenCV's fixed-point numbers, its pixel centres being at 0."""
    scaled = np.rint((np.clip(xy, -1e4, 1e4) - 0.5) * (1 << SUBPIXEL_BITS)).astype(int)
    return [[(x, y) for x, y in person] for person in scaled.tolist()]


def _colour(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE
