"""Crops of one person each, and the keypoint maps that they should give: what a pose net learns on.

A crop is cut around a person's box, true or detected, and the points of that person alone are its
target: so points belong to people by their box, also where people overlap (top-down).
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from labelmaps.cache import FrameBlock
from labelmaps.keypoints import SIGMA_SHARE, keypoint_targets
from mot.errors import InputError, require_setting
from mot.formats.keypoints_json import KeypointFile
from mot.images import Image, read_image
from mot.keypoints import SEEN, UNLABELLED, Keypoints, mirrored_names
from nets.augment import OUTSIDE_VALUE, only_colours, recolour

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PoseCropSettings:
    """How crops of people are cut and changed."""

    crop: tuple[int, int] = (96, 64)
    """Height and width of a crop in pixels."""
    margin: float = 1.25
    """The crop's side over that of the box in it, whichever of height and width is the tighter."""
    scale_jitter: float = 0.15
    """Training crops are larger or smaller by up to this share."""
    shift_jitter: float = 0.08
    """Their middle is off by up to this share of the box, as detected boxes are."""
    turn: float = 10.0
    """They are turned by up to this many degrees."""
    flip: bool = True
    """Half of them are mirrored; left and right points change places."""
    colour: float = 0.3
    """Strength of brightness, contrast, saturation and channel changes, 0 = none."""
    sigma: float = SIGMA_SHARE
    """Width of the points' Gaussians as a share of the box's larger side."""
    seen_share: float = 0.2
    """People of whose points fewer are seen than this share are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "crop", tuple(self.crop))
        require = partial(require_setting, self)
        require("crop", len(self.crop) == 2 and min(self.crop) >= 32, "at least 32 32")
        require("margin", 1 <= self.margin <= 4, "a factor from 1 to 4")
        for name in ("scale_jitter", "shift_jitter"):
            require(name, 0 <= getattr(self, name) < 0.5, "a share in [0, 0.5)")
        require("turn", 0 <= self.turn <= 180, "degrees from 0 to 180")
        require("colour", 0 <= self.colour < 1, "a strength in [0, 1)")
        require("sigma", 0 < self.sigma < 1, "a share in (0, 1)")
        require("seen_share", 0 <= self.seen_share <= 1, "a share in 0..1")


class PoseSource(Protocol):
    """Frames and the keypoints of the people in them."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def keypoints(self) -> Keypoints:
        """All people, in pixels of the frames."""

    def image(self, frame: int) -> Image:
        """Frame by its 1-based number, uint8 (H, W, 3) RGB."""


@dataclass(frozen=True)
class BlockPoses:
    """A cached sequence, of whose people the keypoints are known; in the block's pixels."""

    name: str
    block: FrameBlock
    keypoints: Keypoints

    def image(self, frame: int) -> Image:
        """See PoseSource."""
        return np.asarray(self.block.frames[frame - 1])


@dataclass(frozen=True)
class FilePoses:
    """Images below a folder, named by a file of keypoints."""

    name: str
    folder: Path
    images: tuple[str, ...]
    keypoints: Keypoints

    @classmethod
    def of(cls, path: Path, file: KeypointFile, folder: Path) -> FilePoses:
        """Images of a file that was read."""
        return cls(path.name, folder, file.images, file.keypoints)

    def image(self, frame: int) -> Image:
        """See PoseSource; raises InputError where the image cannot be read."""
        return read_image(self.folder / self.images[frame - 1])


def usable(keypoints: Keypoints, seen_share: float) -> npt.NDArray[np.int64]:
    """Rows of people with a box, a labelled point, and enough points that are seen."""
    seen = (keypoints.visibility == SEEN).mean(axis=1)
    there = keypoints.labelled.any(axis=1) & (keypoints.ltwh[:, 2:] > 0).all(axis=1)
    return np.flatnonzero(there & (seen >= seen_share))


