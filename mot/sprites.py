"""Small painted pictures with an alpha channel, and how they are laid over a frame.

Walkers and props of the rendered scenes are sprites: polygons painted at twice the size with
anti-aliased edges, then shrunk, so that shapes move smoothly by fractions of a pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mot.images import Image

Points = npt.NDArray[np.float64]

OVERSAMPLING = 2  # painted at this many times the final size
FRACTION_BITS = 4  # cv2's fixed-point coordinates: 1/16 of a painted pixel
CAP_POINTS = 6  # points of a limb's rounded end
CAP_TURN = np.linspace(-np.pi / 2, np.pi / 2, CAP_POINTS)
CORNERS = 2 * CAP_POINTS  # every body part is a polygon of so many corners
SOLID = 128  # alpha from which a pixel counts as covered


@dataclass(frozen=True)
class Sprite:
    """A picture to lay over a frame.

    Attributes:
        rgba: uint8 (h, w, 4), colours already multiplied by alpha.
        left, top: integer pixel of the frame that the sprite's first pixel falls on.
    """

    rgba: Image
    left: int
    top: int


def capsules(start: Points, end: Points, start_radius: Points, end_radius: Points) -> Points:
    """Outline limbs: straight sides from `start` to `end` with round caps.

    Args:
        start: (..., 2) centre of the first cap in pixels.
        end: (..., 2) centre of the other.
        start_radius: (...) its radius in pixels.
        end_radius: (...) the other's.

    Returns:
        (..., CORNERS, 2) polygon corners in order.
    """
    along = end - start
    angle = np.arctan2(along[..., 1], along[..., 0])[..., None]
    far = angle + CAP_TURN
    near = far + np.pi
    caps = [
        centre[..., None, :]
        + radius[..., None, None] * np.stack([np.cos(around), np.sin(around)], axis=-1)
        for centre, radius, around in ((end, end_radius, far), (start, start_radius, near))
    ]
    return np.concatenate(caps, axis=-2)


def ellipses(centre: Points, radius_x: Points, radius_y: Points) -> Points:
    """Outline upright ellipses: (..., 2) centres and (...) radii to (..., CORNERS, 2)."""
    around = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    spread = np.stack([radius_x, radius_y], axis=-1)[..., None, :]
    circle = np.stack([np.cos(around), np.sin(around)], axis=-1)
    outline: Points = centre[..., None, :] + spread * circle
    return outline


def paint(polygons: Points, colours: npt.NDArray[np.int64], margin_px: int = 1) -> Sprite:
    """Paint convex polygons over one another, first to last.

    Args:
        polygons: (polygons, corners, 2), in pixels of the frame.
        colours: (polygons, 3) RGB in 0..255.
        margin_px: empty pixels kept around the shapes.
    """
    near = np.floor(polygons.min(axis=(0, 1))).astype(int) - margin_px
    far = np.ceil(polygons.max(axis=(0, 1))).astype(int) + margin_px + 1
    width, height = (far - near).tolist()
    big = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING, 4), np.uint8)
    # A pixel's centre lies at +0.5 in frame coordinates and at 0 in cv2's.
    scale = OVERSAMPLING * (1 << FRACTION_BITS)
    half = (1 << FRACTION_BITS) // 2
    fixed = np.rint((polygons - near) * scale - half).astype(np.int32)
    for polygon, (red, green, blue) in zip(fixed, colours.tolist(), strict=True):
        cv2.fillConvexPoly(big, polygon, (red, green, blue, 255), cv2.LINE_AA, FRACTION_BITS)
    rgba = cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)
    return Sprite(rgba, int(near[0]), int(near[1]))


def shaded(sprite: Sprite, shade: Image) -> Sprite:
    """Multiply a sprite's colours by a small (h, w, 4) map, 255 = unchanged; alpha must be 255."""
    height, width = sprite.rgba.shape[:2]
    fitted = cv2.resize(shade, (width, height), interpolation=cv2.INTER_LINEAR)
    return Sprite(cv2.multiply(sprite.rgba, fitted, scale=1 / 255), sprite.left, sprite.top)


def lay(
    frame: Image, owners: npt.NDArray[np.int32], sprite: Sprite, owner: int, dx: int, dy: int
) -> None:
    """Lay a sprite over `frame` and mark its solid pixels in `owners`; both are changed in place.

    Args:
        frame: uint8 (H, W, 3).
        owners: int32 (H, W), who is seen at each pixel.
        sprite: what to lay; parts outside the frame are cut.
        owner: number written into `owners`.
        dx: shift of the sprite to the right in whole pixels.
        dy: shift down.
    """
    height, width = frame.shape[:2]
    rows, columns = sprite.rgba.shape[:2]
    left, top = sprite.left + dx, sprite.top + dy
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + columns, width), min(top + rows, height)
    if x0 >= x1 or y0 >= y1:
        return
    patch = sprite.rgba[y0 - top : y1 - top, x0 - left : x1 - left]
    clear = 255 - patch[:, :, 3]
    window = frame[y0:y1, x0:x1]
    behind = cv2.multiply(window, cv2.merge([clear, clear, clear]), scale=1 / 255)
    window[:] = cv2.add(behind, patch[:, :, :3])
    owners[y0:y1, x0:x1][clear <= 255 - SOLID] = owner
