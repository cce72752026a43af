"""Image files to RGB arrays, whole or not at all.

`mot.frames` and `mot.stills` decode through this. OpenCV fills the missing part of a truncated
file with grey and says so on stderr only; here that is an error.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mot.errors import InputError

Image = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG", b"IEND"
# Cameras pad their files; in JPEG's coded data itself the end marker cannot occur.
TAIL_BYTES = 4096
REMEDY = "copy or unpack the file again"
# SOF0 to SOF15 without DHT, JPG and DAC.
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
ENOUGH = 0.98  # nets like multiples of 32, so half of 1080 must do for 544


def read_image(path: Path, where: str | None = None) -> Image:
    """Decode an image file to uint8 (H, W, 3) RGB, turned as its EXIF orientation says.

    Args:
        path: image file.
        where: how an error calls the place, by default the path.

    Raises:
        InputError: missing, truncated or undecodable file.
    """
    place = where or str(path)
    return _decode(_read_whole(path, place), cv2.IMREAD_COLOR_RGB, place)


def read_resized(path: Path, size_hw: tuple[int, int], where: str) -> tuple[Image, tuple[int, int]]:
    """Decode an image file as `read_image` does, resized to (height, width).

    A JPEG that is wanted at half its size or less is decoded at half size, by the decoder's own
    area means: under half the time for 1920x1080 at 960x544. Smaller scales of the decoder would
    blur (a quarter loses 14 % of the gradients of 448x256), and odd sizes would shift boxes.

    Returns:
        The resized image, and the file's height and width.

    Raises:
        InputError: as `read_image`.
    """
    raw = _read_whole(path, where)
    header = _jpeg_size(raw)
    halved = header is not None and _half_suffices(header, size_hw)
    image = _decode(raw, cv2.IMREAD_REDUCED_COLOR_2 if halved else cv2.IMREAD_COLOR_RGB, where)
    # Not the header's own word, for EXIF orientation may have turned the image.
    height, width = (side * (2 if halved else 1) for side in image.shape[:2])
    return resize(image, size_hw), (height, width)


def is_cut_off(path: Path) -> bool:
    """Whether an image file lacks its end; only its first and last bytes are read.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(len(PNG_START))
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        return not start or _lacks_end(start, file.read())


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image in pixels; raises InputError as `read_image`."""
    height, width = read_image(path).shape[:2]
    return width, height


def resize(image: Image, size_hw: tuple[int, int]) -> Image:
    """Resize (H, W, 3) to (height, width): area means when it shrinks, linear when it grows."""
    height, width = size_hw
    if image.shape[:2] == (height, width):
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def _read_whole(path: Path, place: str) -> bytes:
    """Read a file and refuse it where its end is missing."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            place, "an image", error.strerror or error, "restore the file or unpack again"
        ) from error
    if _lacks_end(raw, raw[-TAIL_BYTES:]):
        raise InputError(place, "a whole image", f"{len(raw)} bytes without an end", REMEDY)
    return raw


def _decode(raw: bytes, mode: int, place: str) -> Image:
    """Decode bytes to RGB."""
    decoded = cv2.imdecode(np.frombuffer(raw, np.uint8), mode) if raw else None
    if decoded is None:
        raise InputError(place, "an image", f"{len(raw)} bytes that do not decode", REMEDY)
    if mode != cv2.IMREAD_COLOR_RGB:
        decoded = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(decoded, dtype=np.uint8)


def _jpeg_size(raw: bytes) -> tuple[int, int] | None:
    """Height and width from a JPEG's frame header (ITU-T T.81, B.2.2), None where there is none."""
    at = 2 if raw.startswith(JPEG_START) else len(raw)
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        if marker in FRAME_HEADERS:
            height, width = raw[at + 5 : at + 7], raw[at + 7 : at + 9]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
        at += 1 if marker == 0xFF else 2 + length  # FF may be repeated as padding
    return None


def _half_suffices(full_hw: tuple[int, int], size_hw: tuple[int, int]) -> bool:
    """Whether half of an even size loses nothing that the wanted size would show."""
    even = all(side > 0 and side % 2 == 0 for side in full_hw)
    pairs = zip(full_hw, size_hw, strict=True)
    return even and all(full / 2 >= ENOUGH * wanted for full, wanted in pairs)


def _lacks_end(start: bytes, tail: bytes) -> bool:
    """Whether a JPEG or PNG is without its end marker."""
    return (start.startswith(JPEG_START) and JPEG_END not in tail) or (
        start.startswith(PNG_START) and PNG_END not in tail
    )
