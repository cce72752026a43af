"""Augmentation of clips: one scale, crop, flip and colour draw for all T frames."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mot.errors import InputError

Image = npt.NDArray[np.uint8]
BoxTable = npt.NDArray[np.float32]
OUTSIDE_VALUE = 114  # grey beyond the frame's border


@dataclass(frozen=True)
class AugmentSettings:
    """How crops are cut and changed."""

    crop: tuple[int, int] = (256, 448)
    """Height and width of a training crop in pixels."""
    person_px: tuple[float, float] | None = None
    """Range of a person's height in the crop, in pixels; none = only --scale decides."""
    scale: tuple[float, float] = (0.8, 1.25)
    """Range of the resize factor of a frame."""
    background_share: float = 0.15
    """Share of crops placed anywhere instead of around a person."""
    flip: bool = True
    """Mirror half of the clips."""
    colour: float = 0.3
    """Strength of brightness, contrast, saturation and channel changes, 0 = none."""
    blur_share: float = 0.1
    """Share of clips that are blurred."""
    noise: float = 6.0
    """Largest standard deviation of added noise, in grey levels."""
    frame_steps: tuple[int, ...] = (1,)
    """Distances between a clip's frames, drawn at random: frame rates differ."""

    def __post_init__(self) -> None:
        for name in ("crop", "scale", "frame_steps"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._require("crop", min(self.crop) >= 32, "at least 32 32")
        self._require("scale", 0 < self.scale[0] <= self.scale[1], "two rising factors")
        self._require("frame_steps", min(self.frame_steps, default=0) >= 1, "steps of 1 or more")
        if self.person_px is not None:
            object.__setattr__(self, "person_px", tuple(self.person_px))
            self._require("person_px", 0 < self.person_px[0] <= self.person_px[1], "rising heights")

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            flag = f"--{field.replace('_', '-')}"
            raise InputError(flag, expected, getattr(self, field), "change this setting")


@dataclass(frozen=True)
class Augmentation:
    """One drawn geometry: crop = flip(scale · frame − offset).

    Attributes:
        scale: crop pixels per frame pixel.
        offset: (T, 2) left and top of the crop in scaled pixels, one row per frame.
        flip: mirrored left to right.
        crop: height and width in pixels.
    """

    scale: float
    offset: npt.NDArray[np.float64]
    flip: bool
    crop: tuple[int, int]

    def apply(self, image: Image, frame: int) -> Image:
        """Cut the crop (H, W, 3) out of the clip's frame number `frame`."""
        height, width = self.crop
        left, top = self.offset[frame] / self.scale
        right, bottom = left + width / self.scale, top + height / self.scale
        x0, y0 = max(0, round(left)), max(0, round(top))
        x1, y1 = min(image.shape[1], round(right)), min(image.shape[0], round(bottom))
        canvas = np.full((height, width, 3), OUTSIDE_VALUE, np.uint8)
        if x1 > x0 and y1 > y0:
            self._paste(canvas, image[y0:y1, x0:x1], x0, y0, frame)
        return np.ascontiguousarray(canvas[:, ::-1]) if self.flip else canvas

    def _paste(self, canvas: Image, part: Image, x0: int, y0: int, frame: int) -> None:
        """Resize the visible part of the frame and lay it where it belongs in the crop."""
        height, width = self.crop
        u0, v0 = np.round(np.array([x0, y0]) * self.scale - self.offset[frame]).astype(int)
        u0, v0 = min(max(u0, 0), width - 1), min(max(v0, 0), height - 1)
        wide = min(max(1, round(part.shape[1] * self.scale)), width - u0)
        high = min(max(1, round(part.shape[0] * self.scale)), height - v0)
        method = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        canvas[v0 : v0 + high, u0 : u0 + wide] = cv2.resize(part, (wide, high), None, 0, 0, method)

    def boxes(self, ltwh: BoxTable, frame: int) -> BoxTable:
        """Move boxes (N, 4) from frame pixels to crop pixels."""
        moved = ltwh.astype(np.float64) * self.scale
        moved[:, :2] -= self.offset[frame]
        if self.flip:
            moved[:, 0] = self.crop[1] - moved[:, 0] - moved[:, 2]
        return moved.astype(np.float32)


def draw_augmentation(
    size_hw: tuple[int, int],
    ltwh: BoxTable,
    frames: int,
    settings: AugmentSettings,
    rng: np.random.Generator,
    *,
    drift: bool,
) -> Augmentation:
    """Draw scale, crop position and flip for one clip.

    Args:
        size_hw: frame size in pixels.
        ltwh: people in the clip's first frame (N, 4).
        frames: T.
        settings: ranges.
        rng: source of chance.
        drift: let the crop move over the frame from frame to frame (a camera pan over a photo).
    """
    anchor = None
    if len(ltwh) and rng.random() >= settings.background_share:
        anchor = ltwh[rng.integers(len(ltwh))].astype(np.float64)
    scale = _draw_scale(anchor, size_hw, settings, rng)
    crop = np.array(settings.crop[::-1], np.float64)
    frame = np.array(size_hw[::-1], np.float64) * scale
    if anchor is None:
        offset = rng.uniform(np.minimum(0, frame - crop), np.maximum(0, frame - crop))
    else:
        centre = (anchor[:2] + anchor[2:] / 2) * scale
        offset = centre - crop * rng.uniform(0.15, 0.85, size=2)
        # Mostly stay on the frame: grey borders teach little.
        low, high = np.minimum(0, frame - crop), np.maximum(0, frame - crop)
        offset = np.clip(offset, low, high)
    pace = rng.normal(0, 2.0, size=2) if drift else np.zeros(2)
    offsets = offset + np.arange(frames)[:, None] * pace
    flip = bool(settings.flip and rng.random() < 0.5)
    return Augmentation(scale, offsets, flip, settings.crop)


def _draw_scale(
    anchor: npt.NDArray[np.float64] | None,
    size_hw: tuple[int, int],
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> float:
    """Resize factor that gives the anchor a height drawn from person_px, or one from scale."""
    low, high = settings.scale
    if settings.person_px is None:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    # A frame shrunk to less than the crop's area would leave most of the crop grey.
    low = min(high, max(low, (np.prod(settings.crop) / np.prod(size_hw)) ** 0.5))
    if anchor is None:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))
    height = np.exp(rng.uniform(*np.log(settings.person_px)))
    return float(np.clip(height / max(anchor[3], 1.0), low, high))


