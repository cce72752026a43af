"""Crops of people and of background, cut from sequences, photos and rendered scenes with a truth.

A batch is a function of (seed, number) alone, as those of `nets.clips` are.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mot.boxes import iou_matrix
from mot.errors import InputError, require_setting
from mot.images import Image, resize
from nets.augment import OUTSIDE_VALUE, only_colours, recolour
from nets.clips import Source
from nets.people import SMALLEST_PX, People

BACKGROUND, PERSON = 0, 1
MARGIN = (1.0, 1.4)  # side of a crop over the height of its person, drawn at random
SHIFT = 0.1  # of a crop's side: how far its person may be from its middle
USUAL_SHARE = (0.2, 0.6)  # side of a background crop over the frame's height, where nobody is
TRIES = 10  # places per frame, until one shows nobody
FRAMES_TRIED = 500
SHRINK_TO = 0.25  # of the usual side of a background crop
MOST_COVERED = 0.1  # of a background crop by anybody's box

Box = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CropSettings:
    """Which crops."""

    crop_px: int = 64
    """Side of the square crops that the net sees."""
    person_share: float = 0.3
    """Share of the crops that show a person; the rest is background."""
    colour: float = 0.3
    """Strength of brightness, contrast, saturation and channel changes, 0 = none."""

    def __post_init__(self) -> None:
        require_setting(self, "crop_px", self.crop_px >= 32, "at least 32")
        require_setting(self, "person_share", 0 < self.person_share < 1, "a share in (0, 1)")
        require_setting(self, "colour", 0 <= self.colour < 1, "a strength in [0, 1)")


@dataclass
class PersonCrops(Dataset[tuple[Tensor, Tensor]]):
    """Batch number → (crops uint8 (B, 3, crop_px, crop_px), class (B,): 1 = a person).

    Args:
        sources: where crops come from.
        shares: how often each source is drawn, any positive numbers.
        settings: of the crops.
        batch: crops per batch.
        seed: with the number it decides every draw.
        count: number of batches.

    Raises:
        InputError: sources that show nobody.
    """

    sources: Many[Source]
    shares: Many[float]
    settings: CropSettings
    batch: int
    seed: int
    count: int
    _shares: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self._shares = np.asarray(self.shares, np.float64)
        shown = [any(len(_clear(s.people(k))) for k in range(s.length)) for s in self.sources]
        self._shares *= shown  # people and background come from the same places
        if not any(shown):
            expected = f"somebody of {SMALLEST_PX:g} px or more"
            names = " ".join(source.name for source in self.sources)
            raise InputError(names, expected, "nobody", "name other sequences")
        self._shares /= self._shares.sum()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, number])
        kinds = (rng.random(self.batch) < self.settings.person_share).astype(np.int64)
        crops = np.stack([self._crop(kind, rng) for kind in kinds.tolist()])
        return torch.from_numpy(crops).permute(0, 3, 1, 2), torch.from_numpy(kinds)

    def _crop(self, kind: int, rng: np.random.Generator) -> Image:
        source = self.sources[int(rng.choice(len(self.sources), p=self._shares))]
        image, square = _draw(source, kind, rng)
        crop = cut_square(image, square, self.settings.crop_px)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        clip = np.ascontiguousarray(crop)[None]
        return np.asarray(recolour(clip, only_colours(self.settings.colour), rng)[0], np.uint8)


def _draw(source: Source, kind: int, rng: np.random.Generator) -> tuple[Image, Box]:
    """A frame and a square (left, top, side) of the kind in it.

    Raises:
        InputError: people or ignored regions everywhere.
    """
    shrink = 1.0
    for _ in range(FRAMES_TRIED):
        index = int(rng.integers(source.length))
        people = source.people(index)
        if kind == PERSON and not len(_clear(people)):
            continue
        image = source.clip(index, 1, 1)[0]
        if kind == PERSON:
            return image, _around(people, rng)
        for _ in range(TRIES):
            square = _anywhere(image.shape[:2], people, shrink, rng)
            if _covered(square, people) <= MOST_COVERED:
                return image, square
        shrink = max(SHRINK_TO, 0.8 * shrink)  # between people there is room for smaller ones
    expected = "a place without people" if kind == BACKGROUND else "people in more frames"
    raise InputError(source.name, expected, f"none in {FRAMES_TRIED} frames", "leave it out")


def _clear(people: People) -> Box:
    """Boxes of people large enough to teach (N, 4)."""
    return people.ltwh[people.ltwh[:, 3] >= SMALLEST_PX]


def _around(people: People, rng: np.random.Generator) -> Box:
    """A square around one of the people."""
    left, top, width, height = rng.choice(_clear(people))
    side = height * rng.uniform(*MARGIN)
    x, y = (left + width / 2, top + height / 2) + side * rng.uniform(-SHIFT, SHIFT, 2)
    return np.array([x - side / 2, y - side / 2, side], np.float32)


def _anywhere(
    size_hw: tuple[int, ...], people: People, shrink: float, rng: np.random.Generator
) -> Box:
    """A square inside the frame, as large as one around somebody would be, times `shrink`."""
    height, width = size_hw[:2]
    side = height * rng.uniform(*USUAL_SHARE)
    if len(_clear(people)):
        side = _around(people, rng)[2]
    side = min(shrink * side, height, width)
    x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    return np.array([x, y, side], np.float32)


def _covered(square: Box, people: People) -> float:
    """Largest share of a square that one box covers, of people or of what is ignored."""
    boxes = np.concatenate([people.counted, people.ignored])
    if not len(boxes):
        return 0.0
    left, top, side = square
    iou = iou_matrix(np.array([[left, top, side, side]], np.float32), boxes)[0]
    areas = boxes[:, 2] * boxes[:, 3]
    shared = iou * (side**2 + areas) / (1 + iou)
    return float((shared / side**2).max())


def cut_square(image: Image, square: Box, size: int) -> Image:
    """Cut a square (left, top, side) and resize it to (size, size, 3); grey beyond the frame."""
    height, width = image.shape[:2]
    left, top, side = (round(float(value)) for value in square)
    side = max(side, 1)
    canvas = np.full((side, side, 3), OUTSIDE_VALUE, np.uint8)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 > x0 and y1 > y0:
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return resize(canvas, (size, size))
