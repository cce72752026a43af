"""Boxes, trails and density drawn over frames; one colour per identity, the same everywhere.

Every function returns a new image and leaves its input alone, unless `in_place` is said.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mot.boxes import FILLED_SCORE, Boxes
from mot.errors import InputError
from mot.images import Image
from mot.shapes import expect

Colours = npt.NDArray[np.uint8]

GOLDEN_TURN = 0.6180339887498949  # hues of consecutive ids lie as far apart as can be
# Saturation and value, taken in turn. Five, because ids that are near in hue differ by a Fibonacci
# number, and 8, 13, 21 and 34 are no multiples of five.
LEVELS = ((0.9, 1.0), (0.5, 1.0), (0.95, 0.72), (0.7, 0.88), (0.3, 0.95))
NOBODY = (190, 190, 190)  # boxes without an identity
FONT = cv2.FONT_HERSHEY_SIMPLEX
SUBPIXEL_BITS = 3
CORNER_SHARE = 0.25  # of a side: what is drawn of a box that only fills a gap


def colours_of(ids: npt.ArrayLike) -> Colours:
    """Colours of identities, (N,) to uint8 (N, 3) RGB; negative ids are grey.

    A colour depends on the id alone, so it is the same in every frame, file and picture.
    """
    numbers = np.rint(np.atleast_1d(np.asarray(ids, np.float64))).astype(np.int64)
    hue = 6 * np.mod(numbers * GOLDEN_TURN, 1.0)
    saturation, value = np.array(LEVELS)[np.mod(numbers, len(LEVELS))].T
    # HSV to RGB as one formula: each channel is the value less a clipped triangle wave of the hue.
    wave = np.mod(hue[:, None] + np.array([5.0, 3.0, 1.0]), 6.0)
    dip = np.clip(np.minimum(wave, 4 - wave), 0, 1)
    rgb: Colours = np.rint(255 * value[:, None] * (1 - saturation[:, None] * dip)).astype(np.uint8)
    rgb[numbers < 0] = NOBODY
    return rgb


def draw_boxes(
    image: Image,
    boxes: Boxes,
    *,
    labels: bool = True,
    thickness: int = 0,
    colour: tuple[int, int, int] | None = None,
    in_place: bool = False,
) -> Image:
    """Draw boxes in their identities' colours; of those that only fill a track's gap, the corners.

    Args:
        image: uint8 (H, W, 3) RGB.
        boxes: rows to draw, whatever their frame.
        labels: write the id over the box, or the score where there is no id.
        thickness: of the lines in pixels, 0 = by the size of the image.
        colour: RGB of all boxes; None = by identity.
        in_place: draw into `image` itself.
    """
    canvas = _canvas(image, in_place)
    thickness = thickness or _line_width(canvas)
    corners = np.rint(np.clip(boxes.ltrb, -1e5, 1e5)).astype(int)
    colours = colours_of(boxes.id)
    if colour is not None:
        colours[:] = colour
    filled = (boxes.id >= 0) & (boxes.score == FILLED_SCORE)
    for (left, top, right, bottom), rgb in zip(
        corners[~filled].tolist(), colours[~filled].tolist(), strict=True
    ):
        cv2.rectangle(canvas, (left, top), (right, bottom), rgb, thickness)
    for (left, top, right, bottom), rgb in zip(
        corners[filled].tolist(), colours[filled].tolist(), strict=True
    ):
        _draw_corners(canvas, left, top, right, bottom, rgb, thickness)
    if labels:
        for row, rgb in enumerate(colours.tolist()):
            known = boxes.id[row] >= 0
            text = f"{boxes.id[row]:.0f}" if known else f"{boxes.score[row]:.2f}"
            _label(canvas, text, int(corners[row, 0]), int(corners[row, 1]), rgb)
    return canvas


def _draw_corners(
    canvas: Image, left: int, top: int, right: int, bottom: int, colour: list[int], thickness: int
) -> None:
    across = round(CORNER_SHARE * (right - left))
    down = round(CORNER_SHARE * (bottom - top))
    for x, inwards in ((left, across), (right, -across)):
        for y, downwards in ((top, down), (bottom, -down)):
            path = np.array([(x + inwards, y), (x, y), (x, y + downwards)], np.int32)
            cv2.polylines(canvas, [path], False, colour, thickness)


def draw_trails(
    image: Image, history: Boxes, *, frame: int, frames: int = 30, in_place: bool = False
) -> Image:
    """Draw where people's feet have been; older stretches fade out.

    Args:
        image: uint8 (H, W, 3) RGB.
        history: tracks of any frames; those after `frame` and rows without an id are left out.
        frame: 1-based number of the frame that is drawn.
        frames: length of the trails.
        in_place: draw into `image` itself.
    """
    canvas = _canvas(image, in_place)
    age = frame - history.frame
    recent = history[(age >= 0) & (age < frames) & (history.id >= 0)]
    order = np.lexsort((recent.frame, recent.id))
    recent = recent[order]
    joined = np.flatnonzero(recent.id[1:] == recent.id[:-1])
    if not len(joined):
        return canvas
    joined = joined[np.argsort(recent.frame[joined], kind="stable")]  # young over old
    feet = np.stack([recent.x + recent.w / 2, recent.y + recent.h], axis=1)
    fixed = np.rint(np.clip(feet, -1e4, 1e4) * (1 << SUBPIXEL_BITS)).astype(int).tolist()
    strength = np.rint(255 * (1 - (frame - recent.frame) / frames)).astype(int).tolist()
    colours = colours_of(recent.id).tolist()
    layer, alpha = np.zeros_like(canvas), np.zeros(canvas.shape[:2], np.uint8)
    width = _line_width(canvas)
    for row in joined.tolist():
        ends = fixed[row], fixed[row + 1]
        cv2.line(layer, *ends, colours[row], width + 1, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.line(alpha, *ends, strength[row + 1], width, cv2.LINE_AA, SUBPIXEL_BITS)
    return _blend(canvas, layer, alpha)


def overlay_density(
    image: Image,
    density: npt.NDArray[np.floating],
    alpha: float = 0.6,
    *,
    peak: float | None = None,
    in_place: bool = False,
) -> Image:
    """Lay a density map over an image in a perceptual colour map; empty places stay clear.

    Args:
        image: uint8 (H, W, 3) RGB.
        density: (h, w) of any size, stretched over the image; values below 0 count as 0.
        alpha: cover at the peak, 0..1.
        peak: value shown as brightest; None = the map's maximum. Give one to compare frames.
        in_place: draw into `image` itself.

    Raises:
        InputError: another shape, or alpha outside 0..1.
    """
    expect(density, "h w", "density")
    if not 0 <= alpha <= 1:
        raise InputError("alpha", "0 to 1", alpha, "choose a cover in this range")
    canvas = _canvas(image, in_place)
    brightest = float(density.max(initial=0)) if peak is None else peak
    if brightest <= 0:
        return canvas
    height, width = canvas.shape[:2]
    share = np.clip(np.asarray(density, np.float32) / brightest, 0, 1)
    level = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    coloured = cv2.applyColorMap(np.rint(level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[
        :, :, ::-1
    ]
    # The root makes faint mass visible without hiding the picture under the peaks' neighbours.
    cover = np.rint(np.sqrt(level) * (255 * alpha)).astype(np.uint8)
    return _blend(canvas, np.ascontiguousarray(coloured), cover)


def mosaic(
    images: Sequence[Image],
    *,
    titles: Sequence[str] = (),
    columns: int | None = None,
    gap_px: int = 4,
) -> Image:
    """Put images side by side on a grid; smaller ones are padded at right and bottom.

    Args:
        images: uint8 (H, W, 3) each.
        titles: one for each image, written into its corner.
        columns: None = as square as possible.
        gap_px: dark gap between images.

    Raises:
        InputError: no images, or another number of titles.
    """
    if not images or (titles and len(titles) != len(images)):
        raise InputError(
            "mosaic",
            "images, and a title for each or none",
            f"{len(images)} images, {len(titles)} titles",
            "give one title per image",
        )
    wide = columns or int(np.ceil(np.sqrt(len(images))))
    wide = max(1, min(wide, len(images)))
    high = -(-len(images) // wide)
    cell_h, cell_w = (max(image.shape[axis] for image in images) for axis in (0, 1))
    sheet = np.full(
        (high * (cell_h + gap_px) - gap_px, wide * (cell_w + gap_px) - gap_px, 3), 24, np.uint8
    )
    for index, image in enumerate(images):
        expect(image, "H W 3", "mosaic image")
        top, left = index // wide * (cell_h + gap_px), index % wide * (cell_w + gap_px)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
        if titles:
            view = sheet[top : top + cell_h, left : left + cell_w]
            sheet[top : top + cell_h, left : left + cell_w] = draw_text(view, titles[index])
    return sheet


def draw_text(
    image: Image,
    text: str,
    *,
    left: int = 4,
    top: int = 4,
    scale: float | None = None,
    in_place: bool = False,
) -> Image:
    """Write a line of light text on a dark ground.

    Args:
        image: uint8 (H, W, 3) RGB.
        text: ASCII.
        left: edge of the text in pixels.
        top: likewise.
        scale: size of the letters, 1 = 22 pixels; None = by the size of the image.
        in_place: draw into `image` itself.
    """
    canvas = _canvas(image, in_place)
    scale = _text_scale(canvas) if scale is None else scale
    bottom = top + cv2.getTextSize("0", FONT, scale, 1)[0][1] + 4
    _label(canvas, text, left, bottom, (245, 245, 245), ink=None, scale=scale)
    return canvas


def _canvas(image: Image, in_place: bool) -> Image:
    """Check an image and return what to draw into."""
    expect(image, "H W 3", "image")
    if in_place and not (image.flags.c_contiguous and image.flags.writeable):
        raise InputError(
            "image", "a contiguous, writable array to draw into", "a view", "leave in_place out"
        )
    return image if in_place else np.array(image, np.uint8, order="C", copy=True)


def _blend(canvas: Image, layer: Image, alpha: npt.NDArray[np.uint8]) -> Image:
    """Mix `layer` into `canvas` by alpha 0..255, in place."""
    cover = cv2.merge([alpha, alpha, alpha])
    kept = cv2.multiply(canvas, 255 - cover, scale=1 / 255)
    canvas[:] = cv2.add(kept, cv2.multiply(layer, cover, scale=1 / 255))
    return canvas


def _line_width(image: Image) -> int:
    return int(max(1, round(min(image.shape[:2]) / 360)))


def _text_scale(image: Image) -> float:
    return float(np.clip(min(image.shape[:2]) / 1000, 0.34, 1.2))


def _label(
    canvas: Image,
    text: str,
    left: int,
    bottom: int,
    colour: Sequence[int],
    ink: Sequence[int] | None = (0, 0, 0),
    scale: float | None = None,
) -> None:
    """Write text whose ground ends at `bottom`: ink on the colour, or the colour on dark."""
    scale = _text_scale(canvas) if scale is None else scale
    width, height = cv2.getTextSize(text, FONT, scale, 1)[0]
    bottom = max(bottom, height + 3)
    ground, letters = ((24, 24, 24), colour) if ink is None else (colour, ink)
    if ink is not None and np.dot(colour, (0.299, 0.587, 0.114)) < 110:
        letters = (255, 255, 255)
    cv2.rectangle(canvas, (left, bottom - height - 3), (left + width + 2, bottom), ground, -1)
    cv2.putText(canvas, text, (left + 1, bottom - 2), FONT, scale, letters, 1, cv2.LINE_AA)