def recolour(clip: Image, settings: AugmentSettings, rng: np.random.Generator) -> Image:
    """Change colours of a clip (T, H, W, 3) with one draw; add blur and noise now and then."""
    strength = settings.colour
    if strength > 0:
        gain = 1 + rng.uniform(-strength, strength) + rng.uniform(-strength, strength, 3) / 3
        mix = _saturation_matrix(1 + rng.uniform(-strength, strength)) * gain[:, None]
        lift = 255 * rng.uniform(-strength, strength) / 4
        flat = cv2.transform(clip.reshape(-1, clip.shape[2], 3), np.c_[mix, np.full(3, lift)])
        clip = flat.reshape(clip.shape)
    if rng.random() < settings.blur_share:
        sigma = float(rng.uniform(0.4, 1.4))
        clip = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in clip])
    if settings.noise > 0 and rng.random() < 0.3:
        sigma = rng.uniform(0, settings.noise)
        noisy = clip + sigma * rng.standard_normal(clip.shape, dtype=np.float32)
        clip = np.clip(noisy, 0, 255).astype(np.uint8)
    return clip


def _saturation_matrix(saturation: float) -> npt.NDArray[np.float64]:
    """3×3 colour matrix that moves RGB away from its grey value (ITU-R BT.601 weights)."""
    grey = np.tile([0.299, 0.587, 0.114], (3, 1))
    return saturation * np.eye(3) + (1 - saturation) * grey
