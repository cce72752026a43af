"""Augmentation of clips: one scale, crop, flip and colour draw for all T frames."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from mot.errors import require_setting

Image = npt.NDArray[np.uint8]
BoxTable = npt.NDArray[np.float32]
OUTSIDE_VALUE = 114  # grey beyond the frame's border
DRIFT_PX = 2.0  # deviation of a photo's drift per frame, in crop pixels


@dataclass(frozen=True)
class AugmentSettings:
    """How crops are cut and changed."""

    crop: tuple[int, int] = (192, 320)
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
    equalise_share: float = 0.0
    """Share of clips whose lightness is equalised, tile by tile."""
    stretch_share: float = 0.0
    """Share of clips whose grey values are stretched over black to white."""
    pca: float = 0.0
    """Deviation of shifts along the principal axes of a clip's colours; 0.1 is usual, 0 = none."""
    hue_share: float = 0.0
    """Share of clips whose people get clothes of other hues."""
    rotate: float = 0.0
    """Largest angle that a clip is turned by, in degrees; 0 = none."""
    teach_px: tuple[float, float] | None = None
    """Range of heights in the crop, in pixels, of people who teach; others are ignored."""
    frame_steps: tuple[int, ...] = (1,)
    """Distances between a clip's frames, drawn at random: frame rates differ."""
    paste_share: float = 0.0
    """Share of clips that people cut out of photos are pasted into; they come from --cutouts."""
    paste_most: int = 4
    """Most people pasted into one clip."""

    def __post_init__(self) -> None:
        for name in ("crop", "scale", "frame_steps"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require = partial(require_setting, self)
        require("crop", len(self.crop) == 2 and min(self.crop) >= 32, "at least 32 32")
        require("scale", _rising(self.scale), "two rising factors")
        require("frame_steps", min(self.frame_steps, default=0) >= 1, "steps of 1 or more")
        if self.person_px is not None:
            object.__setattr__(self, "person_px", tuple(self.person_px))
            require("person_px", _rising(self.person_px), "two rising heights in pixels")
        if self.teach_px is not None:
            object.__setattr__(self, "teach_px", tuple(self.teach_px))
            require("teach_px", _rising(self.teach_px), "two rising heights in pixels")
        shares = ("background", "blur", "paste", "equalise", "stretch", "hue")
        for name in (f"{share}_share" for share in shares):
            require(name, 0 <= getattr(self, name) <= 1, "a share in 0..1")
        require("colour", 0 <= self.colour < 1, "a strength in [0, 1)")
        require("noise", 0 <= self.noise < 256, "grey levels of 0 or more")
        require("pca", 0 <= self.pca < 10, "a deviation of 0 or more")
        require("rotate", 0 <= self.rotate <= 45, "an angle of 0 to 45 degrees")
        require("paste_most", self.paste_most >= 1, "at least 1")


def only_colours(strength: float) -> AugmentSettings:
    """How crops of single people change: blur and noise where colours do, and nothing at 0."""
    if strength == 0:
        return AugmentSettings(colour=0, blur_share=0, noise=0)
    return AugmentSettings(colour=strength)


def as_they_are(settings: AugmentSettings) -> AugmentSettings:
    """The same crops with light, colours, angle and people as the frames have them."""
    return replace(
        settings,
        colour=0.0,
        blur_share=0.0,
        noise=0.0,
        paste_share=0.0,
        equalise_share=0.0,
        stretch_share=0.0,
        pca=0.0,
        hue_share=0.0,
        rotate=0.0,
        teach_px=None,
    )


def _rising(limits: tuple[float, ...]) -> bool:
    return len(limits) == 2 and 0 < limits[0] <= limits[1]


@dataclass(frozen=True)
class _AxisCut:
    """One axis of a cut: source[source] resized to `size` pixels; [shown] of it go to [target]."""

    source: slice
    size: int
    shown: slice
    target: slice


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
        canvas = np.full((*self.crop, 3), OUTSIDE_VALUE, np.uint8)
        columns = self._axis(self.offset[frame, 0], self.crop[1], image.shape[1])
        rows = self._axis(self.offset[frame, 1], self.crop[0], image.shape[0])
        if columns and rows:
            part = image[rows.source, columns.source]
            method = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
            resized = cv2.resize(part, (columns.size, rows.size), None, 0, 0, method)
            canvas[rows.target, columns.target] = resized[rows.shown, columns.shown]
        return np.ascontiguousarray(canvas[:, ::-1]) if self.flip else canvas

    def _axis(self, offset: float, crop: int, length: int) -> _AxisCut | None:
        """Work out one axis of a cut; None where the crop misses the frame.

        Whole pixels are taken, a fraction of one more than fits at each end, so that what is shown
        is within a pixel of where `boxes` says it is, whatever the scale.
        """
        first = max(0, math.floor(offset / self.scale))
        last = min(length, math.ceil((offset + crop) / self.scale))
        start = round(first * self.scale - offset)
        size = max(1, round(last * self.scale - offset) - start)
        begin, end = max(start, 0), min(start + size, crop)
        if last <= first or end <= begin:
            return None
        return _AxisCut(
            slice(first, last), size, slice(begin - start, end - start), slice(begin, end)
        )

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
    pace = rng.normal(0, DRIFT_PX, size=2) if drift else np.zeros(2)
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
