"""Training batches of P people × K crops each, augmented.

A batch is a function of (seed, rank, number) alone, as in `nets.clips`, so that a resumed training
sees the batches that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from mot.errors import InputError, require_setting
from mot.images import Image
from reid.crops import DISTRACTOR, CropSet

PADDING_PX = 10  # a crop is cut out of itself with a border of so much
OCCLUDED = (0.2, 0.5)  # range of the share of the width that somebody in front covers
ERASED_STRETCH = 3.3  # height over width of an erased rectangle is up to this, or its inverse
ERASED_FILL = (124, 116, 104)  # mean of ImageNet, RGB: neither dark nor bright


@dataclass(frozen=True)
class SamplerSettings:
    """How batches are drawn and changed."""

    people: int = 16
    """People per batch, P."""
    crops: int = 4
    """Crops of each person per batch, K; one with fewer is seen several times."""
    flip: bool = True
    """Mirror half of the crops."""
    colour: float = 0.2
    """Strength of brightness and channel changes, 0 = none."""
    occlude_share: float = 0.0
    """Share of crops with somebody else of the batch in front of them, to the left or right."""
    erase_share: float = 0.5
    """Share of crops with a random rectangle erased (arXiv:1708.04896)."""
    erase_area: tuple[float, float] = (0.02, 0.3)
    """Range of the erased area as a share of the crop."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "erase_area", tuple(self.erase_area))
        require = partial(require_setting, self)
        require("people", self.people >= 2, "at least 2: a negative is somebody else")
        require("crops", self.crops >= 2, "at least 2: a positive is another crop")
        require("colour", 0 <= self.colour < 1, "a strength in [0, 1)")
        require("occlude_share", 0 <= self.occlude_share <= 1, "a share in 0..1")
        require("erase_share", 0 <= self.erase_share <= 1, "a share in 0..1")
        low, high = self.erase_area
        require("erase_area", 0 < low <= high < 1, "two rising shares in (0, 1)")


class CropBatches:
    """Batch number → (crops (P·K, 3, H, W) uint8, identity (P·K,) as 0-based class).

    Args:
        crops: all crops to learn from; junk and distractors are left out.
        settings: P, K and augmentation.
        size_hw: height and width of a crop.
        seed: with rank and number it decides every draw.
        rank: of this process among several.
        count: number of batches.

    Raises:
        InputError: fewer people than a batch needs.
    """

    def __init__(
        self,
        crops: CropSet,
        settings: SamplerSettings,
        *,
        size_hw: tuple[int, int],
        seed: int,
        rank: int = 0,
        count: int = 1,
    ) -> None:
        self.crops = crops[crops.identity > DISTRACTOR]
        self.settings, self.size_hw = settings, size_hw
        self.seed, self.rank, self.count = seed, rank, count
        names, label = np.unique(self.crops.identity, return_inverse=True)
        self.identities = len(names)
        if self.identities < settings.people:
            raise InputError(
                "--people",
                f"at most the {self.identities} people of the data",
                settings.people,
                "lower --people, or give more crops",
            )
        order = np.argsort(label, kind="stable")
        starts = np.searchsorted(label[order], np.arange(self.identities + 1))
        self._rows = [order[a:b] for a, b in zip(starts, starts[1:], strict=False)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self.seed, self.rank, number])
        people = rng.choice(self.identities, self.settings.people, replace=False)
        whole, wanted = [], self.settings.crops
        for person in people:
            rows = self._rows[person]
            for row in rng.choice(rows, wanted, replace=len(rows) < wanted):
                whole.append(self.crops.images[row].read(self.size_hw))
        images = []
        for place, image in enumerate(whole):
            if self.settings.occlude_share and rng.random() < self.settings.occlude_share:
                elsewhere = (place // wanted + rng.integers(1, len(people))) % len(people)
                image = occluded(image, whole[elsewhere * wanted + rng.integers(wanted)], rng)
            images.append(augment(image, self.settings, rng))
        stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        return stacked, torch.from_numpy(np.repeat(people, wanted))


def occluded(image: Image, other: Image, rng: np.random.Generator) -> Image:
    """Let somebody stand in front, (H, W, 3): the half of another crop that reaches in from a side.

    Who is nearer stands lower in the picture, so the other's head is at or below the top edge.
    """
    height, width = image.shape[:2]
    covered = max(1, round(rng.uniform(*OCCLUDED) * width))
    lower = round(rng.uniform(0, 0.3) * height)
    changed = image.copy()
    if rng.random() < 0.5:
        changed[lower:, width - covered :] = other[: height - lower, :covered]
    else:
        changed[lower:, :covered] = other[: height - lower, width - covered :]
    return changed


def augment(image: Image, settings: SamplerSettings, rng: np.random.Generator) -> Image:
    """Shift, mirror, recolour and erase a crop (H, W, 3) by chance; returns a new one."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((PADDING_PX,) * 2, (PADDING_PX,) * 2, (0, 0)))
    top, left = rng.integers(0, 2 * PADDING_PX + 1, 2)
    changed = padded[top : top + height, left : left + width]
    if settings.flip and rng.random() < 0.5:
        changed = changed[:, ::-1]
    if settings.colour > 0:
        gain = 1 + rng.uniform(-1, 1) * settings.colour
        tint = 1 + rng.uniform(-1, 1, 3) * settings.colour / 3
        changed = np.clip(changed * (gain * tint), 0, 255).astype(np.uint8)
    changed = np.ascontiguousarray(changed)
    if rng.random() < settings.erase_share:
        _erase(changed, settings, rng)
    return changed


def _erase(image: Image, settings: SamplerSettings, rng: np.random.Generator) -> None:
    """Fill a rectangle of random area and shape, in place."""
    height, width = image.shape[:2]
    area = rng.uniform(*settings.erase_area) * height * width
    shape = np.exp(rng.uniform(-1, 1) * np.log(ERASED_STRETCH))
    rows = int(np.clip(round((area * shape) ** 0.5), 1, height))
    columns = int(np.clip(round((area / shape) ** 0.5), 1, width))
    top = rng.integers(0, height - rows + 1)
    left = rng.integers(0, width - columns + 1)
    image[top : top + rows, left : left + columns] = ERASED_FILL
