"""Image files to RGB arrays, whole or not at all.

`mot.frames` and `mot.stills` decode through this. OpenCV fills the missing part of a truncated
file with grey and says so on stderr only; here that is an error.
"""

from __future__ import annotations

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


def read_image(path: Path, where: str | None = None) -> Image:
    """Decode an image file to uint8 (H, W, 3) RGB, turned as its EXIF orientation says.

    Args:
        path: image file.
        where: how an error calls the place, by default the path.

    Raises:
        InputError: missing, truncated or undecodable file.
    """
    place = where or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(
            place, "an image", error.strerror or error, "restore the file or unpack again"
        ) from error
    remedy = "copy or unpack the file again"
    if _is_cut(raw):
        raise InputError(place, "a whole image", f"{len(raw)} bytes without an end", remedy)
    decoded = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR_RGB) if raw else None
    if decoded is None:
        raise InputError(place, "an image", f"{len(raw)} bytes that do not decode", remedy)
    return np.ascontiguousarray(decoded, dtype=np.uint8)


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


def _is_cut(raw: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end marker."""
    tail = raw[-TAIL_BYTES:]
    return (raw.startswith(JPEG_START) and JPEG_END not in tail) or (
        raw.startswith(PNG_START) and PNG_END not in tail
    )
