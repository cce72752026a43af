"""Pictures of chosen errors: cut out of a sequence's frames, which are read again for them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from mot.frames import stream_frames
from mot.images import Image
from mot.report.mistakes import KINDS, Example, Ltwh, Mistakes, Place
from mot.sequence import Sequence

CROP_HW = 200, 160  # pixels of a picture
AROUND = 1.7  # a picture is so many times as high as its box, or as wide
LEAST_PX = 48.0  # original pixels that a picture shows at least, downwards
QUALITY = 80

Corner = tuple[float, float]
Percent = tuple[float, float, float, float]


@dataclass(frozen=True)
class Crop:
    """A picture with a box in it.

    Attributes:
        frame: 1-based number.
        box: left, top, width, height in percent of the picture.
        other: the box beside that is spoken of, likewise; None = none.
        image: data URL of a JPEG; "" where the frames are not there.
    """

    frame: int
    box: Percent
    image: str
    other: Percent | None = None


@dataclass(frozen=True)
class Exhibit:
    """An error with its pictures: one, or before and after a switch."""

    example: Example
    crops: list[Crop]


@dataclass(frozen=True)
class Wing:
    """The errors of one kind."""

    kind: str
    title: str
    errors: int
    stretches: int
    exhibits: list[Exhibit]


def hang(sequence: Sequence, mistakes: Mistakes, *, pictures: bool) -> list[Wing]:
    """Make the gallery of a sequence.

    Args:
        sequence: whose frames are read, each once.
        mistakes: what to show.
        pictures: False where there are no frames.

    Raises:
        InputError: a frame that cannot be read.
    """
    examples = [example for chosen in mistakes.examples.values() for example in chosen]
    wanted = [place for example in examples for place in _places(example)]
    images: dict[Place, str] = {}
    if pictures:
        for number, image in _frames(sequence, sorted({frame for frame, _ in wanted})):
            for frame, ltwh in wanted:
                if frame == number:
                    images[frame, ltwh] = data_url(cut(image, ltwh))
    return [
        Wing(
            kind,
            title,
            mistakes.counts[kind],
            mistakes.stretches[kind],
            [Exhibit(e, _crops(e, images)) for e in mistakes.examples[kind]],
        )
        for kind, title in KINDS.items()
    ]


def cut(image: Image, ltwh: Ltwh) -> Image:
    """Cut a box with its surroundings out of a frame; what lies outside of the frame is grey."""
    (left, top), scale = _window(ltwh)
    height, width = CROP_HW
    matrix = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
    if scale < 0.5:  # the warp itself takes no means
        shrink = 2 * scale
        small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        image, matrix[:, :2] = np.asarray(small, np.uint8), matrix[:, :2] / shrink
    size = width, height
    grey = 90, 90, 90
    return np.asarray(cv2.warpAffine(image, matrix, size, borderValue=grey), np.uint8)


def _places(example: Example) -> list[Place]:
    here = example.frame, example.ltwh
    return [example.before, here] if example.before else [here]


def _crops(example: Example, images: Mapping[Place, str]) -> list[Crop]:
    crops = []
    for place in _places(example):
        frame, ltwh = place
        other = example.other if frame == example.frame else None
        beside = _box_in_crop(other, ltwh) if other else None
        crops.append(Crop(frame, _box_in_crop(ltwh, ltwh), images.get(place, ""), beside))
    return crops


def _frames(sequence: Sequence, numbers: list[int]) -> Iterator[tuple[int, Image]]:
    for number in numbers:
        yield from stream_frames(sequence, first=number, last=number, ahead=1)


def _window(ltwh: Ltwh) -> tuple[Corner, float]:
    """Upper left corner of what a picture shows, in original pixels, and how it is scaled."""
    left, top, width, height = ltwh
    shape = CROP_HW[1] / CROP_HW[0]
    high = max(AROUND * height, AROUND * width / shape, LEAST_PX)
    corner = left + width / 2 - high * shape / 2, top + height / 2 - high / 2
    return corner, CROP_HW[0] / high


def _box_in_crop(box: Ltwh, ltwh: Ltwh) -> Percent:
    """A box in percent of the picture of another."""
    (x, y), scale = _window(ltwh)
    left, top, width, height = box
    high, wide = CROP_HW
    return (
        100 * scale * (left - x) / wide,
        100 * scale * (top - y) / high,
        100 * scale * width / wide,
        100 * scale * height / high,
    )


def data_url(image: Image) -> str:
    """An RGB picture as the data URL of a JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