@dataclass(frozen=True)
class CropWindow:
    """Where a crop is cut: crop = matrix · (x, y, 1), pixels of the frame to pixels of the crop.

    Attributes:
        matrix: (2, 3); pixel k covers k..k+1 on either side.
        scale: crop pixels per frame pixel.
        size_hw: height and width of the crop.
    """

    matrix: Matrix
    scale: float
    size_hw: tuple[int, int]

    @classmethod
    def around(
        cls,
        ltwh: npt.ArrayLike,
        settings: PoseCropSettings,
        *,
        grow: float = 1.0,
        shift: tuple[float, float] = (0.0, 0.0),
        turn_degrees: float = 0.0,
        flip: bool = False,
    ) -> CropWindow:
        """Cut around a box (left, top, width, height), which stands in the crop's middle.

        Args:
            ltwh: the box in frame pixels.
            settings: size and margin.
            grow: factor on the size of the box in the crop.
            shift: of the middle, as shares of the box's width and height.
            turn_degrees: turn about the middle.
            flip: mirror left to right.
        """
        left, top, width, height = np.asarray(ltwh, np.float64)
        high, wide = settings.crop
        scale = grow * min(wide / max(width, 1.0), high / max(height, 1.0)) / settings.margin
        middle = np.array([left + (0.5 + shift[0]) * width, top + (0.5 + shift[1]) * height])
        angle = np.deg2rad(turn_degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = scale * (np.diag([-1.0, 1.0]) @ turn if flip else turn)
        offset = np.array([wide / 2, high / 2]) - linear @ middle
        return cls(np.column_stack([linear, offset]), scale, settings.crop)

    def cut(self, image: Image) -> Image:
        """The crop of a frame (H, W, 3), grey beyond the frame's border."""
        # Pixel centres lie at +0.5 here and at 0 in OpenCV's coordinates.
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
        border = (OUTSIDE_VALUE,) * 3
        cut = cv2.warpAffine(image, matrix, self.size_hw[::-1], borderValue=border)
        return np.asarray(cut, np.uint8)

    def to_crop(self, xy: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Points (..., 2) of the frame in crop pixels."""
        moved = xy.astype(np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved.astype(np.float32)

    def to_frame(self, xy: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Points (..., 2) of the crop in frame pixels."""
        back = np.linalg.inv(self.matrix[:, :2])
        moved = (xy.astype(np.float64) - self.matrix[:, 2]) @ back.T
        return moved.astype(np.float32)


@dataclass(frozen=True)
class PoseTargets:
    """What the net should have said, for a batch of crops.

    Attributes:
        heat: (B, T, K, h, w), see `labelmaps.keypoints`.
        weight: the same shape, 0 = teaches nothing.
    """

    heat: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> PoseTargets:
        """Move the maps to a device."""
        return PoseTargets(self.heat.to(device), self.weight.to(device))


def person_clip(source: PoseSource, row: int, frames: int) -> tuple[list[int], Keypoints]:
    """Frames that show a person from a row's frame on, and the person's points in them.

    Somebody without an identity, or who is not in the next frame, is shown in the same frame again:
    a clip has T frames in any case.

    Returns:
        Numbers of the T frames, and T rows of keypoints, one per frame.
    """
    keypoints = source.keypoints
    rows = [row]
    while len(rows) < frames:
        last, identity = rows[-1], keypoints.id[row]
        later = (keypoints.frame == keypoints.frame[last] + 1) & (keypoints.id == identity)
        found = np.flatnonzero(later) if identity >= 0 else later[:0]
        rows.append(int(found[0]) if len(found) else last)
    chosen = keypoints[np.array(rows)]
    return chosen.frame.tolist(), chosen


class PoseBatches(Dataset[tuple[Tensor, PoseTargets]]):
    """Batch number → (crops (B, T, 3, H, W) uint8, PoseTargets).

    Args:
        sources: frames and keypoints; all of the same points.
        settings: of the crops.
        frames: T.
        batch: crops per batch.
        stride: pixels per cell of the maps.
        seed: with rank and batch number it decides every draw.
        rank: of this process among several.
        count: number of batches.
        augment: False for crops that are not changed, as in use.

    Raises:
        InputError: nobody to learn from, or sources of different points.
    """

    def __init__(
        self,
        sources: Many[PoseSource],
        settings: PoseCropSettings,
        *,
        frames: int,
        batch: int,
        stride: int,
        seed: int,
        rank: int = 0,
        count: int = 1,
        augment: bool = True,
    ) -> None:
        self.people = [
            (index, int(row))
            for index, source in enumerate(sources)
            for row in usable(source.keypoints, settings.seen_share)
        ]
        if not self.people:
            got, remedy = "nobody", "give other files or lower --seen-share"
            raise InputError("training data", "people with labelled points", got, remedy)
        self.names = sources[0].keypoints.names
        for source in sources:
            if source.keypoints.names != self.names:
                expected = f"the points of {sources[0].name}"
                raise InputError(source.name, expected, "others", "train on one kind of points")
        self.sources, self.settings, self.frames, self.batch = sources, settings, frames, batch
        self.stride, self.seed, self.rank, self.count = stride, seed, rank, count
        self.augment = augment
        self.colours = only_colours(settings.colour)
        self.mirrored = mirrored_names(self.names)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, PoseTargets]:
        rng = np.random.default_rng([self.seed, self.rank, number])
        chosen = rng.integers(len(self.people), size=self.batch)
        crops, heats, weights = zip(*(self._example(p, rng) for p in chosen), strict=True)
        images = torch.from_numpy(np.stack(crops)).permute(0, 1, 4, 2, 3)
        heat, weight = (torch.from_numpy(np.stack(maps)) for maps in (heats, weights))
        return images, PoseTargets(heat, weight)

    def _example(
        self, person: int, rng: np.random.Generator
    ) -> tuple[Image, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Crops (T, H, W, 3), heat and weight (T, K, h, w) of one person."""
        index, row = self.people[person]
        source, settings = self.sources[index], self.settings
        numbers, points = person_clip(source, row, self.frames)
        window, flip = self._window(source.keypoints.ltwh[row], rng)
        clip = np.stack([window.cut(source.image(number)) for number in numbers])
        if self.augment:
            clip = recolour(clip, self.colours, rng)
        moved = in_crop(points, window)
        if flip:
            moved = replace(
                moved,
                xy=moved.xy[:, self.mirrored],
                visibility=moved.visibility[:, self.mirrored],
            )
        targets = keypoint_targets(
            moved, moved.frame, settings.crop, stride=self.stride, sigma_share=settings.sigma
        )
        return clip, targets.heat, targets.weight

    def _window(
        self, ltwh: npt.NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[CropWindow, bool]:
        """Draw where to cut, and whether to mirror."""
        settings = self.settings
        if not self.augment:
            return CropWindow.around(ltwh, settings), False
        flip = bool(settings.flip and rng.random() < 0.5)
        window = CropWindow.around(
            ltwh,
            settings,
            grow=1 + settings.scale_jitter * rng.uniform(-1, 1),
            shift=tuple(settings.shift_jitter * rng.uniform(-1, 1, 2)),
            turn_degrees=settings.turn * rng.uniform(-1, 1),
            flip=flip,
        )
        return window, flip


def in_crop(points: Keypoints, window: CropWindow) -> Keypoints:
    """One person's points in T frames as frames 1..T of a crop; those outside it are unlabelled.

    Boxes go along with their middle and size; that a crop is turned is passed over.
    """
    xy = window.to_crop(points.xy)
    inside = ((xy >= 0) & (xy < window.size_hw[::-1])).all(axis=2)
    visibility = np.where(inside, points.visibility, UNLABELLED)
    middle = window.to_crop(points.ltwh[:, :2] + points.ltwh[:, 2:] / 2)
    sizes = points.ltwh[:, 2:] * np.float32(window.scale)
    return replace(
        points,
        frame=np.arange(1, len(points) + 1),
        ltwh=np.concatenate([middle - sizes / 2, sizes], axis=1),
        xy=xy,
        visibility=visibility.astype(np.uint8),
    )
